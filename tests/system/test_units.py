# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units under a real systemd: start, readiness, activation, stop, watchdog, crash, sandbox, policy."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import time

import pytest

from host import wait_until

sys.path.append(str(pathlib.Path(__file__).parents[1] / "integration"))

import frames  # noqa: E402

SERVICES = ["ackgroup-discovery.service", "ackgroup-receiver@1.service", "ackgroup-client.service"]
UNITS = [*SERVICES, "ackgroup-discovery.socket", "ackgroup-receiver@1.socket", "ackgroup.target"]
MANAGER = ("org.ackgroup.Client1", "/org/ackgroup/Client1", "org.ackgroup.Client1.Manager")


def receiver(n):
    return f"ackgroup-receiver@{n}.service"


pytestmark = pytest.mark.usefixtures("clean")


def test_units_are_valid(host):
    assert host.run("systemd-analyze", "verify", "--man=no", *UNITS, check=False).strip() == ""
    assert host.status == 0


def test_sandbox(host):
    for unit in SERVICES:
        # A receiver makes control groups, and may leave groups before it begins.
        threshold = 22 if "receiver" in unit else 15
        text = host.run("systemd-analyze", "--no-pager", "security", f"--threshold={threshold}", unit, check=False)
        assert host.status == 0, text[-400:]
        print(host.release, unit, text.strip().splitlines()[-1])


def test_main_job(host):
    """One systemctl start, one ackctl send. The bus starts the client."""
    host.systemctl("start", *map(receiver, (1, 2, 3)))
    records = json.loads(host.run("ackctl", "--json=short", "list"))
    assert [r["name"] for r in records] == [f"{n}@{host.release}" for n in (1, 2, 3)]
    again = json.loads(host.run("ackctl", "--machine=.host", "--json=short", "list"))
    assert [r["id"] for r in again] == [r["id"] for r in records]
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
    """It waits longer than TimeoutStartSec=, because it asks systemd for more time."""
    host.write("/etc/ackgroup/receiver@w.conf", "[Receiver]\nDiscovery=unix:/run/late/discovery.sock\n")
    host.drop_in(receiver("w"), "[Service]\nTimeoutStartSec=3s\n")
    host.systemctl("start", "--no-block", receiver("w"))
    wait_until(lambda: "discovery" in host.property(receiver("w"), "StatusText"), "its status says why")
    time.sleep(5)
    assert host.property(receiver("w"), "ActiveState") == "activating"
    host.run("systemd-run", "--quiet", "--unit=late", "-p", "User=ackgroup", "-p", "RuntimeDirectory=late",
             "-p", "Group=ackgroup", "/usr/libexec/ackgroup/ackgroup-discovery", "--listen",
             "unix:/run/late/discovery.sock", "--state-dir", "/run/late/state")
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
    """Only its socket is started, as after a boot with only the sockets enabled."""
    host.systemctl("start", receiver(2))
    host.run("ackctl", "send", "--to", "2", "before")
    host.systemctl("stop", receiver(2))
    host.systemctl("start", "ackgroup-receiver@2.socket")
    assert not host.is_active(receiver(2))
    host.run("ackctl", "send", "--to", "2", "--timeout", "60s", "after")
    assert host.is_active(receiver(2))


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
    """A daemon that hangs is killed and started again."""
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
        wait_until(lambda: host.property(socket, "ActiveState") == "inactive", "its socket is closed")


def test_a_restart_is_not_taking_leave(host):
    """The receiver stays registered, so that messages that it may have begun do not go to others. Only a stop removes
    it."""
    host.systemctl("start", receiver(1))
    since = host.run("date", "+%s.%N").strip()

    def left():
        return host.run("journalctl", "--no-pager", f"--since=@{since}", "-u", "ackgroup-discovery").count("has left")

    host.systemctl("restart", receiver(1))
    host.systemctl("try-restart", "ackgroup-receiver@*.service")
    host.systemctl("restart", "ackgroup-receivers.target")
    wait_until(lambda: host.is_active(receiver(1)), "the target has brought it back")
    assert left() == 0
    host.systemctl("stop", receiver(1))
    wait_until(lambda: left() == 1, "discovery is told")


