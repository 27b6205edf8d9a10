# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every kind of test here does instead of sleeping."""

import time


def wait_until(condition, what, seconds=60):
    """Polls until the condition holds; its last value is returned. Only a broken program gets near the limit."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)
