# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of each of the three daemons at each phase. Which messages may run twice, and that such a run is marked. The
outbox on disk."""

import concurrent.futures
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from client import Failed
from conftest import BUILD, lines, resident, script, wait_until

# One line per run, then waits for the gate, then one line per end.
GATED = ('echo "begin ${ACKGROUP_POSSIBLE_DUPLICATE:-0}" >>$D/runs\n'
         "while ! test -e $D/go; do sleep 0.02; done\necho end >>$D/runs")


def restart(one):
    """Starts it as systemd does after a kill -9."""
    one.end(kill=True)
    one.start(wait_until) if hasattr(one, "is_there") else one.start()


def test_client_killed_before_it_sent(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    r.end(kill=True)
    ids = [c.send("to", "1", f"to {i}") for i in range(3)] + [c.send("any", "late", f"any {i}") for i in range(3)]
    restart(c)
    assert c.properties()["Waiting"] == 6
    assert [c.messages()[0][i][0] for i in range(6)] == ids[::-1]
    r.start()
    receiver(d, "2", "--group", "late", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    assert {c.wait(m)["state"] for m in ids} == {"acked"}
    assert sorted(lines(tmp_path / "got")) == sorted([f"to {i}" for i in range(3)] + [f"any {i}" for i in range(3)])
    restart(c)
    assert c.properties()["Waiting"] == 0
    assert c.wait(ids[0])["state"] == "acked"


def test_client_killed_while_the_handler_runs(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, GATED))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    restart(c)
    (tmp_path / "go").touch()
    assert c.wait(m)["state"] == "acked"
    assert lines(tmp_path / "runs") == ["begin 0", "end"]
    assert c.properties(m)["PossibleDuplicate"] is True  # the client cannot know better; the receiver does


def test_client_killed_before_it_heard_the_ack(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", "--failure-probability", "100%", command=script(tmp_path, "echo run >>$D/runs; echo reply"))
    c = client(d)
    m = c.send("to", "1", "x")
    wait_until(lambda: "withheld on purpose" in r.read_log(), "it is processed and not acked")
    c.end(kill=True)
    r.end(kill=True)
    r.options = ()
    r.start()
    c.start(wait_until)
    end = c.wait(m)
    assert (end["state"], end["reply"]) == ("acked", b"reply\n")
    assert lines(tmp_path / "runs") == ["run"]


def test_receiver_killed_while_the_handler_runs(discovery, receiver, client, tmp_path):
    """The named gap: the message runs again, and the second run is marked as a possible duplicate."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, GATED))
    c = client(d)
    m = c.send("to", "1", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    restart(r)
    wait_until(lambda: len(lines(tmp_path / "runs")) == 2, "it runs again")
    (tmp_path / "go").touch()
    assert c.wait(m)["state"] == "acked"
    assert lines(tmp_path / "runs") == ["begin 0", "begin 1", "end"]


def test_receiver_killed_behind_the_record(discovery, receiver, client, tmp_path):
    d = discovery()
    r = receiver(d, "1", "--failure-probability", "100%", command=script(tmp_path, "echo run >>$D/runs"))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: "withheld on purpose" in r.read_log(), "it is processed and not acked")
    r.end(kill=True)
    r.options = ()
    r.start()
    assert c.wait(m)["state"] == "acked"
    assert lines(tmp_path / "runs") == ["run"]


def test_discovery_killed(discovery, receiver, client, tmp_path):
    """The client still reaches the receivers that it knows, even after it has been restarted itself."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    assert c.wait(c.send("to", "1", "a"))["state"] == "acked"
    d.end(kill=True)
    wait_until(lambda: c.properties()["DiscoveryState"] == "unreachable", "the client notices")
    assert c.wait(c.send("to", "1", "b"))["state"] == "acked"
    assert c.wait(c.send("any", "", "c"))["state"] == "acked"
    restart(c)
    assert c.wait(c.send("to", r.name, "d"))["state"] == "acked"
    d.start()
    wait_until(lambda: c.properties()["DiscoveryState"] == "reachable", "discovery is found again")
    assert c.wait(c.send("any", "", "e"))["state"] == "acked"
    assert lines(tmp_path / "got") == ["a", "b", "c", "d", "e"]


def test_everything_killed_at_once(discovery, receiver, client, tmp_path):
    """A message that ran when its receiver was killed may run again (the named gap). Then it is marked as a possible
    duplicate."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, 'text=$(cat)\necho "$text ${ACKGROUP_POSSIBLE_DUPLICATE:-0}" >>$D/got'))
    c = client(d)
    ids = [c.send("any", "", f"m{i}") for i in range(20)]
    for one in (c, r, d):
        one.end(kill=True)
    d.start()
    r.start(wait=False)
    c.start(wait_until)
    assert {c.wait(m)["state"] for m in ids} == {"acked"}
    runs = [line.split() for line in lines(tmp_path / "got")]
    assert {text for text, _ in runs} == {f"m{i}" for i in range(20)}
    for i in range(20):
        again = [flag for text, flag in runs if text == f"m{i}"][1:]
        assert set(again) <= {"1"}, f"m{i} ran again, and was not told"


