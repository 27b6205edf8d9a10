# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names and addresses of receivers, as clients see them."""

import json
import os
import shutil
import socket

from conftest import lines, script, wait_until
from test_ctl import ackctl  # noqa: F401


def test_names_are_remembered(discovery, receiver, client, ackctl):
    """A message to a receiver that has left waits, after a restart of the client too."""
    d = discovery()
    r = receiver(d, "web")
    c = client(d)
    assert json.loads(ackctl("list", "--json=short")[0])[0]["name"] == "web"
    r.end()
    wait_until(lambda: json.loads(ackctl("list", "--json=short")[0]) == [], "the receiver leaves")
    assert [x["state"] for x in json.loads(ackctl("list", "--all", "--json=short")[0])] == ["offline"]
    first = ackctl("send", "--to", "web", "--no-wait", "1")[0].strip()
    assert c.end() == 0
    c.start(wait_until)
    assert [x["state"] for x in json.loads(ackctl("list", "--all", "--json=short")[0])] == ["offline"]
    second = ackctl("send", "--to", "web", "--no-wait", "2")[0].strip()
    assert "No receiver" in ackctl("send", "--to", "other", "3", code=6)[1]
    r.start()
    assert {c.wait(m)["state"] for m in (first, second)} == {"acked"}


def test_a_name_is_followed(discovery, receiver, client, ackctl, tmp_path):
    """A message goes to whoever has the name when it is first sent. Then it stays with that receiver."""
    d = discovery("--lease", "3")
    handler = script(tmp_path, 'echo "$ACKGROUP_MESSAGE $ACKGROUP_POSSIBLE_DUPLICATE" >> $D/runs; [ ! -e $D/block ] || exec sleep 1000')
    r = receiver(d, "web", command=handler)
    c = client(d)
    before = r.id
    r.end()
    waiting = ackctl("send", "--to", "web", "--no-wait", "1")[0].strip()
    fixed = ackctl("send", "--to", before, "--no-wait", "1")[0].strip()
    assert c.end() == 0
    shutil.rmtree(r.state)
    c.start(wait_until)
    r.start()
    assert c.wait(waiting)["state"] == "acked"
    assert lines(tmp_path / "runs") == [f"{waiting} "]
    assert c.state(fixed) == "queued" and "has its name now" in ackctl("why", fixed)[0]

    (tmp_path / "block").touch()
    sent = ackctl("send", "--to", "web", "--no-wait", "2")[0].strip()
    wait_until(lambda: len(lines(tmp_path / "runs")) == 2, "it runs")
    r.end(kill=True)
    shutil.rmtree(r.state)
    (tmp_path / "block").unlink()
    r.start()
    assert c.wait(ackctl("send", "--to", "web", "--no-wait", "3")[0].strip())["state"] == "acked"
    wait_until(lambda: "has its name now" in ackctl("why", sent)[0], "why names the new holder")
    assert [line.split()[0] for line in lines(tmp_path / "runs")].count(sent) == 1
    ackctl("cancel", sent)
    wait_until(lambda: c.state(sent) == "cancelled", "it is cancelled")


def test_a_short_name_is_one_of_this_host(discovery, receiver, client, ackctl):
    """It is not sent to another host because the receiver of this host is stopped."""
    d = discovery()
    host = socket.gethostname()
    near = receiver(d, f"1@{host}")
    receiver(d, "1@elsewhere")
    c = client(d)
    receiver(d, "2@elsewhere")
    wait_until(lambda: len(c.receivers()) == 3, "the client knows all")
    near.end()
    wait_until(lambda: len(c.receivers()) == 2, "one left")
    m = ackctl("send", "--to", "1", "--no-wait", "x")[0].strip()
    assert "2@elsewhere" in ackctl("send", "--to", "2", "x", code=6)[1]
    assert c.state(m) in ("bound", "queued")
    near.start()
    assert c.wait(m)["receiver"] == f"1@{host}"


def test_the_socket_file_is_deleted(discovery, receiver, client, ackctl):
    """"why" says it, and the receiver makes the file again."""
    d = discovery("--lease", "3")
    r = receiver(d, "1")
    c = client(d)
    os.unlink(r.socket)
    m = ackctl("send", "--to", "1", "--no-wait", "x")[0].strip()
    assert c.state(m) == "acked" or "no such file on this host" in ackctl("why", m)[0]
    wait_until(r.socket.exists, "the file is there again")
    assert c.wait(m)["state"] == "acked"
    assert r.end() == 0 and not r.socket.exists()


def test_the_family_of_the_listener(discovery, receiver):
    """A socket of IPv4 is not advertised at the address of IPv6 at which discovery is reached."""
    d = discovery("--listen", "tcp:[::1]:0", "--allow-tcp-registration")
    port = next(line.rsplit(":", 1)[1] for line in d.read_log().splitlines() if "[::1]:" in line)
    r = receiver(d, "1", "--listen", "tcp:0.0.0.0:0", "--allow-insecure", "--discovery", f"http://[::1]:{port}")
    addresses = r.record()["addresses"]
    assert not [a for a in addresses if "[::1]" in a] and [a for a in addresses if a.startswith("tcp:127.0.0.1:")], addresses


def test_more_receivers_than_descriptors(discovery, receiver, client, ackctl):
    """Connections that nobody needs make room, and "why" says what is missing. The soft limit is raised."""
    d = discovery()
    for number in range(40):
        receiver(d, f"r{number}", command=["true"])
    c = client(d, start=False)
    c.prefix = ["prlimit", "--nofile=48:48"]
    c.start(wait_until)
    wait_until(lambda: len(c.receivers()) == 40, "the client knows all")
    m = ackctl("send", "--all", "--no-wait", "x")[0].strip()
    assert c.wait(m)["state"] == "acked"
    assert c.end() == 0
    c.prefix = ["prlimit", "--nofile=48:4096"]
    c.start(wait_until)
    assert "4096" in next(line for line in open(f"/proc/{c.process.pid}/limits") if line.startswith("Max open files")).split()[3]
