# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackgroup-client on D-Bus: its main job, and its answers to calls that it refuses."""

import json
import pathlib
import sqlite3
import threading

import pytest

import bulk

import client as client_module
import frames
from actor import Actor
from client import Failed
from conftest import lines, script, wait_for_changes, wait_until

DBUS = pathlib.Path(__file__).parents[2] / "dbus"


def test_main_job(discovery, receiver, client, tmp_path):
    """Registration, discovery, a message with its ack and reply; to one receiver and to any."""
    d = discovery()
    r = receiver(d, "1", "--label", "zone=a", command=script(tmp_path, "tee -a $D/got"))
    c = client(d)
    assert c.receivers() == [[r.id, "1", "default", {"zone": "a"}, [f"unix:{r.socket}"], "idle", 0, False]]
    for mode, target in (("to", "1"), ("to", r.id), ("any", ""), ("any", "default")):
        m = c.send(mode, target, "hello")
        assert c.wait(m) == {"state": "acked", "attempts": 1, "receiver": "1", "reply": b"hello", "error": ""}
    assert (tmp_path / "got").read_text() == "hello" * 4
    m = c.send("any", "", "labelled", "label", "as", 1, "zone=a")
    assert c.wait(m)["state"] == "acked"
    p = c.properties(m)
    assert (p["Id"], p["Mode"], p["State"], p["Attempts"], p["ReceiverName"], p["Size"]) == (
        m, "any", "acked", 1, "1", 8)
    assert bytes(p["Reply"]) == b"labelled" and p["Guarantee"] == "processed-once" and not p["PossibleDuplicate"]
    assert p["Accepted"] <= p["Settled"] and p["NextRetry"] == 0
    p = c.properties()
    assert (p["Waiting"], p["Settled"], p["Attempts"], p["Receivers"], p["DiscoveryState"]) == (0, 5, 5, 1, "reachable")


