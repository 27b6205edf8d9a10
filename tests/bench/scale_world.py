# SPDX-License-Identifier: LGPL-2.1-or-later
"""Private daemons for tests/bench/scale, and what they cost: CPU time, memory, bytes, and how long others waited."""

import contextlib
import ctypes
import dataclasses
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from bulk import Pointer, append_option, check, connect, sd
from client import MANAGER, NAME, PATH, Bus, Client

PATIENCE = 1800  # seconds until nothing more is expected


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"gave up waiting until {what}")
        time.sleep(0.01)


class Caller:
    """A connection to the bus, for one thread."""

    def __init__(self, bus):
        self.bus = connect(bus.environment["DBUS_SESSION_BUS_ADDRESS"])

    def end(self):
        sd.sd_bus_flush_close_unref(self.bus)

    def message(self, method, interface=MANAGER):
        call = Pointer()
        check(sd.sd_bus_message_new_method_call(self.bus, ctypes.byref(call), NAME.encode(), PATH.encode(), interface.encode(),
                                                method.encode()))
        return call

    def call(self, call):
        """Returns the reply, which the caller gives back with done()."""
        reply = Pointer()
        try:
            check(sd.sd_bus_call(self.bus, call, ctypes.c_uint64(PATIENCE * 1_000_000), None, ctypes.byref(reply)))
        finally:
            sd.sd_bus_message_unref(call)
        return reply

    def ping(self):
        """Seconds until the client answered."""
        start = time.monotonic()
        sd.sd_bus_message_unref(self.call(self.message("Ping", "org.freedesktop.DBus.Peer")))
        return time.monotonic() - start

    def number(self, name, kind):
        """A property that is a number."""
        value = {"u": ctypes.c_uint32, "t": ctypes.c_uint64}[kind]()
        check(sd.sd_bus_get_property_trivial(self.bus, NAME.encode(), PATH.encode(), MANAGER.encode(), name.encode(), None,
                                             ctypes.c_char(kind.encode()), ctypes.byref(value)))
        return value.value

    @staticmethod
    def append_options(call, options):
        check(sd.sd_bus_message_open_container(call, ctypes.c_char(b"a"), b"{sv}"))
        for name, value in options.items():
            append_option(call, name, Client.TYPES.get(name, "s"), value)
        check(sd.sd_bus_message_close_container(call))

    def send(self, mode, target, **options):
        """Does not wait for the reply."""
        call = self.message("SendText")
        for word in (mode, target, "hello"):
            check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"s"), word.encode()))
        self.append_options(call, options)
        check(sd.sd_bus_send(self.bus, call, None))
        check(sd.sd_bus_flush(self.bus))
        sd.sd_bus_message_unref(call)

    def pages(self, method, kind, **options):
        """Calls the method, which returns something of type `kind` and where to go on, until it is at the end."""
        after = ctypes.c_char_p(b"")
        while True:
            call = self.message(method)
            self.append_options(call, {**options, "after": after.value.decode()} if after.value else options)
            reply = self.call(call)
            check(sd.sd_bus_message_skip(reply, kind.encode()))
            check(sd.sd_bus_message_read_basic(reply, ctypes.c_char(b"s"), ctypes.byref(after)))
            after = ctypes.c_char_p(bytes(after.value))
            sd.sd_bus_message_unref(reply)
            if not after.value:
                return


class Pinger(threading.Thread):
    """Asks the client for a sign of life, again and again."""

    def __init__(self, bus):
        super().__init__()
        self.caller, self.longest, self.ending = Caller(bus), 0, threading.Event()

    def run(self):
        while not self.ending.wait(0.005):
            self.longest = max(self.longest, self.caller.ping())
        self.caller.end()

    def end(self):
        self.ending.set()
        self.join()
        return self.longest


class Process:
    def __init__(self, words, log, environment=None):
        self.words = list(map(str, words))
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.words], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, env=environment)

    def file(self, name, pid=None):
        return pathlib.Path(f"/proc/{pid or self.process.pid}/{name}").read_text()

    def family(self):
        """This process, and those that it has started and that are there."""
        children = self.file(f"task/{self.process.pid}/children").split()
        return [self.process.pid, *map(int, children)]

    def cpu(self):
        """Seconds of all threads, of the children that are there, and of those that have been waited for."""
        total = 0
        for pid in self.family():
            with contextlib.suppress(OSError):  # a child, or a thread, that ended since
                total += sum(map(int, self.file("stat", pid).rpartition(")")[2].split()[13:15])) / os.sysconf("SC_CLK_TCK")
                total += sum(int(self.file(f"task/{task}/schedstat", pid).split()[0]) for task in os.listdir(f"/proc/{pid}/task")) / 1e9
        return total

    def memory(self, field="VmRSS"):
        return int(re.search(field + r":\s+(\d+)", self.file("status"))[1]) * 1024

    def moved(self):
        """Bytes that it has read and written so far, by read() and write() and their kin."""
        text = self.file("io")
        return [int(re.search(field + r": (\d+)", text)[1]) for field in ("rchar", "wchar")]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        if self.process.wait(PATIENCE) != 0 and self.process.returncode != -15:
            sys.exit(f"{self.words[0]} ended with status {self.process.returncode}")


