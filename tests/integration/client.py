# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackgroup-client on a bus of its own, called through busctl as a person would."""

import json
import os
import subprocess
import xml.etree.ElementTree

NAME = "org.ackgroup.Client1"
PATH = "/org/ackgroup/Client1"
MANAGER = "org.ackgroup.Client1.Manager"
MESSAGE = "org.ackgroup.Client1.Message"


class Failed(Exception):
    """The text that busctl prints for an error reply."""


class Bus:
    """A dbus-daemon with its own directory; programs find it by `environment`."""

    def __init__(self, directory):
        self.address = f"unix:path={directory / 'bus'}"
        self.environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": self.address}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=" + self.address, "--print-address"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.process.stdout.readline()  # it listens

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()

    def busctl(self, *words, start=False):
        command = ["busctl", "--user", "--json=short", *map(str, words)]
        if start:
            return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return done.stdout


class Client:
    def __init__(self, directory, build, bus, discovery, *options, name="client"):
        self.directory = directory / name
        self.directory.mkdir(exist_ok=True)
        self.build = build
        self.bus = bus
        self.discovery = discovery
        self.options = options
        self.prefix = []  # a program that runs it
        self.process = None
        self.log = open(self.directory / "log", "ab")
        self.log_start = 0

    def start(self, wait=None):
        """`wait` polls a condition (conftest's wait_until); None: do not wait for the bus name."""
        self.log_start = os.fstat(self.log.fileno()).st_size
        self.process = subprocess.Popen(
            [*self.prefix, self.build / "src/client/ackgroup-client", "--user", "--config", "/dev/null", "--log-level", "debug",
             "--discovery", f"unix:{self.discovery.socket}", "--state-dir", self.directory / "state",
             *map(str, self.options)], env=self.bus.environment, stdin=subprocess.DEVNULL, stderr=self.log)
        if wait:
            wait(self.is_there, "the client takes its name")
        return self

    def is_there(self):
        assert self.process.poll() is None, "the client ended: " + self.read_log()
        return NAME in self.bus.busctl("list", "--acquired")

    def read_log(self):
        return (self.directory / "log").read_bytes()[self.log_start:].decode()

    def end(self, kill=False):
        if self.process is None:
            return None
        self.process.kill() if kill else self.process.terminate()
        status = self.process.wait(60)
        self.process = None
        return status

    def call(self, method, *words):
        text = self.bus.busctl("call", NAME, PATH, MANAGER, method, *words)
        return json.loads(text)["data"] if text.strip() else None

    TYPES = {"label": "as", "include_plain": "b", "follow_joins": "b", "quorum": "u", "key": "s", "ack_timeout": "t",
             "backoff": "t", "backoff_max": "t", "max_attempts": "t", "deadline": "t", "at": "t", "delay": "t",
             "priority": "u", "idempotency_key": "s", "durability": "s"}

    def send(self, mode, target, text, *options, **named):
        """Message id. Options as busctl words ("label", "as", 1, "zone=a") or by name (quorum=2)."""
        n = sum(1 for word in options if word in ("label", "include_plain", "bogus")) + len(named)
        for name, value in named.items():
            options += (name, self.TYPES[name], *([len(value), *value] if isinstance(value, list) else [value]))
        return self.call("SendText", "sssa{sv}", mode, target, "--" if text.startswith("-") else text, n, *options)[0]

    def wait(self, message, timeout=30_000_000):
        state, attempts, receiver, reply, error = self.call("Wait", "st", message, timeout)
        return {"state": state, "attempts": attempts, "receiver": receiver, "reply": bytes(reply), "error": error}

    def wait_in_background(self, message):
        return self.bus.busctl("--timeout=60", "call", NAME, PATH, MANAGER, "Wait", "st", message, 0, start=True)

    def properties(self, message=None):
        """Of the manager, or of a message."""
        path, interface = (self.call("GetMessage", "s", message)[0], MESSAGE) if message else (PATH, MANAGER)
        data = json.loads(self.bus.busctl("call", NAME, path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                          interface))["data"][0]
        return {key: value["data"] for key, value in data.items()}

    def state(self, message):
        return self.properties(message)["State"]

    def messages(self, *filters):
        """Returns (rows, next)."""
        n = sum(1 for word in filters if word in ("states", "limit", "after"))
        return self.call("ListMessages", "a{sv}", n, *filters)

    def deliveries(self, message):
        """Returns the deliveries by name of the receiver."""
        names = ("id", "name", "state", "attempts", "sent", "settled", "next", "error", "reply")
        rows = [dict(zip(names, row)) for row in self.call("ListDeliveries", "s", message)[0]]
        return {row["name"]: {**row, "reply": bytes(row["reply"])} for row in rows}

    def attempts(self, message):
        """Returns (receiver, outcome) of each recorded attempt."""
        return [(row[1], row[5]) for row in self.call("ListAttempts", "s", message)[0]]

    def explain(self, message):
        return " ".join(self.call("Explain", "s", message))

    def receivers(self, *filters):
        n = sum(1 for word in filters if word in ("group", "label"))
        return self.call("ListReceivers", "a{sv}", n, *filters)[0]

    def introspect(self, path):
        return self.bus.busctl("introspect", "--xml-interface", NAME, path)


def interfaces(text, wanted):
    """The members of the interfaces whose names begin so, in a form that ignores order and comments."""
    root = xml.etree.ElementTree.fromstring(text)
    found = {}
    for interface in root.iter("interface"):
        if not interface.get("name").startswith(wanted):
            continue
        members = set()
        for member in interface:
            arguments = tuple((a.get("name"), a.get("type"), a.get("direction")) for a in member.iter("arg"))
            notes = tuple(sorted((a.get("name"), a.get("value")) for a in member.iter("annotation")))
            members.add((member.tag, member.get("name"), member.get("type"), member.get("access"), arguments, notes))
        found[interface.get("name")] = members
    return found