def test_no_replies_in_the_list_of_objects(discovery, receiver, client, tmp_path):
    """Some hundred of them would be more than a bus takes in one message. One by one they can be read."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat"))
    c = client(d)
    m = c.send("any", "", "hello")
    c.wait(m)
    path, = c.call("GetMessage", "s", m)
    objects = json.loads(c.bus.busctl("call", client_module.NAME, client_module.PATH, "org.freedesktop.DBus.ObjectManager",
                                      "GetManagedObjects"))["data"][0]
    message = objects[path]["org.ackgroup.Client1.Message"]
    assert message["State"]["data"] == "acked" and message["Reply"]["data"] == []
    assert bytes(c.properties(m)["Reply"]) == b"hello"


def test_ack_withheld(discovery, receiver, client, tmp_path):
    """The seed's fourth phase: half of the acks are forgotten. Each message is sent until it is acked, and runs
    once."""
    d = discovery()
    receiver(d, "1", "--failure-probability", "0.5", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d, "--ack-timeout", "100ms")
    texts = [f"message {i}" for i in range(24)]
    ends = [c.wait(m) for m in [c.send("any", "", text) for text in texts]]
    assert {e["state"] for e in ends} == {"acked"}
    assert sum(e["attempts"] for e in ends) > len(texts)  # otherwise all 24 were lucky
    assert sorted(lines(tmp_path / "got")) == sorted(texts)


def test_failed_handler_is_tried_again(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo $ACKGROUP_ATTEMPT >>$D/runs; test $ACKGROUP_ATTEMPT = 3"))
    c = client(d, "--ack-timeout", "20s")
    assert c.wait(c.send("to", "1", "x"))["attempts"] == 3
    assert lines(tmp_path / "runs") == ["1", "2", "3"]


def test_long_handler_is_waited_for(discovery, receiver, client, tmp_path):
    """The receiver reports that it works, so there is no second attempt, whatever the ack timeout is."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    c = client(d, "--ack-timeout", "3s")
    m = c.send("to", "1", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    wait_until(lambda: c.read_log().count("working") >= 2, "the receiver says working")
    (tmp_path / "go").touch()
    assert c.wait(m)["attempts"] == 1
    assert lines(tmp_path / "runs") == ["run"]


def test_no_room_to_wait_for_changes(discovery, receiver, client, many_descriptors):
    """Discovery still answers, so it does not count as lost. The client keeps what it knows and hears of changes, only
    later."""
    d = discovery()
    receiver(d, "1")
    revision = d.ask("GET", "/v1/receivers?group=other")[1]["revision"]
    held = wait_for_changes(d, f"/v1/receivers?group=other&wait=60&since={revision}", 1024)
    c = client(d, "--log-level", "debug")
    wait_until(lambda: "no more waiting requests" in c.read_log(), "it is refused")
    assert [r[1] for r in c.receivers()] == ["1"]
    receiver(d, "2")
    wait_until(lambda: sorted(r[1] for r in c.receivers()) == ["1", "2"], "it hears of the second")
    assert c.properties()["DiscoveryState"] == "reachable"
    assert "Discovery does not answer" not in c.read_log()
    for connection in held:
        connection.close()


def test_any_shares_the_load(discovery, receiver, client, tmp_path):
    d = discovery()
    for name in ("1", "2", "3"):
        receiver(d, name)
    c = client(d)
    names = [c.wait(c.send("any", "", f"m{i}"))["receiver"] for i in range(30)]
    assert set(names) == {"1", "2", "3"}
    assert max(map(names.count, names)) < 20


def test_group_and_label_restrict(discovery, receiver, client):
    d = discovery()
    receiver(d, "1", "--group", "blue", "--label", "zone=a")
    receiver(d, "2", "--group", "blue", "--label", "zone=b")
    receiver(d, "3", "--group", "red")
    c = client(d)
    assert {r[1] for r in c.receivers("group", "s", "blue")} == {"1", "2"}
    assert {r[1] for r in c.receivers("label", "as", 1, "zone=b")} == {"2"}
    for _ in range(4):
        assert c.wait(c.send("any", "red", "x"))["receiver"] == "3"
        assert c.wait(c.send("any", "blue", "x", "label", "as", 1, "zone=b"))["receiver"] == "2"
    nobody = c.send("any", "green", "x")
    receiver(d, "4", "--group", "green")
    assert c.wait(nobody)["receiver"] == "4"


def test_receiver_comes_late(discovery, receiver, client):
    """The message is accepted while its receiver is away, and delivered when the receiver is back."""
    d = discovery()
    r = receiver(d, "1")
    c = client(d)
    r.end(kill=True)
    ids = [c.send("to", "1", f"m{i}") for i in range(5)]
    background = c.wait_in_background(ids[0])
    with pytest.raises(Failed, match="Not done yet"):
        c.wait(ids[4], 100_000)
    assert c.properties(ids[0])["State"] in ("bound", "queued")
    r.start()
    assert {c.wait(m)["state"] for m in ids} == {"acked"}
    assert json.loads(background.communicate(timeout=60)[0])["data"][0] == "acked"


def test_first_address_is_somebody_elses(discovery, client, tmp_path):
    """For instance because another process has taken over the socket. A refusal there does not stop the client: it
    tries the next address."""
    d = discovery()
    wrong = Actor(tmp_path / "wrong", d, on_hello=lambda connection, body: connection.write(frames.ERROR, b"I am somebody else"))
    with wrong, Actor(tmp_path, d) as right:
        right.register("r", addresses=[f"unix:{wrong.path}", f"unix:{right.path}"])
        c = client(d)
        for _ in range(3):
            assert c.wait(c.send("to", "r", "hello"))["state"] == "acked"
            right.hang_up()
    assert len(wrong.connections) >= 3


def test_receiver_has_left(discovery, receiver, client):
    """A receiver that has stopped may come back: a message to a receiver that was used before waits for it."""
    d = discovery()
    r = receiver(d, "1")
    c = client(d)
    c.wait(c.send("to", "1", "x"))
    assert r.end() == 0
    wait_until(lambda: c.receivers() == [], "it is gone from the list")
    m = c.send("to", "1", "y")
    r.start()
    assert c.wait(m)["state"] == "acked"


def test_events_are_signalled(discovery, receiver, client, bus):
    d = discovery()
    receiver(d, "1", "--failure-probability", "0")
    c = client(d)
    monitor = bus.busctl("monitor", "--match", "type='signal',sender='org.ackgroup.Client1'", start=True)
    signals = []

    def listen():
        for line in monitor.stdout:
            signals.append(json.loads(line))

    listener = threading.Thread(target=listen)
    listener.start()
    found = []
    subscription = bulk.subscribe(c)

    def whole_life():
        found.append(c.send("to", "1", "x"))
        c.wait(found[-1])
        return signals

    def changes(path):
        return [s["payload"]["data"][1] for s in list(signals) if s.get("member") == "PropertiesChanged" and s["path"] == path]

    wait_until(whole_life, "the monitor listens")
    whole_life()
    last = found[-1]
    path = c.call("GetMessage", "s", last)[0]
    wait_until(lambda: any(change.get("State", {}).get("data") == "acked" for change in changes(path)), "its end is signalled")
    bulk.unsubscribe(subscription)
    wait_until(lambda: c.wait(c.send("to", "1", "nobody listens"))["state"] == "acked", "one more ends")
    monitor.terminate()
    listener.join(60)
    # There is no signal of the message that ended before anybody had subscribed.
    assert signals[-1]["path"] == path or signals[-1]["payload"]["data"][0] in (last, path)
    events = [s["payload"]["data"][1] for s in signals
              if s.get("member") == "MessageEvent" and s["payload"]["data"][0] == last]
    assert events == ["accepted", "bound", "sent", "acked"]
    assert any(s.get("member") == "InterfacesAdded" and s["payload"]["data"][0] == path for s in signals)
    assert changes(path)[-1]["State"]["data"] == "acked"


def test_cancel(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "echo $$ >>$D/runs; sleep 1000"))
    c = client(d)
    running = c.send("to", "1", "runs")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    c.call("Cancel", "s", running)
    assert c.wait(running)["state"] == "cancelled" and c.properties(running)["Attempts"] == 1
    with pytest.raises(Failed, match="cancelled already"):
        c.call("Cancel", "s", running)
    r.end(kill=True)
    unsent = c.send("to", "1", "never sent")
    queued = c.send("any", "nobody", "queued")
    for m in (unsent, queued):
        c.call("Cancel", "s", m[:8])
        assert c.wait(m)["state"] == "cancelled"
    assert len(lines(tmp_path / "runs")) == 1
    assert c.properties()["Waiting"] == 0


