# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackctl for another host. The test does locally what ssh does on the other host: it runs systemd-stdio-bridge on the
bus of the test."""

import os
import subprocess

import pytest

from conftest import BUILD

SSH = """#!/bin/sh
echo "$@" >>"$D/calls"
test -e "$D/down" && { echo "ssh: connect to host far port 22: Connection refused" >&2; exit 255; }
exec systemd-stdio-bridge --bus-path="$REMOTE_BUS"
"""


@pytest.fixture
def ackctl(tmp_path, bus):
    """Returns (exit status, output, errors) of an ackctl that has no local bus."""
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    environment = {**os.environ, "D": str(tmp_path), "REMOTE_BUS": bus.environment["DBUS_SESSION_BUS_ADDRESS"],
                   "PATH": f"{ssh.parent}:{os.environ['PATH']}", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)

    def run(*words):
        done = subprocess.run([BUILD / "src/ctl/ackctl", *words], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


def test_host(discovery, receiver, client, ackctl, tmp_path):
    d = discovery()
    receiver(d, "1")
    client(d)
    status, output, _ = ackctl("--host", "somebody@far", "list")
    assert status == 0 and "1 receiver." in output
    status, _, steps = ackctl("-H", "far", "send", "--any", "hello")
    assert status == 0 and "acked" in steps
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "somebody@far" in calls[0] and all("systemd-stdio-bridge" in call for call in calls)


def test_host_cannot_be_reached(ackctl, tmp_path):
    (tmp_path / "down").touch()
    status, _, errors = ackctl("-H", "far", "list")
    assert status == 5 and "Connection refused" in errors and "the bus of host far" in errors and "ssh far" in errors


@pytest.mark.parametrize("words, status, text", [
    (("-M", "nobody", "list"), 5, "the bus of container nobody"),
    (("-H", "far", "-M", "nobody", "list"), 2, "exclude each other"),
    (("-H", "", "list"), 2, "need a name"),
    (("-H", "far", "--user", "list"), 2, "the system's client only"),
    (("-H", "far", "send", "--lines", "--any"), 2, "on this host only"),
])
def test_mistakes(ackctl, words, status, text):
    got, _, errors = ackctl(*words)
    assert got == status and text in errors
