# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackctl as people use it: its output and its exit status."""

import json
import os
import pathlib
import select
import signal
import subprocess

import pytest

from client import MANAGER, Bus
from conftest import BUILD, lines, script, wait_until

ACKCTL = BUILD / "src/ctl/ackctl"


@pytest.fixture
def ackctl(bus):
    def run(*words, code=0, stdin=None):
        done = subprocess.run([ACKCTL, "--user", *map(str, words)], env=bus.environment, capture_output=True, text=True,
                              timeout=60, input=stdin if stdin is not None else "")
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done.stdout, done.stderr

    return run


def background(bus, *words):
    return subprocess.Popen([ACKCTL, "--user", *map(str, words)], env=bus.environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def steps(text):
    """The first words of the lines on standard error."""
    return [line.split()[0] for line in text.splitlines()]


def test_list(discovery, receiver, client, ackctl):
    d = discovery()
    one = receiver(d, "1", "--group", "blue", "--label", "zone=a")
    receiver(d, "2")
    client(d)
    out, _ = ackctl("list")
    assert out.splitlines()[0].split() == ["NAME", "GROUP", "STATE", "BOUND", "ID", "LABELS", "ADDRESSES"]
    assert out.splitlines()[1].split() == ["1", "blue", "idle", "0", one.id, "zone=a", f"unix:{one.socket}"]
    assert out.splitlines()[-1] == "2 receivers."
    out, _ = ackctl("list", "--group", "blue", "--no-legend")
    assert len(out.splitlines()) == 1
    assert ackctl("list", "--label", "zone=b")[0] == "0 receivers.\n"
    records = json.loads(ackctl("list", "--json=short")[0])
    assert records[0] == {"id": one.id, "name": "1", "group": "blue", "labels": {"zone": "a"}, "plain": False,
                          "addresses": [f"unix:{one.socket}"], "state": "idle", "bound": 0}
    assert json.loads(ackctl("list", "--json=pretty")[0]) == records


def test_send_shows_the_steps_and_prints_the_reply(discovery, receiver, client, ackctl, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, 'echo "you said $(cat)"'))
    client(d)
    out, err = ackctl("send", "--any", "hello")
    assert out == "you said hello\n"
    assert steps(err) == ["accepted", "bound", "sent", "acked"]
    assert err.splitlines()[-1].split(maxsplit=1)[1].strip() == "by 1, 1 attempt"
    assert ackctl("send", "--to", "1", stdin="from a pipe")[0] == "you said from a pipe\n"
    (tmp_path / "file").write_text("from a file")
    assert ackctl("send", "--to", "1", "--file", tmp_path / "file")[0] == "you said from a file\n"
    assert ackctl("send", "--to", "1", "--", "--odd")[0] == "you said --odd\n"
    end = json.loads(ackctl("send", "--any", "--json=short", "x")[0])
    assert (end["state"], end["attempts"], end["reply"]) == ("acked", 1, "you said x\n")


def test_send_shows_retries(discovery, receiver, client, ackctl):
    """A message fails and is sent again until it is acked, as a person sees it."""
    d = discovery()
    receiver(d, "1", "--failure-probability", "0.5")
    client(d, "--ack-timeout", "100ms")
    seen = []

    def until_one_was_retried():
        seen.append(ackctl("send", "--to", "1", "x")[1])
        return "no-ack" in steps(seen[-1])

    wait_until(until_one_was_retried, "an ack is withheld", seconds=60)
    words = steps(seen[-1])
    assert words[:4] == ["accepted", "bound", "sent", "no-ack"] and words[-2:] == ["sent", "acked"]


