# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests poll with this instead of sleeping."""

import time


def wait_until(condition, what, seconds=60):
    """Polls until the condition holds and returns its last value. Only a broken program reaches the time limit."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)
