# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/RECIPES.md, command by command, on a host that is called as the one in the page."""

import pathlib

import page
import pytest
from conftest import booted

RECIPES = page.sections(pathlib.Path(__file__).parents[2] / "docs/RECIPES.md")


@pytest.fixture(scope="module")
def ant(release):
    with booted(release, name="ant") as host:
        host.apt("install", "ackgroup")
        yield host


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(ant, title):
    assert page.follow(ant, RECIPES[title]) == []


def test_how_pages_are_compared():
    assert page.is_like("a  12ms\n0f0f0f0f x\n", "a 3s 4ms\n1a2b3c4d x")
    assert page.is_like("a\nb\nc\nd", "a\n…\nd") and page.is_like("a\nd", "a\n…\nd") and page.is_like("by thumb2@ant", "by thumb…@ant")
    assert not page.is_like("a\nb", "a") and not page.is_like("a", "a\nb") and not page.is_like("a x", "a y")
    assert page.steps(["# one", "x", "# two"]) == [("one", "x"), ("two", "")]
