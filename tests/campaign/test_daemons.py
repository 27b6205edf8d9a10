# SPDX-License-Identifier: LGPL-2.1-or-later
"""What daemons.py reads of processes that it does not control."""

import subprocess

from .daemons import descendants


def test_descendants_that_end_meanwhile():
    """A shell starts hundreds of processes, and each of them one. Many are gone before this has looked at them."""
    shell = subprocess.Popen(["bash", "-c", "for i in {1..300}; do (sleep 0 & sleep 0); done"])
    most = 0
    while shell.poll() is None:
        found = descendants(shell.pid)
        assert found[0] == shell.pid
        most = max(most, len(found))
    assert most > 1


def test_descendants_of_nobody():
    child = subprocess.Popen(["true"])
    child.wait()
    assert descendants(child.pid) == [child.pid]
