# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/RECIPES.md and the tour of README.md, command by command, on hosts that are called as those in the pages."""

import pathlib
import re

import page
import pytest
from conftest import booted

TOP = pathlib.Path(__file__).parents[2]
RECIPES = page.sections(TOP / "docs/RECIPES.md")
TOUR = page.sections(TOP / "README.md")["A minute's tour"]


@pytest.fixture(scope="module")
def ant(release):
    with booted(release, name="ant") as host:
        host.apt("install", "ackgroup")
        yield host


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(ant, title):
    assert page.follow(ant, RECIPES[title]) == []


def test_tour(release):
    """Which receiver takes a message, and how often acks are lost, is a matter of chance."""
    steps = [(command, re.sub(r"to \d@host", "to …@host", wanted.replace("by 3@host", "by …@host").replace("by 1@host", "by …@host")))
             for command, wanted in TOUR]
    lost = next(i for i, (_, wanted) in enumerate(steps) if "no-ack" in wanted)
    command, wanted = steps[lost]
    steps[lost] = command, re.sub(r"(?s)no-ack.*attempt 2\n *acked +by 2@host, 2 attempts", "…\nacked by 2@host, …", wanted)
    assert "…" in steps[lost][1] and len(steps) >= 6
    with booted(release, name="host") as host:
        host.apt("install", "ackgroup")
        assert page.follow(host, steps) == []


def test_what_is_no_recipe():
    """Sections without commands are left out on purpose."""
    titles = {line.lstrip("# ") for line in (TOP / "docs/RECIPES.md").read_text().splitlines() if line.startswith("## ")}
    assert titles - set(RECIPES) == {"Moving from cron", "Moving from NSQ"}


def test_how_pages_are_compared():
    assert page.is_like("a  12ms\n0f0f0f0f x\n", "a 3s 4ms\n1a2b3c4d x")
    assert page.is_like("a\nb\nc\nd", "a\n…\nd") and page.is_like("a\nd", "a\n…\nd") and page.is_like("by thumb2@ant", "by thumb…@ant")
    assert not page.is_like("a\nb", "a") and not page.is_like("a", "a\nb") and not page.is_like("a x", "a y")
    assert page.steps(["# one", "x", "# two"]) == [("one", "x"), ("two", "")]
