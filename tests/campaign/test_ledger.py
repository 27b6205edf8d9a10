# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the judge of the campaign accepts, and what it does not."""

import pytest

from .ledger import Run, Sent, judge


def runs(*places):
    """Makes runs of the message m from (time, receiver, told)."""
    return [Run(time, "m", receiver, 1, told, "text") for time, receiver, told in places]


def judge_one(mode, end, its_runs, absences=None, members=None, limited=True):
    return judge([Sent(0, 1, mode, "-", "m", limited)], {"m": end} if end else {}, {"m": members or {}}, its_runs, absences or {})


DEATH = {"a": [(1.5, 1.5)]}
CUT = {"a": [(1.2, 9.0)]}
LONG_AGO = {"a": [(-5.0, -3.0), (-4.0, -4.0)]}


@pytest.mark.parametrize("mode, end, its_runs, absences, members, problem", [
    ("any", "acked", runs((1, "a", False)), {}, {}, None),
    ("any", "acked", [], {}, {}, "lost"),
    ("any", "sent", runs((1, "a", False)), {}, {}, "lost"),
    ("any", None, runs((1, "a", False)), {}, {}, "lost"),
    ("any", "dead", [], {}, {}, None),
    ("any", "rejected", [], {}, {}, "lost"),
    ("to", "acked", runs((1, "a", False), (2, "b", True)), DEATH, {}, "astray"),
    ("quorum", "acked", runs((1, "a", False), (1, "b", False)), {}, {"a": "acked", "b": "acked", "c": "cancelled"}, None),
    ("quorum", "acked", runs((1, "a", False)), {}, {"a": "acked", "b": "sent"}, "lost"),
    ("all", "acked", runs((1, "a", False)), {}, {"a": "acked", "b": "dead"}, "lost"),
    ("all", "acked", runs((1, "a", False), (1, "b", False)), {}, {"a": "acked", "b": "acked"}, None),
    ("all", "acked", runs((1, "a", False)), {}, {"a": "acked", "b": "acked"}, "lost"),
    ("to", "acked", runs((1, "a", False), (2, "a", True)), DEATH, {}, None),
    ("to", "acked", runs((1, "a", False), (2, "a", False)), DEATH, {}, "doubled"),
    ("to", "acked", runs((1, "a", False), (2, "a", True)), {}, {}, "doubled"),
    ("to", "acked", runs((1, "a", False), (2, "a", True)), LONG_AGO, {}, "doubled"),
    ("to", "acked", runs((1, "a", False), (2, "a", True)), CUT, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), CUT, {}, None),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), DEATH, {}, None),
    ("any", "acked", runs((1, "a", False), (2, "b", False)), CUT, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), LONG_AGO, {}, "doubled"),
])
def test_one_message(mode, end, its_runs, absences, members, problem):
    found = judge_one(mode, end, its_runs, absences, members).problems
    assert [text.split(":")[0] for text in found] == ([problem] if problem else [])


def test_dead_without_a_reason():
    assert judge_one("any", "dead", [], limited=False).counts["lost"] == 1


@pytest.mark.parametrize("order, problems", [(("m1", "m2"), 0), (("m2", "m1"), 1), (("m1", "m2", "m1"), 0)])
def test_the_order_of_a_key(order, problems):
    """The first run of each message counts. A repeated run is a matter for the check of doubles."""
    sent = [Sent(0, n, "key", "k", f"m{n}") for n in (1, 2)]
    its_runs = [Run(float(n), message, "a", 1, True, "text") for n, message in enumerate(order)]
    v = judge(sent, {"m1": "acked", "m2": "acked"}, {}, its_runs, {"a": [(1.0, 1.0)]})
    assert v.counts["out of order"] == problems and len(v.problems) == problems
