# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real programs. Each has its own directory and is ended by its pid. Also the network between them."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time


def uptime():
    """Seconds that steps of the wall clock do not change; the handlers use the same clock."""
    return float(pathlib.Path("/proc/uptime").read_text().split()[0])


class Daemon:
    """A program that can be started, killed and started again. `deaths`: the times at which it was killed or ended.
    `crashes`: the signals that ended it and that nobody sent."""

    def __init__(self, name, directory, command, environment=None, namespace=None):
        self.name = name
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.command = [*map(str, command)]
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.deaths = []
        self.absences = []  # (begin, end) from a signal until it was started again
        self.crashes = []
        self.log = open(directory / "log", "ab")

    def start(self):
        if self.deaths:
            self.absences.append((self.left, uptime()))
        self.process = subprocess.Popen([*self.prefix, *self.command], env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def end(self, number=signal.SIGKILL):
        """A receiver that stops lets handlers finish. A daemon that takes longer than that is killed."""
        if not self.process:
            return
        self.note_crash()
        self.left = uptime()
        self.deaths.append(self.left)
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.deaths.append(uptime())
        self.process = None

    def note_crash(self):
        if self.process and (self.process.poll() or 0) < 0:
            self.crashes.append(signal.Signals(-self.process.returncode).name)

    def revive(self):
        """Starts the daemon again after it has ended by itself, for instance because the disk was full at its start."""
        if self.process is None or self.process.poll() is not None:
            self.note_crash()
            self.left = uptime()
            self.deaths.append(self.left)
            self.process = None
            self.start()

    def read_log(self):
        return (self.directory / "log").read_text(errors="replace")


class Client(Daemon):
    """A client with its own bus."""

    def __init__(self, name, directory, build, command, **more):
        directory.mkdir(parents=True, exist_ok=True)
        self.address = f"unix:path={directory}/bus"
        environment = {**(more.pop("environment", None) or {}), "DBUS_SESSION_BUS_ADDRESS": self.address}
        super().__init__(name, directory, command, environment, **more)
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
        return json.loads(text).get("Waiting") if status == 0 else None

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

    HERE, THERE = "10.77.1.1", "10.77.1.2"

    def __init__(self):
        self.name = "far"
        self.troubles = []
        self.begin = None
        run("ip", "link", "set", "lo", "up")
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", self.name)
        run("ip", "addr", "add", f"{self.HERE}/24", "dev", "near0")
        run("ip", "link", "set", "near0", "up")
        for words in (("addr", "add", f"{self.THERE}/24", "dev", "far0"), ("link", "set", "far0", "up"),
                      ("link", "set", "lo", "up")):
            run("ip", "-n", self.name, *words)
        run("nft", "add table ip chaos; add chain ip chaos in { type filter hook input priority 0; }")

    def lose(self, percent):
        """Drops this percentage of the packets from that host. 100 cuts the connection; neither side is told."""
        self.begin = uptime()
        run("nft", f"flush chain ip chaos in; add rule ip chaos in iifname near0 numgen random mod 100 < {percent} drop"
            if percent < 100 else "flush chain ip chaos in; add rule ip chaos in iifname near0 drop")

    def heal(self):
        run("nft", "flush chain ip chaos in")
        if self.begin is not None:
            self.troubles.append((self.begin, uptime()))
            self.begin = None
