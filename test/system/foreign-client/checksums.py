"""XXH64 with seed 0, and the sums that are built on it."""

import struct

SEGMENT_CHUNKS = 128
MASK = 2**64 - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def rotate(x, bits):
    return ((x << bits) | (x >> (64 - bits))) & MASK


def mixed(word):
    return rotate(word * P2 & MASK, 31) * P1 & MASK


def xxh64(data):
    stripes, lanes = len(data) // 32, [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
    h = P5
    if stripes:
        words = struct.unpack_from("<%dQ" % (4 * stripes), data)
        for lane, v in enumerate(lanes):
            for word in words[lane::4]:
                v = (v + word * P2) & MASK
                v = ((v << 31 | v >> 33) * P1) & MASK
            lanes[lane] = v
        h = sum(rotate(v, bits) for v, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for v in lanes:
            h = ((h ^ mixed(v)) * P1 + P4) & MASK
    h, at = (h + len(data)) & MASK, 32 * stripes
    while at + 8 <= len(data):
        h = (rotate(h ^ mixed(*struct.unpack_from("<Q", data, at)), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        h = (rotate(h ^ struct.unpack_from("<I", data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def packed(sums):
    return struct.pack("<%dQ" % len(sums), *sums)


def fold(chunk_sums):
    """The checksum of a segment."""
    return xxh64(packed(chunk_sums))


def digest_of(chunk_sums, size):
    segments = range(0, len(chunk_sums), SEGMENT_CHUNKS)
    sums = [fold(chunk_sums[at:at + SEGMENT_CHUNKS]) for at in segments]
    return xxh64(packed(sums + [size]))
