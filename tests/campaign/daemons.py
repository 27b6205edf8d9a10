# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real programs. Each has its own directory and is ended by its pid. Also the network between them."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from .damage import REPORT, Loss, budget_of


def uptime():
    """Seconds that steps of the wall clock do not change; the handlers use the same clock."""
    return float(pathlib.Path("/proc/uptime").read_text().split()[0])


def descendants(pid):
    """All processes below it, itself first. Each of them, and each thread, may end while this looks."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError):
                    found += map(int, pathlib.Path(f"/proc/{parent}/task/{task}/children").read_text().split())
    return found


class Daemon:
    """A program that can be started, killed and started again. `deaths`: the times at which it was killed or ended.
    A supervisor starts it again when it has ended by itself, as systemd would."""

    def __init__(self, name, directory, command, environment=None, namespace=None, small=None):
        self.name = name
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.command = [*map(str, command)]
        self.environment = {**os.environ, **(environment or {})}
        self.small = small  # the disk that its state is on, if that can be full
        self.lock = threading.RLock()  # of what follows: the supervisor has a thread of its own
        self.process = None
        self.wanted = False
        self.since = 0.0  # the start of this process
        self.deaths = []
        self.absences = []  # (begin, end) from a signal until it was started again, and while it was frozen
        self.flips = []  # bits that nobody has noticed yet
        self.losses = []  # what it said that it lost
        self.frozen = []
        self.log = open(directory / "log", "ab")
        self.read = open(directory / "log", errors="replace")
        self.news = ""  # the last lines of this process

    @property
    def state(self):
        return pathlib.Path(self.command[self.command.index("--state-dir") + 1])

    def start(self):
        with self.lock:
            if self.deaths:
                self.absences.append((self.left, uptime()))
            self.wanted, self.since, self.news = True, uptime(), ""
            self.process = subprocess.Popen([*self.prefix, *self.command], env=self.environment, stdin=subprocess.DEVNULL,
                                            stdout=self.log, stderr=self.log)

    def end(self, number=signal.SIGKILL):
        """A receiver that stops lets handlers finish. A daemon that takes longer than that is killed."""
        with self.lock:
            self.wanted = False
            if not self.process:
                return
            self.thaw()
            self.note_death()
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.deaths.append(uptime())
            self.take_news()
            self.process = None

    def note_death(self):
        self.left = uptime()
        self.deaths.append(self.left)

    def has_ended(self):
        """The status of a process that has ended and should run, or None."""
        return self.process.poll() if self.wanted and self.process else None

    def freeze(self, everything):
        """Stops the process, or also what it has started, as a freezer does."""
        with self.lock:
            if not self.process or self.process.poll() is not None:
                return False
            self.froze = uptime()
            self.frozen = [self.process.pid]
            self.process.send_signal(signal.SIGSTOP)
            for _ in range(5 if everything else 0):
                for pid in descendants(self.process.pid):
                    self.signal(pid, signal.SIGSTOP)
                    self.frozen.append(pid)
            return True

    def thaw(self):
        with self.lock:
            if self.frozen:
                self.absences.append((self.froze, uptime()))
            for pid in self.frozen:
                self.signal(pid, signal.SIGCONT)
            self.frozen = []

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def take_news(self):
        """Reads what it has written to its log since the last time. What it has lost was lost when it started."""
        text = self.read.read()
        self.news = (self.news + text)[-4000:]
        self.losses += [Loss(self.since, budget_of(report), report) for report in REPORT.findall(text)]

    def read_log(self):
        return (self.directory / "log").read_text(errors="replace")


class Client(Daemon):
    """A client with its own bus."""

    def __init__(self, name, directory, build, command, **more):
        directory.mkdir(parents=True, exist_ok=True)
        self.address = f"unix:path={directory}/bus"
        environment = {**(more.pop("environment", None) or {}), "DBUS_SESSION_BUS_ADDRESS": self.address}
        super().__init__(name, directory, command, environment, **more)
        self.sending = threading.Lock()  # one submission at a time: a batch of its log has one new message at most
        self.ackctl_program = build / "src/ctl/ackctl"
        self.bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=" + self.address,
                                     "--print-address"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL)
        self.bus.stdout.readline()

    def ackctl(self, *words, timeout=60):
        """Returns (exit status, output)."""
        environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": self.address}
        try:
            done = subprocess.run([self.ackctl_program, "--user", *map(str, words)], env=environment,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return -1, ""
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def waiting(self):
        """The number of messages that have not ended, or None when the client does not answer."""
        status, text = self.ackctl("status", "--json=short")
        return json.loads(text).get("waiting") if status == 0 else None

    def identity(self):
        status, text = self.ackctl("status", "--json=short")
        return json.loads(text)["client_id"] if status == 0 else None

    def close(self):
        self.end(signal.SIGTERM)
        self.bus.terminate()
        self.bus.wait()
        self.bus.stdout.close()


class Proxy:
    """Stands between clients and one receiver: it delays data and cuts connections."""

    def __init__(self, port, target_port):
        self.target_port = target_port
        self.delay = 0.0
        self.sockets = set()
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                far.settimeout(None)
            except OSError:
                if self.listener.fileno() < 0:
                    return
                near.close()
                continue
            self.sockets |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            self.sockets.discard(s)
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for s in list(self.sockets):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def run(*words, check=True):
    subprocess.run([*map(str, words)], check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL if not check else None)


class Network:
    """A network namespace with one more host in it. The campaign itself already runs in a namespace of its own.
    `troubles`: the (begin, end) of the times at which that host could not be reached, or not reliably."""

    HERE = "10.77.1.1"

    def __init__(self):
        self.name = "far"
        self.troubles = []
        self.begin = None
        self.there = "10.77.1.2"
        run("ip", "link", "set", "lo", "up")
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", self.name)
        run("ip", "addr", "add", f"{self.HERE}/24", "dev", "near0")
        run("ip", "link", "set", "near0", "up")
        for words in (("addr", "add", f"{self.there}/24", "dev", "far0"), ("link", "set", "far0", "up"),
                      ("link", "set", "lo", "up")):
            run("ip", "-n", self.name, *words)
        run("nft", "add table ip chaos; add chain ip chaos in { type filter hook input priority 0; }")

    def lose(self, percent):
        """Drops this percentage of the packets from that host. 100 cuts the connection; neither side is told."""
        self.begin = uptime()
        run("nft", f"flush chain ip chaos in; add rule ip chaos in iifname near0 numgen random mod 100 < {percent} drop"
            if percent < 100 else "flush chain ip chaos in; add rule ip chaos in iifname near0 drop")

    def move(self, address):
        """That host gets another address, and loses the one that it had. Neither side is told."""
        run("ip", "-n", self.name, "addr", "del", f"{self.there}/24", "dev", "far0")
        run("ip", "-n", self.name, "addr", "add", f"{address}/24", "dev", "far0")
        self.there = address

    def heal(self):
        run("nft", "flush chain ip chaos in")
        if self.begin is not None:
            self.troubles.append((self.begin, uptime()))
            self.begin = None
