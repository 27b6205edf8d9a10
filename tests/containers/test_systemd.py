# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers as hosts with their own systemd, and containers as units of a host's systemd."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest

import host as host_module
from engine import IMAGE, TOP, wait_until

SYSTEMD_IMAGE = "localhost/ackgroup-systemd"
QUADLET = TOP / "containers/quadlet"
QUADLET_PACKAGES = ["podman", "netavark", "aardvark-dns", "nftables", "crun"]
GENERATOR = "/usr/lib/systemd/system-generators/podman-system-generator"


def test_three_hosts(engine, group):
    """Discovery, receivers and a client, each on its own host. The units start them in their sandbox."""
    engine.build(SYSTEMD_IMAGE, "systemd")
    engine.compose("-f", "systemd/compose.yml", "up", "-d")

    def on(name, *words, check=True):
        return engine.podman("exec", group.name(name), *words, check=check)

    def names():
        text = on("client", "ackctl", "list", "--json=short", check=False)
        return [r["name"] for r in json.loads(text)] if engine.status == 0 else []

    wait_until(lambda: names() == ["1@receiver", "2@receiver", "3@receiver"], "the client's host sees the receivers")
    assert "acked" in on("client", "ackctl", "send", "--to", "2@receiver", "hello", check=False)
    assert "says: hello" in on("receiver", "journalctl", "--no-pager", "-o", "cat", "-u", "ackgroup-receiver@2.service")
    for name in ("discovery", "receiver", "client"):
        assert on(name, "cat", "/proc/1/comm").strip() == "systemd"
        wait_until(lambda: on(name, "systemctl", "is-system-running", check=False).strip() == "running", f"{name} is up")
    pid = on("receiver", "systemctl", "show", "--value", "-p", "MainPID", "ackgroup-receiver@1.service").strip()
    setgid = f"{1 << 6:016x}"  # to take the group ackgroup from its handlers
    assert f"CapBnd:\t{setgid}" in on("receiver", "cat", f"/proc/{pid}/status")
    on("receiver", "systemctl", "stop", "ackgroup-receiver@2.service")
    assert names() == ["1@receiver", "3@receiver"]
    engine.compose("-f", "systemd/compose.yml", "down", "-t", "30")
    assert engine.running() == []


class PodmanHost(host_module.Host):
    """A Debian 13 with podman, the image and the quadlet files. Its storage is outside, because an overlay cannot lie
    on another overlay."""

    def __init__(self, directory, engine):
        self.engine = engine
        (directory / "storage").mkdir()
        self.options = ["--capability=all", f"--bind={directory}/storage:/var/lib/containers"]
        # Containers in it need calls that it would not get: for bpf(), say.
        self.environment = {**host_module.Host.environment, "SYSTEMD_SECCOMP": "0"}
        super().__init__("trixie", directory)

    def offer(self, packages):
        (self.root / "etc/resolv.conf").write_text(pathlib.Path("/etc/resolv.conf").read_text())
        subprocess.run(["mount", "-t", "proc", "proc", self.root / "proc"], check=True)
        try:
            for words in (["update"], ["install", "-y", "--no-install-recommends", *QUADLET_PACKAGES]):
                subprocess.run(["chroot", self.root, "apt-get", "-qq", *words], check=True, capture_output=True,
                               env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
        finally:
            subprocess.run(["umount", self.root / "proc"], check=True)
        # Where the version 2 of control groups has no controller of that name, podman cannot set its own limit.
        (self.root / "etc/containers/containers.conf").write_text("[containers]\npids_limit = 0\n")
        self.engine.podman("save", "-q", "-o", self.root / "srv/image.tar", IMAGE, outside=True)  # where the mount is


@pytest.fixture(scope="module")
def podman_host(engine):
    with tempfile.TemporaryDirectory(prefix="ackgroup-quadlet-", dir="/var/tmp") as directory:
        one = PodmanHost(pathlib.Path(directory), engine)
        try:
            one.run("podman", "load", "-q", "-i", "/srv/image.tar")
            for file in QUADLET.iterdir():
                one.write(f"/etc/containers/systemd/{file.name}", file.read_text())
            yield one
        finally:
            one.end()


def test_the_generator_takes_the_quadlet_files(podman_host):
    """The generator prints no warning; each file becomes a unit."""
    text = podman_host.run(GENERATOR, "--dryrun", check=False)
    assert podman_host.status == 0, text
    units = [f"container-ackgroup-{name}.service" for name in ("discovery", "receiver@", "client", "network", "discovery-volume")]
    for unit in units:
        assert f"---{unit}---" in text
    for word in ("unsupported", "warning", "error", "ignor"):
        assert not [line for line in text.splitlines() if word in line.lower() and "--ignore" not in line], text


def test_the_units_start_what_they_say(podman_host):
    """A unit counts as started when the daemon is ready. The client's container has ackctl. A receiver that is stopped
    leaves the list at once."""
    host = podman_host
    host.systemctl("daemon-reload")
    unit = "container-ackgroup-{}.service".format
    host.systemctl("start", *map(unit, ("receiver@1", "receiver@2", "client")))
    assert host.is_active(unit("discovery"))  # wanted by the others

    def names():
        text = host.run("podman", "exec", "ackgroup-client", "ackctl", "list", "--json=short")
        return [r["name"] for r in json.loads(text)]

    wait_until(lambda: names() == ["1@trixie", "2@trixie"], "both receivers are listed")
    assert "acked" in host.run("podman", "exec", "ackgroup-client", "ackctl", "send", "--to", "2", "hello", check=False)
    assert "Serving as 2@trixie" in host.property(unit("receiver@2"), "StatusText")
    for name in ("discovery", "receiver-1", "client"):
        host.run("podman", "healthcheck", "run", f"ackgroup-{name}")
    host.systemctl("stop", unit("receiver@2"))
    assert names() == ["1@trixie"]
    # One that dies is started again, and is who it was.
    before = host.run("podman", "exec", "ackgroup-client", "ackctl", "list", "--json=short")
    host.run("podman", "kill", "ackgroup-receiver-1")
    wait_until(lambda: int(host.property(unit("receiver@1"), "NRestarts")) > 0 and host.is_active(unit("receiver@1")), "it is back")
    after = host.run("podman", "exec", "ackgroup-client", "ackctl", "list", "--json=short")
    assert json.loads(before)[0]["id"] == json.loads(after)[0]["id"]
