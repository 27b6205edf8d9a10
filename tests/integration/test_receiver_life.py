# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of ackgroup-receiver: start, stop, its identity at discovery, its warden, its options."""

import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time

import pytest

import frames
from conftest import BUILD, is_dead, lines, script, wait_until
from frames import Sender


def test_a_host_name_that_makes_no_receiver_name(discovery, tmp_path):
    """Another start would not help, so the status says that the configuration is wrong."""
    d = discovery()
    for instance in ("x" * 64, "ü"):
        done = subprocess.run(
            [BUILD / "src/receiver/ackgroup-receiver", "--config", "/dev/null", "--state-dir", tmp_path / "s", "--instance", instance,
             "--listen", f"unix:{tmp_path}/r.sock", "--discovery", f"unix:{d.socket}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode == 78 and b"set Name=" in done.stderr, done.stderr


def test_stop_finishes_what_runs(discovery, receiver, tmp_path):
    d = discovery()
    r = receiver(d, command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    s = r.sender()
    s.send(1)
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    s.send(2)
    s.write(frames.PING, b"12345678")
    s.read_kind(frames.PONG)
    r.process.send_signal(signal.SIGTERM)
    a = s.answer()
    assert (a.sequence, a.outcome) == (2, frames.BUSY)
    assert s.read_kind(frames.GOODBYE) == b"\x02"
    assert s.ask(3).outcome == frames.BUSY
    (tmp_path / "go").touch()
    a = s.answer()
    assert (a.sequence, a.outcome) == (1, frames.ACKED)
    assert r.process.wait(60) == 0
    r.process = None
    assert d.ask("GET", "/v1/receivers")[1]["receivers"] == []
    assert lines(tmp_path / "runs") == ["run"]


def test_a_stop_answers_what_was_on_its_way(discovery, receiver):
    """It answers until the sender confirms that nothing more comes. So the sender knows that these messages were not
    begun."""
    r = receiver(discovery(), "1")
    s = r.sender()
    r.process.terminate()
    reason = s.read_kind(frames.GOODBYE)
    for sequence in range(1, 4):
        assert s.ask(sequence).outcome == frames.BUSY
    s.write(frames.GOODBYE, reason)
    with pytest.raises(frames.Closed):
        s.read()
    assert r.process.wait(60) == 0
    r.process = None


def test_a_stop_does_not_wait_for_ever(discovery, receiver):
    """A sender that does not answer does not delay the stop for ever."""
    r = receiver(discovery(), "1")
    s = r.sender()
    r.process.terminate()
    s.read_kind(frames.GOODBYE)
    assert r.process.wait(60) == 0
    r.process = None


def test_a_stop_with_connections_that_nobody_accepts(discovery, receiver):
    """The connections come together with the signal and stay in the backlog. They must not keep the receiver from
    ending."""
    r = receiver(discovery(), "1")
    r.process.send_signal(signal.SIGSTOP)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for s in waiting:
        s.connect(str(r.socket))
    r.process.terminate()
    r.process.send_signal(signal.SIGCONT)
    assert r.process.wait(10) == 0
    r.process = None


WAITS = "echo run$ACKGROUP_POSSIBLE_DUPLICATE >>$D/runs.$ACKGROUP_RECEIVER_NAME; while ! test -e $D/go; do sleep 0.02; done"


def test_how_long_a_stop_waits_for_handlers(discovery, receiver, client, tmp_path):
    """One handler may finish. The other one is killed; its message comes again and is marked as a possible
    duplicate."""
    d = discovery()
    command = script(tmp_path, WAITS)
    patient = receiver(d, "patient", "--stop-timeout", "infinity", command=command)
    short = receiver(d, "short", "--stop-timeout", "100ms", command=command)
    c = client(d)
    finished, cut_off = c.send("to", "patient", "x"), c.send("to", "short", "x")
    for name in "patient", "short":
        wait_until(lambda: lines(tmp_path / f"runs.{name}"), "the handlers run")
    patient.process.terminate()
    short.process.terminate()
    assert short.process.wait(60) == 0
    assert "its handler has not finished in time" in short.read_log()
    assert patient.process.poll() is None and c.state(finished) == "sent"
    (tmp_path / "go").touch()
    assert c.wait(finished)["attempts"] == 1
    assert patient.process.wait(60) == 0
    patient.process = None
    short.start()
    assert c.wait(cut_off)["state"] == "acked"
    assert lines(tmp_path / "runs.patient") == ["run"] and lines(tmp_path / "runs.short") == ["run", "run1"]


def test_a_stop_while_an_outcome_cannot_be_written(discovery, receiver, tmp_path):
    """The log does not blame a handler. When the disk accepts the outcome, it is answered, and discovery is told as
    usual."""
    d = discovery()
    r = receiver(d, "r1", "--stop-timeout", "100ms", start=False, command=script(tmp_path, "head -c 60000 /dev/zero"))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # inherited: a write beyond the limit fails instead
    r.start()
    signal.signal(signal.SIGXFSZ, before)
    s = r.sender()
    assert s.ask(1).outcome == frames.ACKED
    limits = resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE, (16384, limits[1]))  # enough for the log only
    s.send(2)
    wait_until(lambda: "cannot record" in r.read_log(), "the record fails")
    r.process.terminate()
    wait_until(lambda: "in time" in r.read_log(), "the time of the stop is over")
    assert "A handler" not in r.read_log()
    resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE, limits)
    assert s.answer().outcome == frames.ACKED
    assert r.process.wait(60) == 0
    r.process = None
    assert d.ask("GET", "/v1/receivers")[1]["receivers"] == []


def test_how_long_a_stop_waits_is_read_again(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "echo run >>$D/runs; sleep 1000"), start=False)
    configuration = tmp_path / "conf"
    configuration.write_text("[Receiver]\nStopTimeoutSec=infinity\n")
    r.options = ["--config", configuration]
    r.start()
    r.sender().send(1)
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    configuration.write_text("[Receiver]\nStopTimeoutSec=0\n")
    r.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "Reloaded" in r.read_log(), "it has read that")
    assert r.end() == 0


