# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the judge of the campaign accepts, and what it does not."""

import pytest

from .damage import budget_of
from .ledger import DIED, GAP, LIMIT, Death, Evidence, Run, Sent, judge


def runs(*places):
    """Makes runs of the message m from (time, receiver, told)."""
    return [Run(time, "m", receiver, 1, told, "text") for time, receiver, told in places]


def judge_one(mode, end, its_runs, members=None, limited=True, kind="", time=0.0, **evidence):
    return judge([Sent(0, 1, mode, "-", "m", limited, time, kind)], {"m": end} if end else {}, {"m": members or {}}, its_runs,
                 Evidence(**evidence))


def kinds(verdict):
    return [text.split(":")[0] for text in verdict.problems]


DEATH = {"a": [(1.5, 1.5)]}
LATE_DEATH = {"a": [(2 + GAP, 2 + GAP)]}
CUT = {"a": [(1.2, 9.0)]}
BLINK = {"a": [(1.2, 1.9)]}
LONG_AGO = {"a": [(-5.0, -3.0), (-4.0, -4.0)]}
LATER = 3 + GAP
B_FROZE = {"b": [(0.5, 1.8)]}


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
    # What ran long before the death was recorded: it did not run again without a loss.
    ("to", "acked", runs((1, "a", False), (LATER, "a", True)), LATE_DEATH, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (LATER, "a", True)), LATE_DEATH, {}, "doubled"),
    # A message that may move can come back to a receiver that was frozen or cut off.
    ("any", "acked", runs((1, "a", False), (2, "a", True)), CUT, {}, None),
    ("key", "acked", runs((1, "a", False), (2, "a", False)), CUT, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "a", True)), BLINK, {}, "doubled"),
    ("all", "acked", runs((1, "a", False), (2, "a", True)), CUT, {"a": "acked"}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), CUT, {}, None),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), DEATH, {}, None),
    ("any", "acked", runs((1, "a", False), (2, "b", False)), CUT, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), LONG_AGO, {}, "doubled"),
    # b had the message, and was frozen; it runs it when it goes on, and cannot know.
    ("any", "acked", runs((1, "a", True), (2, "b", False)), B_FROZE, {}, None),
    ("any", "acked", runs((1, "a", False), (2, "b", False)), B_FROZE, {}, "doubled"),
    ("any", "acked", runs((1, "a", False), (2, "b", True)), B_FROZE, {}, "doubled"),
    ("any", "acked", runs((1, "a", True), (2, "b", False)), DEATH, {}, "doubled"),
])
def test_one_message(mode, end, its_runs, absences, members, problem):
    assert kinds(judge_one(mode, end, its_runs, members, absences=absences)) == ([problem] if problem else [])


def test_dead_without_a_reason():
    assert judge_one("any", "dead", [], limited=False).counts["lost"] == 1


@pytest.mark.parametrize("order, problems", [(("m1", "m2"), 0), (("m2", "m1"), 1), (("m1", "m2", "m1"), 0)])
def test_the_order_of_a_key(order, problems):
    """The first run of each message counts. A repeated run is a matter for the check of doubles."""
    sent = [Sent(0, n, "key", "k", f"m{n}") for n in (1, 2)]
    its_runs = [Run(float(n), message, "a", 1, True, "text") for n, message in enumerate(order)]
    v = judge(sent, {"m1": "acked", "m2": "acked"}, {}, its_runs, Evidence(absences={"a": [(1.0, 1.0)]}))
    assert v.counts["out of order"] == problems and len(v.problems) == problems


@pytest.mark.parametrize("ends, problems", [(("dead", "acked"), 0), (("acked", "dead"), 0), (("acked", "acked"), 1)])
def test_the_order_of_what_was_given_up(ends, problems):
    sent = [Sent(0, n, "key", "k", f"m{n}", limited=True) for n in (1, 2)]
    its_runs = [Run(1.0, "m2", "a", 1, False, "text"), Run(2.0, "m1", "b", 1, False, "text")]
    assert judge(sent, {"m1": ends[0], "m2": ends[1]}, {}, its_runs, Evidence()).counts["out of order"] == problems


