# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackgroup-receiver as its senders see it, by the contract in docs/PROTOCOL.md."""

import os
import re
import resource
import signal
import socket
import uuid

import pytest

import frames
from conftest import is_dead, lines, resident, script, wait_until
from frames import Closed, Sender


def test_hello(discovery, receiver):
    r = receiver(discovery())
    s = r.sender()
    assert uuid.UUID(bytes=s.welcome.receiver) == uuid.UUID(r.id)
    assert s.welcome.credit == 65 and s.welcome.window == 1024 and s.welcome.name == "r1"
    with pytest.raises(Closed, match="this receiver is"):
        Sender(r.socket, str(uuid.uuid4()))
    s.write(frames.PING, b"12345678")
    assert s.read_kind(frames.PONG) == b"12345678"


def test_no_message_before_hello(discovery, receiver):
    r = receiver(discovery())
    s = Sender(r.socket, hello=False)
    s.send(1, b"x")
    assert s.read()[0] == frames.ERROR
    with pytest.raises(Closed):
        s.read()


def test_built_in_handler(discovery, receiver):
    r = receiver(discovery())
    assert r.sender().ask(1, b"good morning").outcome == frames.ACKED
    assert "good morning" in r.read_log()


def test_reply_and_duplicate(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, 'echo run >>$D/runs; echo "got $(cat)"'))
    s = r.sender()
    first = s.ask(1, b"a")
    assert first.outcome == frames.ACKED and first.data == b"got a\n"
    again = s.ask(1, b"a", message=first.message, attempt=2)
    assert again.outcome == frames.ACKED and again.data == first.data and again.attempt == 2
    assert s.ask(1, b"b").outcome == frames.CONFLICT
    assert r.end(kill=True) is not None
    r.start()
    again = r.sender(stream=s.stream).ask(1, b"a", message=first.message, attempt=2)
    assert again.outcome == frames.ACKED and again.data == first.data
    assert lines(tmp_path / "runs") == ["run"]


def test_environment(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "env | grep ^ACKGROUP_ | sort; env | grep -c NOTIFY_SOCKET"
                                             "; test -n \"$HOME\" && true"))
    s = r.sender()
    a = s.ask(7, attempt=3)
    said = dict(line.split("=", 1) for line in a.data.decode().splitlines() if "=" in line)
    assert said.pop("ACKGROUP_MESSAGE") == str(uuid.UUID(bytes=a.message))
    assert said.pop("ACKGROUP_STREAM") == str(uuid.UUID(bytes=s.stream))
    assert said.pop("ACKGROUP_SENDER") == str(uuid.UUID(bytes=b"S" * 16))
    assert said == {"ACKGROUP_SENDER_NAME": "host", "ACKGROUP_SEQUENCE": "7", "ACKGROUP_REPORT_FD": "3", "ACKGROUP_ATTEMPT": "3",
                    "ACKGROUP_RECEIVER": r.id, "ACKGROUP_RECEIVER_NAME": "r1"}


def test_failed_then_higher_attempt(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "echo run >>$D/runs; test $ACKGROUP_ATTEMPT -ge 2 || exit 3"))
    s = r.sender()
    a = s.ask(1)
    assert a.outcome == frames.FAILED and a.data == b"handler exited with status 3"
    assert s.ask(1, message=a.message).outcome == frames.FAILED  # the same attempt: from the record
    assert lines(tmp_path / "runs") == ["run"]
    assert s.ask(1, message=a.message, attempt=2).outcome == frames.ACKED
    assert lines(tmp_path / "runs") == ["run", "run"]


def test_time_limit_and_signal(discovery, receiver, tmp_path):
    r = receiver(discovery(), "r1", "--handler-timeout", "300ms",
                 command=script(tmp_path, "test $ACKGROUP_SEQUENCE = 1 && kill -9 $$; sleep 100"))
    s = r.sender()
    assert s.ask(1).data == b"handler killed by signal 9"
    assert s.ask(2).data == b"time limit of 300ms"