def test_too_large_for_the_receiver(discovery, receiver, client):
    d = discovery()
    receiver(d, "1", "--max-payload", "100")
    c = client(d)
    end = c.wait(c.send("to", "1", "x" * 101))
    assert (end["state"], end["error"]) == ("rejected", "the receiver takes at most 100 bytes")
    assert c.wait(c.send("to", "1", "x" * 100))["state"] == "acked"


@pytest.mark.parametrize("call, words", [
    (("SendText", "sssa{sv}", "to", "nobody", "x", 0), 'No receiver "nobody"'),
    (("SendText", "sssa{sv}", "each", "", "x", 0), 'Unknown mode "each"'),
    (("SendText", "sssa{sv}", "any", "a b", "x", 0), '"a b" is not the name of a group'),
    (("SendText", "sssa{sv}", "any", "", "x", 1, "bogus", "s", "x"), 'Unknown option "bogus"'),
    (("SendText", "sssa{sv}", "any", "", "x", 1, "label", "s", "x"), 'Option "label" is of the wrong type'),
    (("SendText", "sssa{sv}", "any", "", "x", 1, "label", "as", 1, "zone"), "zone"),
    (("SendText", "sssa{sv}", "any", "", "x" * 2000, 0), "2000 bytes are more than the 1000"),
    (("Wait", "st", "123456", 0), 'No message "123456"'),
    (("Wait", "st", "12345", 0), "neither a message id"),
    (("Wait", "st", "123456g", 0), "neither a message id"),
    (("Cancel", "s", "ffffffff"), 'No message "ffffffff"'),
    (("GetMessage", "s", ""), "neither a message id"),
    (("ListMessages", "a{sv}", 1, "limit", "u", 0), "limit: from 1 to"),
    (("ListMessages", "a{sv}", 1, "states", "as", 1, "lost"), 'no state "lost"'),
    (("ListMessages", "a{sv}", 1, "after", "s", "x"), "after: not the"),
    (("ListMessages", "a{sv}", 1, "color", "s", "x"), 'Filter "color" is not known'),
    (("ListReceivers", "a{sv}", 1, "group", "u", 1), 'Filter "group" is of the wrong type'),
])
def test_bad_calls(discovery, client, bus, call, words):
    c = client(discovery(), "--max-payload", "1000")
    with pytest.raises(Failed) as failure:
        c.call(*call)
    assert words in str(failure.value)
    assert c.properties()["Waiting"] == 0


