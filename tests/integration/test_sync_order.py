# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon syncs before it promises. Seen from outside, in the order of the daemons' system calls."""

import re
import signal
import subprocess

import pytest

from bulk import open_stream
from conftest import wait_until

READ = r"(?:read|recvfrom|recvmsg)\(.*"
WRITE = r"(?:write|sendto|sendmsg)\(.*"
SYNC = r"(?:fdatasync|fsync)\(.*= 0|fdatasync resumed.*= 0"
ACCEPTED, ANSWER = (rf"{WRITE}\\254AG\\1\\{kind:o}" for kind in (0x88, 0x82))


class Trace:
    def __init__(self, process, path):
        self.path = path
        self.strace = subprocess.Popen(["strace", "-f", "-s", "65536", "-o", path, "-e",
                                        "trace=read,recvfrom,recvmsg,write,sendto,sendmsg,fdatasync,fsync", "-p",
                                        str(process.pid)], stderr=subprocess.PIPE, text=True)
        assert "attached" in self.strace.stderr.readline()

    def end(self):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=60)
        return self.path.read_text(errors="replace").splitlines()


def syncs_between(lines, first, last):
    """The syncs that complete between the read that has `first` and the next call that matches `last`."""
    begin = next(i for i, line in enumerate(lines) if re.search(READ, line) and first in line)
    end = next(i for i, line in enumerate(lines) if i > begin and re.search(last, line))
    return [line for line in lines[begin:end] if re.search(SYNC, line)]


@pytest.fixture
def traced(discovery, receiver, client, tmp_path):
    """The system calls of both daemons for one message of that durability. Another message went before it."""
    def run(durability):
        d = discovery()
        r = receiver(d, "1")
        c = client(d)
        stream = open_stream(c, durability=durability)
        stream.end_of(stream.submit(b"before"))
        wait_until(lambda: c.properties()["Waiting"] == 0, "that one is done")
        traces = [Trace(p, tmp_path / f"trace-{i}") for i, p in enumerate((c.process, r.process))]
        stream.end_of(stream.submit(b"a-payload-of-its-own"))
        return [t.end() for t in traces]
    return run


def test_durable(traced):
    client, receiver = traced("durable")
    assert syncs_between(client, "a-payload-of-its-own", ACCEPTED)
    assert syncs_between(receiver, "a-payload-of-its-own", ANSWER)


def test_memory(traced):
    """Nobody waits for a disk. This also proves that the test above can fail."""
    client, _ = traced("memory")
    assert not syncs_between(client, "a-payload-of-its-own", ACCEPTED)
