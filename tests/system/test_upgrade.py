# SPDX-License-Identifier: LGPL-2.1-or-later
"""An upgrade under load: messages flow, others wait for a receiver that is away, connections are open. Both the
administrator and the package have changed the configuration."""

import json
import pathlib
import tempfile

import pytest

from conftest import PACKAGES, listening
from load import Load
from previous import SINCE, previous

CONF = "/etc/ackgroup/ackgroup.conf"
SERVICES = ["ackgroup-discovery.service", "ackgroup-client.service", "ackgroup-receiver@1.service",
            "ackgroup-receiver@2.service"]


@pytest.fixture(scope="session")
def old_packages():
    with tempfile.TemporaryDirectory(prefix="ackgroup-previous-", dir="/var/tmp") as directory:
        yield previous(PACKAGES, pathlib.Path(directory))


def versions(host):
    return set(host.run("dpkg-query", "-W", "-f", "${Version}\n", "ackgroup*").split())


@pytest.fixture(scope="module")
def old_host(bare_host, old_packages):
    bare_host.offer(old_packages)
    bare_host.apt("install", "ackgroup")
    return bare_host


def test_upgrade_under_load(old_host):
    host = old_host
    host.run("sed", "-i", "s/^#AckTimeoutSec=.*/AckTimeoutSec=7s/", CONF)
    host.systemctl("start", "ackgroup-receiver@away.service")
    host.run("ackctl", "send", "--to", "away", "before")
    identity = json.loads(host.run("ackctl", "list", "--json=short"))[0]["id"]
    host.systemctl("stop", "ackgroup-receiver@away.service")
    waiting = [host.run("ackctl", "send", "--to", "away", "--no-wait", f"{n}").strip() for n in range(5)]
    with Load(host, "upgrade") as load:
        pids = {unit: host.main_pid(unit) for unit in SERVICES}
        before, old = listening(host), versions(host)
        assert len(before) >= 4 and len(old) == 1 and 0 not in pids.values()
        host.offer(PACKAGES)
        host.apt("-o", "Dpkg::Options::=--force-confold", "dist-upgrade")
        assert len(versions(host)) == 1 and versions(host) != old
        load.flows()
        assert listening(host) == before
        for unit in SERVICES:  # the new program runs
            assert host.main_pid(unit) not in (0, pids[unit])
            assert host.property(unit, "NRestarts") == "0"
    load.check(client_restarted=True)
    host.systemctl("start", "ackgroup-receiver@away.service")
    host.run("ackctl", "wait", "--timeout", "60s", *waiting)
    assert identity in [r["id"] for r in json.loads(host.run("ackctl", "list", "--json=short"))]
    assert host.systemctl("--failed", "--plain", "--no-legend").strip() == ""


def test_the_changed_configuration_is_kept(old_host):
    """After the upgrade above the administrator's file is in use, and the package's file is beside it."""
    assert "\nAckTimeoutSec=7s\n" in old_host.run("cat", CONF)
    assert SINCE in old_host.run("cat", CONF) and SINCE not in old_host.run("cat", CONF + ".dpkg-dist")
    assert old_host.run("busctl", "get-property", "org.ackgroup.Client1", "/org/ackgroup/Client1",
                        "org.ackgroup.Client1.Manager", "AckTimeoutUSec").split() == ["t", "7000000"]
