# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real programs in a private directory: loopback and Unix sockets only, each ended by its own pid."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ["ACKGROUP_BUILD"])  # where meson built the programs


def wait_until(condition, what, seconds=20):
    """Polls until the condition holds; its last value is returned. Only a broken program gets near the limit."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Discovery:
    """One ackgroup-discovery with its own state, on a Unix socket and a loopback port."""

    def __init__(self, directory, *options):
        self.directory = directory
        self.socket = directory / "discovery.sock"
        self.options = options
        self.port = 0
        self.process = None
        self.log = open(directory / "discovery.log", "ab")

    def start(self):
        with socket.socket() as s:  # a free port; kept over restarts, as a unit's would be
            if self.port == 0:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [BUILD / "src/discovery/ackgroup-discovery", "--state-dir", self.directory / "state",
             "--config", "/dev/null", "--listen", f"unix:{self.socket}", "--listen", f"tcp:127.0.0.1:{self.port}",
             *self.options], stdin=subprocess.DEVNULL, stderr=self.log)
        wait_until(self.answers, "discovery answers")
        return self

    def answers(self):
        assert self.process.poll() is None, "discovery ended: " + self.read_log()
        try:
            return self.ask("GET", "/v1/status")[0] == 200
        except OSError:
            return False

    def read_log(self):
        return (self.directory / "discovery.log").read_text()

    def end(self, kill=False):
        """The exit status; a clean end must leave no report of a sanitizer behind."""
        if self.process is None:
            return None
        self.process.kill() if kill else self.process.terminate()
        status = self.process.wait(20)
        self.process = None
        return status

    def ask(self, method, path, body=None, token=None, tcp=False, raw=None):
        """(status, decoded body, headers)."""
        connection = (http.client.HTTPConnection("127.0.0.1", self.port, timeout=30) if tcp
                      else UnixConnection(self.socket))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None, dict(answer.getheaders())


@pytest.fixture
def discovery(tmp_path):
    """Makes and starts one: discovery("--seed-api")."""
    made = []

    def make(*options):
        made.append(Discovery(tmp_path, *options))
        return made[-1].start()

    yield make
    for one in made:
        if one.process is not None:
            assert one.end() == 0, one.read_log()
        one.log.close()
        assert "Sanitizer" not in one.read_log() and "runtime error" not in one.read_log(), one.read_log()
