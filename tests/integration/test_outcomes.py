# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a handler can report and its consequences; draining; reloading; what ackctl shows of all this."""

import json
import os
import pty
import re
import signal
import struct
import subprocess

import pytest

from actor import Actor
from conftest import BUILD, lines, script, wait_until
from frames import BUSY, GOODBYE


def ackctl(c, *words, status=0):
    done = subprocess.run([BUILD / "src/ctl/ackctl", "--user", *map(str, words)], env=c.bus.environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("exit_status, state", [
    (0, "acked"), (65, "rejected"), (67, "rejected"), (68, "rejected"), (76, "rejected"), (77, "rejected"),
    (1, "dead"), (64, "dead"), (75, "dead"), (255, "dead")])
def test_exit_status(discovery, receiver, client, tmp_path, exit_status, state):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, f"echo run >>$D/runs; exit {exit_status}"))
    c = client(d)
    end = c.wait(c.send("to", "1", "x", max_attempts=1))
    assert end["state"] == state
    assert end["error"] == ("" if state == "acked" else f"handler exited with status {exit_status}")
    assert lines(tmp_path / "runs") == ["run"]


def test_reason(discovery, receiver, client, tmp_path):
    """The reason that the handler reports reaches the sender."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo 'error no such picture' >&3; exit 65"))
    c = client(d)
    m = c.send("to", "1", "x")
    assert c.wait(m)["error"] == "no such picture"
    text = ackctl(c, "dead", "list")
    assert m[:8] in text and "no such picture" in text
    assert "no such picture" in ackctl(c, "dead", "show", m)
    assert "rejected by 1: no such picture" in ackctl(c, "why", m)
    assert ackctl(c, "dead", "purge", "--all") == "1 message.\n"
    assert "dead list" in ackctl(c, "dead", "forget", m, status=2)


def test_retry_hint(discovery, receiver, client, tmp_path):
    """A failed message does not come back before the time that its handler asks for."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, """date +%s%3N >>$D/at; test $ACKGROUP_ATTEMPT = 2 && exit 0
        echo 'retry 1500ms' >&3; exit 75"""))
    c = client(d, "--backoff", "10ms")
    m = c.send("to", "1", "x")
    assert c.wait(m)["state"] == "acked"
    first, second = map(int, lines(tmp_path / "at"))
    assert second - first >= 1500
    text = ackctl(c, "trace", m)
    assert re.search(r"1 +1 +failed .*status 75", text) and re.search(r"1 +2 +acked", text)
    trace = json.loads(ackctl(c, "trace", m, "--json=short"))
    assert [a["outcome"] for a in trace["attempts"]] == ["failed", "acked"]


def test_progress(discovery, receiver, client, tmp_path):
    """Each step reaches the sender's terminal. Lines that are no progress are ignored."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, """echo 'progress 40 copying' >&3; echo nonsense >&3
        echo "progress 400" >&$ACKGROUP_REPORT_FD; head -c 5000 /dev/zero | tr '\\0' x >&3; echo >&3
        while ! test -e $D/go; do sleep 0.02; done; echo done"""))
    c = client(d)
    primary, secondary = pty.openpty()
    process = subprocess.Popen([BUILD / "src/ctl/ackctl", "--user", "send", "--any", "x"], env=c.bus.environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=secondary)
    os.close(secondary)
    seen = b""
    while b"40 %" not in seen:
        seen += os.read(primary, 4096)
    assert b"[############                  ]  40 % copying" in seen
    m = c.messages()[0][0][0]
    assert c.properties(m)["Progress"] == "40 copying"
    (tmp_path / "go").touch()
    assert process.communicate(timeout=30)[0] == b"done\n" and process.returncode == 0
    os.close(primary)


def test_drain(discovery, receiver, client, tmp_path):
    """The receiver gets nothing new from anybody, and finishes what runs. A message to it waits until it resumes."""
    d = discovery("--lease", "1")
    receivers = [receiver(d, name, command=script(tmp_path, "while ! test -e $D/go; do sleep 0.02; done")) for name in "12"]
    c = client(d)
    running = c.send("to", "1", "x")
    wait_until(lambda: c.state(running) == "sent", "it runs")
    ackctl(c, "drain", "1")
    wait_until(lambda: c.receivers()[0][5] == "draining", "the client knows")
    wait_until(lambda: "Draining" in receivers[0].read_log(), "the receiver knows")
    (tmp_path / "go").touch()
    assert c.wait(running)["state"] == "acked"
    assert {c.wait(c.send("any", "", "x"))["receiver"] for _ in range(4)} == {"2"}
    assert {c.wait(c.send("key", "", "x", key=f"{i}"))["receiver"] for i in range(6)} == {"2"}
    waiting = c.send("to", "1", "x")
    assert wait_until(lambda: "is draining" in c.explain(waiting) and c.explain(waiting), "why says so").endswith(
        "ackctl resume 1 ends that.")
    other = receivers[0].sender()
    assert other.ask(1, b"from another client").outcome == BUSY
    other.close()
    assert "draining" in ackctl(c, "list")
    ackctl(c, "drain", "2")
    wait_until(lambda: {row[5] for row in c.receivers()} == {"draining"}, "the client knows")
    for m in (c.send("any", "", "x"), c.send("key", "", "x", key="k")):
        assert "All 2 receivers are draining" in c.explain(m)
        c.call("Cancel", "s", m)
    ackctl(c, "resume", "1")
    assert c.wait(waiting)["receiver"] == "1"
    ackctl(c, "drain", "nobody", status=6)


def test_goodbye_is_answered(discovery, client, tmp_path):
    """The client answers after its last message. A message that was refused before is sent again and is not marked as a
    possible duplicate."""
    flags, behind = [], []

    def leave_with_the_third(connection, message):
        flags.append(struct.unpack(">I", message[44:48])[0])
        if connection in (c for c, _ in actor.goodbyes):
            behind.append(message)
        if len(flags) == 3:
            connection.write(GOODBYE, b"\x01")
        if len(flags) < 3 or connection is not actor.connections[0]:
            actor.ack(connection, message)
        else:
            actor.answer(connection, message, BUSY)

    d = discovery("--lease", "600")  # nobody sends heartbeats
    with Actor(tmp_path, d, on_message=leave_with_the_third) as actor:
        c = client(d)
        actor.register("a")
        ids = [c.send("to", "a", "x") for _ in range(6)]
        wait_until(lambda: actor.goodbyes, "it is answered")
        assert actor.goodbyes == [(actor.connections[0], b"\x01")]
        wait_until(lambda: "sent" not in {c.state(m) for m in ids}, "the client has read every answer")
        actor.hang_up()
        assert {c.wait(m)["state"] for m in ids} == {"acked"}
    assert behind == []
    assert set(flags) == {0} and len(flags) > 6


def test_reload(discovery, receiver, client, tmp_path):
    """SIGHUP: another handler, another timeout, and no connection ends; bad files change nothing."""
    d = discovery()
    r = receiver(d, "1", command=(), start=False)
    conf = tmp_path / "conf"
    conf.write_text(f"[Receiver]\nExec={script(tmp_path, 'echo one', 'one')[0]}\n[Client]\nMaxAttempts=0\n")
    r.options = ("--config", conf)
    r.start()
    c = client(d, "--config", conf)
    assert c.wait(c.send("to", "1", "x"))["reply"] == b"one\n"
    conf.write_text(f"[Receiver]\nExec={script(tmp_path, 'echo two', 'two')[0]}\n[Client]\nOutboxLimit=7\n")
    r.process.send_signal(signal.SIGHUP)
    c.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "Reloaded" in r.read_log() and c.properties()["OutboxLimit"] == 7, "both reload")
    assert c.wait(c.send("to", "1", "x"))["reply"] == b"two\n"
    conf.write_text("[Receiver]\nExec=/does/not/exist\n[Client]\nBogus=1\n")
    r.process.send_signal(signal.SIGHUP)
    c.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays as it is" in r.read_log() and "stays as it is" in c.read_log(), "both refuse")
    assert c.wait(c.send("to", "1", "x"))["reply"] == b"two\n"
    assert "disconnected" not in c.read_log()
    assert c.properties()["OutboxLimit"] == 7


def test_reload_tells_the_capacity(discovery, receiver, tmp_path):
    """Clients share the load by the capacity. A receiver that was drained stays so."""
    d = discovery()
    r = receiver(d, "1", start=False)
    conf = tmp_path / "conf"
    conf.write_text("[Receiver]\nConcurrency=2\nQueue=3\n")
    r.options = ("--config", conf)
    r.start()
    before = r.record()
    assert before["capacity"] == 5
    assert d.ask("PUT", f"/v1/receivers/{r.id}/draining", {"draining": True})[0] == 204
    conf.write_text("[Receiver]\nConcurrency=4\nQueue=3\n")
    r.process.send_signal(signal.SIGHUP)
    wait_until(lambda: r.record()["capacity"] == 7, "it is listed")
    assert r.record() == {**before, "capacity": 7, "draining": True}


def test_send_options(discovery, receiver, client, tmp_path):
    d = discovery()
    for name in "123":
        receiver(d, name, command=script(tmp_path, "echo I am $ACKGROUP_RECEIVER_NAME"))
    c = client(d)
    text = ackctl(c, "send", "--all", "x")
    assert all(f"{name}: I am {name}" in text and f"by {name}" in text for name in "123") and "3 of 3" in text
    assert "acked" in ackctl(c, "send", "--quorum", 2, "x")
    assert "I am" in ackctl(c, "send", "--key", "k", "x")
    key = ackctl(c, "send", "--any", "--no-wait", "--in", "1h", "--idempotency-key", "k", "x").strip()
    assert ackctl(c, "send", "--any", "--no-wait", "--idempotency-key", "k", "x").strip() == key
    assert "delayed" in ackctl(c, "messages", "--state", "delayed")
    assert ackctl(c, "send", "--any", "--no-wait", "--at", "2030-01-31 18:00", "--deadline", "2030-02-01 18:00", "x")
    for words in (("--any", "--all"), (), ("--any", "--deadline", "soon"), ("--any", "--in", "1h", "--at", "18:00"),
                  ("--any", "--follow-joins"), ("--quorum", "many")):
        ackctl(c, "send", *words, "x", status=2)
