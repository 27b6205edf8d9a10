# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixtures of the integration tests serve here too."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location(
    "integration_conftest", pathlib.Path(__file__).parents[1] / "integration/conftest.py")
integration = importlib.util.module_from_spec(spec)
spec.loader.exec_module(integration)
discovery, receiver, bus, client = integration.discovery, integration.receiver, integration.bus, integration.client