def test_bytes_go_through(discovery, receiver, client, bus, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat"))
    client(d)
    data = bytes(range(256)) * 4
    done = subprocess.run([ACKCTL, "--user", "send", "--any"], env=bus.environment, input=data, capture_output=True,
                          timeout=60)
    assert done.stdout == data
    done = subprocess.run([ACKCTL, "--user", "--json=short", "send", "--any"], env=bus.environment, input=data,
                          capture_output=True, timeout=60)
    assert bytes(json.loads(done.stdout)["reply"]) == data


def test_replies_of_several(discovery, receiver, client, bus, tmp_path):
    """Prints each reply unchanged, text or not, also when the message ended before anybody asked."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "printf 'bytes \\377\\000.'", name="one"))
    receiver(d, "2", command=script(tmp_path, "printf 'text\\n'", name="two"))
    receiver(d, "3", command=script(tmp_path, "", name="three"))
    c = client(d)

    def ackctl(*words):
        return subprocess.run([ACKCTL, "--user", *words], env=bus.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=True, timeout=60).stdout

    wanted = b"1: bytes \xff\0.\n2: text\n"
    assert ackctl("send", "--all", "x") == wanted
    assert ackctl("send", "--quorum", "3", "x") == wanted
    m = ackctl("send", "--all", "--no-wait", "x").decode().strip()
    assert c.wait(m)["state"] == "acked"
    assert ackctl("wait", m) == wanted
    replies = [{"receiver": "1", "reply": list(b"bytes \xff\0."), "reply_cut": False},
               {"receiver": "2", "reply": "text\n", "reply_cut": False}]
    for words in (("send", "--all", "x"), ("wait", m)):
        assert json.loads(ackctl("--json=short", *words))["replies"] == replies
    assert "replies" not in json.loads(ackctl("--json=short", "send", "--to", "2", "x"))


def test_show_escapes_what_is_no_text(discovery, receiver, client, ackctl, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat"))
    c = client(d)
    for reply, shown in ("\033[2J\200", r"Reply: \x1b[2J\x80"), ("-", "Reply: -"):
        (tmp_path / "reply").write_bytes(reply.encode("latin-1"))
        m = ackctl("send", "--any", "--no-wait", "--file", tmp_path / "reply")[0].strip()
        assert c.wait(m)["state"] == "acked"
        assert shown in ackctl("show", m)[0]


def test_messages_show_wait_cancel(discovery, receiver, client, ackctl):
    d = discovery()
    receiver(d, "1")
    client(d)
    acked = ackctl("send", "--any", "--no-wait", "x")[0].strip()
    assert steps(ackctl("wait", acked[:8])[1])[-1] == "acked"
    queued = [ackctl("send", "--any", "--group", "nobody", "--no-wait", "x")[0].strip() for _ in range(3)]
    rows = json.loads(ackctl("messages", "--json=short")[0])
    assert [row["id"] for row in rows] == queued[::-1] + [acked]
    assert [row["id"] for row in json.loads(ackctl("messages", "--state", "acked", "--json=short")[0])] == [acked]
    out, _ = ackctl("messages", "--limit", "2")
    assert out.splitlines()[-2:] == ["2 messages.", "There are older ones: --all shows them."]
    assert ackctl("messages", "--all")[0].splitlines()[-1] == "4 messages."
    out, _ = ackctl("show", acked[:8])
    assert f"Message: {acked}\n" in out and "State: acked\n" in out and "Guarantee: processed-once\n" in out
    assert json.loads(ackctl("show", queued[0], "--json=short")[0])["state"] == "queued"
    ackctl("cancel", queued[0], queued[1])
    assert json.loads(ackctl("show", queued[0], "--json=short")[0])["state"] == "cancelled"
    assert "cancelled" in ackctl("wait", queued[0], code=3)[1]
    status = json.loads(ackctl("status", "--json=short")[0])
    assert (status["waiting"], status["receivers"], status["discovery_state"]) == (1, 1, "reachable")
    assert "Waiting: 1\n" in ackctl("status")[0]


@pytest.mark.parametrize("words, code, text", [
    (["frob"], 2, 'there is no verb "frob"'),
    ([], 2, "Usage:"),
    (["send", "hello"], 2, "--to RECEIVER, --any"),
    (["send", "--to", "1", "--any", "hello"], 2, "--to RECEIVER, --any"),
    (["send", "--to", "1", "--group", "x", "hello"], 2, "go with a group"),
    (["send", "--any", "two", "words"], 2, "in quotes"),
    (["send", "--any", "--label", "zone", "x"], 2, "zone"),
    (["send", "--any", "--timeout", "soon", "x"], 2, '"soon"'),
    (["send", "--any", "--file", "/nonexistent"], 1, "/nonexistent"),
    (["list", "--limit", "3"], 2, "list does not take --limit"),
    (["list", "--json=xml"], 2, '"xml"'),
    (["list", "--bogus"], 2, "bogus"),
    (["show"], 2, "show needs ID"),
    (["messages", "--state", "lost"], 2, '"lost"'),
    (["send", "--to", "nobody", "x"], 6, "ackctl list"),
    (["show", "123456"], 6, "ackctl messages"),
    (["wait", "123456"], 6, "No message"),
    (["cancel", "12"], 2, "at least 6"),
    (["send", "--any", "--timeout", "100ms", "x"], 4, "ackctl wait"),
    (["send", "--any", "--no-wait", "--timeout", "1s", "x"], 2, "--no-wait"),
    (["messages", "--all", "--limit", "3"], 2, "exclude each other"),
    (["dead", "show", "--all", "123456"], 2, '"dead show ID…"'),
    (["--host", "h", "list"], 2, "--user"),
    (["--limit", "3"], 2, "--limit needs a verb"),
])
def test_mistakes_and_exit_codes(discovery, client, ackctl, words, code, text):
    client(discovery())
    _, err = ackctl(*words, code=code)
    assert text in err


@pytest.mark.parametrize("words", [["list"], ["wait", "123456"], ["send", "--any", "x"], ["monitor"]])
def test_no_service(ackctl, words):
    """ackctl does not wait for a client that was never there."""
    assert "start it: systemctl --user start ackgroup-client" in ackctl(*words, code=5)[1]


def test_finds_the_session_without_flags(discovery, client, bus):
    client(discovery())
    environment = {**bus.environment, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    done = subprocess.run([ACKCTL, "status"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Bus: session" in done.stdout


def test_wait_by_a_part_of_the_id(discovery, receiver, client, bus, tmp_path):
    """Its steps are shown for any part of the id. The output has the whole id."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, """n=0; while ! test -e $D/go; do
        n=$((n + 1)); echo "progress 40 file $n" >&3; sleep 0.02; done"""))
    c = client(d)
    m = c.send("any", "", "x")
    waiting = background(bus, "wait", "--json=short", m[:8])
    watching = background(bus, "wait", m.replace("-", "")[:12])
    # It may have begun to watch before the message was bound.
    while not (line := watching.stderr.readline()).startswith(("sent", "working")):
        assert line
    (tmp_path / "go").touch()
    assert watching.communicate(timeout=60) and watching.returncode == 0
    assert json.loads(waiting.communicate(timeout=60)[0])["id"] == m


def test_rejected(discovery, receiver, client, ackctl):
    d = discovery()
    receiver(d, "1", "--max-payload", "10")
    client(d)
    assert "takes at most 10 bytes" in ackctl("send", "--to", "1", "x" * 11, code=3)[1]


def test_each_of_several_that_works_is_shown(discovery, receiver, client, bus, tmp_path):
    d = discovery()
    for name in "12":
        receiver(d, name, command=script(tmp_path, "while ! test -e $D/go; do sleep 0.02; done"))
    client(d)
    waiting = background(bus, "send", "--all", "x")
    seen = set()
    while len(seen) < 2:
        line = waiting.stderr.readline()
        assert line, seen
        seen |= {line} if line.startswith("working") else set()
    (tmp_path / "go").touch()
    assert {line.split()[-1] for line in seen} == {"1", "2"}
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and "working" not in steps(err)


def test_client_restarts_while_send_waits(discovery, receiver, client, bus, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "echo run >>$D/runs; while ! test -e $D/go; do sleep 0.02; done; echo done"))
    c = client(d)
    waiting = background(bus, "send", "--any", "x")
    wait_until(lambda: lines(tmp_path / "runs"), "the handler runs")
    c.end(kill=True)
    c.start(wait_until)
    (tmp_path / "go").touch()
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out == "done\n"
    assert "waiting" in steps(err) and steps(err)[-1] == "acked"
    assert lines(tmp_path / "runs") == ["run"]


def test_interrupt_leaves_the_message(discovery, client, bus):
    c = client(discovery())
    waiting = background(bus, "send", "--any", "x")
    wait_until(lambda: c.properties()["Waiting"] == 1, "it is accepted")
    wait_until(lambda: int(dict(line.split(":\t") for line in open(f"/proc/{waiting.pid}/status")
                                if line.startswith("SigBlk"))["SigBlk"], 16) & 1 << (signal.SIGINT - 1),
               "it takes signals")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130 and "ackctl wait" in err
    assert c.properties()["Waiting"] == 1


def test_output_that_cannot_be_written(discovery, receiver, client, bus, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "cat"))
    client(d)
    for words in (["send", "--any", "x"], ["list"], ["list", "--json=short"], ["send", "--any", "--no-wait", "x"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ACKCTL, "--user", *words], env=bus.environment, stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 1 and "No space left" in done.stderr


def test_timeout_of_infinity(discovery, receiver, client, ackctl):
    d = discovery()
    receiver(d, "1")
    client(d)
    for time in ("infinity", "290000d", "100000000d"):
        assert steps(ackctl("send", "--any", "--timeout", time, "x")[1])[-1] == "acked"


def test_monitor(discovery, receiver, client, ackctl, bus):
    d = discovery()
    receiver(d, "1")
    client(d)
    monitor = background(bus, "monitor", "--json=short")
    wait_until(lambda: ackctl("send", "--any", "x") and select.select([monitor.stdout], [], [], 0)[0],
               "the monitor sees a message")
    monitor.send_signal(signal.SIGINT)
    out, _ = monitor.communicate(timeout=60)
    assert monitor.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert {"id", "event", "attempt", "receiver", "detail", "time"} == set(events[0])
    assert "acked" in {e["event"] for e in events}


class ForbiddingBus(Bus):
    """A bus whose policy forbids every change."""

    def __init__(self, directory):
        address = f"unix:path={directory / 'bus'}"
        rules = "".join(f'<deny send_interface="{MANAGER}" send_member="{method}"/>'
                        for method in ("Retry", "RetryMany", "Purge", "PurgeMany", "Cancel", "Drain"))
        (directory / "bus.conf").write_text(f"""<busconfig><include>/usr/share/dbus-1/session.conf</include>
            <policy context="mandatory">{rules}</policy></busconfig>""")
        self.environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
        self.process = subprocess.Popen(
            ["dbus-daemon", "--config-file", directory / "bus.conf", "--nofork", "--nopidfile", "--address=" + address,
             "--print-address"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.process.stdout.readline()


@pytest.fixture
def bus(request, tmp_path):
    one = getattr(request, "param", Bus)(tmp_path)
    yield one
    one.end()


@pytest.mark.parametrize("bus", [ForbiddingBus], indirect=True)
def test_what_is_forbidden_is_tried_once(discovery, receiver, client, ackctl, tmp_path):
    """A person who must authenticate with polkit is asked once. Messages that were not changed are not counted."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "exit 65"))
    c = client(d)
    dead = [c.send("any", "", "x") for _ in range(3)]
    for m in dead:
        assert c.wait(m)["state"] == "rejected"
    for words in (("dead", "retry", "--all"), ("dead", "purge", "--all")):
        out, err = ackctl(*words, code=1)
        assert out == "0 messages.\n" and len(err.splitlines()) == 1
    for words in (("dead", "retry", *dead), ("cancel", *dead), ("drain", "1", "1")):
        assert len(ackctl(*words, code=1)[1].splitlines()) == 1


def test_dead_retry_counts_what_was_done(discovery, receiver, client, ackctl, tmp_path):
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "exit 65"))
    c = client(d)
    for n in (1, 2):
        for _ in range(n):
            assert c.wait(c.send("any", "", "x"))["state"] == "rejected"
        assert ackctl("dead", "purge", "--all")[0] == f"{n} message{'' if n == 1 else 's'}.\n"
    assert ackctl("dead", "purge", "--all")[0] == "0 messages.\n"


