# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that a client keeps for others has a limit. Whoever reaches the limit is told."""

import json
import os
import shutil
import sqlite3

import pytest

import frames
from actor import Actor
from bulk import open_stream
from client import MANAGER, NAME, PATH, Failed
from conftest import resident, script, wait_until

DEPARTED_MAX = 256


def count(client, directory, text):
    """Runs the query on a copy of the client's outbox."""
    directory.mkdir(exist_ok=True)
    for path in (client.directory / "state").glob("outbox.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, directory)
    with sqlite3.connect(directory / "outbox.db") as db:
        return db.execute(text).fetchone()[0]


def test_departed_receivers_are_forgotten(discovery, client, tmp_path):
    """The streams of receivers that have left for good are not kept for ever. Those of the receivers that left last are
    kept."""
    d = discovery("--lease", "600")  # nobody sends heartbeats
    c = client(d)
    with Actor(tmp_path, d) as actor:
        ids = [actor.register(f"r{n}") for n in range(DEPARTED_MAX + 50)]
        wait_until(lambda: c.properties()["Receivers"] == len(ids), "all are known")
        for n in range(len(ids)):
            assert c.wait(c.send("to", f"r{n}", "x"))["state"] == "acked"
        for n, receiver in enumerate(ids):
            actor.leave(receiver)
        actor.hang_up()
        wait_until(lambda: c.properties()["Receivers"] == 0, "all have left")
        wait_until(lambda: count(c, tmp_path / "copy", "SELECT count(*) FROM stream") == DEPARTED_MAX, "streams are forgotten")
        assert count(c, tmp_path / "copy", "SELECT count(*) FROM receiver") == DEPARTED_MAX
        kept = count(c, tmp_path / "copy", "SELECT group_concat(lower(hex(id))) FROM receiver").split(",")
        # The client skips a receiver to which it is connecting at that moment, so the set is only nearly exact.
        assert set(kept) >= {receiver.replace("-", "") for receiver in ids[-DEPARTED_MAX // 2:]}
        c.end(kill=True)
        c.start(wait_until)
        wait_until(lambda: c.properties()["DiscoveryState"] == "reachable", "discovery answers")
        assert count(c, tmp_path / "copy", "SELECT count(*) FROM stream") == DEPARTED_MAX


def test_departed_receivers_are_no_members(discovery, client, tmp_path):
    """This holds after a start without discovery, too: a departed receiver is kept only for messages that wait for
    it."""
    d = discovery("--lease", "600")  # nobody sends heartbeats
    with Actor(tmp_path / "a", d) as a, Actor(tmp_path / "b", d) as b:
        a.register("a")
        left = b.register("b")
        c = client(d)
        for name in "ab":
            assert c.wait(c.send("to", name, "x"))["state"] == "acked"
        b.leave(left)
        b.listener.close()
        b.path.unlink()
        b.hang_up()
        wait_until(lambda: c.properties()["Receivers"] == 1, "b has left")
        c.end()
        d.end()
        c.start(wait_until)
        assert [row[1] for row in c.receivers()] == ["a"]
        m, later = c.send("all", "", "to all"), c.send("to", "b", "waits")
        assert list(c.deliveries(m)) == ["a"]
        d.start()
        assert c.wait(m)["state"] == "acked"
        assert c.state(later) in ("queued", "bound")


def test_more_streams_than_a_receiver_remembers(discovery, receiver):
    """The streams belong to senders that are gone and have not settled acked messages. The warning comes once, and
    again only after there was room."""
    r = receiver(discovery(), "1", "--concurrency", "64")
    s = r.sender()
    streams = [os.urandom(16) for _ in range(4096)]
    for i in range(0, len(streams), 64):
        for s.stream in streams[i:i + 64]:
            s.send(1)
        assert {s.answer().outcome for _ in range(64)} == {frames.ACKED}
    s.close()
    s = r.sender()
    for _ in range(3):
        s.stream = os.urandom(16)
        assert s.ask(1).outcome == frames.BUSY
        s.settle(1, closed=True)
        s.read_kind(frames.PRUNED)
    assert r.read_log().count("New senders are answered busy") == 1
    s.stream = streams[0]
    s.settle(2, closed=True)
    s.read_kind(frames.PRUNED)
    for outcome in frames.ACKED, frames.BUSY, frames.BUSY:
        s.stream = os.urandom(16)
        assert s.ask(1).outcome == outcome
    assert r.read_log().count("New senders are answered busy") == 2


def test_many_who_look(discovery, receiver, client, bus, tmp_path):
    """Only a few requests are served at a time, and a list is made without the replies that it does not show."""
    bus.environment["ASAN_OPTIONS"] = f"{bus.environment.get('ASAN_OPTIONS', '')}:quarantine_size_mb=8"
    d = discovery()
    receiver(d, "1", "--concurrency", "8", command=script(tmp_path, "head -c 60000 /dev/zero"))
    c = client(d, "--ack-timeout", "20s")
    s = open_stream(c)
    s.submit_at_once(b"x", 300)
    s.take_until(lambda: len(s.ends) == 300)
    before = resident(c.process, "VmHWM")
    calls = [c.bus.busctl("--timeout=60", "call", NAME, PATH, MANAGER, "ListMessages", "a{sv}", 1, "limit", "u", 1000, start=True)
             for _ in range(30)]
    for call in calls:
        text, error = call.communicate(timeout=60)
        assert call.returncode == 0, error
        assert len(json.loads(text)["data"][0]) == 300
    assert resident(c.process, "VmHWM") - before < 40_000  # kB; the replies are 18 MB, thirty times


def test_dead_letters_count(discovery, receiver, client, tmp_path):
    """Dead letters are kept until somebody decides about them, so they fill the outbox. New messages are refused;
    nothing is dropped."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "test -e $D/go || exit 65"))
    c = client(d, "--outbox-limit", "3")
    dead = [c.send("to", "1", "x") for _ in range(2)]
    assert [c.wait(m)["state"] for m in dead] == ["rejected"] * 2
    assert c.properties()["DeadLetters"] == 2
    m = c.send("any", "nobody", "waits")
    with pytest.raises(Failed, match="1 messages are waiting and 2 dead letters are kept"):
        c.send("to", "1", "x")
    c.end(kill=True)
    c.start(wait_until)
    assert c.properties()["DeadLetters"] == 2
    with pytest.raises(Failed, match="2 dead letters"):
        c.send("to", "1", "x")
    c.call("Purge", "s", dead[0])
    again = c.send("to", "1", "x")
    assert c.wait(again)["state"] == "rejected"
    (tmp_path / "go").touch()
    c.call("Retry", "s", dead[1])
    assert c.wait(dead[1])["state"] == "acked"
    assert (c.properties()["DeadLetters"], c.properties()["Waiting"]) == (1, 1)
    c.call("Cancel", "s", m)
    c.call("Purge", "s", m)
    c.call("Purge", "s", again)
    assert c.properties()["DeadLetters"] == 0
    assert c.wait(c.send("to", "1", "x"))["state"] == "acked"


def test_replies_of_many(discovery, client, tmp_path):
    """A message of D-Bus takes 32 MiB on the system bus; who sends more loses the bus. So the replies of many come in pages."""
    d = discovery("--lease", "600")
    c = client(d, "--ack-timeout", "60s")
    reply, n = b"r" * (64 << 10), 260

    def answer(connection, message):
        Actor.answer(connection, message, frames.ACKED, reply)

    with Actor(tmp_path, d, answer) as actor:
        for i in range(n):
            actor.register(f"r{i}")
        wait_until(lambda: c.properties()["Receivers"] == n, "all are known")
        m = c.send("all", "", "x")
        assert c.wait(m, 600_000_000)["state"] == "acked"
        for method in ("ListDeliveries", "DescribeDeliveries"):
            with pytest.raises(Failed, match="260 receivers have more than 16 MiB: FindDeliveries"):
                c.call(method, "s", m)
        names, after = [], ""
        while True:
            rows, after = c.call("FindDeliveries", "sa{sv}", m, 2, "limit", "u", 100, "after", "s", after)
            names += [row["receiver"]["data"] for row in rows]
            assert all(bytes(row["reply"]["data"]) == reply for row in rows)
            if not after:
                break
        assert sorted(names) == sorted(f"r{i}" for i in range(n))
        actor.hang_up()
