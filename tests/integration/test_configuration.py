# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration of the three daemons: what --check says of it, and what a reload does with it."""

import signal
import subprocess

import pytest
from conftest import BUILD

from wait import wait_until

CONFIG = 78  # the exit status for a wrong configuration: systemd does not start the daemon again


def check(daemon, conf, *words):
    done = subprocess.run([BUILD / f"src/{daemon}/ackgroup-{daemon}", "--check", "--config", conf, *words], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip().removeprefix(f"ackgroup-{daemon}: ").replace(str(conf), conf.name)


RIGHT = """
; each daemon reads its own section
[Discovery]
Listen = unix:/run/x.sock
LeaseSec=1min

[Receiver]
Name=1@here
Label=zone=a
Exec=sh -c 'echo one; echo "# two"' \\
    three

[Client]
Discovery=http://127.0.0.1:7480
"""


@pytest.mark.parametrize("daemon", ["discovery", "receiver", "client"])
def test_right(tmp_path, daemon):
    conf = tmp_path / "ackgroup.conf"
    conf.write_text(RIGHT)
    assert check(daemon, conf) == (0, "")


@pytest.mark.parametrize("daemon, line, says", [
    ("discovery", "Listen=unix:/a unix:/b", 'ackgroup.conf:2: Listen=: "unix:/a unix:/b"'),
    ("discovery", "LeaseSec=1us", "ackgroup.conf:2: LeaseSec=: 1us is outside of"),
    ("discovery", "LogLevel=loud", 'ackgroup.conf:2: LogLevel=: unknown log level "loud"'),
    ("receiver", "Listen=tcp:127.0.0.1:7 tcp:127.0.0.1:8", "ackgroup.conf:2: Listen=: "),
    ("receiver", "Listen=tcp:0.0.0.0:7501", "tcp:0.0.0.0:7501 can be reached from other hosts without TLS"),
    ("receiver", "Advertise=nowhere", "ackgroup.conf:2: Advertise=: "),
    ("receiver", "Discovery=ftp://x", "ackgroup.conf:2: Discovery=: "),
    ("receiver", "Label=zone", "ackgroup.conf:2: Label=: "),
    ("receiver", "Group=a b", 'ackgroup.conf:2: Group=: "a b" is not a valid name'),
    ("receiver", "Name=/", 'ackgroup.conf:2: Name=: "/" is not a valid name'),
    ("receiver", "Exec=/does/not/exist now", "cannot run the handler /does/not/exist"),
    ("receiver", "Queue=5 ; messages", 'ackgroup.conf:2: Queue=: "5 ; messages" is not a number'),
    ("client", "Discovery=here", "ackgroup.conf:2: Discovery=: "),
    ("client", "Bogus=1", "ackgroup.conf:2: unknown key Bogus= in [Client]"),
])
def test_wrong(tmp_path, daemon, line, says):
    """The same text from --check, and from a start."""
    conf = tmp_path / "ackgroup.conf"
    conf.write_text(f"[{daemon.capitalize()}]\n{line}\n")
    status, text = check(daemon, conf)
    assert status == CONFIG and says in text
    started = subprocess.run([BUILD / f"src/{daemon}/ackgroup-{daemon}", "--config", conf, "--state-dir", tmp_path], capture_output=True,
                             text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert (started.returncode, says in started.stderr.replace(str(conf), conf.name)) == (CONFIG, True)


def test_options_are_checked_too(tmp_path):
    conf = tmp_path / "ackgroup.conf"
    conf.write_text("")
    assert check("receiver", conf, "--listen", "nowhere")[0] == CONFIG
    assert check("receiver", conf, "--label", "zone=b", "--", "true") == (0, "")
    assert check("client", conf, "--user", "--system") == (CONFIG, "--user and --system exclude each other")
    assert check("client", tmp_path / "not-there.conf") == (CONFIG, "cannot read not-there.conf: No such file or directory")


def test_a_reload_names_what_needs_a_restart(discovery, receiver, client, tmp_path):
    d = discovery()
    conf = tmp_path / "ackgroup.conf"
    conf.write_text("[Receiver]\nGroup=red\nQueue=3\n[Client]\nHostName=here\n")
    r = receiver(d, "1", "--config", conf)
    c = client(d, "--config", conf)
    conf.write_text("[Receiver]\nGroup=blue\nLabel=zone=a\nQueue=4\n[Client]\nHostName=here\nHistory=7\n")
    for daemon in (r, c):
        daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "Reloaded the configuration; a restart is needed for Group=, Label=" in r.read_log(), "the receiver says it")
    wait_until(lambda: "Reloaded the configuration\n" in c.read_log(), "the client has nothing to say")
    wait_until(lambda: [row[2] for row in c.receivers()] == ["red"], "it is in the same group")
    conf.write_text("[Receiver]\nGroup=red\nQueue=5\n[Client]\n")
    for daemon in (r, c):
        daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "Reloaded the configuration\n" in r.read_log(), "it is as it was")
    wait_until(lambda: "a restart is needed for HostName=" in c.read_log(), "the client says it")
