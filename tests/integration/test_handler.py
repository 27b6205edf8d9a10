# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a handler says, and why one cannot be run."""

import os
import subprocess
import uuid

import pytest

import frames
from conftest import BUILD, script, wait_until


def test_last_report_needs_no_newline(discovery, receiver, tmp_path):
    r = receiver(discovery(), command=script(tmp_path, "printf 'retry 7s\\r\\nerror no paper' >&3; exit 1"))
    answer = r.sender().ask(1)
    assert (answer.outcome, answer.data, answer.delay) == (frames.FAILED, b"no paper", 7000)


def test_long_retry(discovery, receiver, tmp_path):
    """Nothing is cut: a time that is too long is refused, and the log says so."""
    r = receiver(discovery(), command=script(tmp_path, "cat >&3; exit 1"))
    s = r.sender()
    assert s.ask(1, b"retry 49d").delay == 49 * 86400 * 1000
    assert s.ask(2, b"retry 60d").delay == 0
    wait_until(lambda: "more than 49d: 60d" in r.read_log(), "the log says it")


@pytest.mark.parametrize("content, mode, hint", [
    ("#!/bin/sh\n", 0o644, "Permission denied (it is not executable: chmod +x)"),
    ("#!/no/such/interpreter -x\n", 0o755, "No such file or directory (its interpreter /no/such/interpreter cannot be executed)"),
    (None, 0, "No such file or directory (the file is not there)")])
def test_cannot_be_run(discovery, receiver, tmp_path, content, mode, hint):
    """At the start that is an error of the configuration. Later it is the reason of the failure."""
    path = tmp_path / "handler"
    d = discovery()

    def spoil():
        path.unlink(missing_ok=True)
        if content:
            path.write_text(content)
            path.chmod(mode)

    spoil()
    r = receiver(d, "r1", start=False, command=[path])
    r.start(wait=False)
    assert r.process.wait(60) == 78
    r.process = None
    assert f"cannot run the handler {path}: {hint}" in r.read_log()
    script(tmp_path, "echo fine")
    r.start()
    s = r.sender()
    assert s.ask(1).data == b"fine\n"
    spoil()
    answer = s.ask(2)
    assert (answer.outcome, answer.data.decode()) == (frames.FAILED, f"cannot run {path}: {hint}")
    script(tmp_path, "echo fine")
    assert s.ask(2, message=answer.message, attempt=2).outcome == frames.ACKED


HIDE = "mount --make-rprivate / && mount -t tmpfs -o ro none /home"  # as ProtectHome=tmpfs does


def test_a_hidden_home(discovery, receiver):
    """With a mount of its own, as under ProtectHome=."""
    if subprocess.run(["unshare", "-m", "sh", "-c", HIDE], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    r = receiver(discovery(), "r1", start=False, command=["/home/somebody/handler"])
    r.prefix = ["unshare", "-m", "sh", "-c", f'{HIDE} && exec "$@"', "sh"]
    r.start(wait=False)
    assert r.process.wait(60) == 78
    r.process = None
    assert ("cannot run the handler /home/somebody/handler: No such file or directory "
            "(ProtectHome= of the unit hides home directories)") in r.read_log()


def test_no_program_at_all(discovery, receiver, tmp_path):
    """That can be seen only when it is run."""
    path = tmp_path / "handler"
    path.write_text("echo no first line\n")
    path.chmod(0o755)
    answer = receiver(discovery(), command=[path]).sender().ask(1)
    assert answer.outcome == frames.FAILED
    assert answer.data.decode().startswith(f"cannot run {path}: Exec format error (")


def test_closed_descriptors(discovery, receiver, tmp_path):
    """What a handler writes to a standard error that was closed goes nowhere, above all not into a file of the
    receiver."""
    d = discovery()
    r = receiver(d, "r1", start=False, command=script(tmp_path, "echo needle >&2; echo out"))
    r.prefix = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    r.start(wait=False)
    found = wait_until(lambda: d.ask("GET", "/v1/receivers")[1]["receivers"], "it registers")
    held = {n: os.readlink(f"/proc/{r.process.pid}/fd/{n}") for n in range(3)}
    assert held == {n: "/dev/null" for n in range(3)}
    assert frames.Sender(r.socket, found[0]["id"]).ask(1).data == b"out\n"
    for path in r.state.iterdir():
        assert b"needle" not in path.read_bytes()


def test_closed_descriptors_of_others(discovery, tmp_path):
    d = discovery()
    process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", BUILD / "src/discovery/ackgroup-discovery",
                                "--config", "/dev/null", "--state-dir", tmp_path / "other", "--listen",
                                f"unix:{tmp_path}/other.sock"])
    wait_until((tmp_path / "other.sock").exists, "it listens")
    held = {n: os.readlink(f"/proc/{process.pid}/fd/{n}") for n in range(3)}
    process.terminate()
    assert process.wait(60) == 0
    assert held == {n: "/dev/null" for n in range(3)}
    assert d.process.poll() is None
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", BUILD / "src/ctl/ackctl", "--help"])
    assert done.returncode == 0


