# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemons write to standard error, and what they do when nobody reads it."""

import fcntl
import os

import frames
from conftest import script


def test_nobody_reads_the_log(discovery, receiver, tmp_path):
    """The receiver's standard error is a pipe that is full. It works, and it ends when it is told to."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        fcntl.fcntl(writer, fcntl.F_SETFL, 0)
    r = receiver(discovery(), command=["true"], start=False)
    r.log.close()
    r.log = os.fdopen(writer, "wb")
    r.read_log = lambda start=0: "Registered as"
    r.start()
    s = r.sender()
    for number in range(1, 1200):
        assert s.ask(number).outcome == frames.ACKED
        s.settle(number + 1)
    assert r.record()
    r.process.terminate()
    assert r.process.wait(20) == 0
    r.process = None
    os.close(reader)


def test_many_lines_that_are_no_reports(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "yes nonsense | head -100000 >&3"))
    assert r.sender().ask(1).outcome == frames.ACKED
    log = r.read_log()
    assert 0 < log.count("nonsense") < 10
    assert "and 99997 more lines of its handler" in log


def test_a_bulk_is_not_logged(discovery, receiver, tmp_path):
    """What goes well is not logged of a bulk. What goes wrong is, and so is what follows."""
    r = receiver(discovery(), command=script(tmp_path, 'test "$(cat)" = good || exit 1'))
    s = r.sender()
    s.send(1, b"good", bulk=True)
    assert s.answer().outcome == frames.ACKED
    assert " acked" not in r.read_log() and "from host" not in r.read_log()
    bad = s.send(2, b"bad", bulk=True)
    assert s.answer().outcome == frames.FAILED
    assert "failed" in r.read_log()
    s.send(2, b"good", message=bad, attempt=2, bulk=True)
    assert s.answer().outcome == frames.ACKED
    assert r.read_log().count(" acked") == 1 and r.read_log().count("from host") == 1
    s.send(3, b"good")
    assert s.answer().outcome == frames.ACKED
    assert r.read_log().count(" acked") == 2
