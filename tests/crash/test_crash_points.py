# SPDX-License-Identifier: LGPL-2.1-or-later
"""A crash with loss of power at each named step. Accepted messages are acked. Each message runs once, or a second time
with the mark of a possible duplicate."""

import os
import pathlib
import re
import signal

import pytest

from client import Failed
from conftest import integration

wait_until, script, lines, BUILD = integration.wait_until, integration.script, integration.lines, integration.BUILD
SOURCE = pathlib.Path(__file__).parents[2] / "src"
MESSAGES = 6

# A handler that records what it has done before it ends: its message, its text, the mark of a possible duplicate.
LEDGER = """text=$(cat); echo "$ACKGROUP_MESSAGE $text ${ACKGROUP_POSSIBLE_DUPLICATE:-0}" >>$D/ledger"""


def points(*folders):
    found = {name for folder in folders for path in (SOURCE / folder).rglob("*.c")
             for name in re.findall(r'crash_point\("([a-z-]+)"\)', path.read_text())}
    assert found
    return sorted(found)


OF_MEMBERS = "members-before-change"  # has a test of its own
CLIENT = [point for point in points("client", "store") if point != OF_MEMBERS]
RECEIVER = points("receiver", "store")


def environment(directory, point, lies=False):
    return {"LD_PRELOAD": str(BUILD / "tests/crash/forget.so"), "FORGET_DIRECTORY": str(directory),
            "FORGET_LIES": "1" if lies else "0", "ACKGROUP_CRASH_AT": point}


def send_all(c):
    """Returns text by message of the accepted messages. The client may disappear meanwhile."""
    accepted = {}
    for n in range(MESSAGES):
        try:
            accepted[c.send("key" if n % 2 else "any", "", f"text-{n}", **({"key": "k"} if n % 2 else {}))] = f"text-{n}"
        except Failed:
            pass
    return accepted


def send_until_crash(c, process):
    """Repeats, because some steps come once a second, or with every other message only."""
    accepted = {}
    for _ in range(30):
        accepted.update(send_all(c))
        try:
            wait_until(lambda: process.poll() is not None, "a crash", seconds=0.7)
            break
        except AssertionError:
            pass
    return accepted


def check(tmp_path, c, accepted, crashes):
    for m in accepted:
        assert c.wait(m)["state"] == "acked", m
    runs = [line.split() for line in lines(tmp_path / "ledger")]
    # Includes messages whose acceptance nobody heard of. All that wait for the same commit are in the gap together.
    for m in {*accepted, *(message for message, _, _ in runs)}:
        mine = [told for message, _, told in runs if message == m]
        assert 1 <= len(mine) <= 1 + crashes, (m, runs)
        assert all(told == "1" for told in mine[1:]), (m, runs)
    assert all(content == accepted.get(message, content) for message, content, _ in runs)
    assert c.properties()["Waiting"] == 0


def ended_by_crash(process):
    wait_until(lambda: process.poll() is not None, "the step is reached")
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("time", [1, 3])
@pytest.mark.parametrize("point", CLIENT)
def test_client(discovery, receiver, client, tmp_path, point, time):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, LEDGER))
    c = client(d, start=False)
    normal = c.bus.environment
    c.bus.environment = {**normal, **environment(c.directory, f"{point}:{time}")}
    c.start()
    process = c.process
    c.bus.environment = normal
    accepted = {}
    try:
        wait_until(lambda: process.poll() is not None or c.is_there(), "the client is there, or has crashed")
        accepted = send_until_crash(c, process)
    except AssertionError:
        pass  # it went before it had its name
    ended_by_crash(process)
    c.process = None
    c.start(wait_until)
    accepted.update(send_all(c))
    # Messages whose acceptance nobody heard of end, too.
    wait_until(lambda: c.properties()["Waiting"] == 0, "everything is done")
    check(tmp_path, c, accepted, crashes=1)


# Steps of the identity come once in the life of a receiver; the end of a stream comes once in the life of a client.
@pytest.mark.parametrize("point, time", [(point, time) for point in RECEIVER for time in (1, 3)
                                         if time == 1 or not re.search("identity|forgotten", point)])
def test_receiver(discovery, receiver, client, tmp_path, point, time):
    d = discovery("--lease", "2")  # a receiver that loses its identity waits this long until its name is free
    r = receiver(d, "1", command=script(tmp_path, LEDGER), start=False)
    r.directory.joinpath("state").mkdir()
    r.start(wait=False, environment=environment(r.directory, f"{point}:{time}"))
    process = r.process
    c = client(d)
    wait_until(lambda: process.poll() is not None or "Registered as" in r.read_log(), "it registers, or crashes")
    if "forgotten" in point:
        accepted = send_all(c)
        for m in accepted:
            c.wait(m)
        assert c.end() == 0  # the next client closes the stream of that client
        c.start(wait_until)
    else:
        accepted = send_until_crash(c, process)
    ended_by_crash(process)
    r.process = None
    r.start()
    accepted.update(send_all(c))
    check(tmp_path, c, accepted, crashes=1)


def test_cancel_of_a_whole(discovery, receiver, client, tmp_path):
    """The disk knows that the message is cancelled; its members do not know it yet. They are not delivered after the
    crash."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, LEDGER))
    c = client(d, start=False)
    normal = c.bus.environment
    c.bus.environment = {**normal, **environment(c.directory, f"{OF_MEMBERS}:1")}
    c.start(wait_until)
    c.bus.environment = normal
    wait_until(c.receivers, "the receiver is known")
    r.end(kill=True)
    m = c.send("all", "", "not to be run")
    try:
        c.call("Cancel", "s", m)
    except Failed:
        pass  # the crash was faster than the answer
    ended_by_crash(c.process)
    c.process = None
    r.start()
    c.start(wait_until)
    assert c.wait(m)["state"] == "cancelled"
    assert c.wait(c.send("to", "1", "behind it"))["state"] == "acked"
    assert [line.split()[0] for line in lines(tmp_path / "ledger")].count(m) == 0


def test_handlers_begin_while_the_disk_is_written(discovery, receiver, client, tmp_path):
    """A handler is forked while another thread syncs. The library that undoes writes must not disturb this."""
    d = discovery()
    r = receiver(d, "1", "--concurrency", "8", command=script(tmp_path, LEDGER), start=False)
    r.directory.joinpath("state").mkdir()
    r.start(environment=environment(r.directory, "never"))
    c = client(d)
    for _ in range(25):
        accepted = [m for _ in range(2) for m in send_all(c)]
        assert all(c.wait(m)["state"] == "acked" for m in accepted)


def test_that_a_missing_sync_is_seen(discovery, receiver, client, tmp_path):
    """With syncs that do nothing, accepted messages are lost. This proves that the tests above can fail."""
    d = discovery()
    c = client(d, start=False)
    normal = c.bus.environment
    c.bus.environment = {**normal, **environment(c.directory, "accepted-behind-reply:4", lies=True)}
    c.start()
    c.bus.environment = normal
    wait_until(c.is_there, "the client is there")
    accepted = send_all(c)
    assert accepted
    ended_by_crash(c.process)
    c.process = None
    c.start(wait_until)
    with pytest.raises(Failed, match="No message"):
        c.state(next(iter(accepted)))
