# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of ackgroup-discovery: the answers when nothing, something or much has changed; see docs/HTTP_API.md."""

import gzip
import json
import pathlib
import socket
import subprocess
import threading
import uuid

import pytest

from conftest import BUILD, UnixConnection, wait_for_changes, wait_until

DISCOVERY = BUILD / "src/discovery/ackgroup-discovery"
SANITIZED = b"__asan_init" in DISCOVERY.read_bytes()


class Talk:
    """Many requests on one connection."""

    def __init__(self, d):
        self.connection = UnixConnection(d.socket)

    def ask(self, method, path, body=None, token=None, **headers):
        """(status, decoded body, headers); names of headers with _ for -."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                {name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.headers["Content-Encoding"] == "gzip":
            text = gzip.decompress(text)
        return answer.status, json.loads(text) if text else None, answer.headers

    def get(self, path, **headers):
        status, body, headers = self.ask("GET", path, **headers)
        assert status == 200, body
        return body

    def register(self, name, group="default", **more):
        """(id, token)."""
        status, body, _ = self.ask("POST", "/v1/receivers", {
            "instance": str(uuid.uuid4()), "name": name, "group": group, "addresses": ["unix:/run/x.sock"], **more})
        assert status in (200, 201), body
        return body["id"], body["token"]

    def leave(self, registered):
        assert self.ask("DELETE", f"/v1/receivers/{registered[0]}", token=registered[1])[0] == 204


@pytest.fixture
def talk(discovery):
    d = discovery()
    one = Talk(d)
    one.discovery = d
    yield one
    one.connection.close()


def names(body):
    return [r["name"] for r in body["receivers"]]


def fill(d, count):
    """Registers bench-0 … quickly and returns their ids."""
    done = subprocess.run([BUILD / "tests/bench/register-many", str(d.port), "0", str(count)], stdout=subprocess.PIPE,
                          check=True, timeout=300)
    return [line.split()[0].decode() for line in done.stdout.splitlines()]


def test_unchanged(talk):
    talk.register("a")
    talk.register("b", "other")
    for path in ("/v1/receivers", "/v1/receivers?group=other", "/v1/receivers?label=k=v", "/v1/receivers?group=nobody"):
        status, body, headers = talk.ask("GET", path)
        etag = headers["ETag"]
        assert status == 200 and body["revision"] in etag and headers["Vary"] == "Accept-Encoding"
        for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
            status, nothing, headers = talk.ask("GET", path, If_None_Match=known)
            assert status == 304 and nothing is None and headers["ETag"] == etag
        assert talk.ask("GET", path, If_None_Match='"x"')[0] == 200
    etag = talk.ask("GET", "/v1/receivers?group=other")[2]["ETag"]
    whole = talk.ask("GET", "/v1/receivers")[2]["ETag"]
    talk.register("c")
    assert talk.ask("GET", "/v1/receivers?group=other", If_None_Match=etag)[0] == 304
    assert talk.ask("GET", "/v1/receivers", If_None_Match=whole)[0] == 200


def test_heartbeats_and_repetition_change_nothing(talk):
    record = {"instance": str(uuid.uuid4()), "name": "a", "addresses": ["unix:/run/x.sock"]}
    _, body, _ = talk.ask("POST", "/v1/receivers", record)
    before = talk.ask("GET", "/v1/receivers")
    assert talk.ask("POST", f"/v1/receivers/{body['id']}/heartbeat", token=body["token"])[0] == 200
    assert talk.ask("POST", "/v1/receivers", {**record, "id": body["id"]}, token=body["token"])[0] == 200
    after = talk.ask("GET", "/v1/receivers")
    assert before[1] == after[1] and before[2]["ETag"] == after[2]["ETag"]
    assert talk.ask("POST", "/v1/receivers", {**record, "id": body["id"], "capacity": 2}, token=body["token"])[0] == 200
    assert talk.get("/v1/receivers")["receivers"][0]["capacity"] == 2


def test_gzip(talk):
    for i in range(40):
        talk.register(f"r{i:02}", ["even", "odd"][i % 2])
    for path in ("/v1/receivers", "/v1/receivers?group=odd", "/v1/receivers?limit=20", "/v1/receivers?label=k=v"):
        plain = talk.ask("GET", path)
        assert plain[2]["Content-Encoding"] is None
        for accepted in ("gzip", "deflate, gzip;q=0.5", "*"):
            packed = talk.ask("GET", path, Accept_Encoding=accepted)
            assert packed[1] == plain[1]
            if path != "/v1/receivers?label=k=v":  # an empty list is smaller as it is
                assert packed[2]["Content-Encoding"] == "gzip"
                assert int(packed[2]["Content-Length"]) < int(plain[2]["Content-Length"])
        for refused in ("gzip;q=0", "deflate", "xgzip", ""):
            assert talk.ask("GET", path, Accept_Encoding=refused)[2]["Content-Encoding"] is None


def test_pages(talk):
    ids = {talk.register(f"r{i}", "g" if i % 3 else "h")[0] for i in range(25)}
    path, seen = "/v1/receivers?limit=10", []
    while path:
        page = talk.get(path)
        assert len(page["receivers"]) <= 10
        seen += [r["id"] for r in page["receivers"]]
        path = f"/v1/receivers?limit=10&after={page['next']}" if "next" in page else None
    assert sorted(seen) == sorted(ids)

    first = talk.get("/v1/receivers?limit=5&group=h")
    rest = talk.get(f"/v1/receivers?group=h&after={first['next']}")
    assert len(first["receivers"]) == 5 and len(rest["receivers"]) == 4 and "next" not in rest
    assert {r["group"] for r in first["receivers"] + rest["receivers"]} == {"h"}
    assert "next" not in talk.get("/v1/receivers?limit=25")
    for wrong in ("limit=0", "limit=10001", "limit=x", "after=x", "after=1-x", "after=-"):
        assert talk.ask("GET", "/v1/receivers?" + wrong)[0] == 400, wrong


def test_page_whose_end_has_moved(talk):
    registered = [talk.register(f"r{i}") for i in range(4)]
    cursor = talk.get("/v1/receivers?limit=2")["next"]
    assert talk.ask("GET", f"/v1/receivers?group=nobody&after={cursor}")[0] == 410
    talk.leave(registered[1])
    status, body, _ = talk.ask("GET", f"/v1/receivers?after={cursor}")
    assert status == 410 and body["error"]["code"] == "cursor-gone"


def test_changes(talk):
    kept, left = talk.register("kept"), talk.register("left")
    revision = talk.get("/v1/receivers")["revision"]
    nothing = talk.get(f"/v1/receivers?changes={revision}")
    assert nothing == {"revision": revision, "since": revision, "removed": [], "receivers": []}

    talk.leave(left)
    new = talk.register("new")
    short = talk.register("short")
    talk.leave(short)
    changes = talk.get(f"/v1/receivers?changes={revision}")
    assert changes["since"] == revision and changes["revision"] != revision
    assert names(changes) == ["new"] and left[0] in changes["removed"]
    assert kept[0] not in changes["removed"] and new[0] not in changes["removed"]

    assert talk.ask("PUT", f"/v1/receivers/{kept[0]}/draining", {"draining": True})[0] == 204
    later = talk.get(f"/v1/receivers?changes={changes['revision']}")
    assert names(later) == ["kept"] and later["receivers"][0]["draining"] is True and later["removed"] == []

    # Revisions that are too old or were never issued are answered with the whole list.
    for unknown in ("x", "000000000000-1", revision.split("-")[0] + "-999999"):
        whole = talk.get(f"/v1/receivers?changes={unknown}")
        assert "since" not in whole and names(whole) == ["kept", "new"]
    assert "since" not in talk.get(f"/v1/receivers?changes={revision}&limit=1")  # more than the list may be


def test_changes_are_complete(talk):
    """A reader that only reads changes always has the same receivers as a full list."""
    known, registered = {}, []
    revision = talk.get("/v1/receivers?group=g")["revision"]
    for step in range(60):
        if step % 3 == 2:
            talk.leave(registered.pop(step % len(registered)))
        else:
            registered.append(talk.register(f"r{step}", "g" if step % 5 else "h"))
        if step % 4 == 3:
            continue
        changes = talk.get(f"/v1/receivers?group=g&changes={revision}")
        assert changes["since"] == revision
        for gone in changes["removed"]:
            known.pop(gone, None)
        known.update({r["id"]: r for r in changes["receivers"]})
        revision = changes["revision"]
        assert sorted(known) == sorted(r["id"] for r in talk.get("/v1/receivers?group=g")["receivers"])


def test_changes_of_a_group_and_of_labels(talk):
    record = {"instance": str(uuid.uuid4()), "name": "a", "addresses": ["unix:/run/x.sock"]}
    _, body, _ = talk.ask("POST", "/v1/receivers", {**record, "group": "g", "labels": {"zone": "a"}})
    again = {**record, "id": body["id"]}
    in_g = talk.get("/v1/receivers?group=g")["revision"]
    in_h = talk.get("/v1/receivers?group=h")["revision"]
    of_all = talk.get("/v1/receivers")["revision"]
    with_label = talk.get("/v1/receivers?label=zone=a")["revision"]

    assert talk.ask("POST", "/v1/receivers", {**again, "group": "h"}, token=body["token"])[0] == 200
    assert talk.get(f"/v1/receivers?group=g&changes={in_g}")["removed"] == [body["id"]]
    assert names(talk.get(f"/v1/receivers?group=h&changes={in_h}")) == ["a"]
    moved = talk.get(f"/v1/receivers?changes={of_all}")
    assert names(moved) == ["a"] and moved["removed"] == []
    unfit = talk.get(f"/v1/receivers?label=zone=a&changes={with_label}")
    assert names(unfit) == [] and unfit["removed"] == [body["id"]]


def test_changes_beyond_what_is_kept(discovery):
    d = discovery("--allow-tcp-registration")
    talk = Talk(d)
    revision = talk.get("/v1/receivers")["revision"]
    fill(d, 10_001)
    whole = talk.get(f"/v1/receivers?changes={revision}")
    assert "since" not in whole and len(whole["receivers"]) == 10_000
    rest = talk.get(f"/v1/receivers?after={whole['next']}")
    assert len(rest["receivers"]) == 1 and "next" not in rest
    talk.connection.close()


def test_watch_of_a_group(talk):
    """Only a change in its own group ends the wait. Every answer contains that change."""
    talk.register("a", "g")
    revision = talk.get("/v1/receivers?group=g")["revision"]
    empty = talk.get("/v1/receivers?group=later")["revision"]
    answers = {}

    def watch(key, query):
        answers[key] = Talk(talk.discovery).get(f"/v1/receivers?{query}&wait=60")

    watchers = [threading.Thread(target=watch, args=words) for words in (
        ("list", f"group=g&since={revision}"), ("changes", f"group=g&changes={revision}"),
        ("later", f"group=later&changes={empty}"))]
    for w in watchers:
        w.start()
    for i in range(50):
        talk.register(f"other{i}", "other")
    assert not answers
    talk.register("b", "g")
    for w in watchers[:2]:
        w.join(30)
    assert names(answers["list"]) == ["a", "b"] and names(answers["changes"]) == ["b"]
    assert answers["list"]["revision"] == answers["changes"]["revision"] != revision
    assert "later" not in answers
    talk.register("c", "later")
    watchers[2].join(30)
    assert names(answers["later"]) == ["c"]
    for w in watchers:
        assert not w.is_alive()


def test_revision_of_a_group_never_repeats(talk):
    seen = set()
    for _ in range(5):
        one = talk.register("a", "g")
        seen.add(talk.get("/v1/receivers?group=g")["revision"])
        talk.leave(one)
        seen.add(talk.get("/v1/receivers?group=g")["revision"])
    assert len(seen) == 10


def test_texts_that_need_escapes(talk):
    """Addresses are stored as JSON; clients read exactly what was registered."""
    addresses = ['unix:/run/a "quoted" \\ path\twith é', "tcp:[::1]:7", "tcp:host.example:1"]
    labels = {"a": "b", "b": "c"}
    talk.register("a", addresses=addresses, labels=labels)
    record = talk.get("/v1/receivers?label=b=c&label=a=b")["receivers"][0]
    assert record["addresses"] == addresses and record["labels"] == labels
    assert talk.get("/v1/receivers?label=b=b")["receivers"] == [] == talk.get("/v1/receivers?label=c=b")["receivers"]
    assert talk.get(f"/v1/receivers/{record['id']}")["expires_in_ms"] > 0


def is_served(connection):
    try:
        connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        return b" 200 " in connection.recv(4096)
    except OSError:
        return False


def test_connections_of_one_address(discovery):
    d = discovery("--connections-per-address", "4")
    held = []

    def hold():
        held.append(socket.create_connection(("127.0.0.1", d.port), 30))
        return is_served(held[-1])

    wait_until(hold, "a first one is served")  # those that asked whether it has started are gone
    while sum(map(is_served, held)) < 4:
        assert hold()
    assert not hold()
    assert all(map(is_served, held[:-1]))
    assert d.ask("GET", "/v1/status")[0] == 200  # the Unix socket has no addresses
    held.pop().close()
    held.pop().close()
    wait_until(hold, "there is room again")
    for connection in held:
        connection.close()


@pytest.mark.parametrize("ways", [
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.1.2.3", "127.0.0.1")],
    [("::1", "::1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.1"), ("::ffff:127.0.0.9", "::ffff:127.0.0.1")],
], ids=["IPv4", "IPv6"])
def test_loopback_is_one_address(discovery, ways):
    """A process on the host can use any of sixteen million loopback addresses."""
    if ":" in ways[0][0] and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    d = discovery("--connections-per-address", "4", "--allow-insecure", "--listen",
                  f"tcp:[::]:{port}" if ":" in ways[0][0] else f"tcp:127.0.0.1:{port}")
    held = []

    def hold():
        source, to = ways[len(held) % len(ways)]
        held.append(socket.create_connection((to, port), 30, (source, 0)))
        return is_served(held[-1])

    assert all([hold() for _ in range(4)])
    assert not any([hold() for _ in ways])
    assert d.ask("GET", "/v1/status")[0] == 200
    held.pop(0).close()
    wait_until(hold, "there is room again")
    assert sum(map(is_served, held)) == 4
    for connection in held:
        connection.close()


def test_who_waits_over_tcp_leaves_room_on_the_socket(discovery, many_descriptors):
    """And the other way round."""
    d = discovery("--connections-per-address", "4096")
    path = "/v1/receivers?wait=60&since=" + d.ask("GET", "/v1/receivers")[1]["revision"]
    held = wait_for_changes(d, path, 1024, tcp=True)
    assert d.ask("GET", path, tcp=True)[0] == 503
    assert d.ask("GET", path.replace("=60", "=1"))[0] == 200
    held += wait_for_changes(d, path, 1024)
    assert d.ask("GET", path)[0] == 503
    assert d.ask("GET", path.replace("=60", "=0"))[0] == 200
    for connection in held:
        connection.close()


def memory(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024


def test_memory_of_a_hundred_thousand(discovery):
    d = discovery("--allow-tcp-registration", "--log-level", "warning")
    empty = memory(d.process)
    ids = fill(d, 100_000)
    assert Talk(d).get("/v1/status")["receivers"] == 100_000
    # The rest is what is there once, however many they are; a sanitizer keeps what was freed.
    assert memory(d.process) - empty < 100_000 * 400 + (600 << 20 if SANITIZED else 16 << 20)
    assert Talk(d).get(f"/v1/receivers/{ids[77_777]}")["name"] == "bench-77777"

    d.end()  # all that was registered is on disk
    d.start()
    talk = Talk(d)
    assert talk.get("/v1/status")["receivers"] == 100_000
    seen, path = 0, "/v1/receivers"
    while path:
        page = talk.get(path)
        seen += len(page["receivers"])
        path = f"/v1/receivers?after={page['next']}" if "next" in page else None
    assert seen == 100_000
    talk.connection.close()


def test_client_with_more_than_one_page(discovery, client):
    d = discovery("--allow-tcp-registration", "--log-level", "warning")
    fill(d, 10_100)
    c = client(d)
    wait_until(lambda: c.properties()["Receivers"] == 10_100, "the client has read all pages")
    talk = Talk(d)
    one = talk.register("late")
    wait_until(lambda: c.properties()["Receivers"] == 10_101, "and hears of one more")
    talk.leave(one)
    wait_until(lambda: c.properties()["Receivers"] == 10_100, "and of its end")
    talk.connection.close()


def test_keep_alive(talk):
    """All of it on one connection, errors too."""
    talk.get("/v1/receivers")
    first = talk.connection.sock
    for path, status in (("/nowhere", 404), ("/v1/receivers?limit=x", 400), ("/v1/receivers", 200)):
        assert talk.ask("GET", path)[0] == status
    assert talk.connection.sock is first