@pytest.mark.parametrize("losses, n_lost", [({}, 1), ({0: [(5.0, 1)]}, 0), ({0: [(5.0, 0)]}, 1), ({1: [(5.0, 1)]}, 1)])
def test_members_that_are_lost(losses, n_lost):
    its_runs, members = runs((1, "a", False), (1, "b", False)), {"a": "acked", "b": "queued"}
    assert judge_one("quorum", "acked", its_runs, members, time=1.0, losses=losses).counts["lost"] == n_lost


@pytest.mark.parametrize("losses, times, n_lost", [
    ({}, [1.0], 1),
    ({0: [(5.0, 1)]}, [1.0], 0),
    ({0: [(5.0, 1)]}, [1.0, 2.0], 1),  # more than was reported
    ({0: [(5.0, 1), (9.0, 1)]}, [1.0, 2.0], 0),
    ({0: [(5.0, 2)]}, [1.0, 8.0], 1),  # accepted after the report
    ({0: [(5.0, 2), (9.0, 1)]}, [1.0, 8.0, 8.5], 1),
    ({1: [(5.0, 1)]}, [1.0], 1),  # another client's
    ({0: [(5.0, 0)]}, [1.0], 1),
])
def test_messages_that_are_missing(losses, times, n_lost):
    sent = [Sent(0, n, "any", "-", f"m{n}", time=time) for n, time in enumerate(times)]
    v = judge(sent, {}, {}, [], Evidence(losses=losses))
    assert (v.counts["lost"], v.counts["lost, reported"]) == (n_lost, len(times) - n_lost)


@pytest.mark.parametrize("kind, losses, n_lost", [
    ("deadly", {0: [(5.0, 1)]}, 0),  # it was dead, and is taken for acked since its receiver says that it is settled
    ("", {0: [(5.0, 1)]}, 0),
    ("", {0: [(5.0, 0)]}, 1),
    ("", {0: [(-5.0, 1)]}, 1),
    ("", {1: [(5.0, 1)]}, 1),
])
def test_ends_that_are_lost(kind, losses, n_lost):
    assert judge_one("to", "acked", [], kind=kind, time=1.0, losses=losses).counts["lost"] == n_lost


@pytest.mark.parametrize("told, evidence, problem", [
    (True, {"forgetful": {"a": [2.0]}}, None),
    (True, {"losses": {0: [(2.0, 1)]}}, None),
    (False, {"forgetful": {"a": [2.0]}}, "doubled"),
    (False, {"losses": {0: [(2.0, 1)]}}, "doubled"),
    (True, {"forgetful": {"b": [2.0]}}, "doubled"),
    (True, {"losses": {1: [(2.0, 1)]}}, "doubled"),
    (True, {"forgetful": {"a": [9.0]}}, "doubled"),
    (True, {"forgetful": {"a": [-9.0]}}, "doubled"),
])
def test_a_run_after_a_reported_loss(told, evidence, problem):
    assert kinds(judge_one("to", "acked", runs((1, "a", False), (3, "a", told)), **evidence)) == ([problem] if problem else [])


@pytest.mark.parametrize("text, budget", [
    ("1 batches of /x/outbox.db.redo are lost", 1),
    ("3 batches of /x/outbox.db.redo are lost; 2 batches of /x/y are lost", 5),
    ("the last 12360 bytes of /x/outbox.db-wal are lost; 2 batches of /x/outbox.db.redo are lost", 3),
    ("517 messages are there again, 4 of them have not ended; of 75 more only parts could be read.", 75),
    ("page 3 of /x is damaged", 0),
])
def test_the_budget_of_a_report(text, budget):
    assert budget_of(text) == budget


def run_of(sender, time, receiver, told):
    return Run(time, "m", receiver, 1, told, "text", sender)


