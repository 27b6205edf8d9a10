# SPDX-License-Identifier: LGPL-2.1-or-later
"""ackgroup-discovery as its clients see it, by the contract in docs/HTTP_API.md."""

import contextlib
import functools
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import uuid

import pytest

from conftest import BUILD, UnixConnection, wait_until


def record(name="1@host", **more):
    return {"instance": str(uuid.uuid4()), "name": name, "addresses": ["unix:/run/x.sock"], **more}


def names(d, query=""):
    status, body, _ = d.ask("GET", "/v1/receivers" + query)
    assert status == 200
    return [r["name"] for r in body["receivers"]]


def test_register_list_leave(discovery):
    d = discovery()
    status, first, _ = d.ask("POST", "/v1/receivers", record("b@host", group="g", labels={"zone": "a"}))
    assert status == 201 and uuid.UUID(first["id"]) and first["lease_seconds"] == 30
    status, second, _ = d.ask("POST", "/v1/receivers", record("a@host", capacity=4))
    assert status == 201
    assert names(d) == ["a@host", "b@host"]
    assert names(d, "?group=g") == ["b@host"]
    assert names(d, "?label=zone=a") == ["b@host"]
    assert names(d, "?label=zone=b") == []

    status, one, _ = d.ask("GET", "/v1/receivers/" + first["id"])
    assert status == 200 and one["labels"] == {"zone": "a"} and "token" not in one

    assert d.ask("DELETE", "/v1/receivers/" + first["id"])[0] == 401
    assert d.ask("DELETE", "/v1/receivers/" + first["id"], token=second["token"])[0] == 403
    assert d.ask("DELETE", "/v1/receivers/" + first["id"], token=first["token"])[0] == 204
    assert names(d) == ["a@host"]


def test_heartbeat_and_lease(discovery):
    d = discovery("--lease", "1")
    _, kept, _ = d.ask("POST", "/v1/receivers", record("kept"))
    _, silent, _ = d.ask("POST", "/v1/receivers", record("silent"))

    def beat_until_silent_is_gone():
        assert d.ask("POST", f"/v1/receivers/{kept['id']}/heartbeat", token=kept["token"])[0] == 200
        return names(d) == ["kept"]

    wait_until(beat_until_silent_is_gone, "the silent receiver's lease ends")
    assert d.ask("POST", f"/v1/receivers/{silent['id']}/heartbeat", token=silent["token"])[0] == 404


def test_a_discovery_that_was_held_up(discovery):
    """As after a suspend of the machine: no receiver loses its lease because of it. Afterwards silence counts again."""
    d = discovery("--lease", "2")
    for name in "abc":
        d.ask("POST", "/v1/receivers", record(name))
    d.process.send_signal(signal.SIGSTOP)
    time.sleep(4)  # longer than a lease
    d.process.send_signal(signal.SIGCONT)
    assert names(d) == names(d) == ["a", "b", "c"]
    wait_until(lambda: names(d) == [], "their leases end")


@pytest.mark.parametrize("kill", [False, True])
def test_registry_survives_restart(discovery, kill):
    d = discovery()
    _, first, _ = d.ask("POST", "/v1/receivers", record())
    assert d.ask("POST", f"/v1/receivers/{first['id']}/heartbeat", token=first["token"])[0] == 200
    before = d.ask("GET", "/v1/receivers")[1]["revision"]
    if kill:  # the registry may lag a second
        wait_until(lambda: b"1@host" in b"".join(p.read_bytes() for p in (d.directory / "state").iterdir()),
                   "the lease is on disk")
    d.end(kill=kill)
    d.start()
    assert names(d) == ["1@host"]
    assert d.ask("GET", "/v1/receivers")[1]["revision"] != before
    assert d.ask("POST", f"/v1/receivers/{first['id']}/heartbeat", token=first["token"])[0] == 200


def test_registry_of_an_older_version(discovery, tmp_path):
    """Discovery takes its table over: registered receivers stay, with their tokens."""
    d = discovery()
    ids = [d.ask("POST", "/v1/receivers", record(f"{i}@host", labels={"n": str(i)}))[1] for i in range(3)]
    before = d.ask("GET", "/v1/receivers")[1]["receivers"]
    d.end()
    with contextlib.closing(sqlite3.connect(tmp_path / "state/registry.db")) as db:
        db.executescript("""
            CREATE TABLE lease (id BLOB PRIMARY KEY, token BLOB NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
            INSERT INTO lease SELECT id, token, record FROM receiver;
            DROP TABLE receiver;
            PRAGMA user_version = 1;""")
    (tmp_path / "state/registry.db.sums").unlink()  # that version had no checksums
    d.start()
    assert d.ask("GET", "/v1/receivers")[1]["receivers"] == before
    for one in ids:
        assert d.ask("POST", f"/v1/receivers/{one['id']}/heartbeat", token=one["token"])[0] == 200


