# SPDX-License-Identifier: LGPL-2.1-or-later
"""Receivers that the test plays. They follow docs/PROTOCOL.md, or break it on purpose."""

import socket
import struct
import threading
import uuid

import frames


class Actor:
    """All receivers that it registers have the same address; HELLO says which one is meant. Acks every message, unless
    `on_message(connection, MESSAGE body)` is given. As a context manager it ends its threads."""

    def __init__(self, directory, discovery, on_message=None, credit=100, on_hello=None):
        directory.mkdir(exist_ok=True)
        self.credit = credit
        self.cancels = 0  # that it has read
        self.path = directory / "actor.sock"
        self.discovery = discovery
        self.on_message = on_message or self.ack
        self.on_hello = on_hello or self.welcome
        self.tokens = {}  # by id
        self.settled = []  # (stream, flags, low)
        self.goodbyes = []  # (connection, reason) of the answers to GOODBYE
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(1000)
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def register(self, name, **more):
        """Returns the new id."""
        status, body, _ = self.discovery.ask("POST", "/v1/receivers", {
            "instance": str(uuid.uuid4()), "name": name, "addresses": [f"unix:{self.path}"], **more})
        assert status == 201, body
        self.tokens[body["id"]] = body["token"]
        return body["id"]

    def leave(self, receiver):
        assert self.discovery.ask("DELETE", f"/v1/receivers/{receiver}", token=self.tokens.pop(receiver))[0] == 204

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            connection = frames.Connection(sock)
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            kind, body = connection.read()
            assert kind == frames.HELLO
            self.on_hello(connection, body)
            while True:
                kind, body = connection.read()
                if kind == frames.MESSAGE:
                    self.on_message(connection, body)
                elif kind == frames.CANCEL:
                    self.cancels += 1
                    self.answer(connection, body, frames.CANCELLED)
                elif kind == frames.GOODBYE:
                    self.goodbyes.append((connection, body))
                elif kind == frames.SETTLED:
                    flags, low = struct.unpack(">IQ", body[16:28])
                    self.settled.append((body[:16], flags, low))
        except (frames.Closed, OSError):
            pass

    def welcome(self, connection, hello):
        connection.write(frames.WELCOME, hello[:16] + bytes(16) + struct.pack(">III", self.credit, 1024, 1 << 20) + b"\x01a")

    @staticmethod
    def answer(connection, message, outcome, data=b""):
        """`message`: the body of a MESSAGE or a CANCEL."""
        attempt = message[40:44] if len(message) > 44 else struct.pack(">I", 1)
        connection.write(frames.ANSWER, message[:40] + attempt + struct.pack(">IB", 0, outcome) + data)

    def ack(self, connection, message):
        self.answer(connection, message, frames.ACKED)