def test_a_stop_asks_systemd_for_its_time(discovery, receiver, tmp_path):
    """It asks again and again while it stops. So TimeoutStopSec= of the unit does not depend on StopTimeoutSec=."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        r = receiver(discovery(), "1", "--stop-timeout", "infinity", command=script(tmp_path, WAITS), start=False)
        r.start(environment={"NOTIFY_SOCKET": path})
        s = r.sender()
        s.send(1)
        wait_until(lambda: lines(tmp_path / "runs.1"), "the handler runs")
        r.process.terminate()
        while notify.recv(4096) != b"STOPPING=1":
            pass
        for _ in range(2):
            while not notify.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC="):
                pass
        (tmp_path / "go").touch()
        assert s.answer().outcome == frames.ACKED
        assert r.process.wait(60) == 0
        r.process = None


def test_second_signal_ends_at_once(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "echo $$ >>$D/runs; sleep 1000"))
    r.sender().send(1)
    handler = wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")[0]
    r.process.send_signal(signal.SIGTERM)
    wait_until(lambda: signal_is_handled(r.process.pid), "the first is taken")
    r.process.send_signal(signal.SIGTERM)
    assert r.process.wait(60) == 1
    r.process = None
    wait_until(lambda: is_dead(handler), "the handler is dead")


def signal_is_handled(pid):
    """True when no signal is pending."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return all(int(line.split()[1], 16) == 0 for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd")))


