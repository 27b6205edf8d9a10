# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackctl send --lines: many messages at once."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess

import pytest

from conftest import BUILD, lines, script, wait_until

ACKCTL = BUILD / "src/ctl/ackctl"


def run(c, *words, text="", check=True, **more):
    done = subprocess.run([ACKCTL, "--user", "send", "--lines", *words], env=c.bus.environment, input=text,
                          capture_output=True, text=True, timeout=120, **more)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def pair(discovery, receiver, client, tmp_path):
    """One receiver that writes down what it gets, and a client."""
    d = discovery()
    receiver(d, "1", "--queue", "500", "--max-payload", "100", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    return client(d)


def test_every_line_is_a_message(pair, tmp_path):
    done = run(pair, "--key", "k", text="a\n\nb c\nlast")
    assert lines(tmp_path / "got") == ["a", "", "b c", "last"]
    assert "4 lines: 4 acked, 0 retried" in done.stderr and done.stdout == ""


def test_lines_for_several(discovery, receiver, client):
    """The number of attempts is that of all members, so several attempts do not count as a retry."""
    d = discovery()
    for name in "12":
        receiver(d, name)
    c = client(d)
    done = subprocess.run([ACKCTL, "--user", "send", "--all", "--lines"], input="a\nb\n", env=c.bus.environment,
                          capture_output=True, text=True, timeout=60)
    assert "2 lines: 2 acked in " in done.stderr and "retried" not in done.stderr


def test_more_than_the_credit(discovery, receiver, client):
    d = discovery()
    receiver(d, "1", "--queue", "500")
    c = client(d)
    done = run(c, "--any", text="".join(f"{i}\n" for i in range(10000)))
    assert "10000 lines: 10000 acked" in done.stderr
    assert c.properties()["Waiting"] == 0


def test_null(pair, tmp_path):
    run(pair, "--any", "--null", text="two\nlines\0")
    assert lines(tmp_path / "got") == ["two", "lines"]


def test_what_is_not_acked_is_told(pair):
    done = run(pair, "--any", text=f"fine\n{'x' * 101}\nfine\n", check=False)
    assert done.returncode == 3
    assert "line 2: rejected: the receiver takes at most 100 bytes" in done.stderr
    assert "3 lines: 2 acked, 1 rejected" in done.stderr


def test_what_is_refused_is_told(discovery, receiver, client):
    d = discovery()
    receiver(d, "1")
    c = client(d, "--max-payload", "10")
    done = run(c, "--any", text=f"fine\n{'x' * 11}\nfine\n", check=False)
    assert done.returncode == 1
    assert "line 2: refused: 11 bytes are more than the 10" in done.stderr
    assert "3 lines: 2 acked, 1 refused" in done.stderr


def test_no_wait(client, discovery):
    c = client(discovery())
    done = run(c, "--any", "--no-wait", text="a\nb\n")
    ids = done.stdout.split()
    assert len(ids) == 2 and "2 lines: 2 accepted" in done.stderr
    assert {c.state(m) for m in ids} == {"queued"}


@pytest.mark.parametrize("more", [(), ("--no-wait",)])
def test_timeout(pair, more, tmp_path):
    """Messages that end in time are not affected. The output names those that do not, and the line to continue with."""
    assert "2 lines: 2 a" in run(pair, "--any", "--timeout", "10min", *more, text="a\nb\n").stderr
    os.mkfifo(tmp_path / "endless")
    with open(tmp_path / "endless", "r+b", buffering=0) as fifo:
        fifo.write(b"c\nd\n")
        done = run(pair, "--any", "--timeout", "100ms", "--file", tmp_path / "endless", *more, check=False)
    assert done.returncode == 4
    assert "not done after 100ms" in done.stderr and "the next is line" in done.stderr


def test_json(pair):
    done = run(pair, "--any", "--json=short", text=f"a\n{'x' * 101}\n", check=False)
    *ends, total = map(json.loads, done.stdout.splitlines())
    by_line = {end["line"]: end for end in ends}
    assert by_line[1]["end"] == "acked" and by_line[2]["end"] == "rejected" and "at most 100" in by_line[2]["error"]
    assert (total["lines"], total["acked"], total["rejected"]) == (2, 1, 1)
    assert pair.wait(by_line[1]["id"])["state"] == "acked"
    assert done.stderr == ""


def test_memory(pair):
    assert "3 acked" in run(pair, "--any", "--durability=memory", text="a\nb\nc\n").stderr


@pytest.mark.parametrize("words, text", [
    (["--any", "--lines", "x"], "not both"),
    (["--any", "--lines", "--idempotency-key", "k"], "names one message"),
    (["--any", "--null"], "--null goes with --lines"),
    (["--all", "--lines", "--durability=memory"], "durability"),
])
def test_misuse(pair, words, text):
    done = subprocess.run([ACKCTL, "--user", "send", *words], env=pair.bus.environment, input="a\n", capture_output=True,
                          text=True, timeout=60)
    assert done.returncode != 0 and text in done.stderr


def test_the_client_is_killed(discovery, receiver, client, tmp_path):
    """ackctl names the line to continue with. Accepted messages are delivered, and none runs twice."""
    d = discovery()
    receiver(d, "1", "--queue", "500", command=script(tmp_path, "cat >>$D/got; echo >>$D/got"))
    c = client(d)
    process = subprocess.Popen([ACKCTL, "--user", "send", "--lines", "--any"], env=c.bus.environment, text=True,
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write("".join(f"{i}\n" for i in range(300)))
    process.stdin.flush()
    wait_until(lambda: len(lines(tmp_path / "got")) > 20, "some are done")
    c.end(kill=True)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 5 and "the client has gone" in error
    accepted = int(error.split("gone: ")[1].split()[0])
    assert f"go on from line {accepted + 1}" in error
    c.start(wait_until)
    wait_until(lambda: c.properties()["Waiting"] == 0, "all that was accepted is done")
    assert set(map(int, lines(tmp_path / "got"))) >= set(range(accepted))


def test_bar_on_a_terminal(pair):
    master, slave = pty.openpty()
    process = subprocess.Popen([ACKCTL, "--user", "send", "--lines", "--any"], env=pair.bus.environment,
                               stdin=subprocess.PIPE, stderr=slave)
    os.close(slave)
    process.stdin.write(b"a\n")
    process.stdin.flush()
    seen = b""
    while b"1 done, 0 waiting" not in seen:
        seen += os.read(master, 1000)
    process.stdin.close()
    assert process.wait(60) == 0
    os.close(master)


@pytest.mark.parametrize("words", [["--no-wait"], ["--no-wait", "--json=short"], ["--json=short"]])
def test_interrupted_while_nobody_reads(discovery, receiver, client, words):
    """Ctrl-C ends ackctl even while it writes to a pipe that is full."""
    d = discovery()
    receiver(d, "1", "--queue", "500")
    c = client(d)
    output, full = os.pipe()
    process = subprocess.Popen([ACKCTL, "--user", "send", "--lines", "--any", *words], env=c.bus.environment, text=True,
                               stdin=subprocess.PIPE, stdout=full, stderr=subprocess.PIPE)
    process.stdin.write("x\n" * 10000)
    process.stdin.flush()
    wait_until(lambda: not select.select([], [full], [], 0)[1], "the pipe is full")
    for _ in range(10):
        # One that comes just before the write does not interrupt it.
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            break
    assert process.returncode == 130
    error = process.stderr.read()
    assert "ackctl: interrupted: " in error and ("lines: " in error or "--json=short" in words)
    process.stdin.close()
    os.close(output)
    os.close(full)


def test_memory_is_bounded(client, discovery, tmp_path):
    """100 MB of lines that are refused: ackctl does not read ahead of the answers."""
    c = client(discovery(), "--outbox-limit", "100")
    (tmp_path / "input").write_text(("x" * 10000 + "\n") * 10000)
    with open(tmp_path / "errors", "wb") as errors:
        process = subprocess.Popen([ACKCTL, "--user", "send", "--lines", "--any", "--no-wait", "--file", tmp_path / "input"],
                                   env=c.bus.environment, stdout=subprocess.DEVNULL, stderr=errors)
    peak = 0
    while process.poll() is None:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
    text = (tmp_path / "errors").read_text()
    assert process.returncode == 1, text
    assert "100 accepted, 9900 refused" in text and "and 9880 more lines" in text
    # The sanitizer keeps what was freed.
    assert "ASAN_OPTIONS" in os.environ or 0 < peak < 30 << 10