@pytest.mark.parametrize("flag", [False, True])
def test_killed_while_the_handler_runs(discovery, receiver, tmp_path, flag):
    """The whole process group of the handler is dead before the next instance begins. The attempt has failed. Only the
    sender sets the duplicate flag."""
    r = receiver(discovery(), command=script(
        tmp_path, 'echo "$$ ${ACKGROUP_POSSIBLE_DUPLICATE:-no}" >>$D/runs\n'
        'test -e $D/go && exit 0\nsleep 1000 & echo $! >$D/grandchild; wait'))
    s = r.sender()
    message = s.send(1)
    grandchild = wait_until(lambda: lines(tmp_path / "grandchild"), "the handler runs")[0]
    first = lines(tmp_path / "runs")[0].split()[0]
    r.end(kill=True)
    (tmp_path / "go").touch()
    r.start()
    assert is_dead(first)
    wait_until(lambda: is_dead(grandchild), "the rest of its group is dead")  # it has been killed: that takes a moment
    s = r.sender(stream=s.stream)
    death = s.ask(1, message=message, duplicate=flag)
    assert (death.outcome, death.data) == (frames.FAILED, b"the receiver died while running this (1 time)")
    assert s.ask(1, message=message, duplicate=flag, attempt=2).outcome == frames.ACKED
    assert [line.split()[1] for line in lines(tmp_path / "runs")] == ["no", "1" if flag else "no"]


def test_killed_while_two_handlers_run(discovery, receiver, tmp_path):
    """Nobody knows whose fault it was, so each runs alone when it comes again."""
    r = receiver(discovery(), "r1", "--concurrency", "2", command=script(
        tmp_path, 'echo "begin $ACKGROUP_SEQUENCE" >>$D/runs\n'
        'test -e $D/go || exec sleep 1000\nsleep 0.1; echo "end $ACKGROUP_SEQUENCE" >>$D/runs'))
    s = r.sender()
    messages = [s.send(1), s.send(2)]
    wait_until(lambda: len(lines(tmp_path / "runs")) == 2, "both handlers run")
    r.end(kill=True)
    (tmp_path / "runs").unlink()
    (tmp_path / "go").touch()
    r.start()
    s = r.sender(stream=s.stream)
    for sequence, message in enumerate(messages, 1):
        s.send(sequence, message=message, duplicate=True)
    assert [s.answer().outcome, s.answer().outcome] == [frames.ACKED, frames.ACKED]
    assert lines(tmp_path / "runs") == ["begin 1", "end 1", "begin 2", "end 2"]


def test_nobody_waits_behind_a_suspect(discovery, receiver, tmp_path):
    """What has to wait until a message that runs alone has ended goes back to its sender, and nothing new is taken."""
    r = receiver(discovery(), "r1", "--concurrency", "2", "--queue", "8", command=script(
        tmp_path, 'echo "begin $ACKGROUP_SEQUENCE" >>$D/runs\nwhile ! test -e $D/go; do sleep 0.02; done'))
    s = r.sender()
    messages = [s.send(1), s.send(2)]
    wait_until(lambda: len(lines(tmp_path / "runs")) == 2, "both handlers run")
    r.end(kill=True)
    r.start()
    s, other = r.sender(stream=s.stream), r.sender()
    s.send(1, message=messages[0])
    wait_until(lambda: len(lines(tmp_path / "runs")) == 3, "the first suspect runs")
    assert other.ask(1).outcome == frames.BUSY
    s.send(2, message=messages[1])
    assert other.ask(2).outcome == frames.BUSY
    (tmp_path / "go").touch()
    assert [s.answer()[1:6:4], s.answer()[1:6:4]] == [(1, frames.ACKED), (2, frames.ACKED)]
    assert other.ask(1).outcome == frames.ACKED


