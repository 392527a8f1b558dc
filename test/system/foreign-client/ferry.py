"""A client written from docs/protocol.md alone, with nothing but Python 3.

    ferry.py <host:port> list <folder>
    ferry.py <host:port> upload <file> <path>
    ferry.py <host:port> download <path> <file>

Plain TCP; the token is in FERRY_TOKEN. It says what it did as one JSON object on stdout. An upload
resumes what the daemon kept, a download what <file>.part holds.
"""

import base64
import json
import os
import struct
import sys

from checksums import SEGMENT_CHUNKS, digest_of, fold, packed, xxh64
from connection import (
    CHUNK, COMPARE, COMPLETE, DOWNLOAD, END, ENTRIES, LIST, OFFER, SUMS, WANT,
    Connection, Failure, Reader, fields, ranges, text)

CHUNK_BYTES = 65536
BY_SEGMENT, BY_CHUNK = 0, 1
REPEATS = 3


def list_folder(connection, path):
    connection.open(LIST, text(path) + b"\x00\x00")
    entries, last = [], False
    while not last:
        reader = Reader(connection.next(ENTRIES).payload)
        last = reader.number("B")
        for _ in range(reader.number("H")):
            entry = {"path": reader.text(), "kind": reader.number("B"), "size": reader.number("Q")}
            entries.append({**entry, "mtimeNs": reader.number("q"), "mode": reader.number("H")})
            reader.text()
    return {"entries": entries}


class Chunks:
    """A local file, with the checksums of those of its chunks that were looked at."""

    def __init__(self, file, size, breathe):
        self.file, self.size, self.breathe = file, size, breathe
        self.count = -(-size // CHUNK_BYTES)
        self.sums = {}

    def read(self, index):
        self.breathe()
        self.file.seek(index * CHUNK_BYTES)
        data = self.file.read(CHUNK_BYTES)
        self.sums[index] = xxh64(data)
        return data

    def write(self, index, data):
        if len(data) != min(CHUNK_BYTES, self.size - index * CHUNK_BYTES):
            raise Failure("a chunk has a wrong length")
        self.file.seek(index * CHUNK_BYTES)
        self.file.write(data)
        self.sums[index] = xxh64(data)

    def range(self, level, unit):
        width = 1 if level == BY_CHUNK else SEGMENT_CHUNKS
        return range(unit * width, min((unit + 1) * width, self.count))

    def sum(self, level, unit):
        sums = [self.sums[i] if i in self.sums else xxh64(self.read(i)) for i in self.range(level, unit)]
        return sums[0] if level == BY_CHUNK else fold(sums)

    def digest(self):
        return digest_of([self.sum(BY_CHUNK, i) for i in range(self.count)], self.size)


def upload(connection, path, target):
    with open(path, "rb") as file:
        stat = os.fstat(file.fileno())
        request = connection.open(OFFER, fields([
            (1, text(target)), (2, struct.pack("<Q", stat.st_size)),
            (3, struct.pack("<q", stat.st_mtime_ns)), (4, struct.pack("<H", stat.st_mode & 0o7777)),
            (5, b""), (6, struct.pack("<I", CHUNK_BYTES)), (7 | 0x8000, b"\x01"), (9, os.urandom(16))]))
        return send_file(connection, request, Chunks(file, stat.st_size, connection.breathe))


def send_file(connection, request, chunks):
    wanted, round, ended, last, sent, compared = set(), 0, 0, False, 0, 0
    while True:
        if wanted and not connection.waiting():
            index = min(wanted)
            wanted.remove(index)
            data = chunks.read(index)
            connection.send(CHUNK, request, data, index, chunks.sums[index])
            sent += len(data)
            continue
        if not wanted and ended < round:
            ended = round
            digest = struct.pack("<BQ", 1, chunks.digest()) if last else b"\x00"
            connection.send(END, request, struct.pack("<IQ", round, chunks.size) + digest + b"\x00")
            continue
        frame = connection.next(WANT, COMPARE, COMPLETE)
        reader = Reader(frame.payload)
        if frame.type == WANT:
            round, _, last = reader.number("I"), reader.take(20), reader.number("B")
            for start, end in reader.ranges():
                wanted.update(range(start, min(end, chunks.count)))
        elif frame.type == COMPARE:
            level = reader.number("B")
            for start, end in reader.ranges():
                compared += end - start
                send_sums(connection, request, chunks, level, start, end)
        else:
            outcome = ("stored", "unchanged", "skipped", "released")[reader.number("B")]
            return {"outcome": outcome, "sent": sent, "compared": compared}


def send_sums(connection, request, chunks, level, start, end):
    for first in range(start, end, 4096):
        sums = [chunks.sum(level, unit) for unit in range(first, min(end, first + 4096))]
        head = struct.pack("<BQBH", level, first, 0, len(sums))
        connection.send(SUMS, request, head + packed(sums))


def download(connection, path, target):
    request = connection.open(DOWNLOAD, text(path) + b"\x00")
    offer = Reader(connection.next(OFFER).payload).fields()
    (size,), (mtime_ns,) = struct.unpack("<Q", offer[2]), struct.unpack("<q", offer[3])
    (mode,), (chunk_bytes,) = struct.unpack("<H", offer[4]), struct.unpack("<I", offer[6])
    if chunk_bytes != CHUNK_BYTES:
        raise Failure("the daemon offers chunks of another size")
    part = target + ".part"
    with open(part, "r+b" if os.path.exists(part) else "w+b") as file:
        believed = min(os.fstat(file.fileno()).st_size, size) // CHUNK_BYTES
        chunks = Chunks(file, size, connection.breathe)
        result = receive_file(connection, request, chunks, believed)
        file.truncate(size)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))
        os.fsync(file.fileno())
    os.rename(part, target)
    connection.send(COMPLETE, request, struct.pack("<BBQB", 0, 1, chunks.digest(), 0))
    return result


