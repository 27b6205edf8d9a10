# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk submission: the socket of OpenStream."""

import os
import struct
import threading
import uuid

import pytest

from actor import Actor
from bulk import open_stream, subscribe, unsubscribe
from client import Failed
from conftest import lines, resident, script, wait_until
from frames import Closed, FAILED, MAGIC, PING, frame

ACKED, REJECTED, CANCELLED, DEAD = 1, 2, 3, 4


def test_accept_settle_reply(discovery, receiver, client, tmp_path):
    """Acceptance comes before the end. Each submission is an ordinary message, and the program gets the reply."""
    d = discovery()
    receiver(d, "1", "--concurrency", "4", command=script(tmp_path, 'text=$(cat); echo "$text" >>$D/runs; echo "re $text"'))
    c = client(d, "--ack-timeout", "20s")
    s = open_stream(c)
    numbers = [s.submit(f"m{n}".encode()) for n in range(50)]
    assert numbers == list(range(1, 51))
    for n in numbers:
        end = s.end_of(n)
        assert (end.end, end.attempts, end.data) == (ACKED, 1, f"re m{n - 1}\n".encode())
    assert sorted(lines(tmp_path / "runs")) == sorted(f"m{n}" for n in range(50))
    assert c.state(s.ids[7]) == "acked" and c.properties()["Waiting"] == 0
    assert {row[0] for row in c.messages()[0]} == set(s.ids.values())
    s.finish()


def test_every_end(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, 'case $(cat) in bad) echo "error no good" >&3; exit 65;; fail) exit 1;; esac'))
    c = client(d, "--backoff", "0", "--ack-timeout", "20s")
    s = open_stream(c, mode="to", target="1", max_attempts=2)
    bad, fail, good = s.submit(b"bad"), s.submit(b"fail"), s.submit(b"good")
    assert s.end_of(bad)[1:] == (1, REJECTED, b"no good")
    assert s.end_of(fail)[1:] == (2, DEAD, b"handler exited with status 1")
    assert s.end_of(good)[1:] == (1, ACKED, b"")
    other = open_stream(c, target="nobody")
    number = other.submit(b"x")
    other.take_until(lambda: number in other.ids)
    c.call("Cancel", "s", other.ids[number])
    assert other.end_of(number).end == CANCELLED


def test_acceptance_only(discovery, client):
    """A program that does not ask for ends is done when everything is on disk."""
    c = client(discovery())
    s = open_stream(c, settlements=False)
    for n in range(6000):  # more than the credit
        s.submit(b"x")
        if n % 1000 == 0:
            s.take_until(lambda: len(s.ids) > n - 500)
    s.finish()
    assert len(s.ids) == 6000 and not s.ends
    assert c.properties()["Waiting"] == 6000
    c.end(kill=True)
    c.start(wait_until)
    assert c.properties()["Waiting"] == 6000


def test_refused(discovery, client):
    """One submission is refused, its neighbours are not. The reason is the error name of D-Bus."""
    c = client(discovery(), "--outbox-limit", "3", "--max-payload", "1000")
    s = open_stream(c)
    numbers = [s.submit(payload) for payload in (b"a", b"b" * 1001, b"c", b"d" * 1000, b"e")]
    s.take_until(lambda: len(s.ids) + len(s.refused) == 5)
    assert sorted(s.ids) == [numbers[0], numbers[2], numbers[3]]
    assert s.refused[2].reason == "PayloadTooLarge" and "MaxPayload=" in s.refused[2].text
    assert s.refused[5].reason == "OutboxFull" and "OutboxLimit=" in s.refused[5].text
    c.call("Cancel", "s", s.ids[1])
    assert s.end_of(1).end == CANCELLED
    again = s.submit(b"e")
    s.take_until(lambda: again in s.ids)


def test_refused_by_who_is_not_there(discovery, client):
    c = client(discovery())
    for options, reason in (({"mode": "to", "target": "nobody"}, "NoSuchReceiver"), ({"mode": "all"}, "NoSuchReceiver"),
                            ({"mode": "quorum", "quorum": 2}, "NoSuchReceiver"), ({"mode": "key"}, "InvalidArgument")):
        s = open_stream(c, **options)
        s.submit(b"x")
        s.take_until(lambda: s.refused)
        assert s.refused[1].reason == reason
        s.finish()