def test_waits_for_discovery(discovery, receiver, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        d = discovery()
        d.end()
        r = receiver(d, start=False)
        r.start(wait=False, environment={"NOTIFY_SOCKET": path})
        said = []
        while not any("cannot be asked" in word for word in said):
            said.append(notify.recv(4096).decode())
        assert any(word.startswith("STATUS=Waiting for discovery") for word in said)
        assert any(word.startswith("EXTEND_TIMEOUT_USEC=") for word in said)
        assert not any("READY=1" in word for word in said)
        d.start()
        while "READY=1" not in said:
            said.append(notify.recv(4096).decode())
        assert r.sender().ask(1).outcome == frames.ACKED
        r.process.terminate()
        while "STOPPING=1" not in said:
            said.append(notify.recv(4096).decode())
        assert r.process.wait(60) == 0
        r.process = None


def test_known_receiver_serves_without_discovery(discovery, receiver):
    d = discovery()
    r = receiver(d)
    known = r.id
    r.end(kill=True)
    d.end()
    r.start(wait=False)
    wait_until(lambda: r.read_log().count("Listening on") == 2, "it listens again")
    assert Sender(r.socket, known).ask(1).outcome == frames.ACKED
    d.start()
    wait_until(lambda: r.read_log().count("Registered as") == 2, "it registers again")
    assert r.id == known


@pytest.mark.parametrize("kill", [False, True])
def test_restart_keeps_its_id(discovery, receiver, kill):
    r = receiver(discovery())
    first = r.id
    r.end(kill=kill)
    r.start()
    assert r.id == first


def test_registers_again_when_unknown(discovery, receiver):
    d = discovery("--lease", "1")
    r = receiver(d)
    first = r.id
    d.end()
    shutil.rmtree(d.directory / "state")
    d.start()
    wait_until(r.record, "it registers again")
    assert r.id == first
    wait_until(lambda: r.read_log().count("Registered as") == 2, "it says so")
    assert r.sender().ask(1).outcome == frames.ACKED


def test_discovery_comes_back(discovery, receiver):
    """It gives everybody one new lease. A living receiver asks again within that time, however long discovery was
    away."""
    d = discovery("--lease", "1")
    r = receiver(d)
    assert d.end() == 0  # its registry is on disk
    d.socket.unlink(missing_ok=True)
    refused = 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(d.socket))
        listener.listen()
        listener.settimeout(60)
        while refused < 10:
            listener.accept()[0].close()
            refused += 1
    d.start()
    wait_until(lambda: "Discovery answers again" in r.read_log() or "is gone" in d.read_log(), "it is heard of")
    assert "is gone" not in d.read_log() and "does not know this receiver" not in r.read_log()


def test_copied_state_takes_a_fresh_id(discovery, receiver):
    d = discovery("--lease", "1")
    one = receiver(d, "one")
    s = one.sender()
    message = s.ask(1).message
    two = receiver(d, "two", start=False)
    shutil.copytree(one.state, two.state)
    two.start()
    assert two.id != one.id
    assert "taking a new id" in two.read_log() and "taking a new id" not in one.read_log()
    # The new receiver knows nothing of the messages to the other one.
    t = two.sender(stream=s.stream)
    assert t.ask(1).outcome == frames.ACKED
    assert s.ask(1, message=message, attempt=2).outcome == frames.ACKED


def move_lock(r):
    """Replaces the lock file, as another boot or a restored state directory does. It proves nothing about the previous
    instance."""
    lock = r.state / "receiver.db.lock"
    shutil.copy(lock, r.state / "new")
    (r.state / "new").replace(lock)


def dispute(r):
    """The receiver has died, and its next instance cannot prove that."""
    r.end(kill=True)
    move_lock(r)
    r.start(wait=False)
    wait_until(lambda: "alive at another instance" in r.read_log(r.log_start), "its id is in dispute")


def assert_still_the_same(r, first, s, message):
    assert r.id == first
    assert "taking a new id" not in r.read_log()
    assert Sender(r.socket, first, stream=s.stream).ask(1, message=message, duplicate=True).outcome == frames.ACKED


def test_a_dispute_over_a_restart_of_discovery(discovery, receiver, tmp_path):
    """The restart gives the dead instance a new lease. This does not prove a copy, because nobody has been heard."""
    d = discovery("--lease", "2")
    r = receiver(d, command=script(tmp_path, "echo run >>$D/runs"))
    first, s = r.id, r.sender()
    message = s.ask(1).message
    dispute(r)
    d.end()
    wait_until(lambda: "cannot be asked" in r.read_log(r.log_start), "it asks in vain")
    d.start()
    assert_still_the_same(r, first, s, message)
    assert lines(tmp_path / "runs") == ["run"]


def test_a_dispute_with_a_discovery_that_was_held_up(discovery, receiver, tmp_path):
    d = discovery("--lease", "2")
    r = receiver(d, command=script(tmp_path, "echo run >>$D/runs"))
    first, s = r.id, r.sender()
    message = s.ask(1).message
    dispute(r)
    d.process.send_signal(signal.SIGSTOP)
    time.sleep(4)  # longer than a lease
    d.process.send_signal(signal.SIGCONT)
    assert_still_the_same(r, first, s, message)
    assert "every lease is fresh" in d.read_log()
    assert lines(tmp_path / "runs") == ["run"]


