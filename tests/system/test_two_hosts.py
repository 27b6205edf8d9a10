# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hosts, each with its own systemd and address. Discovery and the client are on one, receivers on the other, over
TCP. The network between them is two namespaces and a cable, made here. The configuration follows docs/ADMIN.md."""

import json
import os
import re
import subprocess

import pytest

from conftest import booted
from host import wait_until

ADDRESS = {"one": "10.87.0.1", "two": "10.87.0.2"}
PORT = {1: 7501, 2: 7502}


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module")
def network():
    """Names of the namespaces, by host."""
    names = {host: f"ackgroup-{host}-{os.getpid()}" for host in ADDRESS}
    links = {host: f"ack{host}{os.getpid()}" for host in ADDRESS}
    try:
        for name in names.values():
            ip("netns", "add", name)
        ip("link", "add", links["one"], "netns", names["one"], "type", "veth", "peer", "name", links["two"], "netns",
           names["two"])
        for host, name in names.items():
            ip("-n", name, "link", "set", links[host], "name", "host0")
            ip("-n", name, "address", "add", f"{ADDRESS[host]}/24", "dev", "host0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "host0", "up")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture(scope="module")
def one(release, network):
    with booted(release, namespace=f"/run/netns/{network['one']}", name="one") as host:
        host.apt("install", "ackgroup-discovery", "ackgroup-client")
        for unit in "ackgroup-discovery.service", "ackgroup-client.service":
            host.write(f"/etc/systemd/system/{unit}.d/network.conf", "[Service]\nIPAddressAllow=10.87.0.0/24\n")
        host.write("/etc/systemd/system/ackgroup-discovery.socket.d/network.conf",
                   f"[Socket]\nListenStream={ADDRESS['one']}:7480\n")
        host.write("/etc/ackgroup/ackgroup.conf.d/network.conf",
                   "[Discovery]\nAllowTcpRegistration=yes\nAllowInsecure=yes\n")
        host.systemctl("daemon-reload")
        host.systemctl("stop", "ackgroup-discovery.service", "ackgroup-discovery.socket")
        host.systemctl("start", "ackgroup-discovery.socket")
        host.systemctl("restart", "ackgroup-client.service")
        yield host


@pytest.fixture(scope="module")
def two(release, network, one):
    with booted(release, namespace=f"/run/netns/{network['two']}", name="two") as host:
        host.apt("install", "--no-install-recommends", "ackgroup-receiver")
        host.write("/etc/ackgroup/ackgroup.conf.d/network.conf",
                   f"[Receiver]\nDiscovery=http://{ADDRESS['one']}:7480\nAllowInsecure=yes\n")
        for n, port in PORT.items():
            host.write(f"/etc/systemd/system/ackgroup-receiver@{n}.socket.d/network.conf",
                       f"[Socket]\nListenStream={ADDRESS['two']}:{port}\n")
        host.systemctl("daemon-reload")
        host.systemctl("start", "ackgroup-receiver@1.service", "ackgroup-receiver@2.service")
        yield host


def test_receivers_join(one, two):
    listed = {r["name"]: r for r in json.loads(one.run("ackctl", "list", "--json=short"))}
    assert set(listed) == {"1@two", "2@two"}
    assert f"tcp:{ADDRESS['two']}:{PORT[1]}" in listed["1@two"]["addresses"]
    message = one.run("ackctl", "send", "--to", "1@two", "--no-wait", "hello").strip()
    one.run("ackctl", "wait", "--timeout", "60s", message)
    assert f"Message {message} acked" in two.run("journalctl", "--no-pager", "-o", "cat", f"ACKGROUP_MESSAGE={message}")
    one.run("ackctl", "send", "--all", "to both")


def test_a_cable_that_is_pulled(one, two, network):
    """The message waits, and is processed once when the cable is back."""
    def cable(state):
        ip("-n", network["two"], "link", "set", "host0", state)

    cable("down")
    try:
        message = one.run("ackctl", "send", "--to", "2@two", "--no-wait", "over the cable").strip()
        # Which of the two ends first, the wait for the ack or the connection, depends on the load.
        wait_until(lambda: "no-ack" in one.run("ackctl", "trace", message)
                   or re.search("connect|cannot be reached", one.run("ackctl", "why", message)), "its sender knows")
    finally:
        cable("up")
    one.run("ackctl", "wait", "--timeout", "60s", message)
    journal = two.run("journalctl", "--no-pager", "-o", "cat", "-u", "ackgroup-receiver@2.service")
    assert journal.count("says: over the cable") == 1


def test_a_restart_there(one, two):
    two.systemctl("restart", "ackgroup-receiver@1.service", "ackgroup-receiver@2.service")
    one.run("ackctl", "send", "--all", "after the restart")
    two.systemctl("stop", "ackgroup-receiver@*")
    wait_until(lambda: json.loads(one.run("ackctl", "list", "--json=short")) == [], "both have taken leave")
    two.systemctl("start", "ackgroup-receiver@1.service", "ackgroup-receiver@2.service")
    one.run("ackctl", "send", "--all", "after the stop")


def test_nothing_is_open_without_a_word(two):
    """Nothing is encrypted. Without AllowInsecure= the log says so once, and nothing starts."""
    unit = "ackgroup-receiver@3.service"
    two.write("/etc/ackgroup/receiver@3.conf", "[Receiver]\nAllowInsecure=no\n")
    two.write("/etc/systemd/system/ackgroup-receiver@3.socket.d/network.conf", f"[Socket]\nListenStream={ADDRESS['two']}:7503\n")
    two.systemctl("daemon-reload")
    two.systemctl("start", unit, check=False)
    assert two.status != 0
    assert two.property(unit, "ExecMainStatus") == "78" and two.property(unit, "ActiveState") == "failed"
    assert "AllowInsecure=yes" in two.run("journalctl", "--no-pager", "-u", unit)
