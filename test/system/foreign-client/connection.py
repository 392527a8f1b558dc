"""Frames, greeting, proof and credit: what a connection needs beside its requests."""

import hashlib
import hmac
import os
import select
import socket
import struct
import time
from collections import deque, namedtuple

from checksums import xxh64

HELLO, PROOF, PING, PONG, GOODBYE, CREDIT, ERROR = 1, 2, 3, 4, 5, 6, 7
LIST, ENTRIES, DOWNLOAD, OFFER, WANT, COMPARE, SUMS, END, HAVE, WORKING, COMPLETE, CHUNK = (
    0x10, 0x18, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x2F)
BULK = (ENTRIES, SUMS, CHUNK)
PREAMBLE = b"\x89FERRY\r\n" + struct.pack("<HHI", 1, 1, 0)
HEADER = struct.Struct("<BBHIIIQQ")
IN_FLIGHT_BYTES = 4 * 1024 * 1024
PING_SECONDS = 3

Frame = namedtuple("Frame", "type request index payload damaged")


class Failure(Exception):
    pass


class Reader:
    """Takes a payload apart."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Failure("a payload is too short")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.take(self.number("H")).decode()

    def optional(self, form):
        return self.number(form) if self.number("B") else None

    def ranges(self):
        return [(self.number("Q"), self.number("Q")) for _ in range(self.number("H"))]

    def fields(self):
        tags = ((self.number("H"), self.number("H")) for _ in range(self.number("H")))
        return {tag & 0x7FFF: self.take(length) for tag, length in tags}


def text(value):
    data = value.encode()
    return struct.pack("<H", len(data)) + data


def fields(values):
    return struct.pack("<H", len(values)) + b"".join(
        struct.pack("<HH", tag, len(value)) + value for tag, value in values)


def ranges(values):
    return struct.pack("<H", len(values)) + b"".join(struct.pack("<QQ", *value) for value in values)


class Connection:
    def __init__(self, host, port, token):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.heard, self.last_request = deque(), 0
        self.bulk_sent = self.bulk_confirmed = self.bulk_taken = 0
        limits = struct.pack("<H", 1) + text("inFlightBytes") + struct.pack("<Q", IN_FLIGHT_BYTES)
        hello = fields([
            (1, os.urandom(16)), (2, os.urandom(32)), (4, limits), (5, b"ferry.py"),
            (6, hashlib.sha256(token).digest()[:8]), (7, b"none")])
        self.socket.sendall(PREAMBLE)
        self.send(HELLO, 0, hello)
        preamble = self.read(16)
        extension_bytes = struct.unpack_from("<I", preamble, 12)[0]
        if preamble[:8] != PREAMBLE[:8] or extension_bytes > 1024:
            raise Failure("this is no chunkferry daemon")
        preamble += self.read(extension_bytes)
        daemon_hello = self.next(HELLO).payload
        told = Reader(daemon_hello).fields()
        if told.get(7) != b"none":
            raise Failure("the daemon asks for another binding")
        reader = Reader(told[4])
        limits = {reader.text(): reader.number("Q") for _ in range(reader.number("H"))}
        self.in_flight_bytes = limits.get("inFlightBytes", 16777216)
        self.prove(token, PREAMBLE + hello, preamble + daemon_hello)

    def prove(self, token, client, daemon):
        extracted = hmac.digest(b"chunkferry/1", token, "sha256")
        key = hmac.digest(extracted, b"token proof\x01", "sha256")

        def proof(role):
            parts = [b"chunkferry/1 proof", role, b"none", b"", client, daemon]
            said = b"".join(struct.pack("<I", len(part)) + part for part in parts)
            return hmac.digest(key, said, "sha256")

        if not hmac.compare_digest(self.next(PROOF).payload, proof(b"daemon")):
            raise Failure("the daemon does not know the token")
        self.send(PROOF, 0, proof(b"client"))

    def send(self, type, request, payload=b"", index=0, checksum=None):
        if type in BULK:
            while self.in_flight and self.in_flight + len(payload) > self.in_flight_bytes:
                self.hear()
            self.bulk_sent += len(payload)
        front = struct.pack("<BBHII", type, 0, 0, len(payload), request)
        back = struct.pack("<QQ", index, xxh64(payload) if checksum is None else checksum)
        check = struct.pack("<I", xxh64(front + back) & 0xFFFFFFFF)
        self.socket.sendall(front + check + back + payload)
        self.spoke_at = time.monotonic()

    @property
    def in_flight(self):
        return self.bulk_sent - self.bulk_confirmed

    def open(self, type, payload):
        self.last_request += 1
        self.send(type, self.last_request, payload)
        return self.last_request

    def breathe(self):
        """Says something often enough while nothing else is said."""
        if time.monotonic() - self.spoke_at > PING_SECONDS:
            self.send(PING, 0, bytes(8))

    def waiting(self):
        """Whether such a frame is here, without waiting for one."""
        while not self.heard and select.select([self.socket], [], [], 0)[0]:
            self.hear()
        return bool(self.heard)

    def next(self, *types):
        """The next frame that asks for something or answers; it must be one of `types`."""
        while not self.heard:
            self.hear()
        frame = self.heard.popleft()
        if frame.type not in types:
            raise Failure("frame 0x%02x came unexpected" % frame.type)
        return frame

    def hear(self):
        """Waits for a frame and takes it."""
        while not select.select([self.socket], [], [], 1)[0]:
            self.breathe()
        frame = self.read_frame()
        if frame.type in BULK:
            self.bulk_taken += len(frame.payload)
            self.send(CREDIT, 0, struct.pack("<Q", self.bulk_taken))
        if frame.type == PING:
            self.send(PONG, 0, frame.payload)
        elif frame.type == CREDIT:
            self.bulk_confirmed = Reader(frame.payload).number("Q")
        elif frame.type == ERROR:
            reader = Reader(frame.payload)
            raise Failure("code %d: %s" % (reader.number("H"), reader.text()))
        elif frame.type not in (PONG, GOODBYE, HAVE, WORKING):
            self.heard.append(frame)

    def read_frame(self):
        header = self.read(HEADER.size)
        type, flags, reserved, length, request, check, index, checksum = HEADER.unpack(header)
        if xxh64(header[:12] + header[16:]) & 0xFFFFFFFF != check:
            raise Failure("a header arrived damaged")
        if flags or reserved or length > (4194304 if type == CHUNK else 65536):
            raise Failure("a header breaks the rules")
        payload = self.read(length)
        damaged = xxh64(payload) != checksum
        if damaged and type != CHUNK:
            raise Failure("a frame arrived damaged")
        return Frame(type, request, index, payload, damaged)

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise Failure("the connection was closed")
            data += piece
        return bytes(data)

    def close(self):
        self.send(GOODBYE, 0)
        self.socket.close()
