# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frames of docs/PROTOCOL.md in Python, and a sender that speaks them."""

import collections
import os
import socket
import struct
import uuid

MAGIC = b"\xacAG\x01"
HELLO, MESSAGE, SETTLED, CANCEL, PING, SUBMIT = 1, 2, 3, 4, 5, 6
WELCOME, ANSWER, CREDIT, PRUNED, PONG, GOODBYE, ERROR, ACCEPTED, REFUSED, SETTLEMENT = range(0x81, 0x8b)
ACKED, REJECTED, FAILED, BUSY, WORKING, SETTLED_ALREADY, CONFLICT, CANCELLED = range(1, 9)

Answer = collections.namedtuple("Answer", "stream sequence message attempt delay outcome data cut")
Settlement = collections.namedtuple("Settlement", "number attempts end data")
Refused = collections.namedtuple("Refused", "number reason text")
Welcome = collections.namedtuple("Welcome", "receiver instance credit window max_payload name")


def frame(kind, body=b""):
    return MAGIC + bytes([kind, 0, 0, 0]) + struct.pack(">I", len(body)) + body


class Closed(Exception):
    """The peer has ended the connection."""


class Connection:
    """Frames on a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.credit = None

    def close(self):
        self.sock.close()

    def write(self, kind, body=b""):
        self.sock.sendall(frame(kind, body))

    def read(self):
        """Returns (type, body) of the next frame."""
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
        """Returns the body of the next frame of that type and skips all others."""
        while True:
            got, body = self.read()
            if got == kind:
                return body
            assert got != ERROR, body


class Sender(Connection):
    """One connection to a receiver; by default it says HELLO and reads WELCOME."""

    def __init__(self, address, receiver=None, stream=None, hello=True):
        if isinstance(address, tuple):
            sock = socket.create_connection(address, timeout=60)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(60)
            sock.connect(str(address))
        super().__init__(sock)
        self.stream = stream or os.urandom(16)
        self.welcome = None
        if hello:
            self.write(HELLO, uuid.UUID(receiver).bytes + b"S" * 16 + b"\x04host")
            kind, body = self.read()
            if kind == ERROR:
                raise Closed(body.decode())
            assert kind == WELCOME
            credit, window, payload = struct.unpack(">III", body[32:44])
            self.welcome = Welcome(body[:16], body[16:32], credit, window, payload, body[45:].decode())
            self.credit = credit

    def send(self, sequence, payload=b"", message=None, attempt=1, duplicate=False, bulk=False, memory=False,
             ack_timeout_ms=None):
        message = message or uuid.uuid4().bytes
        attributes = struct.pack(">BHI", 3, 4, ack_timeout_ms) if ack_timeout_ms else b""
        self.write(MESSAGE, self.stream + struct.pack(">Q", sequence) + message +
                   struct.pack(">IIH", attempt, int(duplicate) | 2 * memory | 4 * bulk, len(attributes)) +
                   attributes + payload)
        return message

    def cancel(self, sequence, message):
        self.write(CANCEL, self.stream + struct.pack(">Q", sequence) + message)

    def settle(self, low, *ranges, closed=False):
        self.write(SETTLED, self.stream + struct.pack(">IQH", int(closed), low, len(ranges)) +
                   b"".join(struct.pack(">QQ", *r) for r in ranges))

    def answer(self, working=False):
        """Returns the next answer. Skips `working` unless it is asked for."""
        while True:
            body = self.read_kind(ANSWER)
            sequence, = struct.unpack(">Q", body[16:24])
            attempt, delay, outcome = struct.unpack(">IIB", body[40:49])
            cut = outcome == ACKED and bool(delay & 1)
            a = Answer(body[:16], sequence, body[24:40], attempt, 0 if outcome == ACKED else delay, outcome, body[49:],
                       cut)
            if a.outcome != WORKING or working:
                return a

    def ask(self, sequence, payload=b"", **more):
        """Sends a message and returns the answer to it."""
        message = self.send(sequence, payload, **more)
        a = self.answer()
        assert (a.stream, a.sequence, a.message) == (self.stream, sequence, message)
        return a


class Submitter(Connection):
    """A program that submits in bulk, on the socket from OpenStream. `ids`, `ends` and `refused` are by number."""

    def __init__(self, sock):
        super().__init__(sock)
        self.last = 0
        self.ids, self.ends, self.refused = {}, {}, {}
        assert self.read()[0] == CREDIT and self.credit > 0

    def submit(self, payload, key=None, idempotency_key=None, attributes=b""):
        """Returns the number of the submission."""
        for tag, value in ((1, key), (2, idempotency_key)):
            if value is not None:
                attributes += struct.pack(">BH", tag, len(value)) + value
        self.write(SUBMIT, struct.pack(">H", len(attributes)) + attributes + payload)
        self.last += 1
        return self.last

    def submit_at_once(self, payload, times):
        """Submits in one write, so that the client reads all of them before it answers any."""
        self.sock.sendall(times * frame(SUBMIT, struct.pack(">H", 0) + payload))
        self.last += times

    def take(self):
        """Reads one frame."""
        kind, body = self.read()
        number = struct.unpack(">Q", body[:8])[0] if len(body) >= 8 else 0
        if kind == ACCEPTED:
            assert len(body) > 8 and len(body) % 16 == 8
            for i in range(8, len(body), 16):
                assert number not in self.ids
                self.ids[number] = str(uuid.UUID(bytes=body[i:i + 16]))
                number += 1
        elif kind == REFUSED:
            end = 9 + body[8]
            self.refused[number] = Refused(number, body[9:end].decode(), body[end:].decode())
        elif kind == SETTLEMENT:
            assert number in self.ids, "an end before the acceptance"
            attempts, end = struct.unpack(">IB", body[8:13])
            assert number not in self.ends
            self.ends[number] = Settlement(number, attempts, end, body[13:])
        else:
            assert kind == ERROR
            raise Closed(body.decode())

    def take_until(self, condition):
        while not condition():
            self.take()

    def end_of(self, number):
        self.take_until(lambda: number in self.ends)
        return self.ends[number]

    def finish(self):
        """Submits no more, and reads the rest until the client hangs up."""
        self.sock.shutdown(socket.SHUT_WR)
        try:
            while True:
                self.take()
        except Closed as e:
            assert str(e) == "end of stream"
