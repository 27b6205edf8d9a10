# SPDX-License-Identifier: LGPL-2.1-or-later
"""One container: the content of the image, PID 1, signals, exit statuses, logs, health."""

import json

import pytest

from engine import IMAGE, wait_until

OPEN = ["--listen=tcp:0.0.0.0:7480", "--allow-insecure", "--allow-tcp-registration"]


def run(engine, *words, check=True):
    return engine.podman("run", "--rm", *words, check=check)


def start(engine, name, *words, options=()):
    engine.podman("run", "-d", "--name", name, *options, IMAGE, *words)
    return name


def processes(engine, name):
    """Returns PID → (command line, state) of the processes that live longer than this call takes."""
    found = {}
    for line in engine.podman("top", name, "pid", "state", "args").splitlines()[1:]:
        pid, state, command = line.split(None, 2)
        found[int(pid)] = (command, state)
    return found


def test_image(engine):
    """The image is small, has no compiler, does not run as root, and describes itself."""
    config = json.loads(engine.podman("image", "inspect", IMAGE))[0]
    base = json.loads(engine.podman("image", "inspect", "debian:bookworm-slim"))[0]
    added = (config["Size"] - base["Size"]) / 1e6
    print(f"{added:.0f} MB more than its base")
    assert added < 40
    assert config["Config"]["User"] == "7480:7480"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "LGPL-2.1-or-later"
    for program in ("cc", "gcc", "make", "meson", "systemctl"):
        run(engine, IMAGE, "sh", "-c", f"command -v {program}", check=False)
        assert engine.status == 127 or engine.status == 1
    ours = run(engine, IMAGE, "sh", "-c", "dpkg -L ackgroup-common ackgroup-discovery ackgroup-receiver ackgroup-client")
    assert "/usr/libexec/ackgroup/ackgroup-receiver" in ours
    assert "receiver [OPTION" in run(engine, IMAGE)


def test_what_is_wrong_is_said_and_the_status_tells(engine):
    """Status 78: the configuration is wrong. Otherwise the program's own status."""
    text = run(engine, IMAGE, "discovery", "--lease=soon", check=False)
    assert engine.status == 78 and "--lease" in text
    text = run(engine, IMAGE, "discovery", "--listen=tcp:0.0.0.0:7480", check=False)
    assert engine.status != 0 and "AllowInsecure=yes" in text  # nothing insecure without AllowInsecure=
    text = run(engine, "--user", "12345", IMAGE, "receiver", check=False)
    assert engine.status == 78 and "12345" in text and "volume" in text
    run(engine, IMAGE, "sh", "-c", "exit 7", check=False)
    assert engine.status == 7


def test_sigterm_ends_each_with_status_0(engine, group):
    for role in ("discovery", "receiver", "client"):
        start(engine, role, role)
        wait_until(lambda: engine.podman("logs", role, check=False) or role == "client", f"{role} logs on its standard error")
        wait_until(lambda: "ackgroup-" + role in str(processes(engine, role)), f"{role} runs")
        engine.podman("kill", "--signal=TERM", role)
        assert engine.podman("wait", role).strip() == "0"


def test_tini_is_pid_1_and_reaps(engine, group):
    """A handler's grandchild in its own session ends with the handler. An orphan of another process is reaped by tini."""
    script = ('setsid sh -c "touch /tmp/began; exec sleep 1000" >/dev/null 2>&1 & '
              "until [ -e /tmp/began ]; do sleep 0.02; done; cat")
    engine.podman("network", "create", "reaping")
    start(engine, "discovery", "discovery", *OPEN, options=["--network=reaping"])
    start(engine, "receiver", "receiver", "--discovery=http://discovery:7480", "--listen=tcp:0.0.0.0:7481", "--allow-insecure",
          "--", "sh", "-c", script, options=["--network=reaping"])
    start(engine, "client", "client", "--discovery=http://discovery:7480", options=["--network=reaping"])
    wait_until(lambda: "1@receiver" in engine.podman("exec", "client", "ackctl", "list", check=False), "the receiver is there")
    assert engine.podman("exec", "client", "ackctl", "send", "--any", "hello") == "hello"
    assert not [p for p in processes(engine, "receiver").values() if p[0].startswith("sleep 1000")]
    assert processes(engine, "receiver")[1][0].startswith("/usr/bin/tini")
    engine.podman("exec", "receiver", "sh", "-c", 'setsid sh -c "sleep 0.2; touch /tmp/orphan-ended" >/dev/null 2>&1 &')
    wait_until(lambda: engine.podman("exec", "receiver", "ls", "/tmp").find("orphan-ended") >= 0, "it has ended")
    wait_until(lambda: not [p for p in processes(engine, "receiver").values() if p[1] == "Z"], "and was reaped")