def test_full_outbox_refuses(discovery, client):
    c = client(discovery(), "--outbox-limit", "2")
    ids = [c.send("any", "", "x"), c.send("any", "", "y")]
    with pytest.raises(Failed, match="2 messages are waiting and 0 dead letters"):
        c.send("any", "", "z")
    c.call("Cancel", "s", ids[0])
    c.send("any", "", "z")


def test_introspection_is_the_contract(discovery, receiver, client):
    d = discovery()
    receiver(d, "1")
    c = client(d)
    m = c.send("to", "1", "x")
    for path, name in ((client_module.PATH, "Manager"), (c.call("GetMessage", "s", m)[0], "Message")):
        written = (DBUS / f"org.ackgroup.Client1.{name}.xml").read_text()
        assert client_module.interfaces(c.introspect(path), "org.ackgroup") == client_module.interfaces(
            written, "org.ackgroup")


def test_log_control(discovery, client, bus):
    c = client(discovery())
    where = (client_module.NAME, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1")
    assert json.loads(bus.busctl("get-property", *where, "LogLevel"))["data"] == "debug"
    bus.busctl("set-property", *where, "LogLevel", "s", "warning")
    assert json.loads(bus.busctl("get-property", *where, "LogLevel"))["data"] == "warning"
    with pytest.raises(Failed):
        bus.busctl("set-property", *where, "LogLevel", "s", "loud")
    assert json.loads(bus.busctl("get-property", *where, "SyslogIdentifier"))["data"] == "ackgroup-client"


def test_stop_tells_what_is_settled(discovery, receiver, client, tmp_path):
    """A client that may never come back leaves no records at its receivers."""
    d = discovery()
    r = receiver(d, "1")
    c = client(d)
    for _ in range(5):
        assert c.wait(c.send("to", "1", "x"))["state"] == "acked"
    assert c.end() == 0
    s = r.sender()
    s.write(frames.PING, b"12345678")  # behind what the client wrote
    s.read_kind(frames.PONG)
    assert r.end() == 0
    with sqlite3.connect(r.state / "receiver.db") as db:
        assert db.execute("SELECT count(*) FROM outcome").fetchone()[0] == 0


def test_two_clients(discovery, client, tmp_path):
    """A second client on the same bus, or on the same outbox, ends and says why."""
    d = discovery()
    c = client(d)
    other = client(d, start=False, name="other").start()
    assert other.process.wait(60) == 1
    other.process = None
    assert "Another client is running on this bus" in other.read_log()
    same = client(d, start=False).start()
    assert same.process.wait(60) == 1
    same.process = None
    assert "outbox.db" in same.read_log()
    assert c.is_there()