def test_json_is_of_one_kind(discovery, receiver, client, ackctl, tmp_path):
    """Whole ids, rows with the same fields, and no error when the message succeeded in the end."""
    d = discovery()
    receiver(d, "1", command=script(tmp_path, "test $ACKGROUP_ATTEMPT -gt 1", name="one"))
    receiver(d, "2", command=script(tmp_path, "", name="two"))
    client(d, "--backoff", "10ms")

    def json_of(*words):
        return json.loads(ackctl("--json=short", *words)[0])

    end = json_of("send", "--to", "1", "x")
    assert (end["state"], end["attempts"], end["error"]) == ("acked", 2, "")
    m = end["id"]
    assert json_of("wait", m[:8]) == end
    assert json_of("why", m[:8])["id"] == json_of("trace", m[:8])["id"] == json_of("show", m[:8])["id"] == m
    fields = ["member", "receiver", "attempt", "sent", "ended", "outcome", "detail"]
    attempts = json_of("trace", m)["attempts"]
    assert [list(a) for a in attempts] == [fields] * 2
    assert [(a["member"], a["receiver"], a["outcome"]) for a in attempts] == [(0, "1", "failed"), (0, "1", "acked")]
    trace = json_of("trace", json_of("send", "--all", "x")["id"])
    assert [list(a) for a in trace["attempts"]] == [fields] * 3
    members = {d["receiver"]: number for number, d in enumerate(trace["deliveries"], 1)}
    assert {(a["receiver"], a["member"], a["outcome"]) for a in trace["attempts"]} == {
        ("1", members["1"], "failed"), ("1", members["1"], "acked"), ("2", members["2"], "acked")}


