# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client whose disk is slow or full at the worst moment."""

import os
import struct
import threading
import uuid

import pytest

from actor import Actor
from bulk import open_stream
from client import MANAGER, NAME, PATH, Failed
from conftest import wait_until
from test_client_crash import SeedReceiver
from frames import ACKED, REJECTED, SETTLED_ALREADY, SUBMIT, frame


def call_in_background(c, method, *words):
    return c.bus.busctl("--timeout=60", "call", NAME, PATH, MANAGER, method, *words, start=True)


def settled_by(actor, stream, sequence):
    """True when the sender has announced the sequence as settled."""
    return any(s == stream and sequence < low for s, _, low in actor.settled)


def test_retry_before_the_end_is_synced(disk, discovery, client, tmp_path):
    """A retry is refused until then: the end of the previous binding is still on its way to the disk."""
    handled = []

    def reject_once(connection, message):
        sequence, = struct.unpack(">Q", message[16:24])
        if settled_by(actor, message[:16], sequence):
            Actor.answer(connection, message, SETTLED_ALREADY)
            return
        handled.append(sequence)
        if len(handled) == 1:
            disk.hold()
        Actor.answer(connection, message, REJECTED if len(handled) == 1 else ACKED)

    d = discovery()
    with Actor(tmp_path / "actor", d, on_message=reject_once) as actor:
        actor.register("r")
        c = client(d)
        m = c.send("to", "r", "hello")
        wait_until(lambda: c.state(m) == "rejected", "it is rejected in memory")
        with pytest.raises(Failed, match="not on disk yet"):
            c.call("Retry", "s", m)
        disk.let_go()
        assert c.wait(m)["state"] == "rejected"
        c.call("Retry", "s", m)
        assert c.wait(m)["state"] == "acked"
        assert len(handled) == 2


def test_purge_and_retry_at_once(disk, discovery, client, tmp_path):
    """Only one of the two can succeed."""
    answers = []

    def reject_once(connection, message):
        answers.append(REJECTED if not answers else ACKED)
        Actor.answer(connection, message, answers[-1])

    d = discovery()
    with Actor(tmp_path / "actor", d, on_message=reject_once) as actor:
        actor.register("r")
        c = client(d)
        m = c.send("to", "r", "hello")
        assert c.wait(m)["state"] == "rejected"
        disk.hold()
        purges = [call_in_background(c, "Purge", "s", m) for _ in range(2)]
        wait_until(lambda: any(p.poll() is not None for p in purges), "one is refused, so the other is under way")
        with pytest.raises(Failed, match="being purged"):
            c.call("Retry", "s", m)
        disk.let_go()
        assert sorted(p.wait(60) for p in purges) == [0, 1]
        with pytest.raises(Failed, match="No message"):
            c.state(m)
        assert (c.properties()["Waiting"], c.properties()["DeadLetters"], len(answers)) == (0, 0, 1)


def test_payload_is_read_when_there_is_room_again(disk, discovery, client, tmp_path):
    d = discovery()
    with Actor(tmp_path / "actor", d) as actor:
        actor.register("r")
        away = actor.path.with_name("away")
        os.rename(actor.path, away)
        c = client(d)
        m = c.send("to", "r", 100_000 * "x")
        disk.fill()
        os.rename(away, actor.path)
        wait_until(lambda: "Cannot read message" in c.read_log(), "it cannot be read")
        disk.free()
        assert c.wait(m)["state"] == "acked"


