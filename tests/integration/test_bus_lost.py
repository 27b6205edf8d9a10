# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus ends while the client runs. Messages go on, and the client is there again when the bus is."""

import os

from bulk import open_stream, subscribe, unsubscribe
from conftest import lines, script, wait_until

ACKED = 1


def restart(client, before=lambda: None):
    """The bus of the client ends and starts again; `before` is called in between."""
    client.bus.end()
    before()
    client.bus.start()
    wait_until(client.is_there, "the client takes its name again")


def test_messages_go_on(discovery, receiver, client, tmp_path):
    """A bulk program has a socket of its own: it sends without a bus, also messages that are in memory only."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
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


def test_callers_leave_with_it(discovery, receiver, client):
    """Waiting calls and subscriptions of the old bus are forgotten. The new bus gives their callers' names to others."""
    c = client(discovery())
    waiting = c.send("any", "nobody", "x")
    wait_until(lambda: c.is_there(), "the client is there")
    descriptors = None
    for _ in range(20):
        watching = [subscribe(c) for _ in range(3)]
        calls = [c.wait_in_background(waiting) for _ in range(5)]
        c.properties()  # what came before has been read
        restart(c)
        for call in calls:
            call.communicate(timeout=60)
            assert call.returncode != 0
        for bus in watching:
            unsubscribe(bus)
        now = len(os.listdir(f"/proc/{c.process.pid}/fd"))
        descriptors = descriptors or now
        assert now <= descriptors + 2
    again = c.wait_in_background(waiting)
    c.call("Cancel", "s", waiting)
    assert '"cancelled"' in again.communicate(timeout=60)[0]
    text = c.read_log()
    assert text.count("The connection to the bus is lost") == 20


def test_no_bus_for_long(discovery, receiver, client):
    """It does not end, and does not fill the log with its tries."""
    d = discovery()
    r = receiver(d, "1")
    c = client(d)
    s = open_stream(c)

    def stay_away():
        for _ in range(200):
            assert s.end_of(s.submit(b"x")).end == ACKED
            assert c.process.poll() is None
        r.end()
        number = s.submit(b"later")
        r.start()
        assert s.end_of(number).end == ACKED

    restart(c, stay_away)
    assert c.read_log().count("the bus is lost") == 1


def test_the_bus_that_started_it_ends(discovery, client):
    """Without systemd nobody else would end it."""
    c = client(discovery(), start=False)
    c.bus.environment["DBUS_STARTER_BUS_TYPE"] = "session"
    c.start(wait_until)
    process, c.process = c.process, None
    c.bus.end()
    assert process.wait(60) == 0
    c.bus.start()
