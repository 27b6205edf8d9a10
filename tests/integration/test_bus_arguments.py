# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every method of org.ackgroup.Client1 answers every call that is well-formed on D-Bus, whatever the arguments are."""

import ctypes
import os
import random
import xml.etree.ElementTree

from bulk import BusError, Pointer, connect, sd
from client import MANAGER, NAME, PATH

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
CALLS = 120  # of each method
ANSWER_USEC = 600_000_000  # a call that takes longer has no answer
NO_ANSWER = (b"org.freedesktop.DBus.Error.NoReply", b"org.freedesktop.DBus.Error.Timeout", b"System.Error.ETIMEDOUT",
             b"System.Error.ECONNRESET", b"System.Error.ENOTCONN")
CHARACTERS = ["a", "0", "-", " ", "\n", "\x1b", "\"", "%", "é", "€", "😀"]
VARIANTS = ["s", "b", "y", "u", "i", "t", "d", "as", "ay", "a{sv}", "v"]
NUMBERS = {"b": (ctypes.c_int, [0, 1]), "y": (ctypes.c_uint8, [0, 255]), "d": (ctypes.c_double, [0.5]),
           "u": (ctypes.c_uint32, [0, 1, 9, 2**32 - 1]), "i": (ctypes.c_int32, [-1, 0, 3]),
           "t": (ctypes.c_uint64, [0, 1, 10**6, 2**63, 2**64 - 1])}


class Caller:
    def __init__(self, client, words):
        self.bus = connect(client.bus.environment["DBUS_SESSION_BUS_ADDRESS"])
        self.random = random.Random(SEED)
        self.words = words  # some that mean something

    def end(self):
        sd.sd_bus_flush_close_unref(self.bus)

    def word(self):
        """Texts whose length is around that of a buffer of ours, since one that is cut may be cut within a character."""
        r = self.random
        if r.random() < 0.5:
            return r.choice(self.words)
        size = r.choice([0, 1, 5, 6, 36, 63, 64, 200, 201, 255, 256, r.randrange(440, 520), 600, 5000])
        return r.choice(CHARACTERS) * r.randrange(4) + r.choice(CHARACTERS) * size

    def append(self, call, kind):
        """One complete type."""
        r = self.random
        if kind in NUMBERS:
            ctype, values = NUMBERS[kind]
            self.check(sd.sd_bus_message_append_basic(call, ctypes.c_char(kind.encode()), ctypes.byref(ctype(r.choice(values)))))
        elif kind == "s":
            self.check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"s"), self.word().encode()))
        elif kind == "v":
            inner = r.choice(VARIANTS)
            self.container(call, b"v", inner, [inner])
        elif kind == "{sv}":
            self.container(call, b"e", "sv", ["s", "v"])
        elif kind[0] == "a":
            self.container(call, b"a", kind[1:], [kind[1:]] * r.choice([0, 1, 1, 2, 3, 20]))
        else:
            raise AssertionError(f"the test does not know type {kind}")

    def container(self, call, letter, signature, kinds):
        self.check(sd.sd_bus_message_open_container(call, ctypes.c_char(letter), signature.encode()))
        for kind in kinds:
            self.append(call, kind)
        self.check(sd.sd_bus_message_close_container(call))

    @staticmethod
    def check(r):
        assert r >= 0, r

    def call(self, method, kinds):
        """Returns the name of the error, or b""."""
        call, reply, error = Pointer(), Pointer(), BusError()
        self.check(sd.sd_bus_message_new_method_call(self.bus, ctypes.byref(call), NAME.encode(), PATH.encode(),
                                                     MANAGER.encode(), method.encode()))
        for kind in kinds:
            self.append(call, kind)
        r = sd.sd_bus_call(self.bus, call, ctypes.c_uint64(ANSWER_USEC), ctypes.byref(error), ctypes.byref(reply))
        name = error.name or b""
        assert (r >= 0) == (name == b""), r
        sd.sd_bus_error_free(ctypes.byref(error))
        for message in (call, reply):
            if message:
                sd.sd_bus_message_unref(message)
        return name


def methods(client):
    """Yields (name, types of the arguments). The methods of a message's object have none."""
    root = xml.etree.ElementTree.fromstring(client.introspect(PATH))
    for method in root.findall(f"interface[@name='{MANAGER}']/method"):
        yield method.get("name"), [a.get("type") for a in method.findall("arg[@direction='in']")]


def test_every_call_is_answered(discovery, receiver, client):
    print("seed", SEED)
    d = discovery()
    r = receiver(d, "1")
    c = client(d)
    message = c.send("to", "1", "hello")
    c.wait(message)
    words = ["", "1", "any", "to", "all", "key", "default", r.id, message, message[:6], message[:6] + "é", "states", "dead", "limit",
             "after", "group", "label", "zone=a", "quorum", "priority", "deadline", "idempotency_key", "mode", "target"]
    caller = Caller(c, words)
    names, process = set(), c.process
    try:
        for method, kinds in methods(c):
            for _ in range(CALLS):
                name = caller.call(method, kinds)
                assert name not in NO_ANSWER, f"{method} of seed {SEED}"
                names.add(name)
    finally:
        caller.end()
    assert process.poll() is None
    assert {b"", b"org.ackgroup.Error.InvalidArgument", b"org.ackgroup.Error.NoSuchMessage"} <= names
    c.call("Drain", "sb", "1", "false")  # some call may have drained it
    other = c.send("to", "1", "still here")
    assert c.wait(other)["state"] == "acked"