class LosesAnswers(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A proxy of discovery. It loses the answers to the next `lose` accepted registrations."""

    def __init__(self, path, discovery):
        super().__init__(str(path), self.Handler)
        self.discovery, self.lose = discovery, 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            status, answer, _ = self.server.discovery.ask(self.command, self.path, token=token, raw=body or None)
            if self.path == "/v1/receivers" and status in (200, 201) and self.server.lose > 0:
                self.server.lose -= 1
                return
            data = json.dumps(answer).encode() if answer else b""
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = handle_any


def test_answers_to_registrations_that_are_lost(discovery, receiver, tmp_path):
    """Discovery has forgotten the receiver and gives it another token, but that answer is lost. So the receiver is in
    dispute with itself."""
    d = discovery("--lease", "1")
    with LosesAnswers(tmp_path / "lossy.sock", d) as lossy:
        r = receiver(d, "r1", "--discovery", f"unix:{tmp_path}/lossy.sock")
        first, s = r.id, r.sender()
        message = s.ask(1).message
        r.end(kill=True)
        d.end()
        shutil.rmtree(d.directory / "state")
        d.start()
        lossy.lose = 2
        r.start()
        assert lossy.lose == 0
        assert_still_the_same(r, first, s, message)
        assert r.end() == 0
        lossy.shutdown()


def test_name_is_taken(discovery, receiver):
    d = discovery()
    one = receiver(d, "one", "--name", "same", start=False)
    one.start(wait=False)
    wait_until(lambda: "Registered as same" in one.read_log(), "the first has the name")
    two = receiver(d, "two", "--name", "same", start=False)
    two.start(wait=False)
    wait_until(lambda: "the name same is taken" in two.read_log(), "it says so")


def test_second_on_the_same_state_waits(discovery, receiver):
    r = receiver(discovery())
    second = receiver(r.discovery, "r2", start=False)
    second.state = r.state
    second.start(wait=False)
    first = r.id
    r.end()
    assert wait_until(lambda: second.record(), "it takes over")["id"] == first


def test_warden(discovery, receiver):
    """The warden holds the lock, its two sockets and the log, but no socket that listens. It ignores the signals that
    end a unit, and ends with its receiver."""
    r = receiver(discovery())
    children = pathlib.Path(f"/proc/{r.process.pid}/task/{r.process.pid}/children").read_text().split()
    warden = next(c for c in children if pathlib.Path(f"/proc/{c}/comm").read_text() == "ackgroup-warden\n")
    held = sorted(os.readlink(p).split(":")[0] for p in pathlib.Path(f"/proc/{warden}/fd").iterdir())
    assert held == sorted(["/dev/null", "/dev/null", str(r.directory / "log"), str(r.state / "receiver.db.lock"), "socket",
                           "socket", "anon_inode", f"/proc/{warden}/task/{warden}/children"])
    os.kill(int(warden), signal.SIGTERM)
    os.kill(int(warden), signal.SIGINT)
    assert r.sender().ask(1).outcome == frames.ACKED
    assert not is_dead(warden)
    assert r.end() == 0
    assert is_dead(warden)


def test_without_its_warden_it_ends(discovery, receiver):
    r = receiver(discovery())
    children = pathlib.Path(f"/proc/{r.process.pid}/task/{r.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert r.process.wait(60) == 1
    r.process = None


def test_sockets_from_systemd(discovery, receiver, tmp_path):
    path = tmp_path / "passed.sock"
    r = receiver(discovery(), start=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        r.prefix = ["bash", "-c", f"exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "bash"]
        r.start()
    assert r.record()["addresses"] == [f"unix:{path}", f"unix:{r.socket}"]
    assert Sender(path, r.id).ask(1).outcome == frames.ACKED
    assert r.end() == 0
    assert path.exists() and not r.socket.exists()


@pytest.mark.parametrize("options, words", [
    (["--concurrency", "0"], "--concurrency"),
    (["--name", "two words"], "is not a valid name"),
    (["--label", "x"], "x"),
    (["--listen", "tcp:0.0.0.0:0"], "AllowInsecure"),
    (["--failure-probability", "2"], "--failure-probability"),
    (["--stop-timeout", "soon"], "--stop-timeout"),
    (["--", "/no/such/handler"], "/no/such/handler"),
])
def test_bad_options(discovery, receiver, options, words):
    r = receiver(discovery(), start=False)
    r.options = options
    r.start(wait=False)
    assert r.process.wait(60) in (1, 78)  # 78 (EX_CONFIG): the unit does not try again
    r.process = None
    assert words in r.read_log()