@pytest.mark.parametrize("options, words", [({"mode": "some"}, "Unknown mode"), ({"priority": 10}, "priority: from 0 to 9"),
                                            ({"label": ["="]}, "label"), ({"target": "a b"}, "name of a group"),
                                            ({"idempotency_key": "one"}, "each message of a stream")])
def test_bad_options(discovery, client, options, words):
    with pytest.raises(Failed, match=words) as failed:
        open_stream(client(discovery()), **options)
    assert "InvalidArgument" in str(failed.value)


def test_key_order(discovery, receiver, client, tmp_path):
    d = discovery()
    for n in "12":
        receiver(d, n, "--concurrency", "8", command=script(tmp_path, 'cat >>$D/runs-$ACKGROUP_RECEIVER_NAME; sleep 0.01'))
    c = client(d)
    s = open_stream(c, mode="key")
    for n in range(60):
        s.submit(f"k{n % 4} {n}\n".encode(), key=f"k{n % 4}".encode())
    for n in range(1, 61):
        assert s.end_of(n).end == ACKED
    runs = [[line.split() for line in lines(tmp_path / f"runs-{n}")] for n in "12"]
    for key in ("k0", "k1", "k2", "k3"):
        own = [[int(n) for k, n in place if k == key] for place in runs]
        assert sorted(map(len, own)) == [0, 15] and all(numbers == sorted(numbers) for numbers in own)


def test_more_keys_than_a_stream_has_room_for(discovery, receiver, client, tmp_path):
    """The messages wait for a receiver, then for room, and none is forgotten. Messages for a group without receivers
    delay nobody."""
    d = discovery()
    c = client(d)
    nobody, s = open_stream(c, mode="key", target="nobody", settlements=False), open_stream(c, mode="key", target="some")
    for n in range(3000):
        nobody.submit(b"x", key=b"%d" % n)
        s.submit(b"x", key=b"%d" % n)
    s.take_until(lambda: len(s.ids) == 3000)
    receiver(d, "1", "--group", "some", "--queue", "2000")
    s.take_until(lambda: len(s.ends) == 3000)
    assert {end.end for end in s.ends.values()} == {ACKED}
    nobody.finish()
    assert c.properties()["Waiting"] == 3000


def test_idempotency_key(discovery, receiver, client, tmp_path):
    """Two submissions with the same key are one message: also when it is already acked, from another program, or after
    a crash."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat >>$D/runs; echo done"))
    c = client(d)
    s = open_stream(c)
    first = s.submit(b"x", idempotency_key=b"one")
    assert s.end_of(first).data == b"done\n"
    second = s.submit(b"y", idempotency_key=b"one")
    assert s.end_of(second)[1:] == s.ends[first][1:] and s.ids[second] == s.ids[first]
    c.end(kill=True)
    c.start(wait_until)
    s = open_stream(c)
    third = s.submit(b"z", idempotency_key=b"one")
    assert s.end_of(third).data == b"done\n"
    assert (tmp_path / "runs").read_text() == "x"


def test_idempotency_key_of_what_is_under_way(discovery, client):
    """Only one submission gets the end of a message. A program that has dropped its socket may submit the key again."""
    c = client(discovery())
    s, other = open_stream(c), open_stream(c)
    s.submit(b"x", idempotency_key=b"one")
    s.take_until(lambda: s.ids)
    other.submit(b"x", idempotency_key=b"one")
    other.take_until(lambda: other.refused)
    assert other.refused[1].reason == "UnderWay"
    s.close()

    def taken_up():
        number = other.submit(b"x", idempotency_key=b"one")
        other.take_until(lambda: number in other.ids or number in other.refused)
        return number in other.ids and number
    number = wait_until(taken_up, "it is taken up")
    assert other.ids[number] == s.ids[1]
    c.call("Cancel", "s", s.ids[1])
    assert other.end_of(number).end == CANCELLED


def test_half_close(discovery, receiver, client, tmp_path):
    """Submissions before the half-close are accepted and settled; then the client hangs up."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "sleep 0.2"))
    c = client(d)
    s = open_stream(c)
    for _ in range(3):
        s.submit(b"x")
    s.finish()
    assert sorted(s.ends) == [1, 2, 3]