def test_last_words(discovery, receiver, tmp_path):
    """What a handler wrote last to its standard error is a part of the reason, and all of it is in the log."""
    r = receiver(discovery(), command=script(tmp_path, "echo first >&2; printf 'no such picture\\n\\n' >&2; exit 3"))
    answer = r.sender().ask(1)
    assert (answer.outcome, answer.data) == (frames.FAILED, b"handler exited with status 3: no such picture")
    assert "\nfirst\nno such picture\n" in r.read_log()


def test_much_on_standard_error(discovery, receiver, tmp_path):
    """It neither delays the receiver nor fills the log."""
    r = receiver(discovery(), command=script(tmp_path, "yes 'a line' | head -n 300000 >&2; echo done"))
    answer = r.sender().ask(1)
    assert (answer.outcome, answer.data) == (frames.ACKED, b"done\n")
    assert len(r.read_log()) < 100000


def test_many_odd_reports(discovery, receiver, tmp_path):
    """300,000 lines on descriptor 3 that are no reports make a few lines in the log: the first ones, and their number."""
    r = receiver(discovery(), command=script(tmp_path, "yes nonsense | head -n 300000 >&3; echo done"))
    answer = r.sender().ask(1)
    assert (answer.outcome, answer.data) == (frames.ACKED, b"done\n")
    wait_until(lambda: "and 299997 more lines of its handler that are no reports" in r.read_log(), "the log counts them")
    assert r.read_log().count("nonsense") == 3


@pytest.mark.parametrize("options, limit", [((), 65536), (("--max-reply", "1K"), 1024)])
def test_long_reply_is_cut(discovery, receiver, tmp_path, options, limit):
    """The answer says so, also when it is repeated, and after a crash; the log names the message."""
    r = receiver(discovery(), "r1", *options, command=script(tmp_path, "head -c $(cat) /dev/zero | tr '\\0' x"))
    s = r.sender()
    whole, long = s.ask(1, str(limit).encode()), s.ask(2, str(limit + 1).encode())
    assert (whole.outcome, len(whole.data), whole.cut) == (frames.ACKED, limit, False)
    assert (long.outcome, long.data, long.cut) == (frames.ACKED, limit * b"x", True)
    assert s.ask(2, message=long.message, attempt=2).cut
    assert not s.ask(1, message=whole.message, attempt=2).cut
    r.end(kill=True)
    r.start()
    again = r.sender(stream=s.stream)
    assert again.ask(2, message=long.message, attempt=3)[5:] == long[5:]
    assert not again.ask(1, message=whole.message, attempt=3).cut
    log = r.read_log()
    assert f"The reply to message {uuid.UUID(bytes=long.message)} is cut to {limit} bytes (MaxReply=)" in log
    assert str(uuid.UUID(bytes=whole.message)) + " is cut" not in log


def test_long_reply_in_memory_mode(discovery, receiver, tmp_path):
    """It is answered before it is recorded."""
    r = receiver(discovery(), "r1", "--max-reply", "3", command=script(tmp_path, "echo -n four"))
    s = r.sender()
    first = s.ask(1, memory=True)
    assert (first.data, first.cut) == (b"fou", True)
    assert s.ask(1, message=first.message, attempt=2, memory=True)[5:] == first[5:]


def test_long_reply_is_rejected(discovery, receiver, tmp_path):
    """If that is configured. A handler that fails by itself fails as ever."""
    r = receiver(discovery(), "r1", "--max-reply", "3", "--reply-too-long", "reject",
                 command=script(tmp_path, "read answer status; printf %s $answer; exit $status"))
    s = r.sender()
    answer = s.ask(1, b"four 0\n")
    why = b"the reply is longer than 3 bytes (MaxReply=)"
    assert (answer.outcome, answer.data, answer.cut) == (frames.REJECTED, why, False)
    assert s.ask(1, message=answer.message, attempt=2)[5:] == answer[5:]
    assert s.ask(2, b"all 0\n")[5:] == (frames.ACKED, b"all", False)
    failed = s.ask(3, b"four 1\n")
    assert (failed.outcome, failed.data) == (frames.FAILED, b"handler exited with status 1")


@pytest.mark.parametrize("options, text", [
    (("--max-reply", "65537"), "--max-reply: 65537 is outside of 1 to 65536"),
    (("--max-reply", "0"), "--max-reply: 0 is outside of 1 to 65536"),
    (("--reply-too-long", "fail"), '--reply-too-long: "fail" is neither cut nor reject')])
def test_limit_of_replies_is_checked(discovery, receiver, options, text):
    r = receiver(discovery(), "r1", *options, start=False)
    r.start(wait=False)
    assert r.process.wait(60) == 78
    r.process = None
    assert text in r.read_log()