def test_registry_that_cannot_be_written(discovery, tmp_path, monkeypatch):
    """Only the log mentions it. The registry is written when the disk accepts it again."""
    monkeypatch.setattr(subprocess, "Popen", functools.partial(subprocess.Popen, restore_signals=False))  # no SIGXFSZ
    d = discovery()
    hard = resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (4096, hard))  # enough for the log, not for a page
    one = d.ask("POST", "/v1/receivers", record())[1]
    two = d.ask("POST", "/v1/receivers", record("2@host"))[1]
    wait_until(lambda: "Cannot write the registry" in d.read_log(), "the disk refuses it")
    assert d.ask("DELETE", f"/v1/receivers/{two['id']}", token=two["token"])[0] == 204
    resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    wait_until(lambda: b"1@host" in b"".join(p.read_bytes() for p in (tmp_path / "state").iterdir()),
               "the lease is on disk")
    d.end(kill=True)
    d.start()
    assert names(d) == ["1@host"]
    assert d.ask("POST", f"/v1/receivers/{one['id']}/heartbeat", token=one["token"])[0] == 200


def test_identity(discovery):
    d = discovery()
    mine = record()
    _, got, _ = d.ask("POST", "/v1/receivers", mine)

    again = {**mine, "id": got["id"]}
    assert d.ask("POST", "/v1/receivers", again)[0] == 401
    assert d.ask("POST", "/v1/receivers", again, token="wrong")[0] == 403
    assert d.ask("POST", "/v1/receivers", again, token=got["token"])[0] == 200

    # Another start with a copy of the state, while the first is alive.
    copy = {**again, "instance": str(uuid.uuid4())}
    status, body, _ = d.ask("POST", "/v1/receivers", copy, token=got["token"])
    assert status == 409 and body["error"]["code"] == "id-alive"
    # A restart that knows that the first instance is dead.
    status, body, _ = d.ask("POST", "/v1/receivers", {**copy, "previous_instance": mine["instance"]}, token=got["token"])
    assert status == 200 and body["id"] == got["id"]

    status, body, _ = d.ask("POST", "/v1/receivers", record())
    assert status == 409 and body["error"]["code"] == "name-taken"

    # Discovery has lost its state: the receiver keeps its identity.
    unknown = str(uuid.uuid4())
    status, body, _ = d.ask("POST", "/v1/receivers", record("2@host", id=unknown))
    assert status == 201 and body["id"] == unknown


def test_whether_the_holder_of_an_id_was_heard(discovery):
    """Only a request of the holder itself to this discovery proves that it lives. Neither an entry in the registry nor
    another process that asks for the id proves it."""
    d = discovery()
    mine = record()
    _, got, _ = d.ask("POST", "/v1/receivers", mine)
    copy = {**mine, "id": got["id"], "instance": str(uuid.uuid4())}

    def refused(token=got["token"]):
        status, body, _ = d.ask("POST", "/v1/receivers", copy, token=token)
        assert status == {got["token"]: 409, None: 401}.get(token, 403)
        return body["error"].get("heard_ms_ago")

    for token in got["token"], "wrong", None:
        assert 0 <= refused(token) < 60000
    d.end()
    d.start()
    for token in got["token"], "wrong", None:
        assert refused(token) is None
    assert d.ask("GET", "/v1/receivers/" + got["id"])[1]["expires_in_ms"] > 20000
    assert d.ask("POST", f"/v1/receivers/{got['id']}/heartbeat", token=got["token"])[0] == 200
    assert 0 <= refused() < 60000


def test_watch(discovery):
    d = discovery()
    revision = d.ask("GET", "/v1/receivers")[1]["revision"]
    answers = []
    watchers = [threading.Thread(target=lambda: answers.append(
        d.ask("GET", f"/v1/receivers?since={revision}&wait=30")[1])) for _ in range(5)]
    for w in watchers:
        w.start()
    d.ask("POST", "/v1/receivers", record())
    for w in watchers:
        w.join(25)
    assert len(answers) == 5 and all(a["revision"] != revision and len(a["receivers"]) == 1 for a in answers)

    revision = answers[0]["revision"]
    assert d.ask("GET", f"/v1/receivers?since={revision}&wait=1")[1]["revision"] == revision