def test_a_program_that_goes(discovery, receiver, client, tmp_path):
    """Accepted messages are delivered after the program has gone."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "sleep 0.2; cat >>$D/runs"))
    c = client(d)
    s = open_stream(c)
    for n in range(5):
        s.submit(b"x")
    s.take_until(lambda: len(s.ids) == 5)
    s.close()
    for m in s.ids.values():
        assert c.wait(m)["state"] == "acked"
    assert (tmp_path / "runs").read_text() == "xxxxx"


def test_client_is_killed(discovery, receiver, client, tmp_path):
    """The socket ends. Accepted messages end without the program; the others are submitted again under their keys."""
    d = discovery()
    receiver(d, "1", "--concurrency", "4", command=script(tmp_path, 'echo "$(cat)" >>$D/runs'))
    c = client(d)
    s = open_stream(c)
    for n in range(200):
        s.submit(f"m{n}".encode(), idempotency_key=f"k{n}".encode())
    s.take_until(lambda: len(s.ids) > 20)
    c.end(kill=True)
    with pytest.raises(Closed):
        while True:
            s.take()
    accepted = dict(s.ids)
    c.start(wait_until)
    s = open_stream(c)
    for n in range(200):
        s.submit(f"m{n}".encode(), idempotency_key=f"k{n}".encode())
    for n in range(1, 201):
        assert s.end_of(n).end == ACKED
    assert all(s.ids[n] == m for n, m in accepted.items())
    assert sorted(lines(tmp_path / "runs")) == sorted(f"m{n}" for n in range(200))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), frame(PING, b"12345678"), frame(0x81),
                                  MAGIC + struct.pack(">II", 6 << 24, 0xffffffff), frame(6), frame(6, b"\xff\xff")],
                         ids=["text", "bytes", "PING", "WELCOME", "huge", "nothing", "attributes"])
def test_garbage(discovery, client, data):
    """The program gets the answers to its earlier submissions, then an error, and the client hangs up. Nobody else is
    affected."""
    c = client(discovery())
    good, s = open_stream(c), open_stream(c)
    s.submit(b"before")
    s.sock.sendall(data)
    with pytest.raises(Closed, match="^(?!end of stream)"):
        while True:
            s.take()
    assert 1 in s.ids
    with pytest.raises(Closed, match="end of stream"):
        s.take()
    good.submit(b"x")
    good.take_until(lambda: good.ids)
    assert c.properties()["Waiting"] == 2


@pytest.mark.parametrize("attributes", [b"\x01", b"\x01\x00\x05abc", b"\x02\x00\x00", b"\x02\x00\xc9" + b"k" * 201,
                                        b"\x02\x00\x02a\x00"])
def test_bad_attributes(discovery, client, attributes):
    """A mistake in one submission refuses only this one."""
    s = open_stream(client(discovery()))
    s.submit(b"x", attributes=attributes)
    s.submit(b"y", attributes=b"\xee\x00\x03abc")  # an unknown one is passed over
    s.take_until(lambda: s.refused and s.ids)
    assert s.refused[1].reason == "InvalidArgument" and s.refused[1].text and 2 in s.ids


def test_cut_off_frame(discovery, client):
    s = open_stream(client(discovery()))
    s.sock.sendall(frame(6, b"\x00\x00payload")[:-3])
    s.sock.shutdown(1)
    with pytest.raises(Closed, match="cut off"):
        s.take()


def test_a_program_that_does_not_read(discovery, receiver, client, tmp_path):
    """The client reads its socket only up to its credit and serves others. When the program reads at last, nothing is
    missing."""
    d = discovery()
    receiver(d, "1", "--concurrency", "8", "--queue", "1000")
    c = client(d)
    s, other = open_stream(c), open_stream(c)
    s.sock.settimeout(5)
    n = 0
    try:
        while n < 100_000:
            s.submit(b"x" * 100)
            n += 1
    except TimeoutError:
        pass
    assert n < 100_000, "it is read for ever"
    other.submit(b"x")
    assert other.end_of(1).end == ACKED
    s.sock.settimeout(60)
    s.take_until(lambda: len(s.ends) >= 4096)
    assert sorted(s.ids)[:4096] == list(range(1, 4097)) and len(set(s.ids.values())) == len(s.ids)


def test_memory_of_large_ones(discovery, client, bus):
    """The bytes on their way to the disk are limited, and the memory is returned."""
    # A sanitizer is not to keep what was freed.
    bus.environment["ASAN_OPTIONS"] = f"{bus.environment.get('ASAN_OPTIONS', '')}:quarantine_size_mb=8"
    c = client(discovery())
    before = resident(c.process)
    s = open_stream(c, target="nobody", settlements=False)
    feeder = threading.Thread(target=lambda: [s.submit(b"x" * (1 << 20)) for _ in range(300)])
    feeder.start()
    s.take_until(lambda: len(s.ids) == 300)
    feeder.join()
    assert resident(c.process, "VmHWM") - before < 120_000  # kB: a few batches of 16 MiB, and their copies for the disk
    assert resident(c.process) - before < 60_000


def test_memory_of_many_keys(discovery, client, bus):
    """Each key has a queue. The payloads in all these queues together do not stay in memory."""
    bus.environment["ASAN_OPTIONS"] = f"{bus.environment.get('ASAN_OPTIONS', '')}:quarantine_size_mb=8"
    c = client(discovery())
    s = open_stream(c, mode="key", target="nobody", settlements=False)
    feeder = threading.Thread(target=lambda: [s.submit(b"x" * 4000, key=b"%d" % n) for n in range(20000)])
    feeder.start()
    s.take_until(lambda: len(s.ids) >= 10000)
    before = resident(c.process)
    s.take_until(lambda: len(s.ids) == 20000)
    feeder.join()
    assert resident(c.process) - before < 30_000  # kB; their payloads are 40 MB


def test_one_that_fails_for_ever(discovery, client, tmp_path):
    """It delays nobody: neither messages for the same receiver, beyond the window, nor, when there is a second
    receiver, messages for any."""
    def fail_poison(connection, message):
        Actor.answer(connection, message, FAILED if message.endswith(b"poison") else ACKED)

    d = discovery()
    with Actor(tmp_path, d, on_message=fail_poison) as actor:
        actor.register("r")
        c = client(d, "--backoff", "100ms", "--backoff-max", "200ms")
        poison = [c.send("to", "r", "poison") for _ in range(3)]
        s, t = open_stream(c, mode="to", target="r"), open_stream(c)
        s.submit_at_once(b"x", 3000)
        s.take_until(lambda: len(s.ends) == 3000)
        t.submit_at_once(b"x", 3000)
        t.take_until(lambda: len(t.ends) == 3000)
        # The stream that they kept open is closed, too.
        assert {c.state(m) for m in poison} <= {"waiting", "bound", "sent"}
        for m in poison:
            c.call("Cancel", "s", m)
        wait_until(lambda: any(flags == 1 for _, flags, _ in actor.settled), "it is closed")


def test_replies_that_nobody_reads(discovery, client, tmp_path):
    """They do not fill the client's memory: the client cuts off the program, and its messages end."""
    d = discovery()
    c = client(d, "--ack-timeout", "20s")

    def reply(connection, message):
        Actor.answer(connection, message, 1, bytes(65536))
    with Actor(tmp_path, d, on_message=reply) as actor:
        actor.register("talkative")
        s = open_stream(c)
        s.submit_at_once(b"x", 800)
        wait_until(lambda: c.properties()["Settled"] == 800, "all are acked")
        with pytest.raises(Closed, match="end of stream"):
            s.take_until(lambda: len(s.ends) == 800)


