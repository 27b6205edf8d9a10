# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images are built once. Each test begins without containers and volumes."""

import os
import pathlib
import shutil
import tempfile

import pytest

import engine as engine_module


@pytest.fixture(scope="session")
def engine():
    """ACKGROUP_ENGINE: a directory that keeps the images, to run a test again and again."""
    kept = os.environ.get("ACKGROUP_ENGINE")
    if kept:
        pathlib.Path(kept).mkdir(parents=True, exist_ok=True)
    directory = pathlib.Path(kept or tempfile.mkdtemp(prefix="ackgroup-engine-", dir="/var/tmp"))
    one = engine_module.Engine(directory)
    try:
        one.build()
        yield one
    finally:
        one.end()
        if not kept:
            shutil.rmtree(directory)


@pytest.fixture
def group(engine, request):
    engine.clear()
    one = engine_module.Group(engine)
    yield one
    if getattr(request.node, "failed", False):
        print(engine.podman("ps", "-a", check=False))
        for name in engine.podman("ps", "-a", "--format", "{{.Names}}", check=False).split():
            print(f"== {name}\n{engine.podman('logs', '--tail', '40', name, check=False)}")
    engine.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().when == "call":
        item.failed = outcome.get_result().failed
