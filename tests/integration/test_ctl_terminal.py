# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackctl on a terminal: the dialogue; tables and progress fit the width."""

import re
import signal
import unicodedata

import pytest

import terminal
from conftest import BUILD, script, wait_until

ACKCTL = BUILD / "src/ctl/ackctl"


class Terminal(terminal.Terminal):
    """ackctl on a pseudo-terminal."""

    def __init__(self, bus, *words, columns=80, pager="cat"):
        super().__init__([ACKCTL, "--user", *words], {**bus.environment, "SYSTEMD_PAGER": pager}, columns)


def test_dialogue(discovery, receiver, client, bus, tmp_path):
    """The seed's client: choose from a numbered list, type a message, see the ack; again."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, 'echo "one got $(cat)"'))
    receiver(d, "2", "--failure-probability", "0.5", command=script(tmp_path, 'echo "two got $(cat)"', name="two"))
    client(d, "--ack-timeout", "200ms")
    t = Terminal(bus)
    assert "  1  1 " in t.read_until("Receiver: ")
    t.write("2\n")
    t.read_until("Message: ")
    t.write("hello two\n")
    assert "two got hello two" in t.read_until("Receiver: ")
    t.write("a\n")
    t.read_until("Message: ")
    t.write("whoever\n")
    assert "got whoever" in t.read_until("Receiver: ")
    t.write("7\n")
    assert 'no "7" in the list' in t.read_until("Receiver: ")
    t.write("q\n")
    assert t.end() == 0


def test_dialogue_is_interrupted(discovery, client, bus):
    """The first Ctrl-C stops waiting for the message, the second one ends the dialogue."""
    d = discovery()
    assert d.ask("POST", "/v1/receivers", {"instance": "5f0c1a2b-0000-4000-8000-000000000001", "name": "away",
                                           "addresses": ["unix:/nonexistent"]})[0] == 201
    c = client(d)
    t = Terminal(bus)
    t.read_until("Receiver: ")
    t.write("1\n")
    t.read_until("Message: ")
    t.write("hello\n")
    t.read_until("accepted")
    wait_until(lambda: c.properties()["Waiting"] == 1, "it is accepted")
    t.write("\x03")
    assert "ackctl wait" in t.read_until("Receiver: ")
    t.write("\x03")
    assert t.end() == -signal.SIGINT


def screen_width(text):
    """In columns of the terminal."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
def test_tables_fit_the_terminal(discovery, receiver, client, bus, tmp_path, columns):
    """Every row fits in one line and shows the most important cells, also with wide letters."""
    d = discovery()
    name, group = "a-receiver-with-a-rather-long-name", "a-group-with-a-rather-long-name"
    receiver(d, name, "--group", group, "--label", "zone=a",
             command=script(tmp_path, "echo 'error 画像が見つかりません、もう一度送ってください' >&3; exit 65"))
    c = client(d)
    dead = [c.send("quorum", group, "x", quorum=1), c.send("to", name, "x")]
    assert [c.wait(m)["state"] for m in dead] == ["dead", "rejected"]
    waiting = c.send("any", "another-group-with-a-long-name", "x" * 5000, delay=3_600_000_000)

    def rows(*words):
        t = Terminal(bus, *words, columns=columns)
        assert t.end() == 0, t.text
        found = re.sub(r"\x1b\[[0-9;]*m", "", t.text).splitlines()
        assert [row for row in found if screen_width(row) > columns] == []
        return found

    for words, ids in (("messages",), [*dead, waiting]), (("dead", "list"), dead):
        found = rows(*words)
        titles = found[0].split()
        assert titles[:2] == ["ID", "STATE"] and titles[-1] == "ERROR"
        for m in ids:
            row = next(row for row in found if row.startswith(m[:8]))
            assert row.split()[1] == c.state(m)
    assert any("画像が" in row and "…" in row for row in rows("dead", "--no-legend"))
    titles, row = rows("list")[:2]
    assert titles.split()[0] == "NAME" and row.startswith("a-recei")
    assert "idle" in row or "connected" in row
    assert rows("trace", dead[1])[0].split()[-1] == "DETAIL"


def test_wide_letters_stand_in_columns(discovery, receiver, client, bus, tmp_path):
    """The cell after a shortened cell begins below its title, whatever the width of the letters is."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo 'error 画像が見つかりません、もう一度送ってください' >&3; exit 1"))
    c = client(d)
    m = c.send("any", "", "x", max_attempts=1)
    assert c.wait(m)["state"] == "dead"
    for columns in range(60, 80):
        t = Terminal(bus, "dead", "--no-legend", columns=columns)
        assert t.end() == 0
        row = re.sub(r"\x1b\[[0-9;]*m", "", t.text).splitlines()[0]
        assert columns - 1 <= screen_width(row) <= columns or "…" not in row


@pytest.mark.parametrize("columns", [80, 60])
def test_progress_fits_the_terminal(discovery, receiver, client, bus, tmp_path, columns):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, """echo 'progress 40 画像が見つかりません、もう一度送ってください、もう一度' >&3
        while ! test -e $D/go; do sleep 0.02; done"""))
    client(d)
    t = Terminal(bus, "send", "--any", "x", columns=columns)
    t.read_until("40 %")
    t.read_until("…")
    bar = t.text.rsplit("\r\x1b[K", 1)[1]
    assert "画像" in bar and screen_width(bar) < columns
    (tmp_path / "go").touch()
    assert t.end() == 0


@pytest.mark.parametrize("pager, words, shown", [
    ("sed s/^/page:/", ["messages"], r"page:ID +STATE.*\npage:.*\n(page:.*\n)*page:\npage:3 messages."),
    ("sed s/^/page:/", ["messages", "--no-pager"], r"^ID +STATE"),
    ("sed s/^/page:/", ["list", "-j"], r"page:\[\]"),
    ("", ["messages"], r"^ID +STATE"),
    ("head -1", ["messages", "--no-legend"], r"^[0-9a-f]{8}  queued .*\n$"),
    ("exit 7", ["messages"], r"^$"),
    ("/nonexistent", ["messages"], r"not found(.*\n)*ackctl: cannot run the pager"),
])
def test_pager(discovery, client, bus, pager, words, shown):
    """As wide as the terminal, which the pager hides. A user who leaves it early has not failed."""
    c = client(discovery())
    for _ in range(3):
        c.send("any", "a-group-with-a-long-name", "x" * 3000)
    t = Terminal(bus, *words, columns=60, pager=pager)
    assert t.end() == (1 if "cannot run" in shown else 0)
    text = re.sub("\x1b\\[[0-9]*[mK]|\r(?!\n)", "", t.text.replace("\r\n", "\n"))
    assert re.search(shown, text), text
    assert max(map(screen_width, text.replace("page:", "").splitlines()), default=0) <= 60
