# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages to all, to a quorum and by key: which receivers they reach, when they end, and that crashes change
neither."""

import signal

import pytest

from client import Failed
from conftest import lines, script, wait_until


def three(discovery, receiver, tmp_path, text="echo $ACKGROUP_RECEIVER_NAME; cat >>$D/got-$ACKGROUP_RECEIVER_NAME"):
    d = discovery()
    return d, [receiver(d, name, command=script(tmp_path, text)) for name in ("1", "2", "3")]


def states(c, message):
    return {name: row["state"] for name, row in c.deliveries(message).items()}


def test_all(discovery, receiver, client, tmp_path):
    d, receivers = three(discovery, receiver, tmp_path)
    c = client(d)
    m = c.send("all", "", "x" * 5000)
    end = c.wait(m)
    assert (end["state"], end["attempts"], end["receiver"], end["error"]) == ("acked", 3, "3 of 3", "")
    assert {name: row["reply"] for name, row in c.deliveries(m).items()} == {n: f"{n}\n".encode() for n in "123"}
    assert all((tmp_path / f"got-{name}").read_text() == "x" * 5000 for name in "123")
    assert c.properties()["Waiting"] == 0


@pytest.mark.parametrize("labels, names", [(["zone=a"], "1"), ([], "12")])
def test_all_of_a_group(discovery, receiver, client, tmp_path, labels, names):
    d = discovery()
    receiver(d, "1", "--group", "g", "--label", "zone=a")
    receiver(d, "2", "--group", "g")
    receiver(d, "3")
    c = client(d)
    m = c.send("all", "g", "x", **({"label": labels} if labels else {}))
    assert c.wait(m)["state"] == "acked"
    assert states(c, m) == {name: "acked" for name in names}


def test_all_waits_for_who_is_away(discovery, receiver, client, tmp_path):
    """The members are fixed and durable. After a kill on either side every member gets the message, and none gets it
    twice."""
    d, receivers = three(discovery, receiver, tmp_path)
    c = client(d)
    c.wait(c.send("all", "", "first "))
    receivers[2].end(kill=True)
    m = c.send("all", "", "second ")
    wait_until(lambda: list(states(c, m).values()).count("acked") == 2, "two ack")
    assert c.state(m) == "gathering"
    assert "2 of 3 receivers have acked; it waits for 3 (3 cannot be reached: " in c.explain(m)
    c.end(kill=True)
    c.start(wait_until)
    assert c.state(m) == "gathering" and c.properties()["Waiting"] == 1
    receiver(d, "4")  # no member
    receivers[2].start()
    assert c.wait(m)["receiver"] == "3 of 3"
    assert [(tmp_path / f"got-{name}").read_text() for name in "123"] == ["first second "] * 3


def test_follow_joins(discovery, receiver, client, tmp_path):
    d, receivers = three(discovery, receiver, tmp_path)
    c = client(d)
    c.wait(c.send("all", "", "first"))
    receivers[0].end(kill=True)
    m = c.send("all", "", "x", follow_joins=True)
    receiver(d, "4", command=script(tmp_path, "cat >$D/four"))
    wait_until(lambda: states(c, m).get("4") == "acked", "who joined has it")
    receivers[0].start()
    assert c.wait(m)["receiver"] == "4 of 4"
    assert (tmp_path / "four").read_text() == "x"


def test_stop_with_members_under_way(discovery, receiver, client, tmp_path):
    """No memory of them is leaked; a sanitizer would see it."""
    d, receivers = three(discovery, receiver, tmp_path)
    c = client(d)
    c.wait(c.send("all", "", "first"))
    receivers[0].end(kill=True)
    m = c.send("all", "", "x")
    wait_until(lambda: sorted(states(c, m).values()) == ["acked", "acked", "queued"], "one is missing")
    assert c.end() == 0


def test_quorum(discovery, receiver, client, tmp_path):
    """The message ends when two of three have acked. The third member, which never got it, is dropped."""
    d, receivers = three(discovery, receiver, tmp_path)
    c = client(d)
    c.wait(c.send("all", "", "first "))
    receivers[0].end(kill=True)
    wait_until(lambda: c.receivers()[0][5] != "connected", "the client notices")
    m = c.send("quorum", "", "x", quorum=2)
    assert c.wait(m)["state"] == "acked"
    wait_until(lambda: "bound" not in states(c, m).values(), "the third is dropped")
    assert sorted(states(c, m).values()) == ["acked", "acked", "cancelled"]
    receivers[0].start()
    c.wait(c.send("to", "1", "later"))
    assert (tmp_path / "got-1").read_text() == "first later"


def test_quorum_out_of_reach(discovery, receiver, client, tmp_path):
    """Two of three will never take it, so it is dead at once, although the third has not answered."""
    d = discovery()
    small = [receiver(d, name, "--max-payload", "10") for name in "12"]
    receiver(d, "3", command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    c = client(d)
    for one in small:
        one.process.send_signal(signal.SIGSTOP)
    m = c.send("quorum", "", "x" * 11, quorum=2)
    wait_until(lambda: lines(tmp_path / "runs"), "the third has it")
    for one in small:
        one.process.send_signal(signal.SIGCONT)
    end = c.wait(m)
    assert (end["state"], end["error"]) == ("dead", "2 of 3 receivers did not ack")
    (tmp_path / "go").touch()
    wait_until(lambda: states(c, m)["3"] == "acked", "what was sent finishes")


@pytest.mark.parametrize("mode, options, words", [
    ("all", {}, "No receiver matches"),
    ("quorum", {"quorum": 2}, "No receiver"),
    ("quorum", {}, "quorum: from 1"),
    ("key", {}, "key: from 1"),
    ("any", {"follow_joins": True}, "only with mode"),
])
def test_refused(discovery, client, mode, options, words):
    c = client(discovery())
    with pytest.raises(Failed, match=words):
        c.send(mode, "", "x", **options)
    assert c.properties()["Waiting"] == 0


def test_too_few_for_a_quorum(discovery, receiver, client, tmp_path):
    d, _ = three(discovery, receiver, tmp_path)
    c = client(d)
    with pytest.raises(Failed, match="Only 3 receivers match, but 4 must ack"):
        c.send("quorum", "", "x", quorum=4)


def test_cancel_of_a_whole(discovery, receiver, client, tmp_path):
    d, receivers = three(discovery, receiver, tmp_path, "echo run >>$D/runs; sleep 60")
    c = client(d)
    m = c.send("all", "", "x")
    wait_until(lambda: len(lines(tmp_path / "runs")) == 3, "three handlers run")
    c.call("Cancel", "s", m)
    assert c.wait(m)["state"] == "cancelled"
    assert set(states(c, m).values()) == {"cancelled"}


def test_key_order(discovery, receiver, client, tmp_path):
    """Whatever fails or is slow: the messages of a key run in order of acceptance, at one receiver, one at a time."""
    d, _ = three(discovery, receiver, tmp_path, """read -r key n
        test $((n % 3)) = 0 -a $ACKGROUP_ATTEMPT = 1 && exit 1
        echo "$n $ACKGROUP_RECEIVER_NAME" >>$D/key-$key""")
    c = client(d, "--backoff", "10ms")
    sent = [c.send("key", "", f"{key} {n}", key=key) for n in range(8) for key in ("a", "c", "d")]
    for m in sent:
        assert c.wait(m)["state"] == "acked"
    assert len(list(tmp_path.glob("key-*"))) == 3
    for path in tmp_path.glob("key-*"):
        rows = [row.split() for row in lines(path)]
        assert [int(n) for n, _ in rows] == list(range(8)), path
        assert len({name for _, name in rows}) == 1, path


def test_blocked_key_blocks_itself_only(discovery, receiver, client, tmp_path):
    d, receivers = three(discovery, receiver, tmp_path, """read -r key n; test $key = stuck -a ! -e $D/go && exit 1
        echo "$key $n" >>$D/done""")
    c = client(d, "--backoff", "10ms", "--backoff-max", "50ms")
    stuck = [c.send("key", "", f"stuck {n}", key="stuck") for n in range(2)]
    for n in range(6):
        assert c.wait(c.send("key", "", f"free {n}", key=f"free-{n}"))["state"] == "acked"
    assert "older message of the same key" in c.explain(stuck[1])
    c.end(kill=True)
    c.start(wait_until)
    assert c.state(stuck[1]) == "queued"
    (tmp_path / "go").touch()
    for m in stuck:
        assert c.wait(m)["state"] == "acked"
    assert lines(tmp_path / "done")[-2:] == ["stuck 0", "stuck 1"]


def test_key_moves_when_its_receiver_is_gone(discovery, receiver, client, tmp_path):
    d, receivers = three(discovery, receiver, tmp_path, "echo $ACKGROUP_RECEIVER_NAME")
    c = client(d)
    first = c.wait(c.send("key", "", "x", key="k"))["receiver"]
    assert c.wait(c.send("key", "", "x", key="k"))["receiver"] == first
    assert receivers[int(first) - 1].end() == 0
    end = c.wait(c.send("key", "", "x", key="k"))
    assert end["state"] == "acked" and end["receiver"] != first