def test_restart_is_told_as_what_it_is(host):
    """GOODBYE tells a sender whether the receiver comes back at once. A receiver that restarts does not leave
    discovery."""
    host.systemctl("start", receiver(1))
    for verb, reason in (("restart", 1), ("stop", 2)):
        one = json.loads(host.run("ackctl", "--json=short", "list"))[0]
        sender = frames.Sender(f"/proc/{host.pid}/root{one['addresses'][0].removeprefix('unix:')}", one["id"])
        begin = host.run("journalctl", "--no-pager", "-o", "cat", "-u", "ackgroup-discovery").count("has left")
        host.systemctl(verb, receiver(1))
        assert sender.read_kind(frames.GOODBYE) == bytes([reason])
        with pytest.raises(frames.Closed):
            sender.read()
        left = host.run("journalctl", "--no-pager", "-o", "cat", "-u", "ackgroup-discovery").count("has left") - begin
        assert left == (1 if verb == "stop" else 0)
        sender.close()


@pytest.mark.parametrize("unit", SERVICES)
def test_reload(host, unit):
    """The same process goes on with the new content of the files."""
    host.systemctl("start", receiver(1), unit)
    host.run("ackctl", "send", "--to", "1", "x")
    pid = host.main_pid(unit)
    host.systemctl("reload", unit)
    wait_until(lambda: "Reloaded the configuration" in host.run("journalctl", "--no-pager", "-u", unit), "it says so")
    assert host.main_pid(unit) == pid
    host.run("ackctl", "send", "--to", "1", "x")


@contextlib.contextmanager
def mistake(host, section):
    """A line that is wrong; gives what is said of it."""
    path = "/etc/ackgroup/ackgroup.conf.d/mistake.conf"
    host.write(path, f"[{section}]\n\nBogus=1\n")
    try:
        yield f"{path}:3: unknown key Bogus= in [{section}]"
    finally:
        host.run("rm", path)


@pytest.mark.parametrize("unit", SERVICES)
def test_reload_with_a_mistake(host, unit):
    """systemctl says that it failed, and the journal where the mistake is. The process goes on as it was."""
    host.systemctl("start", receiver(1), unit)
    host.run("ackctl", "send", "--to", "1", "x")
    pid = host.main_pid(unit)
    section = next(name for name in ("Discovery", "Receiver", "Client") if name.lower() in unit)
    with mistake(host, section) as reason:
        assert "failed" in host.systemctl("reload", unit, check=False)
        assert reason in host.run("journalctl", "--no-pager", "-u", unit)
        assert host.main_pid(unit) == pid
    host.run("ackctl", "send", "--to", "1", "x")


def test_ackctl_says_why_the_client_does_not_start(host):
    """At once, and not when the bus has lost its patience. It works again as soon as the mistake is mended."""
    host.systemctl("stop", "ackgroup-client")
    with mistake(host, "Client") as reason:
        for words in (("list",), ("--system", "status")):
            text = host.run("ackctl", *words, check=False)
            assert host.status == 5 and reason in text and text.endswith("; see: systemctl status ackgroup-client\n"), text
            assert "status 78" in text
    host.run("ackctl", "list")


def test_an_address_that_comes_later_than_the_socket(host):
    """A boot does not wait for it: the socket listens before its address is there."""
    host.write("/run/systemd/system/ackgroup-receiver@1.socket.d/network.conf", "[Socket]\nListenStream=198.51.100.7:7501\n")
    host.write("/etc/ackgroup/receiver@1.conf", "[Receiver]\nAllowInsecure=yes\n")
    host.systemctl("daemon-reload")
    host.systemctl("start", receiver(1))
    assert host.is_active("ackgroup-receiver@1.socket")
    assert host.is_active("ackgroup-receiver@1.service")
    network = ["nsenter", "-t", str(host.pid), "-n", "ip", "address"]
    subprocess.run([*network, "add", "198.51.100.7/32", "dev", "lo"], check=True)
    try:
        host.run("bash", "-c", "exec 3<>/dev/tcp/198.51.100.7/7501")
    finally:
        subprocess.run([*network, "del", "198.51.100.7/32", "dev", "lo"], check=True)


