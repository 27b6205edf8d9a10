# SPDX-License-Identifier: LGPL-2.1-or-later
"""The policy of a message: attempts, deadline, delay, priority, idempotency key. Dead letters and their history."""

import os
import signal
import struct
import time

import pytest

from actor import Actor
from client import Failed
from conftest import lines, script, wait_until

SECOND = 1_000_000


def now():
    return time.time_ns() // 1000


def test_out_of_attempts(discovery, receiver, client, tmp_path):
    """After three failures it is a dead letter. It is listed and shown, then retried with all its attempts, and
    acked."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs; test -e $D/go"))
    c = client(d, "--backoff", "10ms")
    m = c.send("to", "1", "x", max_attempts=3)
    end = c.wait(m)
    assert (end["state"], end["attempts"], end["error"]) == ("dead", 3, "handler exited with status 1")
    assert [row[0] for row in c.messages("states", "as", 1, "dead")[0]] == [m]
    assert c.attempts(m) == [("1", "failed")] * 3
    assert "ackctl dead retry" in c.explain(m)
    c.end(kill=True)
    c.start(wait_until)
    assert len(c.attempts(m)) == 3 and c.properties()["Waiting"] == 0
    (tmp_path / "go").touch()
    c.call("Retry", "s", m)
    end = c.wait(m)
    assert (end["state"], end["attempts"]) == ("acked", 1)
    assert c.properties(m)["PossibleDuplicate"] is True
    assert len(lines(tmp_path / "runs")) == 4
    with pytest.raises(Failed, match="not a dead letter"):
        c.call("Retry", "s", m)


def test_purge(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "exit 1"))
    c = client(d)
    m = c.send("to", "1", "x", max_attempts=1)
    assert c.wait(m)["state"] == "dead"
    c.call("Purge", "s", m)
    with pytest.raises(Failed, match="No message"):
        c.state(m)
    assert c.messages()[0] == []
    c.end(kill=True)
    c.start(wait_until)
    assert c.messages()[0] == []
    m = c.send("any", "nobody", "x")
    with pytest.raises(Failed, match="cancel it first"):
        c.call("Purge", "s", m)


def test_no_ack_on_the_last_attempt(discovery, receiver, client, tmp_path):
    """The message may have run, so the client asks the receiver, which says that it did."""
    d = discovery()
    receiver(d, "1", "--failure-probability", "1", command=script(tmp_path, "echo run >>$D/runs"))
    c = client(d, "--ack-timeout", "1s")
    m = c.send("to", "1", "x", max_attempts=2)
    wait_until(lambda: c.state(m) == "giving-up", "the receiver is asked")
    assert lines(tmp_path / "runs") == ["run"]
    c.end(kill=True)
    c.start(wait_until)
    assert c.state(m) == "giving-up"


def test_long_work_is_one_attempt(discovery, receiver, client, tmp_path):
    """However short the ack timeout is, the receiver reports in time that it works: for running and for queued
    messages."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs; sleep 2.5"))
    c = client(d, "--ack-timeout", "1s")
    ids = [c.send("to", "1", "x", max_attempts=1) for _ in range(2)]
    assert [(end["state"], end["attempts"]) for end in map(c.wait, ids)] == [("acked", 1)] * 2
    assert len(lines(tmp_path / "runs")) == 2


