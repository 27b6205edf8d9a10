# SPDX-License-Identifier: LGPL-2.1-or-later
"""The compose files with podman-compose: the commands that a person types, and what survives which failure."""

import re
import threading

import pytest

from engine import wait_until
from terminal import Terminal

FILES = [f"compose.{service}.yml" for service in ("discovery", "receiver", "client")]
THREE = ("1@receiver", "2@receiver", "3@receiver")


@pytest.fixture
def handler(tmp_path):
    """Makes a compose file that gives receivers a handler by configuration. The argument is a shell script. $D is a
    directory that outlives the containers."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    tmp_path.chmod(0o755)

    def make(script):
        (directory / "handler").write_text(f"#!/bin/sh\ncd /srv\n{script}\n")
        (directory / "handler").chmod(0o755)
        configuration = tmp_path / "ackgroup.conf"
        configuration.write_text("[Receiver]\nExec=/srv/handler\n")
        override = tmp_path / "handler.yml"
        override.write_text("services:\n  receiver:\n    volumes:\n"
                            f"      - {configuration}:/etc/ackgroup/ackgroup.conf:ro\n      - {directory}:/srv\n")
        return override

    make.directory = directory
    return make


def without_colours(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def up_with(group, override, **variables):
    group.up("compose.discovery.yml", "compose.client.yml", **variables)
    group.engine.compose("-f", "compose.receiver.yml", "-f", override, "up", "-d", **{"FAILURE_PROBABILITY": 0, **variables})


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1)], ids=str)
def test_any_start_order(group, order):
    """Whoever starts first waits for discovery. The order discovery, receivers, client is the seed's, below."""
    order = [FILES[i] for i in order]
    group.up(order[0], order[1])
    if order[2] == FILES[0]:
        for service in ("receiver", "client"):
            wait_until(lambda: re.search("cannot be asked|does not answer", group.log(service)), f"the {service} says why it waits")
    group.up(order[2])
    group.wait_for(*THREE)
    assert "acked" in group.ackctl("send", "--any", "hello", check=False)


def test_the_seeds_flow(group):
    """The seed's README with other file names: five receivers, each of which forgets half of its acks, a shell in the
    client's container, the numbered list, the message, the ack."""
    group.up("compose.discovery.yml")
    group.up("compose.receiver.yml", RECEIVERS=5)
    group.up("compose.client.yml", ACK_TIMEOUT="300ms")
    names = [f"{n}@receiver" for n in range(1, 6)]
    group.wait_for(*names)
    assert len({r["id"] for r in group.receivers().values()}) == 5

    terminal = Terminal([*group.engine.inside, "podman", "exec", "-it", group.name("client"), "/bin/bash"], group.engine.environment)
    terminal.write("PS1='in the ''client> '\n")  # so that the echo of the input is not taken for the answer
    terminal.read_until("in the client> ")
    terminal.write("ackctl\n")
    shown = without_colours(terminal.read_until("Receiver: "))
    for number, name in enumerate(names, 1):
        assert re.search(rf"^ +{number}  {name} +default ", shown, re.M), shown
    for n in range(8):
        terminal.write("4\n")
        terminal.read_until("Message: ")
        terminal.write(f"hello no {n};\n")
        assert "acked         by 4@receiver" in without_colours(terminal.read_until("Receiver: "))
    terminal.write("q\n")
    terminal.read_until("in the client> ")
    terminal.write("exit\n")
    assert terminal.end() == 0
    # Some acks were lost, and no message was processed twice.
    assert "no-ack        from 4@receiver" in without_colours(terminal.text)
    log = group.log("receiver", 4) + "".join(group.log("receiver", n) for n in (1, 2, 3, 5))
    assert sorted(re.findall(r"hello no (\d);", log)) == [str(n) for n in range(8)]


