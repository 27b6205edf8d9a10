# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ackgroup-sim does with its options, whatever the runs find."""

import json
import os
import pathlib
import re
import subprocess

import pytest

SIM = pathlib.Path(os.environ["ACKGROUP_BUILD"]) / "tests" / "sim" / "ackgroup-sim"
QUIET = ("--disable", "all")


def sim(*options, status=0):
    done = subprocess.run([SIM, *map(str, options)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == status, done
    return done.stdout if status != 2 else done.stderr


def hashes(*options):
    return dict(line.split() for line in sim("--hash", *QUIET, *options).splitlines() if re.fullmatch(r"\d+ [0-9a-f]{16}", line))


def test_help_names_every_option_once():
    text = sim("--help")
    names = re.findall(r"^  --([a-z-]+)", text, re.M)
    assert len(names) == len(set(names)) and {"seed", "seeds", "shrink", "story", "trace", "until", "json"} <= set(names)
    assert all(len(line) <= 110 for line in text.splitlines())


@pytest.mark.parametrize("options, reason", [
    ((), "which runs"),
    (("--seed", "x"), "no number"),
    (("--seed",), "value is missing"),
    (("--nonsense",), "no option"),
    (("seed",), "no option"),
    (("--seeds", "5..1"), "not like"),
    (("--seed", "1", "--seeds", "1..2"), "are many"),
    (("--seeds", "1..2", "--skip", "3"), "need --seed"),
    (("--seed", "1", "--skip", "a"), "list of steps"),
    (("--seed", "1", "--profile", "nonsense"), "no profile"),
    (("--seed", "1", "--disable", "nonsense"), "no rule"),
    (("--from", "1"), "how many"),
    (("--seed", "1", "--faults", "0"), "no number from 1 to 1000000"),
    (("--seeds", "1..2", "--count", "1"), "cannot change that"),
    (("--seeds", "1..2", "--no-fork"), "need --seed"),
    (("--seed", "1", "--write", "list"), "for many runs"),
])
def test_wrong_usage_is_explained(options, reason):
    assert reason in sim(*options, status=2)


def test_lists():
    assert len(sim("--rules").splitlines()) > 20
    profiles = [line.split()[0] for line in sim("--profiles").splitlines()]
    assert {"calm", "usual", "small", "many"} <= set(profiles)


def test_plan_and_what_is_left_of_it():
    whole = sim("--seed", 3, "--profile", "usual", "--plan")
    steps = [int(n) for n in re.findall(r"^ +(\d+)  \d", whole, re.M)]
    assert steps == list(range(1, len(steps) + 1))
    some = sim("--seed", 3, "--profile", "usual", "--skip", "2,5-9", "--plan")
    assert [int(n) for n in re.findall(r"^ +(\d+)  \d", some, re.M)] == [n for n in steps if n not in (2, 5, 6, 7, 8, 9)]


def test_trace_is_numbered_and_stops():
    lines = [line for line in sim("--seed", 3, "--trace", "--until", 50, *QUIET).splitlines() if re.match(r" +\d+ +\d+\.\d{6}  ", line)]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 51))
    assert [line.split()[1] for line in lines] == sorted((line.split()[1] for line in lines), key=float)


def test_same_seeds_same_hashes_however_they_are_run():
    together = hashes("--seeds", "1..12", "--jobs", 1)
    assert len(together) == 12 and len(set(together.values())) == 12
    assert hashes("--seeds", "1..12", "--jobs", 4) == together
    alone = re.search(r"hash ([0-9a-f]{16})", sim("--seed", 7, *QUIET)).group(1)
    assert alone == together["7"]
    here = re.search(r"hash ([0-9a-f]{16})", sim("--seed", 7, "--no-fork", *QUIET)).group(1)
    assert here == alone
    other = re.search(r"hash ([0-9a-f]{16})", sim("--seed", 7, "--draws", 8, *QUIET)).group(1)
    assert other != alone


def test_twice():
    assert "all promises are kept" in sim("--seed", 7, "--twice", *QUIET)
    assert "0 failed" in sim("--from", 7, "--seconds", 1, "--twice", *QUIET)


def test_a_run_that_is_stopped_is_not_called_good():
    text = sim("--seed", 7, "--until", 20, *QUIET)
    assert "stopped at observation 20" in text and "all promises are kept" not in text


def test_failed_runs_need_a_place():
    sim("--seeds", "1..2", "--write", "/dev/null/list", *QUIET, status=3)


def test_fresh_seeds_are_named():
    text = sim("--seconds", 2, *QUIET)
    first = int(re.search(r"The first seed is (\d+)\.", text).group(1))
    assert first > 0 and re.search(r"[1-9]\d* runs, 0 failed", text)


def test_json():
    last = json.loads(sim("--seeds", "1..5", "--json", *QUIET).splitlines()[-1])
    assert last["runs"] == 5 and last["failed"] == 0 and last["messages"] > 0
    lines = [json.loads(line) for line in sim("--seeds", "1..5", "--json", "--hash", *QUIET).splitlines()]
    assert sorted(line["seed"] for line in lines[:-1]) == [1, 2, 3, 4, 5]
    one = json.loads(sim("--seed", 3, "--json", *QUIET))
    assert one["rule"] == "" and one["hash"] in [line["hash"] for line in lines if line.get("seed") == 3]


def test_lists_of_runs(tmp_path):
    good = tmp_path / "list"
    good.write_text("# a comment\n\n--seed 7 --profile calm --messages 3 | crash | It crashed once.\n")
    assert "1 runs" in sim("--check-fixed", good, *QUIET)
    text = sim("--check-known", good, status=1)
    assert "move it to seeds.txt" in text and ":3:" in text
    assert "0 failed" in sim("--seeds", "1..3", "--except", good, *QUIET)
    bad = tmp_path / "bad"
    bad.write_text("--seed 7 --trace | crash | x\n")
    sim("--check-fixed", bad, status=3)
    sim("--check-fixed", tmp_path / "missing", status=3)


def test_the_lists_of_this_project_can_be_read():
    here = pathlib.Path(__file__).parent
    rules = {line.split()[0] for line in sim("--rules").splitlines()}
    for name in ("seeds.txt", "known.txt"):
        for line in (here / name).read_text().splitlines():
            if line and not line.startswith("#"):
                options, rule, text = (part.strip() for part in line.split("|", 2))
                assert rule in rules and text, line
                assert "--profile" in options, line
                sim(*options.split(), "--plan")
