# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bits flip on the disk, and state directories are copied. What is lost is said; what is left is delivered."""

import contextlib
import shutil
import socket
import struct
import subprocess

from bulk import open_stream
from conftest import BUILD, lines, script, wait_until
from frames import ACKED, REJECTED

COUNT = 'echo "${ACKGROUP_POSSIBLE_DUPLICATE:-0} $(cat)" >>$D/runs'


def blocks(path):
    """The offsets of the blocks of a redo log."""
    data, at, found = path.read_bytes(), 0, []
    while data[at:at + 4] == b"AGR\2" and (size := struct.unpack_from(">I", data, at + 4)[0]) > 0:
        found.append(at)
        at += (24 + size + 511) // 512 * 512
    return found


def flip(path, at, bit=0):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def status_of(c):
    return subprocess.run([BUILD / "src/ctl/ackctl", "--user", "status"], env=c.bus.environment, capture_output=True,
                          text=True, check=True).stdout


def test_flipped_bit_in_a_log_of_a_client(discovery, receiver, client, tmp_path):
    """Of 8 accepted messages 7 are left, whichever block it is, and the loss is reported."""
    d = discovery()
    c = client(d)
    for victim in range(8):
        ids = [c.send("any", f"group-{victim}", f"{victim}-{i}") for i in range(8)]
        c.end(kill=True)
        redo = c.directory / "state/outbox.db.redo"
        found = blocks(redo)
        assert len(found) == 8
        flip(redo, found[victim] + 30)
        c.start(wait_until)
        left = [row[0] for row in c.messages("limit", "u", 1000)[0]]
        assert [m in left for m in ids] == [i != victim for i in range(8)]
        assert "records are lost: 1 batches" in c.read_log()
        kept = c.properties()["Damage"]
        assert "1 batches" in kept and "1 batches" in status_of(c)
        assert all(c.properties(m)["PossibleDuplicate"] for m in ids if m in left)
    # The service manager hears of it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        c.bus.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        c.end()
        c.start(wait_until)
        while b"STATUS=" not in (text := manager.recv(4096)):
            pass
        assert b"records were lost: see" in text
        del c.bus.environment["NOTIFY_SOCKET"]
    # Evidence is bounded, and remembered until somebody removes it.
    damaged = sorted(c.directory.glob("state/*.damaged-*"))
    assert [path.name for path in damaged] == [f"outbox.db.redo.damaged-{i}" for i in range(1, 5)]
    c.end()
    c.start(wait_until)
    assert "damaged-1" in c.properties()["Damage"]
    for path in damaged:
        path.unlink()
    c.end()
    c.start(wait_until)
    assert c.properties()["Damage"] == "" and "Damage" not in status_of(c)
    receiver(d, "1", "--group", "group-0", command=script(tmp_path, COUNT))
    wait_until(lambda: len(lines(tmp_path / "runs")) == 7, "the messages that are left are delivered")
    assert {line.split()[0] for line in lines(tmp_path / "runs")} == {"1"}


def test_flipped_bit_in_a_log_of_a_receiver(discovery, receiver, tmp_path):
    """Of 30 outcomes one is lost: that message runs again, as a possible duplicate. It cannot be cancelled for sure."""
    d = discovery()
    r = receiver(d, "1", command=script(tmp_path, COUNT))
    s = r.sender()
    ids = {i: s.ask(i, f"{i}".encode()).message for i in range(1, 31)}
    s.close()
    r.end(kill=True)
    found = blocks(redo := next(r.state.glob("**/receiver.db.redo")))
    assert len(found) == 30
    flip(redo, found[9] + 40)
    r.start()
    assert "records are lost: 1 batches" in r.read_log()
    again = r.sender(stream=s.stream)
    answers = [again.ask(i, f"{i}".encode(), message=m, duplicate=True) for i, m in ids.items()]
    assert {a.outcome for a in answers} == {ACKED}
    assert lines(tmp_path / "runs") == [f"0 {i}" for i in range(1, 31)] + ["1 10"]
    # Another one that is not recorded may have run, too.
    again.cancel(31, b"m" * 16)
    end = again.answer()
    assert end.outcome == REJECTED and b"lost records" in end.data
    again.close()