def test_half_of_the_acks_are_lost(group):
    """Many messages to any receiver: all are acked, and each is processed once."""
    group.up(ACK_TIMEOUT="300ms", RECEIVERS=2)
    group.wait_for("1@receiver", "2@receiver")
    ids = [group.ackctl("send", "--any", "--no-wait", f"message {n};").strip() for n in range(20)]
    group.ackctl("wait", *ids)
    records = [group.show(one) for one in ids]
    assert {r["state"] for r in records} == {"acked"}
    assert sum(r["attempts"] for r in records) > 20
    log = group.log("receiver", 1) + group.log("receiver", 2)
    assert sorted(re.findall(r"says: message (\d+);", log), key=int) == [str(n) for n in range(20)]


def test_a_stopped_receiver_finishes_and_is_gone_at_once(group, handler):
    """The lease alone would keep it listed for an hour."""
    up_with(group, handler("echo begun >>runs; until [ -e go ]; do sleep 0.05; done; echo done >>runs"), RECEIVERS=1, LEASE="1h")
    group.wait_for("1@receiver")
    message = group.ackctl("send", "--to", "1", "--no-wait", "work").strip()
    runs = handler.directory / "runs"
    wait_until(runs.exists, "the handler has begun")
    stop = threading.Thread(target=group.engine.podman, args=("stop", "-t", "40", group.name("receiver")))
    stop.start()
    wait_until(lambda: group.engine.inspect(group.name("receiver"), ".State.Status") == "stopping", "it is being stopped")
    (handler.directory / "go").touch()
    stop.join()
    assert group.engine.inspect(group.name("receiver"), ".State.ExitCode") == "0"
    assert runs.read_text() == "begun\ndone\n"
    assert group.show(message)["state"] == "acked"
    assert group.receivers() == {}


def test_a_killed_receiver_is_gone_after_its_lease_and_goes_on_when_it_is_back(group, handler):
    """It is killed while it processes a message. That message runs again there, with the warning that it may be the
    second time."""
    script = 'echo "run $ACKGROUP_POSSIBLE_DUPLICATE" >>runs; until [ -e go ]; do sleep 0.05; done; echo "done by $ACKGROUP_RECEIVER_NAME"'
    up_with(group, handler(script), RECEIVERS=1, LEASE="3s")
    before = group.wait_for("1@receiver")["1@receiver"]
    message = group.ackctl("send", "--to", "1", "--no-wait", "work").strip()
    runs = handler.directory / "runs"
    wait_until(runs.exists, "the handler has begun")
    group.engine.podman("kill", group.name("receiver"))
    assert "1@receiver" in group.receivers()
    group.wait_for()
    assert group.engine.inspect(group.name("receiver"), ".State.ExitCode") == "137"
    group.engine.podman("start", group.name("receiver"))
    assert group.wait_for("1@receiver")["1@receiver"]["id"] == before["id"]
    (handler.directory / "go").touch()
    assert group.ackctl("wait", message).strip() == "done by 1@receiver"
    assert [line.strip() for line in runs.read_text().splitlines()] == ["run", "run 1"]


def test_discovery_is_killed_and_comes_back(group):
    """Without discovery clients reach the receivers that they know. When it is back, nobody has to register again, and
    clients hear of new receivers."""
    group.up(RECEIVERS=2, FAILURE_PROBABILITY=0, LEASE="1h")
    before = group.wait_for("1@receiver", "2@receiver")
    group.engine.podman("kill", group.name("discovery"))
    assert "acked" in group.ackctl("send", "--to", "2", "without discovery", check=False)
    group.engine.podman("stop", "-t", "40", group.name("receiver", 1))
    group.engine.podman("start", group.name("receiver", 1))
    group.engine.podman("start", group.name("discovery"))
    wait_until(lambda: "state: reachable" in group.ackctl("status", check=False), "the client finds it at its new address")
    group.engine.compose("-f", "compose.receiver.yml", "up", "-d", RECEIVERS=3, FAILURE_PROBABILITY=0)
    after = group.wait_for(*THREE)
    assert {n: r["id"] for n, r in before.items()} == {n: after[n]["id"] for n in before}
    for n in (1, 2, 3):
        assert "acked" in group.ackctl("send", "--to", n, "with discovery", check=False)