def test_stop_with_watchers(discovery):
    d = discovery()
    revision = d.ask("GET", "/v1/receivers")[1]["revision"]
    statuses = []

    def watch():
        try:
            statuses.append(d.ask("GET", f"/v1/receivers?since={revision}&wait=60")[0])
        except OSError:
            statuses.append(0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    threading.Event().wait(0.3)
    assert d.end() == 0, d.read_log()
    watcher.join(60)
    assert statuses == [200]  # it gets the current list, not a closed connection


@pytest.mark.parametrize("change, field", [
    ({"name": None}, "name"), ({"name": 5}, "name"), ({"name": "a b"}, "name"), ({"addresses": []}, "addresses"),
    ({"addresses": ["x"]}, "addresses"), ({"addresses": "x"}, "addresses"), ({"instance": "x"}, "instance"),
    ({"capacity": -1}, "capacity"), ({"capacity": 1.5}, "capacity"), ({"labels": {"a": 1}}, "labels"),
    ({"labels": []}, "labels"), ({"group": ""}, "group"), ({"id": "x"}, "id"),
])
def test_bad_fields(discovery, change, field):
    d = discovery()
    body = {k: v for k, v in {**record(), **change}.items() if v is not None}
    status, answer, _ = d.ask("POST", "/v1/receivers", body)
    assert status == 400 and answer["error"]["field"].startswith(field), answer
    assert names(d) == []


def test_bad_requests(discovery):
    d = discovery()
    assert d.ask("POST", "/v1/receivers", raw="{")[0] == 400
    assert d.ask("POST", "/v1/receivers", raw="[]")[0] == 400
    assert d.ask("POST", "/v1/receivers", raw="")[0] == 400
    assert d.ask("POST", "/v1/receivers", raw="[" * 60000)[0] == 400
    assert d.ask("POST", "/v1/receivers", raw="x" * 70000)[0] == 413
    assert d.ask("GET", "/nowhere")[0] == 404
    status, _, headers = d.ask("PUT", "/v1/receivers", record())
    assert status == 405 and "POST" in headers["Allow"] and "GET" in headers["Allow"]
    assert d.ask("GET", "/v1/receivers/not-an-id")[0] in (400, 404)
    assert d.ask("GET", "/v1/receivers?wait=x&since=y")[0] == 400
    assert d.ask("GET", "/v1/status")[0] == 200


def test_tcp_only_reads_by_default(discovery):
    d = discovery()
    assert d.ask("POST", "/v1/receivers", record(), tcp=True)[0] == 403
    assert d.ask("GET", "/v1/receivers", tcp=True)[0] == 200
    assert d.ask("POST", "/register", {"host": "127.0.0.1", "port": 1}, tcp=True)[0] in (403, 404)


def test_seed_api(discovery):
    """The calls of the seed's receiver and client."""
    d = discovery("--seed-api", "--lease", "1")
    status, body, _ = d.ask("POST", "/register", {"host": "127.0.0.1", "port": 5001}, tcp=True)
    assert status == 201 and "message" in body and uuid.UUID(body["id"])
    assert d.ask("POST", "/heartbeat", {"id": body["id"]}, tcp=True)[0] == 200
    assert d.ask("POST", "/heartbeat", {"id": str(uuid.uuid4())}, tcp=True)[0] == 404
    for method in ("GET", "POST"):
        status, listed, _ = d.ask(method, "/receivers", tcp=True)
        assert status == 200 and [(r["id"], r["host"], r["port"]) for r in listed] == [(body["id"], "127.0.0.1", 5001)]
        assert listed[0]["last_seen"] > 1e9
    assert d.ask("GET", "/v1/receivers")[1]["receivers"][0]["plain"] is True
    wait_until(lambda: d.ask("GET", "/receivers", tcp=True)[1] == [], "a silent receiver is gone")


def test_seed_list_has_the_first_tcp_address(discovery):
    d = discovery("--seed-api")
    for i, addresses in enumerate((['unix:/a,"tcp:wrong:1'], ['unix:/a,"tcp:wrong:1', "tcp:[::1]:7", "tcp:b:8"], ["unix:/a"])):
        assert d.ask("POST", "/v1/receivers", record(f"r{i}", addresses=addresses))[0] == 201
    assert [(r["host"], r["port"]) for r in d.ask("GET", "/receivers")[1]] == [("::1", 7)]


def test_two_with_one_state(discovery, tmp_path):
    discovery()
    other = tmp_path / "state"
    run = subprocess.run([BUILD / "src/discovery/ackgroup-discovery", "--state-dir", other, "--config", "/dev/null",
                          "--listen", f"unix:{tmp_path}/second.sock"], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and "in use" in run.stderr


def test_systemd_sockets_and_readiness(tmp_path):
    """Sockets are passed as systemd does it. Discovery sends READY=1 and WATCHDOG=1, and leaves the socket files
    alone."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "d.sock"))
    listening.listen()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(60)

    # The shell stays the process that LISTEN_PID and WATCHDOG_PID name, as it becomes the program.
    shell = 'exec 3<&"$0"; export LISTEN_PID=$$ LISTEN_FDS=1 WATCHDOG_PID=$$; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", shell, str(listening.fileno()), BUILD / "src/discovery/ackgroup-discovery",
         "--state-dir", tmp_path / "state", "--config", "/dev/null"],
        pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
    try:
        said = set()
        while not {"READY=1", "WATCHDOG=1"} <= said:
            said |= set(notify.recv(4096).decode().splitlines())
        connection = UnixConnection(tmp_path / "d.sock")
        connection.request("GET", "/v1/status")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.terminate()
    while "STOPPING=1" not in said:
        said |= set(notify.recv(4096).decode().splitlines())
    assert process.wait(60) == 0
    assert (tmp_path / "d.sock").is_socket()
    listening.close()
    notify.close()
