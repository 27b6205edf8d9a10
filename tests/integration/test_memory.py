# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages that are accepted in memory only."""

import re

import pytest

from bulk import open_stream
from client import Failed
from conftest import lines, script, wait_until

ACKED = 1


def test_ack_and_reply(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat | tee -a $D/got"))
    c = client(d)
    m = c.send("any", "", "x", durability="memory")
    end = c.wait(m)
    assert (end["state"], end["receiver"]) == ("acked", "1") and lines(tmp_path / "got") == ["x"]
    s = open_stream(c, durability="memory")
    ends = [s.end_of(s.submit(b"y")) for _ in range(3)]
    assert [(e.end, e.attempts, e.data) for e in ends] == [(ACKED, 1, b"y")] * 3


def test_lost_with_the_client_and_nothing_else_is(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    assert c.wait(c.send("to", "1", "first"))["state"] == "acked"
    r.end(kill=True)
    lost, kept = c.send("to", "1", "memory", durability="memory"), c.send("to", "1", "durable")
    c.end(kill=True)
    c.start(wait_until)
    assert c.properties()["Waiting"] == 1
    with pytest.raises(Failed, match="No message"):
        c.state(lost)
    r.start()
    assert c.wait(kept)["state"] == "acked"
    assert c.wait(c.send("to", "1", "again", durability="memory"))["state"] == "acked"
    assert lines(tmp_path / "got") == ["first", "durable", "again"]


def test_a_dead_letter_is_kept(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "exit 65"))
    c = client(d)
    m = c.send("to", "1", "no", durability="memory")
    assert c.wait(m)["state"] == "rejected"
    c.end(kill=True)
    c.start(wait_until)
    assert c.state(m) == "rejected"
    c.call("Retry", "s", m)
    assert c.wait(m)["state"] == "rejected"


def test_the_receiver_is_killed(discovery, receiver, client, tmp_path):
    """It runs a message again that may be missing on its disk, and tells the handler so."""
    d = discovery()
    r = receiver(d, "1", command=script(
        tmp_path, "cat >>$D/got; echo \" ${ACKGROUP_POSSIBLE_DUPLICATE:-0}\" >>$D/got; test -e $D/go || sleep 1000"))
    c = client(d)
    m = c.send("to", "1", "x", durability="memory")
    wait_until(lambda: lines(tmp_path / "got"), "it runs")
    r.end(kill=True)
    (tmp_path / "go").touch()
    r.start()
    assert c.wait(m)["state"] == "acked"
    assert lines(tmp_path / "got") == ["x 0", "x 1"]


def test_many_wait_in_order(discovery, receiver, client):
    """More messages than the front of a queue holds: none of them is only on disk."""
    d = discovery()
    c = client(d)
    s = open_stream(c, mode="key", key="k", durability="memory", settlements=False)
    for n in range(1500):
        s.submit(str(n).encode())
    s.take_until(lambda: len(s.ids) == 1500)
    assert c.properties()["Waiting"] == 1500
    r = receiver(d, "1")
    wait_until(lambda: c.properties()["Waiting"] == 0, "all are done")
    assert re.findall(r"says: (\d+)", r.read_log()) == [str(n) for n in range(1500)]


def test_bounded(discovery, client):
    c = client(discovery(), "--max-payload", "16M")
    s = open_stream(c, durability="memory")
    numbers = [s.submit(b"x" * (15 << 20)) for _ in range(6)]
    s.take_until(lambda: len(s.ids) + len(s.refused) == len(numbers))
    assert len(s.ids) == 4
    assert {r.reason for r in s.refused.values()} == {"OutboxFull"}


@pytest.mark.parametrize("mode, options", [
    ("all", {}), ("quorum", {"quorum": 1}), ("any", {"idempotency_key": "k"}), ("any", {"delay": 1000000}),
    ("any", {"deadline": 1 << 60}),
])
def test_what_cannot_be_in_memory(discovery, receiver, client, mode, options):
    d = discovery()
    receiver(d, "1")
    c = client(d)
    with pytest.raises(Failed, match="durability"):
        c.send(mode, "", "x", durability="memory", **options)
    with pytest.raises(Failed, match="durable.*memory"):
        c.send("any", "", "x", durability="eternal")