def test_damaged_database(discovery, client, tmp_path):
    """The client ends, and says which page it is. Status 78 keeps systemd from trying again."""
    d = discovery()
    c = client(d)
    ids = [c.send("any", "nobody", f"{i} " + "x" * 3000) for i in range(20)]
    assert c.end() == 0
    database = c.directory / "state/outbox.db"
    good = database.read_bytes()
    at = good.index(b"7 xxx") + 5  # in a payload: SQLite itself would not notice
    flip(database, at)
    c.start()
    assert c.process.wait(30) == 78
    assert f"Page {at // 4096 + 1} of {database} is damaged" in c.read_log()
    c.process = None
    damaged = database.read_bytes()
    done = subprocess.run([BUILD / "src/client/ackgroup-client", "--salvage", "--config", "/dev/null", "--state-dir",
                           database.parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("19 messages are there again, 19 of them have not ended; of 1 more only parts")
    assert database.with_name("outbox.db.damaged-1").read_bytes() == damaged
    c.start(wait_until)
    rows = c.messages("limit", "u", 100)[0]
    assert [row[0] for row in rows] == [m for i, m in enumerate(ids) if i != 7][::-1]
    assert "damaged-1" in c.properties()["Damage"] and c.properties(ids[0])["PossibleDuplicate"]
    c.end()
    database.with_name("outbox.db.sums").unlink()
    database.write_bytes(good)
    c.start(wait_until)
    assert len(c.messages("limit", "u", 100)[0]) == len(ids)


def test_no_database_at_all(discovery, client, receiver):
    d = discovery()
    c = client(d, start=False)
    (c.directory / "state").mkdir()
    (c.directory / "state/outbox.db").write_bytes(b"this is no database" * 1000)
    c.start()
    assert c.process.wait(30) == 78
    c.process = None


def test_copied_client(discovery, receiver, client, tmp_path):
    """The copy has another id, and all that waits in it is a possible duplicate."""
    d = discovery()
    c = client(d)
    first = c.properties()["ClientId"]
    ids = [c.send("any", "late", f"{i}") for i in range(5)]
    c.end(kill=True)
    copy = client(d, start=False, name="copy")
    shutil.copytree(c.directory / "state", copy.directory / "state")
    c.start(wait_until)
    assert c.properties()["ClientId"] == first
    assert not any(c.properties(m)["PossibleDuplicate"] for m in ids)
    assert c.end() == 0
    copy.start(wait_until)
    assert copy.properties()["ClientId"] != first and "is a copy" in copy.read_log()
    assert all(copy.properties(m)["PossibleDuplicate"] for m in ids)
    second = copy.properties()["ClientId"]
    assert copy.end() == 0
    copy.start(wait_until)
    assert copy.properties()["ClientId"] == second and "is a copy" not in copy.read_log()
    receiver(d, "1", "--group", "late", command=script(tmp_path, COUNT))
    assert {copy.wait(m)["state"] for m in ids} == {"acked"}
    assert sorted(lines(tmp_path / "runs")) == sorted(f"1 {i}" for i in range(5))


def test_history_after_a_backlog(discovery, receiver, client):
    """All of it ends at once, and nothing follows: the history is short all the same, and the file too."""
    d = discovery()
    c = client(d, "--history", 20)
    s = open_stream(c, mode="any", settlements=False)
    for i in range(1500):
        s.submit(b"x" * 4000)
    while len(s.ids) < 1500:
        s.take()
    s.close()
    c.messages("limit", "u", 1)  # what is in the log goes to the tables
    files = lambda: sum(path.stat().st_size for path in c.directory.glob("state/outbox.db*") if path.suffix != ".redo")
    before = files()
    assert before > 4_000_000
    receiver(d, "1", "--concurrency", 8)
    wait_until(lambda: c.properties()["Waiting"] == 0, "the backlog is delivered")
    wait_until(lambda: len(c.messages("limit", "u", 1000)[0]) == 20, "the history is trimmed")
    wait_until(lambda: files() < before / 4, "the space is given back")


def test_damaged_registry(discovery, receiver):
    """Discovery sets it aside and begins anew: nothing in it is worth that a group stands still."""
    d = discovery()
    r = receiver(d, "1")
    assert r.id
    d.end()
    registry = next(d.directory.glob("state/**/registry.db"))
    at = registry.read_bytes().index(b'"name":"1"')
    flip(registry, at)
    with contextlib.suppress(AssertionError):
        d.start()
    assert d.process.wait(30) == 1
    assert "receivers must register again" in d.read_log()
    d.start()
    wait_until(r.record, "the receiver registers again")
    assert registry.with_name("registry.db.damaged-1").exists()
