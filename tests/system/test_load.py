# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restart and stop of the daemons while messages flow."""

import json

import pytest

from conftest import listening
from host import wait_until
from load import Load

pytestmark = pytest.mark.usefixtures("clean")


@pytest.mark.parametrize("unit", ["ackgroup-discovery.service", "ackgroup-receiver@1.service", "ackgroup-client.service"])
def test_restart(host, unit):
    with Load(host, unit) as load:
        before = listening(host)
        assert len(before) >= 4
        for _ in range(3):
            host.systemctl("restart", unit)
            load.flows()
        assert listening(host) == before
    load.check(client_restarted="client" in unit)
    assert host.property(unit, "NRestarts") == "0"  # none of them was a crash


def test_all_at_once(host):
    """The target stops and starts with everything that belongs to it."""
    with Load(host, "all") as load:
        host.systemctl("restart", "ackgroup-discovery.service", "ackgroup-client.service", "ackgroup-receivers.target")
        load.flows()
    load.check(client_restarted=True)


def refused_connections(host):
    """How many TCP connections on this host found no listener."""
    names, values = [line.split() for line in host.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")]
    return int(values[names.index("AttemptFails")])


def test_a_stop_stays_one(host):
    """The client tries to connect all the time. A socket that was still open would start the receiver again."""
    sockets = [f"ackgroup-receiver@{n}.socket" for n in (1, 2)]
    services = [f"ackgroup-receiver@{n}.service" for n in (1, 2)]
    for n, socket in enumerate(sockets):
        host.drop_in(socket, f"[Socket]\nListenStream=127.0.0.1:{7501 + n}\n")
    with Load(host, "stop") as load:
        host.systemctl("stop", *services)
        away = [host.run("ackctl", "send", "--to", str(n), "--no-wait", "x").strip() for n in (1, 2)]
        before = refused_connections(host)
        wait_until(lambda: refused_connections(host) >= before + 6, "the client has tried again and again")
        load.flows()
        for unit in sockets + services:
            assert host.property(unit, "ActiveState") == "inactive"
        assert {json.loads(host.run("ackctl", "--json=short", "show", m))["state"] for m in away} <= {"queued", "bound", "waiting"}
        host.systemctl("start", *services)
    load.check()
    host.run("ackctl", "wait", "--timeout", "60s", *away)
    for socket in sockets:
        host.no_drop_in(socket)