COMPLETION = pathlib.Path(__file__).parents[2] / "packaging" / "ackctl.bash"


@pytest.mark.parametrize("line, wanted", [
    ("ackctl s", {"send", "show", "status"}),
    ("ackctl --user send --t", {"--to", "--timeout"}),
    ("ackctl --user send --to ", {"1", "2"}),
    ("ackctl --user list --group b", {"blue"}),
    ("ackctl --user show ", {"open", "acked", "rejected"}),
    ("ackctl --user cancel ", {"open"}),
    ("ackctl --user dead ", {"list", "show", "retry", "purge"}),
    ("ackctl --user dead retry ", {"rejected"}),
    ("ackctl --user dead list ", set()),
    ("ackctl --user list --label ", {"zone=a", "zone=b", "disk=ssd"}),
    ("ackctl --user list --label zone = ", {"a", "b"}),
    ("ackctl --user list --label = zone = b", {"b"}),
    ("ackctl --user send -l di", {"disk=ssd"}),
    ("ackctl messages --state ac", {"acked"}),
    ("ackctl list --json = p", {"pretty"}),
])
def test_completion(discovery, receiver, client, bus, line, wanted):
    d = discovery()
    receiver(d, "1", "--group", "blue", "--label", "zone=a", "--label", "disk=ssd")
    receiver(d, "2", "--label", "zone=b", command=["grep", "-q", "good"])
    c = client(d)
    ids = {}
    if " show " in line or "cancel" in line or "dead" in line:
        ids = {"open": c.send("any", "nobody", "x"), "acked": c.send("to", "2", "good"), "rejected": c.send("to", "2", "bad", max_attempts=1)}
        wait_until(lambda: [c.state(m) for m in ids.values()] == ["queued", "acked", "dead"], "two of three end")
    words = line.split() + ([""] if line.endswith(" ") else [])
    quoted = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "-c", f". {COMPLETION}; PATH={ACKCTL.parent}:$PATH; COMP_WORDS=({quoted}); "
         f"COMP_CWORD={len(words) - 1}; _ackctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
        env=bus.environment, capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) == {ids.get(word, word) for word in wanted}, done.stderr


