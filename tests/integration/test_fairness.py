# SPDX-License-Identifier: LGPL-2.1-or-later
"""Urgent first, fair to all, and nobody behind a long job. Handlers wait for a file, so nothing depends on speed."""

import pytest

from conftest import lines, script, wait_until

GATE = """text=$(cat); echo "$text" >>$D/begun; while [ ! -e $D/go ]; do sleep 0.05; done; echo "$text" >>$D/order"""


def order(tmp_path, n):
    wait_until(lambda: len(lines(tmp_path / "order")) == n, "all are processed")
    return lines(tmp_path / "order")


@pytest.mark.parametrize("ahead, urgent, options", [
    (("any", ""), ("any", ""), ()), (("any", ""), ("any", "g"), ()), (("any", ""), ("any", ""), ("label", "as", 1, "zone=a")),
    (("to", "1"), ("any", ""), ()), (("any", ""), ("to", "1"), ()), (("to", "1"), ("to", "1"), ())],
    ids=["one-selector", "group", "label", "any-behind-to", "to-behind-any", "to"])
def test_urgent_first(discovery, receiver, client, tmp_path, ahead, urgent, options):
    """An urgent message goes before all that its receiver has not begun, whatever their selectors are."""
    d = discovery()
    receiver(d, "1", "--concurrency", "1", "--group", "g", "--label", "zone=a", command=script(tmp_path, GATE))
    c = client(d)
    for i in range(30):
        c.send(*ahead, f"m{i}", priority=1)
    wait_until(lambda: lines(tmp_path / "begun"), "the receiver is busy")
    for i in range(3):
        c.send(*urgent, f"urgent{i}", *options, priority=9)
    (tmp_path / "go").touch()
    begun = order(tmp_path, 33)
    assert max(begun.index(f"urgent{i}") for i in range(3)) < 8, begun


def test_equals_share(discovery, receiver, client, tmp_path):
    """Whoever came first with many does not keep the others waiting until the end: selectors take turns."""
    d = discovery()
    receiver(d, "1", "--concurrency", "1", "--group", "g", command=script(tmp_path, GATE))
    c = client(d)
    for i in range(20):
        c.send("to", "1", f"to{i}")
    wait_until(lambda: lines(tmp_path / "begun"), "the receiver is busy")
    for i in range(10):
        c.send("any", "g", f"group{i}")
        c.send("any", "", f"any{i}")
    (tmp_path / "go").touch()
    begun = order(tmp_path, 40)
    for kind in ("group", "any"):
        assert sum(text.startswith(kind) for text in begun[:20]) >= 4, (kind, begun)


def test_short_ones_do_not_wait_behind_a_long_one(discovery, receiver, client, tmp_path):
    """Of two receivers one is busy with a long job: all short messages go to the other, also those that it was sent first."""
    d = discovery()
    command = script(tmp_path, """text=$(cat); test "$text" = long || exit 0
        touch $D/busy; while [ ! -e $D/go ]; do sleep 0.05; done""")
    for name in ("1", "2"):
        receiver(d, name, "--concurrency", "1", command=command)
    c = client(d)
    long = c.send("any", "", "long")
    short = [c.send("any", "", f"m{i}") for i in range(30)]
    wait_until(lambda: (tmp_path / "busy").exists(), "the long job runs")
    for m in short:
        assert c.wait(m, 600_000_000)["state"] == "acked"
    assert c.state(long) not in ("acked", "dead")
    (tmp_path / "go").touch()
    assert c.wait(long)["state"] == "acked"
