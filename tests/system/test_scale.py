# SPDX-License-Identifier: LGPL-2.1-or-later
"""Receivers by systemctl: many instances, a broken handler, drop-ins."""

import json

import pytest

from host import wait_until

pytestmark = pytest.mark.usefixtures("clean")


def running(host):
    text = host.systemctl("list-units", "--plain", "--no-legend", "--state=active", "ackgroup-receiver@*.service")
    return len(text.splitlines())


def test_fifty(host):
    host.run("bash", "-c", "systemctl start ackgroup-receiver@{1..50}")
    assert running(host) == 50
    wait_until(lambda: len(json.loads(host.run("ackctl", "list", "--json=short"))) == 50, "the client knows all of them")
    message = host.run("ackctl", "send", "--all", "--no-wait", "to all").strip()
    host.run("ackctl", "wait", "--timeout", "60s", message)
    acked = host.run("journalctl", "--no-pager", "-o", "cat", "-u", "ackgroup-receiver@*", f"ACKGROUP_MESSAGE={message}")
    assert acked.count(f"Message {message} acked") == 50
    host.run("bash", "-c", "systemctl stop ackgroup-receiver@{11..20}")
    assert running(host) == 40
    host.systemctl("stop", "ackgroup-receiver@*")
    assert running(host) == 0
    assert json.loads(host.run("ackctl", "list", "--json=short")) == []


def test_the_target_is_all_of_them(host):
    host.run("bash", "-c", "systemctl start ackgroup-receiver@{1..3}")
    host.systemctl("stop", "ackgroup-receivers.target")
    wait_until(lambda: running(host) == 0, "all receivers are stopped")
    host.systemctl("start", "ackgroup.target")
    wait_until(lambda: running(host) == 1, "a group to begin with")
    host.run("ackctl", "send", "--any", "hello")
    host.systemctl("stop", "ackgroup.target")
    # systemctl waits for the target, but the target does not wait for its units.
    wait_until(lambda: not any(host.is_active(u) for u in ("ackgroup-client.service", "ackgroup-receiver@1.service",
                                                           "ackgroup-receiver@1.socket", "ackgroup-discovery.socket")),
               "all of it is stopped")


def test_the_slice_accounts(host):
    host.systemctl("start", "ackgroup-receiver@1.service")
    assert host.property("ackgroup-receiver@1.service", "Slice") == "ackgroup.slice"
    for resource in "CPU", "Memory", "IO", "Tasks", "IP":
        assert host.property("ackgroup.slice", f"{resource}Accounting") == "yes"
    if "memory" in host.run("cat", "/sys/fs/cgroup/cgroup.controllers"):  # not where the kernel has them in version 1
        assert int(host.property("ackgroup.slice", "MemoryCurrent")) > 0
    assert "ackgroup-receiver@1.service" in host.run("systemd-cgls", "--no-pager", "--unit", "ackgroup.slice")


def test_a_broken_handler_is_no_broken_service(host):
    """The handler fails message after message, more often than any start limit. The receiver goes on."""
    unit = "ackgroup-receiver@1.service"
    host.write("/etc/ackgroup/receiver@1.conf", "[Receiver]\nExec=/usr/bin/false\n")
    host.systemctl("start", unit)
    message = host.run("ackctl", "send", "--to", "1", "--backoff", "1ms", "--backoff-max", "1ms", "--max-attempts", "30",
                       "--no-wait", "x").strip()
    host.run("ackctl", "wait", message, check=False)
    assert host.status == 3
    assert host.is_active(unit) and host.property(unit, "NRestarts") == "0"
    host.run("ackctl", "dead", "purge", message)


def test_a_service_that_crashes_comes_back_however_often(host):
    unit = "ackgroup-receiver@1.service"
    host.drop_in(unit, "[Service]\nRestartSec=10ms\n")
    host.systemctl("start", unit)
    for _ in range(6):  # five in ten seconds are systemd's own limit
        pid = host.main_pid(unit)
        host.run("kill", "-9", pid)
        wait_until(lambda: host.main_pid(unit) not in (0, pid) and host.is_active(unit), "it is started again")
    host.no_drop_in(unit)


def test_a_mistake_in_the_configuration_is_named_and_not_tried_again(host):
    unit = "ackgroup-receiver@1.service"
    host.write("/etc/ackgroup/receiver@1.conf", "[Receiver]\nExcec=/bin/cat\n")
    host.systemctl("start", unit, check=False)
    assert host.status == 1
    assert host.property(unit, "ExecMainStatus") == "78" and host.property(unit, "NRestarts") == "0"
    text = host.run("journalctl", "--no-pager", "-u", unit, "-n", "20")
    assert "receiver@1.conf:2" in text and "Excec" in text
    wait_until(lambda: host.property(unit.replace("service", "socket"), "ActiveState") == "inactive",
               "no connection starts it again")
    host.systemctl("reset-failed", unit)


def test_an_edit_of_one_instance(host):
    """The file is as systemctl edit writes it."""
    host.write("/etc/systemd/system/ackgroup-receiver@2.service.d/override.conf", "[Service]\nMemoryMax=123M\n")
    host.systemctl("daemon-reload")
    host.systemctl("start", "ackgroup-receiver@1.service", "ackgroup-receiver@2.service")
    assert host.property("ackgroup-receiver@2.service", "MemoryMax") == str(123 << 20)
    assert host.property("ackgroup-receiver@1.service", "MemoryMax") == "infinity"
    host.run("rm", "-r", "/etc/systemd/system/ackgroup-receiver@2.service.d")
    host.systemctl("daemon-reload")