def test_too_many(discovery, client):
    c = client(discovery())
    held = [open_stream(c) for _ in range(256)]
    with pytest.raises(Failed, match="LimitExceeded"):
        open_stream(c)
    held[0].close()

    def freed():
        try:
            return open_stream(c)
        except Failed:
            return None
    assert wait_until(freed, "there is room again")


def test_signals(discovery, receiver, client, bus):
    """Quiet unless asked for."""
    d = discovery()
    receiver(d, "1")
    c = client(d)
    monitor = bus.busctl("monitor", "--match", "type='signal',member='MessageEvent'", start=True)
    subscription = subscribe(c)
    try:
        quiet, loud = open_stream(c), open_stream(c, signals=True)
        os.set_blocking(monitor.stdout.fileno(), False)
        text = ""
        number = 0
        while loud.ids.get(number, "none") not in text:  # until the monitor listens
            quiet.end_of(quiet.submit(b"q"))
            number = loud.submit(b"l")
            loud.end_of(number)
            try:
                text += os.read(monitor.stdout.fileno(), 1 << 20).decode()
            except BlockingIOError:
                pass
        assert not any(m in text for m in quiet.ids.values())
    finally:
        unsubscribe(subscription)
        monitor.kill()
        monitor.wait()
        monitor.stdout.close()
        monitor.stderr.close()


def test_stop_of_the_client(discovery, client):
    c = client(discovery())
    s = open_stream(c)
    s.submit(b"x")
    s.take_until(lambda: s.ids)
    assert c.end() == 0
    with pytest.raises(Closed):
        s.take()
    assert uuid.UUID(s.ids[1])