@pytest.mark.parametrize("its_runs, problem", [
    ([run_of("client", 1, "a", False), run_of("clone", 2, "a", True)], None),
    ([run_of("clone", 1, "a", True), run_of("client", 2, "a", False)], None),  # the original cannot know
    ([run_of("client", 1, "a", False), run_of("clone", 2, "a", False)], "clone"),
    ([run_of("client", 1, "a", False), run_of("clone", 2, "a", True), run_of("clone", 3, "a", True)], "doubled"),
    ([run_of("client", 1, "a", False), run_of("client", 2, "a", True), run_of("clone", 3, "a", True)], "doubled"),
    ([run_of("clone", 2, "a", True)], "lost"),  # the original has told that somebody acked
])
def test_clones(its_runs, problem):
    assert kinds(judge_one("to", "acked", its_runs, clones=frozenset(["clone"]))) == ([problem] if problem else [])


def deaths(n, receiver="a", sender="client", attempt=LIMIT):
    return tuple(Death(float(i), "m", receiver, attempt, sender) for i in range(n))


@pytest.mark.parametrize("kind, end, its_deaths, more, problem", [
    ("deadly", "dead", deaths(LIMIT), {}, None),
    ("deadly", "dead", deaths(LIMIT + 1), {}, None),  # the first time others ran, too
    ("deadly", "dead", deaths(LIMIT + 2), {}, "not charged"),
    ("deadly", "dead", deaths(9), {}, "not charged"),
    ("deadly", "dead", deaths(LIMIT + 1) + deaths(LIMIT + 1, "b"), {}, None),  # it moved
    ("deadly", "dead", deaths(LIMIT + 1) + deaths(LIMIT + 1, sender="clone"), {}, None),
    ("deadly", "dead", deaths(LIMIT + 2), {"flips": {"a": 1}}, None),
    ("deadly", "dead", deaths(LIMIT + 2), {"flips": {"b": 1}}, "not charged"),
    ("deadly", "dead", deaths(LIMIT + 2), {"losses": {0: [(0.5, 1)]}}, None),
    ("deadly", "dead", deaths(LIMIT), {"errors": {"m": "no ack within 1s"}}, "no reason"),
    ("deadly", "dead", deaths(LIMIT), {"errors": {}}, "no reason"),
    ("deadly", "dead", deaths(2, attempt=1), {"errors": {"m": "no ack within 1s"}}, None),  # the last one was another failure
    ("deadly", "acked", deaths(1), {}, "lost"),
    ("wounding", "acked", deaths(2, attempt=1), {}, None),
    ("wounding", "acked", deaths(3, attempt=1), {}, "not charged"),
    ("wounding", "dead", deaths(1, attempt=1), {}, "lost"),
])
def test_deaths_by_message(kind, end, its_deaths, more, problem):
    more = {"errors": {"m": f"the {DIED} (2 times)"}, **more}
    v = judge_one("to", end, runs((20, "a", True)) if end == "acked" else [], kind=kind, limited=kind == "deadly",
                  deaths=its_deaths, **more)
    assert kinds(v) == ([problem] if problem else [])


@pytest.mark.parametrize("message, killed, ended, problem", [
    ("m", [], [5.0], None),  # it ran alone when the campaign killed the receiver
    ("m", [], [], "charged"),
    ("m", [5.0], [5.0], None),
    ("m", [5.1], [5.0], "charged"),  # the other message was at fault
    ("m", [5.1], [4.0, 5.5], None),
    ("m", [9.0], [5.0], None),  # later
    ("other", [5.1], [], None),
])
def test_charges(message, killed, ended, problem):
    sent = [Sent(0, 1, "to", "-", "m", True), Sent(0, 2, "to", "deadly", "other", True, 0.0, "deadly")]
    v = judge(sent, {"m": "acked", "other": "dead"}, {}, runs((9, "a", True)), Evidence(
        absences={"a": [(t, t) for t in ended] + [(0.0, 9.0)]}, charges=((message, "a", 6.0),),
        deaths=tuple(Death(t, "other", "a", 1) for t in killed)))
    assert kinds(v) == ([problem] if problem else [])