def test_connection_lost_before_the_answer(discovery, receiver, tmp_path):
    """The answer goes to the connection that asked last."""
    r = receiver(discovery(), command=script(
        tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done; echo done"))
    s = r.sender()
    message = s.send(1)
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    s.close()
    t = r.sender(stream=s.stream)
    t.send(1, message=message, duplicate=True)
    assert t.answer(working=True).outcome == frames.WORKING
    (tmp_path / "go").touch()
    a = t.answer()
    assert a.outcome == frames.ACKED and a.data == b"done\n"
    assert lines(tmp_path / "runs") == ["run"]


def test_killed_behind_the_record(discovery, receiver, tmp_path):
    """The outcome was recorded but never answered. The next instance answers without a new run."""
    r = receiver(discovery(), "r1", "--failure-probability", "1", command=script(tmp_path, "echo run >>$D/runs"))
    s = r.sender()
    message = s.send(1)
    wait_until(lambda: "ack withheld" in r.read_log(), "the outcome is recorded")
    r.end(kill=True)
    r.options = ()
    r.start()
    assert r.sender(stream=s.stream).ask(1, message=message, duplicate=True).outcome == frames.ACKED
    assert lines(tmp_path / "runs") == ["run"]


def test_working_is_said(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "while ! test -e $D/go; do sleep 0.02; done"))
    s = r.sender()
    s.send(1)
    assert s.answer(working=True).outcome == frames.WORKING
    (tmp_path / "go").touch()
    assert s.answer().outcome == frames.ACKED


def test_settled(discovery, receiver):
    r = receiver(discovery())
    s = r.sender()
    messages = [s.ask(n).message for n in (1, 2, 3)]
    s.settle(2, (3, 3))
    assert s.ask(1, message=messages[0]).outcome == frames.SETTLED_ALREADY
    assert s.ask(2, message=messages[1]).outcome == frames.ACKED
    assert s.ask(3, message=messages[2]).outcome == frames.SETTLED_ALREADY
    assert r.end() == 0
    r.start()
    t = r.sender(stream=s.stream)
    assert t.ask(3, message=messages[2]).outcome == frames.SETTLED_ALREADY
    assert t.ask(2, message=messages[1]).outcome == frames.ACKED
    t.settle(4, closed=True)
    assert t.read_kind(frames.PRUNED) == s.stream
    t.settle(4, closed=True)  # sent again: the stream is unknown now, and this is confirmed too
    assert t.read_kind(frames.PRUNED) == s.stream


def test_closed_waits_for_what_runs(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "while ! test -e $D/go; do sleep 0.02; done"))
    s = r.sender()
    s.send(1)
    s.settle(2, closed=True)
    s.write(frames.PING, b"12345678")
    kinds = []
    while frames.PONG not in kinds:
        kinds.append(s.read()[0])
    assert frames.PRUNED not in kinds
    (tmp_path / "go").touch()
    assert s.answer().outcome == frames.ACKED
    assert s.read_kind(frames.PRUNED) == s.stream


def test_senders_that_never_come_back(discovery, receiver):
    """They leave more streams behind than the receiver remembers. A sender that is connected is served, also after a
    restart."""
    r = receiver(discovery())
    gone = r.sender()

    def leave_behind(n):
        for _ in range(n):
            gone.stream = os.urandom(16)
            gone.settle(2)
        gone.write(frames.PING, b"12345678")
        gone.read_kind(frames.PONG)

    leave_behind(4096)
    s = r.sender()
    assert s.ask(1).outcome == frames.BUSY  # that sender is connected and may continue any of them
    gone.close()
    wait_until(lambda: s.ask(1).outcome == frames.ACKED, "there is room again")
    gone = r.sender()
    leave_behind(10)
    r.end()
    r.start()
    s = r.sender()
    assert s.ask(1).outcome == frames.ACKED


def test_out_of_window(discovery, receiver):
    s = receiver(discovery()).sender()
    assert s.ask(1024).outcome == frames.ACKED
    s.send(1025)
    assert s.read()[0] == frames.ERROR


def test_cancel(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(
        tmp_path, "echo $ACKGROUP_SEQUENCE >>$D/runs; test $ACKGROUP_SEQUENCE = 1 && sleep 1000; exit 1"))
    s = r.sender()
    running = s.send(1)
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    queued = s.send(2)
    s.cancel(2, queued)
    a = s.answer()
    assert (a.sequence, a.outcome) == (2, frames.CANCELLED)
    s.cancel(1, running)
    a = s.answer()
    assert (a.sequence, a.outcome) == (1, frames.CANCELLED)
    assert s.ask(2, message=queued, attempt=2).outcome == frames.CANCELLED
    # One has failed, one was never received: neither runs if it still comes.
    failed = s.ask(3)
    assert failed.outcome == frames.FAILED
    unknown = uuid.uuid4().bytes
    for sequence, message in ((3, failed.message), (4, unknown)):
        s.cancel(sequence, message)
        assert s.answer().outcome == frames.CANCELLED
        assert s.ask(sequence, message=message, attempt=5).outcome == frames.CANCELLED
    s.cancel(4, uuid.uuid4().bytes)
    assert s.answer().outcome == frames.CONFLICT
    assert lines(tmp_path / "runs") == ["1", "3"]