def receive_file(connection, request, chunks, believed):
    missing = set(range(believed, chunks.count))
    whole = believed // SEGMENT_CHUNKS
    compares = [(BY_SEGMENT, 0, whole), (BY_CHUNK, whole * SEGMENT_CHUNKS, believed)]
    unanswered = sum(end - start for _, start, end in compares)
    round, received, repeated = 0, 0, {}

    def want(values):
        nonlocal round
        round += 1
        head = struct.pack("<I16sIB", round, bytes(16), 0, not unanswered)
        connection.send(WANT, request, head + ranges(values))

    want([(believed, chunks.count)] if missing else [])
    for level, start, end in compares:
        if start < end:
            connection.send(COMPARE, request, struct.pack("<B", level) + ranges([(start, end)]))
    while True:
        frame = connection.next(CHUNK, SUMS, END)
        reader = Reader(frame.payload)
        if frame.type == CHUNK and frame.damaged:
            repeated[frame.index] = repeated.get(frame.index, 0) + 1
            if repeated[frame.index] > REPEATS:
                raise Failure("a chunk arrives damaged again and again")
            want([(frame.index, frame.index + 1)])
        elif frame.type == CHUNK and frame.index in missing:
            chunks.write(frame.index, frame.payload)
            missing.remove(frame.index)
            received += len(frame.payload)
        elif frame.type == SUMS:
            level, first, _ = reader.number("B"), reader.number("Q"), reader.number("B")
            wrong = []
            for unit in range(first, first + reader.number("H")):
                unanswered -= 1
                if chunks.sum(level, unit) != reader.number("Q"):
                    span = chunks.range(level, unit)
                    wrong.append((span.start, span.stop))
                    missing.update(span)
            if wrong or not unanswered:
                want(wrong)
        elif frame.type == END and reader.number("I") == round and not missing and not unanswered:
            reader.take(8)
            if reader.optional("Q") != chunks.digest():
                raise Failure("the digest differs")
            return {"outcome": "stored", "received": received, "repeated": sum(repeated.values())}


def main():
    address, command, *rest = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    token = base64.urlsafe_b64decode(os.environ["FERRY_TOKEN"].removeprefix("ferry_") + "=")
    commands = {"list": list_folder, "upload": upload, "download": download}
    try:
        connection = Connection(host, int(port), token)
        result = commands[command](connection, *rest)
        connection.close()
        print(json.dumps(result))
    except (Failure, OSError) as error:
        sys.exit("ferry.py: %s" % error)


if __name__ == "__main__":
    main()
