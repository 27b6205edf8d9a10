# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frames of docs/PROTOCOL.md in Python, and a sender that speaks them."""

import collections
import os
import socket
import struct
import uuid

MAGIC = b"\xacAG\x01"
HELLO, MESSAGE, SETTLED, CANCEL, PING = 1, 2, 3, 4, 5
WELCOME, ANSWER, CREDIT, PRUNED, PONG, GOODBYE, ERROR = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87
ACKED, REJECTED, FAILED, BUSY, WORKING, SETTLED_ALREADY, CONFLICT, CANCELLED = range(1, 9)

Answer = collections.namedtuple("Answer", "stream sequence message attempt delay outcome data")
Welcome = collections.namedtuple("Welcome", "receiver instance credit window max_payload name")


def frame(kind, body=b""):
    return MAGIC + bytes([kind, 0, 0, 0]) + struct.pack(">I", len(body)) + body


class Closed(Exception):
    """The peer ended the connection."""


class Sender:
    """One connection; by default it says HELLO and reads WELCOME."""

    def __init__(self, address, receiver=None, stream=None, hello=True):
        if isinstance(address, tuple):
            self.sock = socket.create_connection(address, timeout=20)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(20)
            self.sock.connect(str(address))
        self.buffer = b""
        self.stream = stream or os.urandom(16)
        self.welcome = None
        self.credit = None
        if hello:
            self.write(HELLO, uuid.UUID(receiver).bytes + b"S" * 16 + b"\x04host")
            kind, body = self.read()
            if kind == ERROR:
                raise Closed(body.decode())
            assert kind == WELCOME
            credit, window, payload = struct.unpack(">III", body[32:44])
            self.welcome = Welcome(body[:16], body[16:32], credit, window, payload, body[45:].decode())
            self.credit = credit

    def close(self):
        self.sock.close()

    def write(self, kind, body=b""):
        self.sock.sendall(frame(kind, body))

    def read(self):
        """(type, body) of the next frame."""
        while len(self.buffer) < 12 or len(self.buffer) < 12 + struct.unpack(">I", self.buffer[8:12])[0]:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed("end of stream")
            self.buffer += data
        assert self.buffer[:4] == MAGIC
        kind, size = self.buffer[4], struct.unpack(">I", self.buffer[8:12])[0]
        body, self.buffer = self.buffer[12:12 + size], self.buffer[12 + size:]
        if kind == CREDIT:
            self.credit = struct.unpack(">I", body)[0]
        return kind, body

    def read_kind(self, kind):
        """The body of the next frame of that type; others are passed over."""
        while True:
            got, body = self.read()
            if got == kind:
                return body
            assert got != ERROR, body

    def send(self, sequence, payload=b"", message=None, attempt=1, duplicate=False):
        message = message or uuid.uuid4().bytes
        self.write(MESSAGE, self.stream + struct.pack(">Q", sequence) + message +
                   struct.pack(">IIH", attempt, int(duplicate), 0) + payload)
        return message

    def cancel(self, sequence, message):
        self.write(CANCEL, self.stream + struct.pack(">Q", sequence) + message)

    def settle(self, low, *ranges, closed=False):
        self.write(SETTLED, self.stream + struct.pack(">IQH", int(closed), low, len(ranges)) +
                   b"".join(struct.pack(">QQ", *r) for r in ranges))

    def answer(self, working=False):
        """The next answer; `working` ones are passed over unless asked for."""
        while True:
            body = self.read_kind(ANSWER)
            sequence, = struct.unpack(">Q", body[16:24])
            attempt, delay, outcome = struct.unpack(">IIB", body[40:49])
            a = Answer(body[:16], sequence, body[24:40], attempt, delay, outcome, body[49:])
            if a.outcome != WORKING or working:
                return a

    def ask(self, sequence, payload=b"", **more):
        """Sends and returns the answer to it."""
        message = self.send(sequence, payload, **more)
        a = self.answer()
        assert (a.stream, a.sequence, a.message) == (self.stream, sequence, message)
        return a
