# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units under a real systemd: start, readiness, activation, stop, watchdog, crash, sandbox, policy."""

import json
import time

import pytest

from host import wait_until

SERVICES = ["ackgroup-discovery.service", "ackgroup-receiver@1.service", "ackgroup-client.service"]
UNITS = [*SERVICES, "ackgroup-discovery.socket", "ackgroup-receiver@1.socket", "ackgroup.target"]
MANAGER = ("org.ackgroup.Client1", "/org/ackgroup/Client1", "org.ackgroup.Client1.Manager")


def receiver(n):
    return f"ackgroup-receiver@{n}.service"


def state(host, message):
    return json.loads(host.run("ackctl", "--json=short", "show", message))["State"]


@pytest.fixture(autouse=True)
def clean(host):
    """Everything stopped before each test, nothing failed behind it."""
    host.systemctl("reset-failed")
    host.systemctl("stop", "ackgroup-client.service", "ackgroup-receiver@*")
    host.systemctl("stop", "ackgroup-discovery.socket", "ackgroup-discovery.service")
    yield
    assert host.systemctl("--failed", "--plain", "--no-legend").strip() == ""


def test_units_are_valid(host):
    assert host.run("systemd-analyze", "verify", "--man=no", *UNITS, check=False).strip() == ""
    assert host.status == 0


def test_sandbox(host):
    for unit in SERVICES:
        text = host.run("systemd-analyze", "--no-pager", "security", "--threshold=20", unit, check=False)
        assert host.status == 0, text[-400:]
        print(host.release, unit, text.strip().splitlines()[-1])


def test_main_job(host):
    """One systemctl start, one ackctl send; the client is started by the bus."""
    host.systemctl("start", *map(receiver, (1, 2, 3)))
    records = json.loads(host.run("ackctl", "--json=short", "list"))
    assert [r["name"] for r in records] == [f"{n}@{host.release}" for n in (1, 2, 3)]
    assert records[0]["addresses"] == ["unix:/run/ackgroup/receiver/1.sock"]
    assert "acked" in host.run("ackctl", "send", "--any", "hello", check=False) and host.status == 0
    assert host.is_active("ackgroup-client.service")
    answer = json.loads(host.run("busctl", "--json=short", "call", *MANAGER, "SendText", "sssa{sv}", "to", "2", "hello", 0))
    message = answer["data"][0]
    ended = json.loads(host.run("busctl", "--json=short", "call", *MANAGER, "Wait", "st", message, 0))["data"]
    assert (ended[0], ended[2]) == ("acked", f"2@{host.release}")
    journal = host.run("journalctl", "--no-pager", "-u", receiver(2), "-o", "cat")
    assert f"Message {message} acked" in journal and "says: hello" in journal
    assert "READY" not in journal
    assert host.property(receiver(2), "StatusText") != ""


def test_the_first_request_starts_discovery(host):
    host.systemctl("start", "ackgroup-discovery.socket")
    assert not host.is_active("ackgroup-discovery.service")
    for where in (["--unix-socket", "/run/ackgroup/discovery.sock", "http://localhost/v1/status"],
                  ["http://127.0.0.1:7480/v1/status"]):
        assert "revision" in json.loads(host.run("curl", "-s", *where))
    assert host.is_active("ackgroup-discovery.service")


def test_readiness_waits_for_discovery(host):
    """Longer than TimeoutStartSec=: systemd is told to be patient."""
    host.run("mkdir", "-p", "/etc/ackgroup")
    host.run("tee", "/etc/ackgroup/receiver@w.conf", stdin="[Receiver]\nDiscovery=unix:/run/late/discovery.sock\n")
    host.drop_in(receiver("w"), "[Service]\nTimeoutStartSec=3s\n")
    host.systemctl("start", "--no-block", receiver("w"))
    wait_until(lambda: "discovery" in host.property(receiver("w"), "StatusText"), "its status says why")
    time.sleep(5)
    assert host.property(receiver("w"), "ActiveState") == "activating"
    host.run("systemd-run", "--quiet", "--unit=late", "-p", "User=ackgroup", "-p", "RuntimeDirectory=late",
             "/usr/libexec/ackgroup/ackgroup-discovery", "--listen", "unix:/run/late/discovery.sock", "--state-dir",
             "/run/late/state")
    wait_until(lambda: host.is_active(receiver("w")), "it is ready")
    assert host.property(receiver("w"), "NRestarts") == "0"
    host.systemctl("stop", receiver("w"), "late.service")
    host.no_drop_in(receiver("w"))


def test_a_killed_receiver_comes_back(host):
    host.systemctl("start", receiver(1))
    host.run("ackctl", "send", "--to", "1", "before")
    pid = host.main_pid(receiver(1))
    host.run("kill", "-9", pid)
    host.run("ackctl", "send", "--to", "1", "--timeout", "60s", "after")
    assert host.main_pid(receiver(1)) not in (0, pid)