def test_any_fails_over_when_its_receiver_is_gone(discovery, receiver, client, tmp_path):
    """A receiver is gone when it is not listed. The other receiver is told that its run may be the second one."""
    d = discovery("--lease", "2")
    first = receiver(d, "1", command=script(tmp_path, GATED))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    receiver(d, "2", command=script(tmp_path, GATED, name="other"))
    (tmp_path / "go").touch()
    first.end(kill=True)
    end = c.wait(m)
    assert (end["state"], end["receiver"]) == ("acked", "2")
    runs = lines(tmp_path / "runs")
    assert runs[0] == "begin 0" and runs[-2:] == ["begin 1", "end"]


def test_any_does_not_move_from_who_may_have_it(discovery, receiver, client, tmp_path):
    """A lost connection alone moves no message: the receiver is still listed and comes back within its lease."""
    d = discovery()
    first = receiver(d, "1", command=script(tmp_path, GATED))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    receiver(d, "2", command=script(tmp_path, GATED, name="other"))
    (tmp_path / "go").touch()
    restart(first)
    end = c.wait(m)
    assert (end["state"], end["receiver"]) == ("acked", "1")


def test_any_does_not_move_because_discovery_has_forgotten(discovery, receiver, client, tmp_path):
    """A crash of discovery loses a registration. The receiver can still be reached, so it does not count as gone."""
    d = discovery("--lease", "60")
    other = receiver(d, "2", command=script(tmp_path, GATED, name="other"))
    other.process.send_signal(signal.SIGSTOP)  # it answers nobody, so the message goes to the first
    assert d.end() == 0
    shutil.copytree(d.directory / "state", tmp_path / "old-state")
    d.start()
    receiver(d, "1", command=script(tmp_path, GATED))
    c = client(d)
    m = c.send("any", "", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    other.process.send_signal(signal.SIGCONT)
    c.end(kill=True)
    d.end(kill=True)
    shutil.rmtree(d.directory / "state")
    shutil.copytree(tmp_path / "old-state", d.directory / "state")
    d.start()
    c.start(wait_until)
    wait_until(lambda: c.properties()["DiscoveryState"] == "reachable", "the list is there")
    (tmp_path / "go").touch()
    end = c.wait(m)
    assert (end["state"], end["receiver"]) == ("acked", "1")
    assert lines(tmp_path / "runs") == ["begin 0", "end"]


def test_any_moves_from_who_never_got_it(discovery, receiver, client, tmp_path):
    d = discovery()
    first = receiver(d, "1", "--concurrency", "1", "--queue", "5", command=script(tmp_path, GATED))
    c = client(d)
    running = c.send("any", "", "running")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    waiting = [c.send("any", "", f"waits {i}") for i in range(30)]
    receiver(d, "2", command=script(tmp_path, "echo other >>$D/others", name="other"))
    wait_until(lambda: len(lines(tmp_path / "others")) >= 20, "the other one takes what did not fit")
    (tmp_path / "go").touch()
    assert {c.wait(m)["state"] for m in waiting + [running]} == {"acked"}
    assert lines(tmp_path / "runs").count("end") + len(lines(tmp_path / "others")) == 31
    assert first.end() == 0


def test_thousands_wait_in_order(discovery, receiver, client, tmp_path):
    """More messages than the client keeps in memory. They are listed in pages and sent in order after a restart."""
    d = discovery()
    r = receiver(d, "1", "--concurrency", "1", "--queue", "100", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    r.end(kill=True)
    n = 1500
    with concurrent.futures.ThreadPoolExecutor(16) as pool:  # busctl takes its time
        ids = set(pool.map(lambda i: c.send("to", "1", f"m{i}"), range(n)))
    assert len(ids) == n and c.properties()["Waiting"] == n
    restart(c)
    listed, after = [], ""
    while True:
        rows, after = c.messages("limit", "u", 400, "after", "s", after)
        listed += rows
        if not after:
            break
    assert {row[0] for row in listed} == ids and len(listed) == n
    assert [row[6] for row in listed] == sorted((row[6] for row in listed), reverse=True)
    assert c.messages("states", "as", 1, "acked")[0] == []
    r.start()
    wait_until(lambda: c.properties()["Waiting"] == 0, "all are acked", seconds=120)
    assert len(lines(tmp_path / "got")) == n == len(set(lines(tmp_path / "got")))


def test_large_payloads_wait_on_disk(discovery, receiver, client, bus, tmp_path):
    """Sixty megabytes wait, and the client does not keep them in memory."""
    bus.environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "wc -c >>$D/got"))
    c = client(d)
    assert c.wait(c.send("to", "1", "x"))["state"] == "acked"
    r.end(kill=True)
    before = resident(c.process)
    payload = tmp_path / "payload"
    payload.write_bytes(b"x" * 1000000)
    ackctl = [BUILD / "src/ctl/ackctl", "--user", "send", "--no-wait", "--file", payload]
    for target in (["--to", "1"], ["--any", "--group", "nobody"]):
        for _ in range(30):
            subprocess.run([*ackctl, *target], env=bus.environment, check=True, capture_output=True, timeout=60)
    assert resident(c.process) - before < 30000
    r.start()
    wait_until(lambda: len(lines(tmp_path / "got")) == 31, "what waited for it is processed", seconds=60)
    assert lines(tmp_path / "got")[1:] == ["1000000"] * 30


