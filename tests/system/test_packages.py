# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of the packages on a host: installed, removed, installed again, purged. Each test continues where the
previous one ended."""

import json

import pytest

UNITS = ["ackgroup-client.service", "ackgroup-discovery.service", "ackgroup-discovery.socket",
         "ackgroup-receiver@1.service", "ackgroup-receiver@1.socket", "ackgroup.target"]
CONF = "/etc/ackgroup/ackgroup.conf"
CHANGE = "\n[Client]\nAckTimeoutSec=7s\n"


@pytest.fixture(scope="module")
def known():
    """Values that a test passes on to later tests."""
    return {}


def ours(host):
    """Every path on the host that has our name, except those of apt, the journal and the repository."""
    text = host.run("find", "/", "-xdev", "(", "-path", "/srv", "-o", "-path", "/var/lib/apt", "-o", "-path", "/var/cache/apt",
                    "-o", "-path", "/var/log", ")", "-prune", "-o", "-iname", "*ackgroup*", "-print")
    return {path for path in text.split() if not path.startswith("/usr/share/locale")}


def processes(host):
    return [name for name in host.run("ps", "-eo", "comm=").split() if name.startswith("ackgroup")]


def test_install(bare_host):
    bare_host.apt("install", "ackgroup")
    for name in "ackgroup-common", "ackgroup-client", "ackgroup-discovery", "ackgroup-receiver":
        assert bare_host.run("dpkg", "--verify", name) == ""
    assert bare_host.systemctl("--failed", "--plain", "--no-legend").strip() == ""
    assert bare_host.is_active("ackgroup-client.service")
    assert bare_host.property("ackgroup-client.service", "NRestarts") == "0"
    assert bare_host.is_active("ackgroup-discovery.socket")
    assert processes(bare_host).count("ackgroup-receiv") == 0  # the administrator decides which instances exist


def test_what_starts_by_default_is_what_the_preset_says(bare_host):
    def enabled():
        return {unit: bare_host.systemctl("is-enabled", unit, check=False).strip() for unit in UNITS}

    before = enabled()
    assert before["ackgroup-client.service"] == before["ackgroup-discovery.socket"] == "enabled"
    assert {unit for unit, state in before.items() if state == "enabled"} == {UNITS[0], UNITS[2]}
    bare_host.systemctl("preset", *UNITS)
    assert enabled() == before


def test_use(bare_host, known):
    """Makes one of each kind of thing that must survive or go: state, configuration, an enabled instance."""
    bare_host.run("tee", "-a", CONF, stdin=CHANGE)
    bare_host.write("/etc/ackgroup/receiver@1.conf", "[Receiver]\nGroup=parcels\n")
    bare_host.systemctl("enable", "--now", "ackgroup-receiver@1.service")
    bare_host.run("ackctl", "send", "--to", "1", "hello")
    known["receiver"] = json.loads(bare_host.run("ackctl", "list", "--json=short"))[0]["id"]
    bare_host.systemctl("stop", "ackgroup-receiver@1.service")
    known["message"] = bare_host.run("ackctl", "send", "--to", "1", "--no-wait", "for later").strip()
    bare_host.systemctl("start", "ackgroup-discovery.service")


def test_remove(bare_host):
    bare_host.systemctl("start", "ackgroup-receiver@2.service")
    bare_host.systemctl("stop", "ackgroup-receiver@1.service")
    bare_host.apt("autoremove", "--purge=false", "ackgroup")
    assert bare_host.run("sh", "-c", "command -v ackctl", check=False) == ""
    assert processes(bare_host) == []
    assert "ackgroup" not in bare_host.systemctl("list-units", "--plain", "--no-legend", "--state=active",
                                                 "--type=service,socket,target")
    assert bare_host.systemctl("--failed", "--plain", "--no-legend").strip() == ""
    assert "AckTimeoutSec=7s" in bare_host.run("cat", CONF)


def test_install_again(bare_host, known):
    bare_host.apt("install", "ackgroup")
    assert "AckTimeoutSec=7s" in bare_host.run("cat", CONF)
    bare_host.systemctl("start", "ackgroup-receiver@1.service")
    bare_host.run("ackctl", "wait", "--timeout", "60s", known["message"])
    listed = json.loads(bare_host.run("ackctl", "list", "--json=short"))
    assert [(r["id"], r["group"]) for r in listed] == [(known["receiver"], "parcels")]


def test_purge(bare_host):
    """Everything of ours goes except the user's entries, as usual in Debian."""
    assert ours(bare_host)
    bare_host.apt("purge", "ackgroup*")
    assert processes(bare_host) == []
    assert ours(bare_host) == set()
    assert bare_host.systemctl("--failed", "--plain", "--no-legend").strip() == ""
    assert "ackgroup" not in bare_host.systemctl("list-unit-files", "--plain", "--no-legend")
