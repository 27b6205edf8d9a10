# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever a handler starts, and whatever groups or sessions that makes, it is dead before the handler counts as
ended. So a successor never meets it, and nothing outlives a cancellation, a time limit or the receiver."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

import frames
from conftest import is_dead, lines, script, wait_until

STAY = "sh -c 'echo $$ >>$D/pids; exec sleep 1000'"
ESCAPES = {
    "child": f"{STAY} & wait",
    "timeout": f"timeout 600 {STAY}",
    "setsid": f"setsid {STAY} & wait",
    "monitor": f"set -m; {STAY} & wait",
    "daemon": f"(setsid {STAY} &); sleep 1000",
    "tree": f"timeout 600 sh -c \"setsid timeout 600 {STAY.replace('$', chr(92) + '$')} & sleep 1000\"",
    "leader": f"exec python3 -c 'import os; os.fork() and os._exit(os.wait() and 0); os.setsid(); open(\"'$D'/pids\", \"a\")"
              ".write(f\"{os.getpid()}\\n\"); os.execvp(\"sleep\", [\"sleep\", \"1000\"])'",
}


def unified():
    """A directory in which this process may make control groups that count as delegated, or None."""
    mount = next((pathlib.Path(line.split()[1]) for line in pathlib.Path("/proc/mounts").read_text().splitlines()
                  if line.split()[2] == "cgroup2"), None)
    if mount is None or not os.access(mount, os.W_OK):
        return None
    own = next((line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
                if line.startswith("0::")), "/")
    return mount / own.lstrip("/")


@pytest.fixture(params=["subreaper", "control group"])
def contained(request, receiver):
    """Makes a receiver: contained(discovery, "--option", command=…)."""
    groups, made = [], []

    def make(discovery, *options, prepare=lambda group: None, **more):
        r = receiver(discovery, "r1", *options, start=False, **more)
        if request.param == "control group":
            if unified() is None:
                pytest.skip("no control group can be made here")
            group = unified() / f"ackgroup-test-{os.getpid()}-{os.urandom(4).hex()}"
            group.mkdir()
            groups.append(group)
            os.setxattr(group, "user.delegate", b"1")
            prepare(group)
            r.prefix = ["sh", "-c", f"echo 0 >{group}/cgroup.procs; exec \"$@\"", "sh"]
        r.group = groups[-1] if groups else None
        made.append(r)
        return r.start()

    yield make
    assert [r.end() for r in made] in ([], [None], [0])
    for group in groups:
        wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "the group is empty")
        for inner in group.iterdir():
            if inner.is_dir():
                inner.rmdir()
        group.rmdir()


def started(tmp_path, n=1):
    return wait_until(lambda: len(lines(tmp_path / "pids")) >= n and lines(tmp_path / "pids"), "its process runs")


@pytest.mark.parametrize("how", ESCAPES)
def test_cancel(discovery, contained, tmp_path, how):
    r = contained(discovery(), command=script(tmp_path, f"export D\n{ESCAPES[how]}"))
    if r.group:
        assert (r.group / "handler-0").exists() is False
    s = r.sender()
    message = s.send(1)
    pids = started(tmp_path)
    if r.group:
        assert pids[0] in (r.group / "handler-0/cgroup.procs").read_text().split()
    s.cancel(1, message)
    assert s.answer().outcome == frames.CANCELLED
    assert all(map(is_dead, pids))


@pytest.mark.parametrize("how", ESCAPES)
def test_time_limit(discovery, contained, tmp_path, how):
    """The next message begins when everything is dead."""
    limit = "5s" if how == "leader" else "700ms"  # Python takes its time to start on a busy machine
    r = contained(discovery(), "--handler-timeout", limit, command=script(tmp_path, f"""export D
        if test $ACKGROUP_SEQUENCE = 2; then for p in $(cat $D/pids); do grep -H State /proc/$p/status; done; exit 0; fi
        {ESCAPES[how]}"""))
    s = r.sender()
    answer = s.ask(1)
    assert answer.outcome == frames.FAILED and answer.data.startswith(f"time limit of {limit}".encode())
    pids = started(tmp_path)
    assert all(map(is_dead, pids))
    answer = s.ask(2)
    assert answer.outcome == frames.ACKED and b"State" not in answer.data


@pytest.mark.parametrize("how", ["daemon", "setsid", "monitor"])
def test_left_behind(discovery, contained, tmp_path, how):
    """The leader ends by itself; that is the outcome, and the rest is killed."""
    command = ESCAPES[how].removesuffix("wait").removesuffix("; sleep 1000")
    r = contained(discovery(), command=script(
        tmp_path, f"export D\n{command}\nwhile ! test -s $D/pids; do sleep 0.02; done; echo done"))
    answer = r.sender().ask(1)
    assert (answer.outcome, answer.data) == (frames.ACKED, b"done\n")
    assert all(map(is_dead, started(tmp_path)))


