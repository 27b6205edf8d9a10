# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same units under a user's own manager, on the session bus, and without root."""

import json

import pytest

from host import wait_until

USER = "walter"


class Session:
    def __init__(self, host):
        self.host = host

    def run(self, *words, **more):
        return self.host.as_user(USER, *words, **more)

    def systemctl(self, *words):
        return self.run("systemctl", "--user", "--no-pager", *words)

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit).strip()


@pytest.fixture(scope="module")
def session(host):
    host.systemctl("stop", "ackgroup-client.service", "ackgroup-receiver@*", "ackgroup-discovery.socket",
                   "ackgroup-discovery.service")
    host.run("useradd", "--create-home", USER)
    manager = f"user@{host.run('id', '-u', USER).strip()}.service"  # as for somebody who has logged in
    host.systemctl("start", manager)
    yield Session(host)
    host.systemctl("stop", manager)


def test_units_are_valid(session):
    units = ["ackgroup-discovery.socket", "ackgroup-discovery.service", "ackgroup-receiver@1.socket",
             "ackgroup-receiver@1.service", "ackgroup-client.service", "ackgroup.target"]
    text = session.run("systemd-analyze", "--user", "verify", "--man=no", *units, check=False)
    assert [line for line in text.splitlines() if "ackgroup" in line] == []


def test_main_job(session):
    """systemctl starts the receivers, the session bus starts the client. Nothing runs as root or in the system."""
    session.run("bash", "-c", "systemctl --user start ackgroup-receiver@{1..3}")
    listed = json.loads(session.run("ackctl", "--user", "list", "--json=short"))
    assert [r["name"].split("@")[0] for r in listed] == ["1", "2", "3"]
    session.run("ackctl", "--user", "send", "--all", "hello")
    for unit in "ackgroup-client", "ackgroup-discovery", "ackgroup-receiver@3":
        pid = session.property(f"{unit}.service", "MainPID")
        assert session.host.run("stat", "-c", "%U", f"/proc/{pid}").strip() == USER
        assert not session.host.is_active(f"{unit}.service")
    assert session.property("ackgroup-receiver@3.service", "Slice") == "ackgroup.slice"
    assert "/home" in session.run("sh", "-c", "find ~ -name outbox.db -o -name 'ackgroup*'")


def test_ackctl_finds_it_where_the_system_has_none(session):
    """Works without --user, because the system's client is masked."""
    session.host.systemctl("mask", "--now", "ackgroup-client.service")
    try:
        session.run("ackctl", "send", "--any", "hello")
    finally:
        session.host.systemctl("unmask", "ackgroup-client.service")


def test_restart_and_stop(session):
    for unit in "ackgroup-receiver@1.service", "ackgroup-discovery.service", "ackgroup-client.service":
        session.systemctl("restart", unit)
        session.run("ackctl", "--user", "send", "--to", "1", "hello")
    session.systemctl("stop", "ackgroup-receiver@*")
    message = session.run("ackctl", "--user", "send", "--to", "1", "--no-wait", "for later").strip()
    session.systemctl("stop", "ackgroup.target")
    assert session.run("systemctl", "--user", "--failed", "--plain", "--no-legend").strip() == ""
    session.systemctl("start", "ackgroup.target")
    session.run("ackctl", "--user", "wait", "--timeout", "60s", message)
    journal = session.host.run("journalctl", "--no-pager", "-o", "cat", f"ACKGROUP_MESSAGE={message}")
    assert journal.count("from") == 1
    session.systemctl("stop", "ackgroup.target")
    wait_until(lambda: "ackgroup" not in session.host.run("ps", "-u", USER, "-o", "comm="), "nothing of it runs")