def test_busy_and_credit(discovery, receiver, tmp_path):
    r = receiver(discovery(), "r1", "--concurrency", "2", "--queue", "1", command=script(
        tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    assert r.record()["capacity"] == 3
    a = r.sender()
    assert a.credit == 3
    b = r.sender()
    assert b.credit == 0  # all credit was granted already
    b.read_kind(frames.CREDIT)
    a.read_kind(frames.CREDIT)
    assert (a.credit, b.credit) == (2, 1)
    a.send(1), a.send(2)
    b.send(1)
    wait_until(lambda: len(lines(tmp_path / "runs")) == 2, "two run")
    busy = b.ask(2)
    assert busy.outcome == frames.BUSY and busy.delay > 0
    assert lines(tmp_path / "runs") == ["run"] * 2
    (tmp_path / "go").touch()
    assert {a.answer().sequence, a.answer().sequence} == {1, 2}
    assert b.answer().outcome == frames.ACKED
    assert b.ask(2).outcome == frames.ACKED
    a.close()
    b.read_kind(frames.CREDIT)
    assert b.credit == 3


def tcp_port(r):
    return next(int(a.rsplit(":", 1)[1]) for a in r.record()["addresses"] if a.startswith("tcp:"))


def talk(port, text, half_close=False):
    """Does what a program of the seed does: connects, writes, waits for a few bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        s.sendall(text)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        return s.recv(1024)


def test_plain_text(discovery, receiver, tmp_path):
    r = receiver(discovery(), "r1", "--plain-text", "--listen", "tcp:127.0.0.1:0", command=script(tmp_path, "cat >>$D/got; grep -q fine $D/got"))
    port = tcp_port(r)
    assert talk(port, b"bad\n") == b""
    assert talk(port, b"fine") == b"ACK"
    assert talk(port, b"half", half_close=True) == b"ACK"
    assert (tmp_path / "got").read_text() == "bad\nfinehalf"
    assert Sender(("127.0.0.1", port), r.id).ask(1).outcome == frames.ACKED


def test_plain_text_is_off(discovery, receiver):
    r = receiver(discovery(), "r1", "--listen", "tcp:127.0.0.1:0")
    assert b"no plain text" in talk(tcp_port(r), b"hello")


def test_failure_injection(discovery, receiver, tmp_path):
    r = receiver(discovery(), "r1", "--failure-probability", "100%", "--plain-text", "--listen", "tcp:127.0.0.1:0",
                 command=script(tmp_path, "echo run >>$D/runs"))
    s = r.sender()
    for attempt in (1, 2):
        s.send(1, message=b"m" * 16, attempt=attempt)
        wait_until(lambda: r.read_log().count("withheld on purpose") == attempt, "the ack is withheld")
    assert lines(tmp_path / "runs") == ["run"]
    assert talk(tcp_port(r), b"text") == b""
    assert lines(tmp_path / "runs") == ["run", "run"]
    arrived, withheld = re.findall(r"Message (\S+) from a sender of plain text|Message (\S+): ack withheld", r.read_log())[-2:]
    assert arrived[0] == withheld[1] and "00000000-0000" not in withheld[1]


def test_large_payload_and_reply(discovery, receiver, tmp_path):
    r = receiver(discovery(), "r1", "--max-payload", "3M", command=script(tmp_path, "tee $D/got"))
    s = r.sender()
    payload = os.urandom(3 << 20)
    assert s.welcome.max_payload == len(payload)
    a = s.ask(1, payload)
    assert a.outcome == frames.ACKED and a.data == payload[:64 << 10]  # a longer reply is cut
    wait_until(lambda: f"{uuid.UUID(bytes=a.message)} is cut to 65536 bytes" in r.read_log(), "the log says so")
    assert (tmp_path / "got").read_bytes() == payload
    assert s.ask(1, payload, message=a.message, attempt=2).data == a.data
    with pytest.raises((Closed, ConnectionError)):
        s.send(2, payload + b"x" * (16 << 10))
        while s.read()[0] != frames.ERROR:
            pass
        s.read()


def test_out_of_descriptors(discovery, receiver, tmp_path):
    """A message that cannot be started is refused, and this does not count as an attempt. Running handlers go on, and
    later there is room again."""
    r = receiver(discovery(), "r1", "--concurrency", "40", start=False,
                 command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done"))
    r.prefix = ["prlimit", "--nofile=64:64"]  # the soft limit alone would be raised
    r.start()
    s = r.sender()
    for sequence in range(1, 41):
        s.send(sequence)
    refused = s.answer()
    assert refused.outcome == frames.BUSY
    (tmp_path / "go").touch()
    rest = [s.answer() for _ in range(39)]
    assert {a.outcome for a in rest} == {frames.ACKED, frames.BUSY}
    acked = [a.sequence for a in rest if a.outcome == frames.ACKED]
    assert len(lines(tmp_path / "runs")) == len(acked)
    assert s.ask(refused.sequence, message=refused.message).outcome == frames.ACKED
    assert r.read_log().count("Cannot run the handler") == 1


def test_peer_that_does_not_read(discovery, receiver, tmp_path):
    """Its answers wait, others are served, and a stop waits for it only for a limited time."""
    r = receiver(discovery(), command=script(tmp_path, "head -c 65536 /dev/zero"))
    s = r.sender()
    message = s.ask(1).message
    for _ in range(100):
        s.send(1, message=message, attempt=2)
    assert r.sender().ask(1).outcome == frames.ACKED
    assert r.end() == 0


def test_working_does_not_pile_up(discovery, receiver, tmp_path, monkeypatch):
    """For a peer that does not read, "working" answers do not pile up in memory: some 4.5 MB would come together."""
    # The address sanitizer keeps what was freed.
    keep_nothing = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    monkeypatch.setenv("ASAN_OPTIONS", f"{os.environ.get('ASAN_OPTIONS', '')}:{keep_nothing}")
    r = receiver(discovery(), "r1", "--concurrency", "201",
                 command=script(tmp_path, "echo >>$D/begun; exec sleep 600"))
    s = r.sender()
    s.send(1)
    deaf = r.sender()
    for sequence in range(1, 201):
        deaf.send(sequence, ack_timeout_ms=150)  # "working" comes each 50 ms
    wait_until(lambda: len(lines(tmp_path / "begun")) == 201, "all handlers run")
    assert s.answer(working=True).outcome == frames.WORKING
    before = resident(r.process)
    for _ in range(8):  # every sender gets an answer each time
        assert s.answer(working=True).outcome == frames.WORKING
    assert resident(r.process) - before < 3000
    r.end(kill=True)


def test_many_in_flight(discovery, receiver):
    r = receiver(discovery(), "r1", "--queue", "1000")
    senders = [r.sender() for _ in range(5)]
    for s in senders:
        for sequence in range(1, 101):
            s.send(sequence, b"x" * 100)
    for s in senders:
        assert {s.answer().sequence for _ in range(100)} == set(range(1, 101))


def test_record_cannot_be_written(discovery, receiver, tmp_path):
    """An outcome that is not on disk is neither answered nor forgotten. The handler does not run again."""
    r = receiver(discovery(), start=False, command=script(tmp_path, "echo run >>$D/runs"))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # inherited: a write beyond the limit fails instead
    r.start()
    signal.signal(signal.SIGXFSZ, before)
    s = r.sender()
    assert s.ask(1).outcome == frames.ACKED
    limits = resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE, (512, limits[1]))
    message = s.send(2)
    wait_until(lambda: "cannot record" in r.read_log(), "the record fails")
    resource.prlimit(r.process.pid, resource.RLIMIT_FSIZE, limits)
    assert s.answer().outcome == frames.ACKED
    assert s.ask(2, message=message, attempt=2).outcome == frames.ACKED
    assert lines(tmp_path / "runs") == ["run"] * 2
    assert s.ask(1).outcome == frames.CONFLICT