@pytest.mark.parametrize("how", ESCAPES)
@pytest.mark.parametrize("victim", ["receiver", "warden"])
def test_death(discovery, contained, tmp_path, how, victim):
    """The next instance begins when everything is dead."""
    r = contained(discovery(), command=script(tmp_path, f"export D\n{ESCAPES[how]}"))
    r.sender().send(1)
    pids = started(tmp_path)
    if victim == "warden":
        children = pathlib.Path(f"/proc/{r.process.pid}/task/{r.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert r.process.wait(60) == 1
        r.process = None
        assert all(map(is_dead, pids))
    else:
        r.end(kill=True)
    r.start()
    assert all(map(is_dead, pids))


def test_others_live_on(discovery, contained, tmp_path):
    """The end of a handler touches nothing of another one that runs, not even its orphans."""
    r = contained(discovery(), "--concurrency", "2", command=script(tmp_path, f"""export D
        test $ACKGROUP_SEQUENCE = 1 || exec setsid --fork sleep 1000
        (setsid {STAY} &); while ! test -e $D/go; do sleep 0.02; done"""))
    s = r.sender()
    s.send(1)
    pids = started(tmp_path)
    for sequence in range(2, 12):
        assert s.ask(sequence).outcome == frames.ACKED
    assert not is_dead(pids[0])
    (tmp_path / "go").touch()
    assert s.answer().outcome == frames.ACKED
    assert is_dead(pids[0])


def test_fork_while_it_is_killed(discovery, contained, tmp_path):
    """Processes that keep making new ones, each in its own session, are all dead in the end."""
    bomb = tmp_path / "bomb.py"
    bomb.write_text("import os, sys, time\n"
                    "f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
                    "while True:\n"
                    "    os.write(f, f'{os.getpid()}\\n'.encode())\n"
                    "    time.sleep(0.001)\n"
                    "    if os.fork():\n"
                    "        os._exit(0)\n"
                    "    os.setsid()\n")
    r = contained(discovery(), command=script(tmp_path, f"for i in 1 2 3; do python3 {bomb} $D/pids & done; sleep 1000"))
    s = r.sender()
    message = s.send(1)
    started(tmp_path, 100)
    s.cancel(1, message)
    assert s.answer().outcome == frames.CANCELLED
    pids = lines(tmp_path / "pids")
    assert all(is_dead(p) for p in pids)
    assert s.ask(1, message=message).outcome == frames.CANCELLED
    assert len(lines(tmp_path / "pids")) == len(pids)


def test_a_handler_that_kills_its_parent(discovery, contained, tmp_path):
    """The parent of a handler is the warden, and the receiver ends with it. That is charged as a death of the receiver."""
    r = contained(discovery(), command=script(tmp_path, "echo run >>$D/runs; kill -9 $PPID; exec sleep 1000"))
    s = r.sender()
    message = s.send(1)
    assert r.process.wait(60) == 1
    r.process = None
    r.start()
    s = r.sender(stream=s.stream)
    death = s.ask(1, message=message)
    assert (death.outcome, death.data) == (frames.FAILED, b"the receiver died while running this (1 time)")
    assert lines(tmp_path / "runs") == ["run"]


def handler_groups(r):
    return [d for d in r.group.iterdir() if d.is_dir()]


def test_groups_inside_a_group(discovery, contained, tmp_path):
    """A handler may make control groups below its own, and leave a process there. Nothing is left behind."""
    r = contained(discovery(), command=script(tmp_path, """
        G=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)$(sed -n 's/^0:://p' /proc/self/cgroup)
        mkdir -p $G/a/b
        sleep 1000 & echo $! >$G/a/b/cgroup.procs; echo $! >>$D/pids"""))
    if r.group is None:
        pytest.skip("without control groups")
    s = r.sender()
    for sequence in range(1, 4):
        assert s.ask(sequence).outcome == frames.ACKED
    assert len(lines(tmp_path / "pids")) == 3 and all(map(is_dead, lines(tmp_path / "pids")))
    assert len(handler_groups(r)) <= 1


def test_in_a_group_that_was_killed(discovery, contained, tmp_path):
    """A service manager may kill all of a group, and use it again, since a process in it hangs in the kernel. From Linux
    6.14 on, what is cloned from such a group into another one is killed at once."""
    if unified() is None:
        pytest.skip("no control group can be made here")
    r = contained(discovery(), prepare=lambda group: (group / "cgroup.kill").write_text("1"),
                  command=script(tmp_path, "cat /proc/self/cgroup"))
    s = r.sender()
    answer = s.ask(1)
    assert answer.outcome == frames.ACKED
    if r.group:
        assert b"/handler-0\n" in answer.data
        for group in handler_groups(r):
            group.rmdir()
        assert s.ask(2).outcome == frames.ACKED


def test_somebody_removes_the_group(discovery, contained, tmp_path):
    r = contained(discovery(), command=script(tmp_path, "echo fine"))
    if r.group is None:
        pytest.skip("without control groups")
    s = r.sender()
    for sequence in range(1, 4):
        assert s.ask(sequence).outcome == frames.ACKED
        for group in handler_groups(r):
            group.rmdir()


BOMB = """import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        os.fork() or os.setsid()
    except OSError:
        pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as somebody who has no other processes")
def test_fork_bomb(discovery, contained, tmp_path):
    """Each of 250 processes starts others as fast as it can, in sessions of their own. It would end by itself after 20 s."""
    uid = 61000 + os.getpid() % 1000
    r = contained(discovery(), command=script(tmp_path, f"""echo $$ >$D/pids
        exec setpriv --reuid {uid} --clear-groups prlimit --nproc=250 python3 -c '{BOMB}'"""))
    s = r.sender()
    message = s.send(1)
    started(tmp_path)
    time.sleep(1.5)
    begin = time.monotonic()
    s.cancel(1, message)
    assert s.answer().outcome == frames.CANCELLED
    assert time.monotonic() - begin < 15
    assert subprocess.run(["pgrep", "-u", str(uid)], capture_output=True).stdout == b""


def test_a_stopped_warden(discovery, receiver, tmp_path):
    """The receiver does not wait for it for ever: it kills the warden, and ends."""
    r = receiver(discovery(), "r1", "--concurrency", "2", command=script(tmp_path, "kill -STOP $PPID; echo x >$D/stopped; sleep 1000"))
    s = r.sender()
    s.send(1)
    wait_until(lambda: (tmp_path / "stopped").exists(), "it is stopped")
    s.send(2)
    assert r.process.wait(60) == 1
    r.process = None