def test_quorum_is_counted_once(disk, discovery, client, tmp_path):
    """The whole message is retried while the ack of a member is on its way to the disk."""
    early, late, names, lock = [], [], {}, threading.Lock()

    def reject_two(connection, message):
        """Waits until the third member has the message; otherwise that member would not be needed any more."""
        with lock:
            (late if names[connection] == "r2" else early).append((connection, message))
            while late and early:
                Actor.answer(*early.pop(), REJECTED)

    def remember(connection, hello):
        names[connection] = next(name for name, one in ids.items() if uuid.UUID(one).bytes == hello[:16])
        actor.welcome(connection, hello)

    d = discovery()
    with Actor(tmp_path / "actor", d, on_message=reject_two, on_hello=remember) as actor:
        ids = {name: actor.register(name) for name in ("r0", "r1", "r2")}
        c = client(d, "--ack-timeout", "60s")
        wait_until(lambda: c.properties()["Receivers"] == 3, "all are known")
        m = c.send("quorum", "", "x", quorum=2)
        assert c.wait(m)["state"] == "dead"
        disk.hold()
        Actor.answer(*late[0], ACKED)
        wait_until(disk.waiting.exists, "its ack is being written")
        retries = [call_in_background(c, "Retry", "s", m) for _ in range(2)]
        wait_until(lambda: any(p.poll() is not None for p in retries), "one is refused, so the other is under way")
        disk.let_go()
        assert sorted(p.wait(60) for p in retries) == [0, 1]
        assert c.wait(m)["state"] == "dead"
        assert {row["state"] for name, row in c.deliveries(m).items() if name != "r2"} == {"rejected"}


def test_bare_text_is_given_up_in_a_crash(disk, discovery, client, tmp_path):
    """The crash comes between the wish to cancel and the end. Nobody can be asked about plain text, so the message ends
    and its place becomes free."""
    d = discovery("--seed-api")
    c = client(d, "--ack-timeout", "60s")
    seed = SeedReceiver(d, forget=1000)
    wait_until(lambda: c.receivers(), "it is listed")
    m = c.send("any", "", "hello", include_plain="true")
    wait_until(lambda: seed.texts, "it is sent")
    disk.hold()
    cancel = call_in_background(c, "Cancel", "s", m)
    wait_until(lambda: c.state(m) in ("cancelling", "cancelled"), "it is to be cancelled")
    wait_until(disk.waiting.exists, "that is written, and nothing behind it")
    c.end(kill=True)
    disk.let_go()
    cancel.communicate(timeout=60)
    c.start(wait_until)
    if c.state(m) not in ("cancelling", "cancelled"):  # another write was held back, from before the cancel
        c.call("Cancel", "s", m)
    assert c.wait(m)["state"] == "cancelled"
    seed.forget = 0
    assert c.wait(c.send("any", "", "next", include_plain="true"))["state"] == "acked"


def test_what_is_refused_is_not_sent(disk, discovery, client, tmp_path):
    """A page of waiting messages is read from the disk while new messages cannot be written. It must not contain the
    refused ones."""
    held, got, free = [], [], []

    def hold_later_ones(connection, message):
        got.append(bytes(message[24:40]))
        if len(got) > 700 and not free:
            held.append((connection, message))
        else:
            Actor.answer(connection, message, ACKED)

    d = discovery()
    with Actor(tmp_path / "actor", d, on_message=hold_later_ones) as actor:
        c = client(d, "--ack-timeout", "60s")
        old, new = open_stream(c), open_stream(c)
        old.submit_at_once(b"old", 1100)
        old.take_until(lambda: len(old.ids) == 1100)
        actor.register("r")
        wait_until(lambda: len(held) == 100, "all of its credit is out")
        disk.fill()
        free.append(True)
        # A message with a key is looked up in the tables, so it is written there and not to the log.
        new.sock.sendall(b"".join(frame(SUBMIT, struct.pack(">HBH", 12, 2, 9) + b"k%08d" % n) for n in range(1000)))
        for connection, message in held:
            Actor.answer(connection, message, ACKED)
        new.last = 1000
        new.take_until(lambda: len(new.ids) + len(new.refused) == 1000)
        assert new.refused
        disk.free()
        old.take_until(lambda: len(old.ends) == 1100)
        new.take_until(lambda: len(new.ends) == len(new.ids))
        last = c.send("any", "", "one more")
        assert c.wait(last)["state"] == "acked"
        accepted = {*old.ids.values(), *new.ids.values(), last}
        assert {m.hex() for m in got} == {m.replace("-", "") for m in accepted}
        assert c.properties()["Waiting"] == 0