def test_times_in_json_are_whole_numbers(discovery, client, ackctl):
    """Also times that end in 0, which need one digit less."""
    c = client(discovery())
    for _ in range(60):
        c.send("any", "nobody", "x")
    text, _ = ackctl("messages", "--json=short", "--all")
    assert all(isinstance(row["accepted"], int) for row in json.loads(text))


def test_timeout_in_json(discovery, client, ackctl):
    """Messages that have not ended are shown, too."""
    client(discovery())
    m = json.loads(ackctl("send", "--any", "--group", "nobody", "--json=short", "--timeout", "100ms", "x", code=4)[0])
    assert (m["state"], m["attempts"], m["reply"]) == ("queued", 0, "")
    assert json.loads(ackctl("wait", "--json=short", "--timeout", "100ms", m["id"], code=4)[0]) == m


def test_purge_is_for_dead_letters(discovery, receiver, client, ackctl):
    d = discovery()
    receiver(d, "1")
    client(d)
    m = json.loads(ackctl("send", "--any", "--json=short", "x")[0])["id"]
    assert "is acked, not a dead letter" in ackctl("dead", "purge", m, code=1)[1]
    assert "acked" in ackctl("show", m)[0]


def test_what_is_known_without_discovery(discovery, receiver, client, ackctl):
    d = discovery()
    receiver(d, "1")
    c = client(d)
    assert "does not answer" not in ackctl("list")[1]
    d.end()
    wait_until(lambda: c.properties()["DiscoveryState"] == "unreachable", "the client has noticed")
    assert "Discovery does not answer: this is the last known list." in ackctl("list")[1]
    assert ackctl("list", "--json=short")[1] == ""
    assert "and discovery does not answer" in ackctl("send", "--to", "2", "x", code=6)[1]


def test_why_nobody_is_there(discovery, client, ackctl):
    c = client(discovery())
    m = c.send("any", "pictures", "x", label=["zone=b"])
    wait_until(lambda: c.properties()["DiscoveryState"] == "reachable", "discovery answers")
    said, _ = ackctl("why", m)
    assert "No receiver of group pictures with label zone=b is there." in said
    assert "with this in receiver@N.conf: Group=pictures Label=zone=b" in said


def test_send_says_what_it_waits_for(discovery, client, bus):
    client(discovery())
    process = background(bus, "send", "--any", "--group", "nobody", "x")
    said = []
    while not said or not said[-1].startswith(" "):
        said.append(process.stderr.readline())
    process.terminate()
    process.communicate(timeout=60)
    assert said[-2] == "waiting       No receiver of group nobody is there.\n"
    assert "systemctl start ackgroup-receiver@N, with this in receiver@N.conf: Group=nobody" in said[-1]
