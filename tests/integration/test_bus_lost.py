# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus ends while the client runs. Messages go on, and the client is there again when the bus is."""

import ctypes
import os
import signal

import pytest

from bulk import Pointer, check, connect, open_stream, sd
from client import MANAGER, NAME, PATH
from conftest import lines, script, wait_until

ACKED = 1


@pytest.fixture
def managed(client, bus):
    """As `client`; a service manager runs it."""
    def make(discovery_, *options):
        bus.environment["NOTIFY_SOCKET"] = "/nonexistent"
        return client(discovery_, *options)
    return make


def restart(client, before=lambda: None):
    """The bus of the client ends and starts again; `before` is called in between."""
    client.bus.end()
    before()
    client.bus.start()
    wait_until(client.is_there, "the client takes its name again")


def wait_and_watch(client, message):
    """A connection that has called Wait and Subscribe, and both calls have been read."""
    bus, call = connect(client.bus.address), Pointer()
    check(sd.sd_bus_message_new_method_call(bus, ctypes.byref(call), NAME.encode(), PATH.encode(), MANAGER.encode(), b"Wait"))
    check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"s"), message.encode()))
    check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"t"), ctypes.byref(ctypes.c_uint64(0))))
    check(sd.sd_bus_send(bus, call, None))
    sd.sd_bus_message_unref(call)
    check(sd.sd_bus_call_method(bus, NAME.encode(), PATH.encode(), MANAGER.encode(), b"Subscribe", None, None, b""))
    return bus


def test_messages_go_on(discovery, receiver, managed, tmp_path):
    """A bulk program has a socket of its own: it sends without a bus, also messages that are in memory only."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = managed(d)
    pid = c.process.pid
    waiting = c.send("any", "nobody", "x")
    s, memory = open_stream(c), open_stream(c, durability="memory")

    def send_without_bus():
        for stream in (s, memory):
            number = stream.submit(b"without a bus")
            assert stream.end_of(number).end == ACKED

    restart(c, send_without_bus)
    assert c.process.pid == pid and lines(tmp_path / "got") == ["without a bus"] * 2
    assert c.state(waiting) == "queued" and c.properties()["Waiting"] == 1
    assert c.wait(c.send("to", "1", "with a bus"))["state"] == "acked"
    number = s.submit(b"on the same socket")
    assert s.end_of(number).end == ACKED


def test_callers_leave_with_it(discovery, managed):
    """Waiting calls and subscriptions of the old bus are forgotten. The new bus gives their callers' names to others."""
    c = managed(discovery())
    waiting = c.send("any", "nobody", "x")
    descriptors = None
    for _ in range(20):
        callers = [wait_and_watch(c, waiting) for _ in range(5)]
        restart(c)
        for bus in callers:
            sd.sd_bus_flush_close_unref(bus)
        now = len(os.listdir(f"/proc/{c.process.pid}/fd"))
        descriptors = descriptors or now
        assert now <= descriptors + 2
    again = c.wait_in_background(waiting)
    c.call("Cancel", "s", waiting)
    assert '"cancelled"' in again.communicate()[0]
    assert c.read_log().count("The connection to the bus is lost") == 20


def test_no_bus_for_long(discovery, receiver, managed):
    """It does not end, and tells of its tries once."""
    d = discovery()
    r = receiver(d, "1")
    c = managed(d)
    s = open_stream(c)

    def tries():
        return c.read_log().count("Cannot connect to the bus")

    def stay_away():
        while tries() < 5:
            assert s.end_of(s.submit(b"x")).end == ACKED
            assert c.process.poll() is None
        r.end()
        number = s.submit(b"later")
        r.start()
        assert s.end_of(number).end == ACKED

    restart(c, stay_away)
    told = [line for line in c.read_log().splitlines() if "bus" in line and "Cannot connect to the bus" not in line]
    assert sum("The connection to the bus is lost" in line for line in told) == 1 and len(told) < 8


def test_stop_without_bus(discovery, managed):
    c = managed(discovery())
    c.bus.end()
    wait_until(lambda: "Cannot connect to the bus" in c.read_log(), "it tries")
    assert c.end() == 0
    c.bus.start()


def test_stop_while_the_bus_is_silent(discovery, managed):
    """It has a connection, but no answer."""
    c = managed(discovery())
    c.bus.end()
    c.bus.start()
    os.kill(c.bus.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "The connection to the bus is lost" in c.read_log(), "it notices")
        assert c.end() == 0
    finally:
        os.kill(c.bus.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nonexistent", "DBUS_STARTER_BUS_TYPE": "session"}])
def test_nobody_else_would_end_it(discovery, client, environment):
    """No service manager runs it, or the bus has started it."""
    c = client(discovery(), start=False)
    c.bus.environment.pop("NOTIFY_SOCKET", None)
    c.bus.environment.update(environment)
    c.start(wait_until)
    process, c.process = c.process, None
    c.bus.end()
    assert process.wait(600) == 1
    c.bus.start()
