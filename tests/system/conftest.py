# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed packages on real hosts: every test runs once for each release."""

import contextlib
import os
import pathlib
import tempfile

import pytest

pytest.register_assert_rewrite("host", "load")

import host as host_module  # noqa: E402

PACKAGES = pathlib.Path(os.environ["ACKGROUP_PACKAGES"])  # where packaging/build-deb has put them
RELEASES = os.environ.get("ACKGROUP_RELEASES", "bookworm trixie").split()


@contextlib.contextmanager
def booted(release, packages=PACKAGES, **more):
    """A host for which apt finds these packages, and has installed none of them."""
    with tempfile.TemporaryDirectory(prefix="ackgroup-host-", dir="/var/tmp") as directory:
        one = host_module.Host(release, pathlib.Path(directory), packages, **more)
        try:
            yield one
        finally:
            one.end()


def listening(host):
    """Of the sockets that listen, by path or port: another socket has another."""
    found = {}
    for line in host.run("cat", "/proc/net/unix").splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[3] == "00010000" and words[7].startswith("/run/ackgroup/"):
            found[words[7]] = words[6]
    for line in host.run("cat", "/proc/net/tcp").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            found[words[1]] = words[9]
    return found


@pytest.fixture(scope="session", params=RELEASES)
def release(request):
    return request.param


@pytest.fixture(scope="session")
def host(release):
    """A host with all packages installed."""
    with booted(release) as one:
        one.apt("install", "ackgroup")
        yield one


@pytest.fixture(scope="module")
def bare_host(release):
    """A host for one module, with none of our packages installed."""
    with booted(release) as one:
        yield one


@pytest.fixture
def clean(host):
    """Before the test everything is stopped and unconfigured. After it nothing has failed."""
    host.systemctl("reset-failed")
    host.systemctl("stop", "ackgroup-client.service", "ackgroup-receiver@*")
    host.systemctl("stop", "ackgroup-discovery.socket", "ackgroup-discovery.service")
    host.run("sh", "-c", "rm -f /etc/ackgroup/receiver@*.conf; cd /run/systemd/system; "
                         "if ls -d ackgroup*.d 2>/dev/null; then rm -r ackgroup*.d; systemctl daemon-reload; fi")
    yield
    assert host.systemctl("--failed", "--plain", "--no-legend").strip() == ""


@pytest.fixture(autouse=True)
def journal_of_failure(request):
    yield
    if getattr(request.node, "failed", False):
        for one in request.node.funcargs.values():
            if isinstance(one, host_module.Host):
                print(one.run("journalctl", "--no-pager", "-n", os.environ.get("ACKGROUP_JOURNAL_LINES", "60"), check=False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().when == "call":
        item.failed = outcome.get_result().failed