def test_outbox_cannot_be_written(discovery, receiver, client, tmp_path):
    """A full disk: messages that cannot be stored are refused. Accepted messages continue when there is room again."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # inherited: a write beyond the limit fails instead
    c = client(d)
    signal.signal(signal.SIGXFSZ, before)
    for _ in range(8):  # then the redo log has reached the limit
        assert c.wait(c.send("to", "1", "a"))["state"] == "acked"
    r.end(kill=True)
    kept = c.send("to", "1", "b")
    limits = resource.prlimit(c.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(c.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
    with pytest.raises(Failed, match="not accepted, the outbox cannot be written"):
        c.send("to", "1", "c")
    r.start()
    wait_until(lambda: "Cannot write to the outbox" in c.read_log(), "an end cannot be written")
    resource.prlimit(c.process.pid, resource.RLIMIT_FSIZE, limits)
    assert c.wait(kept)["state"] == "acked"
    assert c.wait(c.send("to", "1", "d"))["state"] == "acked"
    assert lines(tmp_path / "got") == ["a"] * 8 + ["b", "d"]


class SeedReceiver:
    """The seed's receiver in a few lines: one text per connection, answered by ACK unless it forgets."""

    def __init__(self, discovery, forget=0):
        self.texts = []
        self.forget = forget
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        status, answer, _ = discovery.ask("POST", "/register", {"host": "localhost", "port": self.port}, tcp=True)
        assert status == 201
        self.id = answer["id"]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.texts.append(connection.recv(1024).decode())
                if self.forget > 0:
                    self.forget -= 1
                    continue
                connection.sendall(b"ACK")


def test_bare_text_to_a_receiver_of_the_seed(discovery, client):
    d = discovery("--seed-api")
    c = client(d)
    seed = SeedReceiver(d, forget=2)
    row = wait_until(c.receivers, "it is listed")[0]
    assert row[0] == seed.id and row[7] is True
    m = c.send("to", seed.id, "hello")
    assert c.wait(m)["attempts"] == 3
    assert c.properties(m)["Guarantee"] == "at-least-once"
    assert seed.texts == ["hello"] * 3
    strict = c.send("any", "", "not for it")
    assert c.wait(c.send("any", "", "for anybody", "include_plain", "b", "true"))["receiver"] == row[1]
    assert c.state(strict) == "queued"
    assert seed.texts[3:] == ["for anybody"]
    seed.socket.close()


def test_stop_answers_who_waits(discovery, client):
    c = client(discovery())
    m = c.send("any", "", "x")
    waiting = c.wait_in_background(m)
    wait_until(lambda: c.properties(m), "the call is there")
    assert c.end() == 0
    _, error = waiting.communicate(timeout=60)
    assert waiting.returncode != 0 and error.strip()
    c.start(wait_until)
    assert json.loads(c.bus.busctl("call", "org.ackgroup.Client1", "/org/ackgroup/Client1",
                                   "org.ackgroup.Client1.Manager", "GetMessage", "s", m))["type"] == "o"