@dataclasses.dataclass
class Cost:
    """Of one unit of work; None: not measured."""
    cpu: float = None  # seconds
    memory: float = None  # bytes
    read: float = None  # bytes
    written: float = None
    ping: float = None  # seconds, the longest
    wall: float = None  # seconds
    note: str = ""


class World:
    """A bus and discovery; the rest as a row wants it. Everything is in one directory and on Unix sockets, but what registers
    many receivers speaks TCP on loopback."""

    def __init__(self, build):
        self.build = build
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ackgroup-bench-", dir="/var/tmp"))
        self.log = open(self.directory / "log", "ab")
        self.processes, self.registered, self.client, self.tokens = [], 0, None, []
        self.bus = Bus(self.directory)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.socket = self.directory / "discovery.sock"
        self.discovery = self.start(
            build / "src/discovery/ackgroup-discovery", "--config", "/dev/null", "--log-level", "warning", "--listen",
            f"unix:{self.socket}", "--listen", f"tcp:127.0.0.1:{self.port}", "--allow-tcp-registration", "--lease", "86400",
            "--state-dir", self.directory / "discovery")
        wait_until(self.socket.exists, "discovery listens")

    def start(self, *words):
        p = Process(words, self.log, self.bus.environment)
        self.processes.append(p)
        return p

    def end(self):
        for p in reversed(self.processes):
            p.end()
        self.bus.end()
        self.log.close()
        shutil.rmtree(self.directory)

    def register(self, count, group="default", address=None):
        """Without an address nobody can reach them."""
        done = subprocess.run(
            [self.build / "tests/bench/register-many", str(self.port), str(self.registered), str(count), group,
             *([f"unix:{address}"] if address else [])], stdout=subprocess.PIPE, text=True, check=True)
        self.tokens += [line.split()[:2] for line in done.stdout.splitlines()]
        self.registered += count

    def unregister_all(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        for receiver, token in self.tokens:
            connection.request("DELETE", f"/v1/receivers/{receiver}", headers={"Authorization": "Bearer " + token})
            connection.getresponse().read()
        connection.close()
        self.tokens, self.registered = [], 0

    def crowd(self, credit=64):
        """Returns the address of the program that answers for any number of receivers."""
        path = self.directory / "crowd.sock"
        self.start(self.build / "tests/bench/crowd", path, credit)
        wait_until(path.exists, "the crowd listens")
        return path

    def receiver(self, *options):
        """A real one."""
        self.registered += 1
        path = self.directory / "receiver.sock"
        r = self.start(self.build / "src/receiver/ackgroup-receiver", "--config", "/dev/null", "--log-level", "warning",
                       "--instance", "1", "--discovery", f"unix:{self.socket}", "--listen", f"unix:{path}", "--state-dir",
                       self.directory / "receiver", *options)
        wait_until(path.exists, "the receiver listens")
        return r

    def start_client(self, *options):
        self.client = self.start(
            self.build / "src/client/ackgroup-client", "--user", "--config", "/dev/null", "--log-level", "warning", "--discovery",
            f"unix:{self.socket}", "--state-dir", self.directory / "client", "--outbox-limit", 2_000_000, *options)
        wait_until(lambda: NAME in self.bus.busctl("list", "--acquired"), "the client takes its name")
        self.caller = Caller(self.bus)
        self.wait_for("Receivers", self.registered)

    def receiver_id(self):
        """Of the only one."""
        text = self.bus.busctl("call", NAME, PATH, MANAGER, "ListReceivers", "a{sv}", 0)
        [[receiver]] = json.loads(text)["data"]
        return receiver[0]

    def wait_for(self, name, value):
        wait_until(lambda: self.caller.number(name, "u" if name == "Receivers" else "t") == value, f"{name} is {value}")

    def load(self, count, *options):
        subprocess.run([self.build / "tests/bench/stream-load", "-n", str(count), *map(str, options)],
                       env=self.bus.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    def measure(self, work, units, process=None, ping=True):
        """What `work` costs the process (the client), for each of the units."""
        process = process or self.client
        pinger = Pinger(self.bus) if ping else None
        cpu, moved, memory, start = process.cpu(), process.moved(), process.memory(), time.monotonic()
        if pinger:
            pinger.start()
        work()
        wall = time.monotonic() - start
        longest = pinger.end() if pinger else None
        read, written = (b - a for a, b in zip(moved, process.moved()))
        return Cost(cpu=(process.cpu() - cpu) / units, memory=(process.memory() - memory) / units, read=read / units,
                    written=written / units, ping=longest, wall=wall / units)