def test_the_next_connection_starts_a_receiver(host):
    host.drop_in(receiver(2), "[Service]\nRestart=no\n")
    host.systemctl("start", receiver(2))
    host.run("ackctl", "send", "--to", "2", "before")
    host.run("kill", "-9", host.main_pid(receiver(2)))
    wait_until(lambda: host.property(receiver(2), "ActiveState") == "failed" or host.property(receiver(2), "NRestarts"),
               "it is dead")
    host.run("ackctl", "send", "--to", "2", "--timeout", "60s", "after")
    assert host.is_active(receiver(2))
    host.no_drop_in(receiver(2))


def test_stopped_stays_stopped_under_load(host):
    host.systemctl("start", receiver(3))
    host.run("ackctl", "send", "--to", "3", "before")
    host.systemctl("stop", receiver(3))
    messages = [host.run("ackctl", "send", "--to", "3", "--no-wait", f"while away {i}").strip() for i in range(5)]
    for _ in range(30):  # the client tries on all the time
        assert host.property(receiver(3), "ActiveState") == "inactive"
        time.sleep(0.1)
    assert {state(host, m) for m in messages} <= {"bound", "waiting", "queued"}
    host.systemctl("start", receiver(3))
    host.run("ackctl", "wait", "--timeout", "60s", *messages)


def test_a_message_survives_the_client(host):
    host.systemctl("start", receiver(1))
    host.run("ackctl", "send", "--to", "1", "before")
    host.systemctl("stop", receiver(1))
    message = host.run("ackctl", "send", "--to", "1", "--no-wait", "accepted").strip()
    pid = host.main_pid("ackgroup-client.service")
    host.run("kill", "-9", pid)
    wait_until(lambda: host.main_pid("ackgroup-client.service") not in (0, pid), "systemd starts the client again")
    host.systemctl("start", receiver(1))
    host.run("ackctl", "wait", "--timeout", "60s", message)
    runs = host.run("journalctl", "--no-pager", "-o", "cat", "-u", receiver(1)).count(f"Message {message} from")
    assert runs == 1


@pytest.mark.parametrize("unit", SERVICES)
def test_watchdog(host, unit):
    """One that hangs is killed and started again."""
    host.drop_in(unit, "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n")
    host.systemctl("start", unit)
    pid = host.main_pid(unit)
    host.run("kill", "-STOP", pid)
    wait_until(lambda: host.main_pid(unit) not in (0, pid) and host.is_active(unit), "it is started again")
    assert "watchdog" in host.run("journalctl", "--no-pager", "-u", unit).lower()
    host.no_drop_in(unit)


@pytest.mark.parametrize("unit", SERVICES)
def test_stop_and_restart(host, unit):
    host.systemctl("start", unit)
    pid = host.main_pid(unit)
    host.systemctl("restart", unit)
    assert host.is_active(unit) and host.main_pid(unit) != pid
    host.systemctl("stop", unit)
    assert host.property(unit, "Result") == "success"
    assert host.property(unit, "ActiveState") == "inactive"
    if unit != "ackgroup-client.service":
        socket = unit.replace(".service", ".socket")
        assert host.property(socket, "ActiveState") == "inactive"


def test_discovery_restarts_and_nobody_is_forgotten(host):
    host.systemctl("start", receiver(1), receiver(2))
    host.systemctl("restart", "ackgroup-discovery.service")
    answer = json.loads(host.run("curl", "-s", "http://127.0.0.1:7480/v1/receivers"))
    assert [r["name"].split("@")[0] for r in answer["receivers"]] == ["1", "2"]


def test_who_may_do_what(host):
    host.systemctl("start", receiver(1))
    host.run("ackctl", "send", "--any", "as root")
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    for words in (["list"], ["messages"], ["status"]):
        host.run(*as_nobody, "ackctl", *words)
    text = host.run(*as_nobody, "ackctl", "send", "--any", "x", check=False)
    assert host.status == 1 and "group ackgroup" in text
    host.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=ackgroup", "ackctl", "send", "--any", "a member")
    text = host.run(*as_nobody, "curl", "-s", "--unix-socket", "/run/ackgroup/discovery.sock", "http://localhost/v1/status",
                    check=False)
    assert host.status != 0  # registering is for the group


def test_a_handler_from_the_configuration(host):
    host.run("mkdir", "-p", "/etc/ackgroup")
    host.run("tee", "/etc/ackgroup/receiver@x.conf", stdin="[Receiver]\nExec=tr a-z A-Z\nGroup=loud\n")
    host.systemctl("start", receiver("x"))
    assert host.run("ackctl", "send", "--any", "--group", "loud", "hello") == "HELLO"