def test_stop_of_all_waits(host):
    """A start behind it is not taken for a change of mind: all processes are new."""
    host.systemctl("start", "ackgroup.target")
    before = {unit: host.main_pid(unit) for unit in SERVICES}
    host.systemctl("stop", "ackgroup-*")
    assert [unit for unit in UNITS if unit != "ackgroup.target" and host.is_active(unit)] == []
    host.systemctl("start", "ackgroup.target")
    assert all(host.main_pid(unit) not in (0, before[unit]) for unit in SERVICES)


def test_drain(host):
    host.systemctl("start", receiver(1), receiver(2))
    wait_until(lambda: len(json.loads(host.run("ackctl", "list", "--json=short"))) == 2, "both are there")
    host.run("ackctl", "drain", "1")
    wait_until(lambda: "draining" in host.run("ackctl", "list"), "the client knows")
    ends = [host.run("ackctl", "send", "--any", "--json=short", "x") for _ in range(3)]
    assert all(json.loads(end)["receiver"].startswith("2@") for end in ends)
    host.run("ackctl", "resume", "1")


def test_discovery_restarts_and_nobody_is_forgotten(host):
    host.systemctl("start", receiver(1), receiver(2))
    host.systemctl("restart", "ackgroup-discovery.service")
    answer = json.loads(host.run("curl", "-s", "http://127.0.0.1:7480/v1/receivers"))
    assert [r["name"].split("@")[0] for r in answer["receivers"]] == ["1", "2"]


def test_a_handler_from_the_configuration(host):
    host.write("/etc/ackgroup/receiver@x.conf", "[Receiver]\nExec=tr a-z A-Z\nGroup=loud\n")
    host.systemctl("start", receiver("x"))
    assert host.run("ackctl", "send", "--any", "--group", "loud", "hello") == "HELLO"


def test_a_handler_is_contained(host):
    """Its processes are in a control group of their own and are dead when the handler has ended. It has no capabilities,
    and may not use the sockets of the daemons."""
    host.write("/srv/handler", """#!/bin/sh
        grep ^0:: /proc/self/cgroup; id -Gn; grep -h ^Cap /proc/self/status
        for s in discovery receiver/y; do
            curl -s --unix-socket /run/ackgroup/$s.sock http://localhost/v1/status >/dev/null; echo curl $?
        done
        ackctl drain y 2>&1; echo drain $?; ackctl send --no-wait --to y x 2>&1; echo send $?
        setsid sleep 1234 & (setsid sleep 1234 &); timeout 600 sleep 1234 &
        echo a needle >&2; sleep 0.2""")
    host.run("chmod", "755", "/srv/handler")
    host.write("/etc/ackgroup/receiver@y.conf", "[Receiver]\nExec=/srv/handler\nGroup=y\n")
    host.systemctl("start", receiver("y"))
    said = host.run("ackctl", "send", "--any", "--group", "y", "hello").splitlines()
    assert re.fullmatch(r"0::/ackgroup.slice/.*ackgroup-receiver@y.service/handler-\d+", said[0]), said
    assert said[1] == "ackgroup-receiver"
    assert {line.split()[1] for line in said if line.startswith(("CapPrm", "CapEff", "CapAmb"))} == {"0" * 16}
    assert [line for line in said if line.startswith("curl")] == ["curl 7", "curl 7"]
    assert not {"drain 0", "send 0"} & set(said) and sum("needs the authorization" in line for line in said) == 2, said
    assert host.run("pgrep", "-xf", "sleep 1234", check=False) == ""
    message = json.loads(host.run("ackctl", "--json=short", "messages"))[0]["id"]
    assert "a needle" in host.run("journalctl", "--no-pager", "-o", "cat", f"ACKGROUP_MESSAGE={message}").splitlines()


@pytest.mark.parametrize("unit", SERVICES)
def test_stopped_and_started_often(host, unit):
    """More often than systemd's own limit allows, for the service and its socket."""
    for _ in range(8):
        host.systemctl("start", unit)
        host.systemctl("stop", unit)
    host.systemctl("start", unit)
    assert host.is_active(unit)


def test_level_of_the_log(host):
    host.systemctl("start", "ackgroup-client.service")
    host.systemctl("service-log-level", "ackgroup-client.service", "debug")
    assert host.systemctl("service-log-level", "ackgroup-client.service").strip() == "debug"
