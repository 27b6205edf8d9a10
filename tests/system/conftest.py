# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is installed by meson, on real hosts: once for each release."""

import os
import pathlib
import subprocess
import tempfile

import pytest

import host as host_module

BUILD = pathlib.Path(os.environ["ACKGROUP_BUILD"])
RELEASES = os.environ.get("ACKGROUP_RELEASES", "bookworm trixie").split()


@pytest.fixture(scope="session")
def installed():
    with tempfile.TemporaryDirectory(prefix="ackgroup-install-") as parent:
        directory = os.path.join(parent, "root")  # with the mode that a root has
        os.mkdir(directory, 0o755)
        subprocess.run(["meson", "install", "-C", BUILD, "--quiet", "--no-rebuild", "--destdir", directory], check=True)
        # /lib is a link to /usr/lib on the hosts.
        lib = pathlib.Path(directory, "lib")
        if lib.exists():
            subprocess.run(["cp", "-a", f"{lib}/.", f"{directory}/usr/lib"], check=True)
            subprocess.run(["rm", "-rf", lib], check=True)
        yield directory


@pytest.fixture(scope="session", params=RELEASES)
def host(request, installed):
    with tempfile.TemporaryDirectory(prefix="ackgroup-host-", dir="/var/tmp") as directory:
        one = host_module.Host(request.param, installed, pathlib.Path(directory))
        yield one
        one.end()


@pytest.fixture(autouse=True)
def journal_of_failure(request, host):
    yield
    if getattr(request.node, "failed", False):
        print(host.run("journalctl", "--no-pager", "-n", "60", check=False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().when == "call":
        item.failed = outcome.get_result().failed
