# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a handler says, and why one cannot be run."""

import json
import os
import subprocess
import uuid

import pytest

import bulk
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


def ctl(client_, *words, **more):
    return subprocess.run([BUILD / "src/ctl/ackctl", "--user", *words], env=client_.bus.environment, capture_output=True,
                          text=True, timeout=60, **more)


def end_of(client_, message):
    """What WaitForEnd says, as a dictionary."""
    return {key: value["data"] for key, value in client_.call("WaitForEnd", "st", message, 30_000_000)[0].items()}


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


@pytest.mark.parametrize("durability", ["durable", "memory"])
def test_client_knows_that_a_reply_is_cut(discovery, receiver, client, tmp_path, durability):
    """On the bus, at each place where the reply is; and after a crash, from its redo log and from its tables."""
    d = discovery()
    receiver(d, "1", "--max-reply", "3", command=script(tmp_path, "cat"))
    c = client(d)
    long, whole = (c.send("to", "1", text, durability=durability) for text in ("four", "all"))
    assert (c.wait(long)["reply"], c.wait(whole)["reply"]) == (b"fou", b"all")

    def check():
        for message, reply, cut in (long, b"fou", True), (whole, b"all", False):
            end, properties = end_of(c, message), c.properties(message)
            assert (end["state"], end["attempts"], bytes(end["reply"]), end["reply_cut"]) == ("acked", 1, reply, cut)
            assert (bytes(properties["Reply"]), properties["ReplyCut"]) == (reply, cut)
            row, = c.call("DescribeDeliveries", "s", message)[0]
            assert (row["receiver"]["data"], row["reply_cut"]["data"]) == (end["receiver"], cut)

    check()
    wait_until(lambda: f"{long}: acked, attempt 1 at 1: the reply is cut to 3 bytes"
               in c.read_log(), "the log says it")
    assert f"{whole}: acked, attempt 1 at 1\n" in c.read_log()
    if durability == "memory":
        return
    c.end(kill=True)
    c.start(wait_until)
    check()
    c.end()
    c.start(wait_until)
    check()


def test_cut_replies_of_several(discovery, receiver, client, tmp_path):
    d = discovery()
    for name, limit in ("1", 3), ("2", 4):
        receiver(d, name, "--max-reply", str(limit), command=script(tmp_path, "cat"))
    c = client(d)
    message = c.send("all", "", "four")
    assert end_of(c, message)["state"] == "acked"
    rows = {row["receiver"]["data"]: (bytes(row["reply"]["data"]), row["reply_cut"]["data"])
            for row in c.call("DescribeDeliveries", "s", message)[0]}
    assert rows == {"1": (b"fou", True), "2": (b"four", False)}
    shown = ctl(c, "wait", message)
    assert shown.stdout == "1: fou\n2: four\n"
    assert shown.stderr.count("is cut to 3 bytes; the rest is lost") == 1
    found = json.loads(ctl(c, "wait", "--json=short", message).stdout)
    assert [(r["reply"], r["reply_cut"]) for r in found["replies"]] == [("fou", True), ("four", False)]


def test_ackctl_shows_a_cut_reply(discovery, receiver, client, tmp_path):
    d = discovery()
    receiver(d, "1", "--max-reply", "3", command=script(tmp_path, "cat"))
    c = client(d)
    sent = ctl(c, "send", "--to", "1", "four")
    assert sent.stdout == "fou" and sent.returncode == 0
    assert "cut           the reply is cut to 3 bytes; the rest is lost\n" in sent.stderr
    found = json.loads(ctl(c, "send", "--json=short", "--to", "1", "four").stdout)
    assert (found["reply"], found["reply_cut"]) == ("fou", True)
    assert "  Reply cut: yes\n" in ctl(c, "show", found["id"]).stdout
    assert "the reply is cut" in ctl(c, "trace", found["id"]).stdout
    traced = json.loads(ctl(c, "trace", "--json=short", found["id"]).stdout)
    assert traced["deliveries"][0]["reply_cut"] and traced["attempts"][-1]["detail"] == "the reply is cut"
    found = json.loads(ctl(c, "send", "--json=short", "--to", "1", "all").stdout)
    assert (found["reply"], found["reply_cut"]) == ("all", False)
    assert "Reply cut" not in ctl(c, "show", found["id"]).stdout


def test_cut_replies_in_bulk(discovery, receiver, client, tmp_path):
    """A program hears of it if it has asked for that; ackctl does."""
    d = discovery()
    receiver(d, "1", "--max-reply", "3", command=script(tmp_path, "cat"))
    c = client(d)
    for options, end in ({}, 1), ({"reply_cut": True}, 5):
        s = bulk.open_stream(c, **options)
        long, whole = s.submit(b"four"), s.submit(b"all")
        assert s.end_of(long)[2:] == (end, b"fou") and s.end_of(whole)[2:] == (1, b"all")
    out = ctl(c, "send", "--any", "--lines", input="four\nall\n")
    assert "2 lines: 2 acked (1 with a cut reply)" in out.stderr
    rows = [json.loads(line) for line in ctl(c, "send", "--any", "--lines", "--json=short", input="four\nall\n").stdout.splitlines()]
    assert {row["line"]: row.get("reply_cut") for row in rows if "line" in row} == {1: True, 2: None}
    assert rows[-1]["replies_cut"] == 1
    wait_until(lambda: c.read_log().count("the reply is cut to 3 bytes") == 4, "the log names each of them")