def test_the_bus_in_a_clients_container(engine, group):
    """tini is PID 1, a bus of the container's own has the rules of a system bus, and ackctl finds it in any shell."""
    start(engine, "client", "client", options=["--restart=on-failure:3"])
    wait_until(lambda: "Client:" in engine.podman("exec", "client", "ackctl", "status", check=False), "ackctl finds it")
    running = processes(engine, "client")
    assert running[1][0].startswith("/usr/bin/tini")
    bus = [pid for pid, (command, _) in running.items() if command.startswith("dbus-daemon --config-file=/etc/ackgroup/bus.conf")]
    assert len(bus) == 1
    assert "Bus: system" in engine.podman("exec", "client", "ackctl", "status")
    engine.podman("exec", "client", "ackctl", "send", "--any", "--no-wait", "as the container's user")
    message = engine.podman("exec", "-u", "0", "client", "ackctl", "send", "--any", "--no-wait", "as root").strip()
    engine.podman("exec", "-u", "nobody", "client", "ackctl", "messages")
    text = engine.podman("exec", "-u", "nobody", "client", "ackctl", "send", "--any", "x", check=False)
    assert engine.status == 1 and "group ackgroup" in text
    # Without its bus the client is of no use: it ends, and is started again with a new one. The container may be gone before the shell's status was asked.
    engine.podman("exec", "client", "sh", "-c", f"kill -9 {bus[0]}", check=False)
    wait_until(lambda: engine.inspect("client", ".RestartCount") == "1", "the container starts again")
    wait_until(lambda: '"queued"' in engine.podman("exec", "client", "ackctl", "--json=short", "show", message, check=False),
               "and has its messages")


@pytest.mark.parametrize("role", ["discovery", "receiver", "client"])
def test_health(engine, group, role):
    """Healthy means that the daemon answers. A receiver that waits for discovery and a daemon that is stopped are not
    healthy."""
    options = {"discovery": [], "client": [], "receiver": ["--listen=tcp:127.0.0.1:7481", "--discovery=http://127.0.0.1:7480"]}
    start(engine, role, role, *options[role])

    def healthy():
        engine.podman("exec", role, "ackgroup-container", "healthy", check=False)
        return engine.status == 0

    if role == "receiver":
        wait_until(lambda: "cannot be asked" in engine.podman("logs", role, check=False), "it waits for discovery")
        assert not healthy()
        engine.podman("exec", "-d", role, "/usr/libexec/ackgroup/ackgroup-discovery", "--state-dir=/tmp/discovery",
                      "--listen=tcp:127.0.0.1:7480", "--allow-tcp-registration")
    wait_until(healthy, "it is healthy")
    pid = next(pid for pid, (command, _) in processes(engine, role).items() if f"ackgroup-{role} " in command and pid > 1
               and "tini" not in command)
    engine.podman("exec", role, "sh", "-c", f"kill -STOP {pid}")
    assert not healthy()
    engine.podman("exec", role, "sh", "-c", f"kill -CONT {pid}")
    wait_until(healthy, "it is healthy again")


def test_a_slow_resolver_holds_up_nothing(engine, group):
    """The receiver can be stopped while it waits for a name server that does not answer."""
    engine.podman("network", "create", "--disable-dns", "--subnet=10.77.0.0/24", "quiet")
    start(engine, "receiver", "receiver", "--discovery=http://discovery.example:7480", "--listen=tcp:127.0.0.1:7481",
          options=["--network=quiet", "--dns=10.77.0.250", "--dns-opt=timeout:30", "--dns-opt=attempts:5"])
    assert "10.77.0.250" in engine.podman("exec", "receiver", "cat", "/etc/resolv.conf")
    wait_until(lambda: "timed out" in engine.podman("logs", "receiver", check=False), "it has waited once")
    engine.podman("stop", "-t", "20", "receiver")
    assert engine.inspect("receiver", ".State.ExitCode") == "0"
