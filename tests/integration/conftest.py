# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real programs in a private directory. They use loopback and Unix sockets only. Each is ended by its pid."""

import http.client
import json
import os
import pathlib
import resource
import select
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from client import Bus, Client
from frames import Sender
from wait import wait_until  # noqa: F401

BUILD = pathlib.Path(os.environ["ACKGROUP_BUILD"])  # where meson built the programs


def script(tmp_path, text, name="handler"):
    """Makes a handler; `$D` is its own directory."""
    path, fresh = tmp_path / name, tmp_path / f"{name}.new"
    fresh.write_text(f"#!/bin/sh\nD='{tmp_path}'\n{text}\n")
    fresh.chmod(0o755)
    fresh.replace(path)  # one that is running cannot be written to
    return [path]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def is_dead(pid):
    """True: the process is gone, or is a zombie that nobody reaps."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


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
        """Returns the exit status. A clean end must leave no sanitizer report behind."""
        if self.process is None:
            return None
        self.process.kill() if kill else self.process.terminate()
        status = self.process.wait(60)
        self.process = None
        return status

    def ask(self, method, path, body=None, token=None, tcp=False, raw=None):
        """Returns (status, decoded body, headers)."""
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


@pytest.fixture
def many_descriptors():
    """Raises the limit of descriptors for the test and the programs that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def wait_for_changes(d, path, n, tcp=False):
    """Opens n connections with requests that wait, and more until one is refused."""
    held, answered = [], select.poll()
    while len(held) < n or not answered.poll(1000):
        s = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        s.connect(("127.0.0.1", d.port) if tcp else str(d.socket))
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answered.register(s, select.POLLIN)
        held.append(s)
    for fd, _ in answered.poll(0):
        assert b" 503 " in next(s for s in held if s.fileno() == fd).recv(4096)
    return held


class Receiver:
    """One ackgroup-receiver with its own state directory and Unix socket."""

    def __init__(self, directory, name, discovery, *options, command=()):
        self.directory = directory / name
        self.directory.mkdir(exist_ok=True)
        self.name = name
        self.discovery = discovery
        self.socket = self.directory / "r.sock"
        self.state = self.directory / "state"
        self.options = options
        self.command = command
        self.prefix = []  # a program that runs it
        self.process = None
        self.log = open(self.directory / "log", "ab")
        self.log_start = 0  # where the log of the process that runs now begins

    def start(self, wait=True, environment=None):
        self.log_start = os.fstat(self.log.fileno()).st_size
        command = ["--", *map(str, self.command)] if self.command else []
        self.process = subprocess.Popen(
            [*self.prefix, BUILD / "src/receiver/ackgroup-receiver", "--config", "/dev/null", "--state-dir", self.state,
             "--instance", self.name, "--name", self.name, "--listen", f"unix:{self.socket}",
             "--discovery", f"unix:{self.discovery.socket}", *map(str, self.options), *command],
            stdin=subprocess.DEVNULL, stderr=self.log, close_fds=not self.prefix, env={**os.environ, **(environment or {})})
        if wait:
            wait_until(lambda: self.record(), "the receiver registers")
        return self

    def record(self):
        """What discovery knows of the running process, or None."""
        assert self.process.poll() is None, "the receiver ended: " + self.read_log()
        if "Registered as" not in self.read_log(self.log_start):
            return None
        found = self.discovery.ask("GET", "/v1/receivers")[1]["receivers"]
        return next((r for r in found if r["name"] == self.name), None)

    @property
    def id(self):
        return wait_until(self.record, "the receiver is registered")["id"]

    def sender(self, **more):
        """A connection that has exchanged HELLO."""
        wait_until(self.socket.exists, "the receiver listens")
        return Sender(self.socket, self.id, **more)

    def read_log(self, start=0):
        return (self.directory / "log").read_bytes()[start:].decode()

    def end(self, kill=False):
        if self.process is None:
            return None
        self.process.kill() if kill else self.process.terminate()
        status = self.process.wait(60)
        self.process = None
        return status


@pytest.fixture
def receiver(tmp_path):
    """Makes one and starts it: receiver(discovery, "name", "--option", command=[…])."""
    made = []

    def make(discovery_, name="r1", *options, start=True, **more):
        made.append(Receiver(tmp_path, name, discovery_, *options, **more))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        if one.process is not None:
            assert one.end() == 0, one.read_log()
        one.log.close()
        assert "Sanitizer" not in one.read_log() and "runtime error" not in one.read_log(), one.read_log()


@pytest.fixture
def bus(tmp_path):
    one = Bus(tmp_path)
    yield one
    one.end()


def resident(process, field="VmRSS"):
    """In KiB. "VmHWM" is the maximum so far."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field + ":")).split()[1])


class Disk:
    """The disk of the clients that are started while this fixture is active; see disk.c."""

    def __init__(self, directory, environment):
        directory.mkdir()
        self.held, self.waiting, self.full = directory / "held", directory / "waiting", directory / "full"
        environment["LD_PRELOAD"] = str(BUILD / "tests/integration/disk.so")
        environment["DISK_DIRECTORY"] = str(directory)
        # A sanitizer wants to be first of all.
        environment["ASAN_OPTIONS"] = f"{environment.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"

    def hold(self):
        self.held.touch()

    def let_go(self):
        self.held.unlink(missing_ok=True)

    def fill(self):
        self.full.touch()

    def free(self):
        self.full.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path, bus):
    one = Disk(tmp_path / "disk", bus.environment)
    yield one
    one.let_go()
    one.free()


@pytest.fixture
def client(tmp_path, bus):
    """Makes one and starts it: client(discovery, "--option")."""
    made = []

    def make(discovery_, *options, start=True, name="client"):
        made.append(Client(tmp_path, BUILD, bus, discovery_, *options, name=name))
        return made[-1].start(wait_until) if start else made[-1]

    yield make
    for one in made:
        if one.process is not None:
            assert one.end() == 0, one.read_log()
        one.log.close()
        one.log_start = 0
        assert "Sanitizer" not in one.read_log() and "runtime error" not in one.read_log(), one.read_log()