def test_two_clients_at_once(group):
    """Each client has its own outbox and bus."""
    group.up(CLIENTS=2, RECEIVERS=2, FAILURE_PROBABILITY=0)
    for client in (1, 2):
        group.wait_for("1@receiver", "2@receiver", client=client)
    sent = {}

    def send(client):
        sent[client] = [group.ackctl("send", "--any", "--no-wait", f"{client}-{n};", client=client).strip() for n in range(8)]

    threads = [threading.Thread(target=send, args=(client,)) for client in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in (1, 2):
        group.ackctl("wait", *sent[client], client=client)
        group.ackctl("show", sent[3 - client][0], client=client, check=False)
        assert group.engine.status != 0  # the other's is not seen
    log = group.log("receiver", 1) + group.log("receiver", 2)
    assert sorted(re.findall(r"says: (\d-\d);", log)) == [f"{c}-{n}" for c in (1, 2) for n in range(8)]
    assert len({re.search(r"Client: (\S+)", group.ackctl("status", client=c))[1] for c in (1, 2)}) == 2


def test_down_and_up_again(group):
    """The containers are new, the volumes are the same: accepted messages are delivered, and everybody keeps their
    identity."""
    group.up(FAILURE_PROBABILITY=0, LEASE="1h")
    before = group.wait_for(*THREE)
    done = group.ackctl("send", "--to", "3", "--json=short", "before")
    group.engine.podman("kill", *[group.name("receiver", n) for n in (1, 2, 3)])
    waiting = [group.ackctl("send", "--to", n, "--no-wait", f"for {n};").strip() for n in (1, 2, 3)]
    containers = group.engine.podman("ps", "-aq")
    group.engine.compose("down", "-t", "40")
    assert group.engine.running() == []
    group.up(FAILURE_PROBABILITY=0, LEASE="1h")
    assert not set(containers.split()) & set(group.engine.podman("ps", "-aq").split())
    after = group.wait_for(*THREE)
    assert {n: r["id"] for n, r in before.items()} == {n: r["id"] for n, r in after.items()}
    group.ackctl("wait", *waiting)
    logs = [group.log("receiver", n) for n in (1, 2, 3)]
    for n in (1, 2, 3):
        log = next(log for log in logs if f"Registered as {n}@receiver" in log)
        assert log.count(f"says: for {n};") == 1
    assert "before" not in "".join(re.findall("says: (.*)", "".join(logs)))
    assert '"acked"' in done


def test_the_whole_group_can_grow_and_shrink(group):
    """A replica takes the first free directory. No two replicas have the same, and one that comes back has its old
    identity."""
    group.up(RECEIVERS=2, FAILURE_PROBABILITY=0)
    two = group.wait_for("1@receiver", "2@receiver")
    group.engine.podman("stop", "-t", "40", group.name("receiver", 1))
    group.engine.compose("-f", "compose.receiver.yml", "up", "-d", RECEIVERS=3, FAILURE_PROBABILITY=0)
    three = group.wait_for(*THREE)
    assert {n: three[n]["id"] for n in two} == {n: two[n]["id"] for n in two}


def test_nothing_is_open_to_others(group):
    """No published port, no privilege, no user except the image's."""
    group.up(RECEIVERS=1)
    for service in ("discovery", "receiver", "client"):
        name = group.name(service)
        assert group.engine.podman("port", name) == ""
        assert group.engine.inspect(name, ".EffectiveCaps") == "[]"
        assert group.engine.inspect(name, ".HostConfig.ReadonlyRootfs") == "true"
        status = group.engine.podman("exec", name, "cat", "/proc/1/status")
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Uid:\s+7480\s", status, re.M)