def test_a_client_that_was_held_up(discovery, receiver, client, tmp_path):
    """As after a suspend of the machine: answers that came meanwhile count as answers in time."""
    d = discovery()
    names = [f"r{n}" for n in range(12)]  # many connections, each read in its turn
    for name in names:
        receiver(d, name, command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    c = client(d, "--ack-timeout", "1s")
    ids = [c.send("to", name, "x", max_attempts=1) for name in names]
    wait_until(lambda: len(lines(tmp_path / "runs")) == len(ids), "all run")
    c.process.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    time.sleep(3)  # longer than the ack timeout
    c.process.send_signal(signal.SIGCONT)
    assert {(end["state"], end["attempts"]) for end in map(c.wait, ids)} == {("acked", 1)}


def test_deadline_of_what_runs(discovery, receiver, client, tmp_path):
    """The handler is killed first; only then the message is dead."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs; sleep 60"))
    c = client(d)
    m = c.send("to", "1", "x", deadline=now() + 2 * SECOND)
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    end = c.wait(m)
    assert (end["state"], end["error"]) == ("dead", "its deadline has passed")
    assert c.wait(c.send("to", "1", "next", deadline=now() + SECOND))["state"] == "dead"  # the place is free again


def test_retry_of_what_may_have_run(discovery, client, tmp_path):
    """Its first send did not count as an attempt: the connection ended, and then the message was given up."""
    flags = []

    def ack_the_second(connection, message):
        flags.append(struct.unpack(">I", message[44:48])[0])
        if len(flags) > 1:
            actor.ack(connection, message)
        else:
            os.rename(actor.path, tmp_path / "away")
            actor.hang_up()

    d = discovery()
    with Actor(tmp_path, d, on_message=ack_the_second) as actor:
        actor.register("r")
        c = client(d, "--ack-timeout", "60s")
        m = c.send("to", "r", "x", deadline=now() + SECOND)
        wait_until(lambda: c.state(m) == "giving-up", "its deadline comes")
        os.rename(tmp_path / "away", actor.path)
        assert c.wait(m)["state"] == "dead" and actor.cancels > 0
        c.call("Retry", "s", m)
        assert c.wait(m)["state"] == "acked"
    assert flags[0] == 0 and set(flags[1:]) == {1}


def test_deadline_of_what_waits(discovery, client):
    """Also for messages that are only on disk, and while the client was away."""
    c = client(discovery())
    waiting = [c.send("any", "nobody", f"{i}", deadline=now() + 3 * SECOND) for i in range(3)]
    assert {c.state(m) for m in waiting} == {"queued"}
    c.end(kill=True)
    c.start(wait_until)
    for m in waiting:
        assert c.wait(m)["state"] == "dead"
    assert c.properties()["Waiting"] == 0
    with pytest.raises(Failed, match="passed already"):
        c.send("any", "", "x", deadline=now() - SECOND)


def test_delay(discovery, receiver, client, tmp_path):
    """The delay is durable: it survives a kill. The message is not sent before its time and can be cancelled
    meanwhile."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "date +%s%6N >>$D/at"))
    c = client(d)
    start = now() + 3 * SECOND
    m, whole, other = (c.send("any", "", "x", at=start), c.send("all", "", "x", at=start),
                       c.send("any", "", "x", delay=3600 * SECOND))
    assert [c.state(x) for x in (m, whole, other)] == ["delayed"] * 3
    assert "It is delayed until" in c.explain(m)
    c.end(kill=True)
    c.start(wait_until)
    assert c.properties()["Waiting"] == 3
    assert c.wait(m)["state"] == "acked"
    assert c.wait(whole)["receiver"] == "1 of 1"
    assert all(int(at) >= start for at in lines(tmp_path / "at")) and len(lines(tmp_path / "at")) == 2
    c.call("Cancel", "s", other)
    assert c.wait(other)["state"] == "cancelled"


def test_priority(discovery, receiver, client, tmp_path):
    """The most urgent first, then the oldest, although more messages wait than memory holds."""
    d = discovery()
    r = receiver(d, "1", "--queue", "0", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    c.wait(c.send("to", "1", "first"))
    r.end()
    for n in range(3):
        for priority in (0, 9, 4):
            c.send("any", "", f"{priority}-{n}", priority=priority)
    r.start()
    wait_until(lambda: len(lines(tmp_path / "got")) == 10, "all are processed")
    assert lines(tmp_path / "got")[1:] == [f"{p}-{n}" for p in (9, 4, 0) for n in range(3)]


def test_idempotency_key(discovery, receiver, client, tmp_path):
    """Two submissions with the same key are one message, also after a crash and after its end."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs"))
    c = client(d)
    m = c.send("any", "", "x", idempotency_key="order-17")
    assert c.send("any", "", "x", idempotency_key="order-17") == m
    assert c.wait(m)["state"] == "acked"
    c.end(kill=True)
    c.start(wait_until)
    assert c.send("any", "", "x", idempotency_key="order-17") == m
    assert c.send("any", "", "x", idempotency_key="order-18") != m
    wait_until(lambda: c.properties()["Waiting"] == 0, "all is done")
    assert lines(tmp_path / "runs") == ["run"] * 2


@pytest.mark.parametrize("options, words", [
    ({"priority": 10}, "priority: from 0 to 9"), ({"ack_timeout": 5}, "ack_timeout: from 100ms"),
    ({"idempotency_key": ""}, "idempotency_key: from 1")])
def test_bad_policy(discovery, client, options, words):
    c = client(discovery())
    with pytest.raises(Failed, match=words):
        c.send("any", "", "x", **options)


def test_trace_of_a_failover(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "sleep 60"))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: c.state(m) == "sent", "it is sent")
    receiver(d, "2")
    r.end(kill=True)
    assert d.end(kill=True) is not None
    (d.directory / "state/registry.db").unlink(missing_ok=True)
    for path in (d.directory / "state").glob("*"):
        path.unlink()
    d.start()
    end = c.wait(m)
    assert (end["state"], end["receiver"]) == ("acked", "2")
    assert ("1", "disconnected") in c.attempts(m) and ("1", "moved") in c.attempts(m)
