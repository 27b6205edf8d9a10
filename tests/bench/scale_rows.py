# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of tests/bench/scale. A row does the same work at several sizes of what should not matter to it."""

import contextlib
import http.client
import socket
import subprocess
import time

from frames import Sender

ROWS = {}


def row(title, unit, *sizes):
    """The function gets a world and a size, and returns the cost of one unit."""
    def add(function):
        ROWS[function.__name__.replace("_", "-")] = (title, unit, sizes, function)
        return function
    return add


@row("one message to any, of so many that nobody reaches", "second", 10, 1000, 10_000)
def unreachable(w, n):
    w.register(n)
    w.start_client()
    w.caller.send("any", "")
    return w.measure(lambda: time.sleep(5), 5)


@row("accepting messages to a group that is not there, so many known", "message", 10, 1000, 10_000)
def nobody(w, n):
    w.register(n)
    w.start_client()
    return w.measure(lambda: w.load(20_000, "-a", "-g", "nobody"), 20_000)


@row("messages to any, so many connected", "message", 10, 500, 5000)
def connected(w, n):
    w.register(n, address=w.crowd())
    w.start_client()
    w.load(8 * n, "-t", "-w", 4096)
    return w.measure(lambda: w.load(50_000, "-t"), 50_000)


@row("a new key for each message, so many known", "message", 1000, 10_000, 100_000)
def new_key(w, n):
    w.register(n, address=w.crowd())
    w.start_client()
    return w.measure(lambda: w.load(2000, "-t", "-m", "key", "-k", 2000), 2000)


@row("so many keys wait, and are drained by 100 receivers", "message", 1000, 30_000, 1_000_000)
def keys_drained(w, n):
    w.register(100, address=w.directory / "crowd.sock")
    w.start_client("--backoff", "100ms", "--backoff-max", "1s")
    w.load(n, "-a", "-m", "key", "-k", n, "-w", 4096)
    w.crowd(16)
    return w.measure(lambda: w.wait_for("Waiting", 0), n)


@row("messages to one receiver, so many other selectors wait", "message", 10, 1000, 10_000)
def other_selectors(w, n):
    w.register(1, address=w.crowd())
    w.start_client()
    for i in range(n):
        w.caller.send("any", f"group-{i}")
    w.wait_for("Waiting", n)
    return w.measure(lambda: w.load(20_000, "-t", "-g", "default"), 20_000)


@row("1000 receivers leave, so many keys wait for them", "receiver", 1000, 10_000, 100_000)
def leave_with_keys(w, n):
    w.register(1000)
    w.start_client()
    w.load(n, "-a", "-m", "key", "-k", n, "-w", 4096)

    def leave():
        w.unregister_all()
        w.wait_for("Receivers", 0)
    return w.measure(leave, 1000)


@row("RetryMany of so many dead letters", "message", 1000, 10_000, 100_000)
def dead_retry(w, n):
    w.start_client()
    w.load(n, "-a", "-g", "nobody", "-d", 2 + n // 5000, "-w", 4096)
    w.wait_for("DeadLetters", n)
    return w.measure(lambda: w.caller.pages("RetryMany", "u"), n)


@row("FindReceivers, all of so many", "receiver", 1000, 10_000, 100_000)
def list_all(w, n):
    w.register(n)
    w.start_client()
    return w.measure(lambda: w.caller.pages("FindReceivers", "a(sssa{ss}assub)"), n)


@row("FindReceivers, a group of three among so many", "call", 1000, 10_000, 100_000)
def list_three(w, n):
    w.register(n)
    w.register(3, group="three")
    w.start_client()

    def find():
        for _ in range(50):
            w.caller.pages("FindReceivers", "a(sssa{ss}assub)", group="three")
    return w.measure(find, 50)


@row("so many `ackctl send` at once", "send", 10, 100, 400)
def sends_at_once(w, n):
    w.receiver()
    w.start_client()

    def send():
        programs = [subprocess.Popen([w.build / "src/ctl/ackctl", "--user", "send", "--any", "hello"], env=w.bus.environment,
                                     stdin=subprocess.DEVNULL, stdout=w.log, stderr=w.log) for _ in range(n)]
        failed = sum(p.wait() != 0 for p in programs)
        assert failed == 0, f"{failed} of {n} failed"
    return w.measure(send, n)


@row("heartbeats at discovery, so many receivers with a connection each", "heartbeat", 100, 1000, 4000, 10_000)
def heartbeats(w, n):
    w.register(n)
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(n):
            s = stack.enter_context(socket.socket(socket.AF_UNIX))
            s.connect(str(w.socket))
            connections.append(s)
        refused = 0

        def beat():
            nonlocal refused
            for _ in range(3):
                for s, (receiver, token) in zip(connections, w.tokens):
                    refused += not heartbeat(s, receiver, token)
        cost = w.measure(beat, 3 * n, w.discovery, ping=False)
    cost.note = f"{refused / 3 / n:.0%} refused" if refused else ""
    return cost


def heartbeat(s, receiver, token):
    """False: discovery has no place for the connection."""
    try:
        s.sendall(f"POST /v1/receivers/{receiver}/heartbeat HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                  "Content-Length: 0\r\n\r\n".encode())
        answer = http.client.HTTPResponse(s)
        answer.begin()
        answer.read()
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


@row("a client that knows so many", "receiver", 1000, 10_000, 100_000)
def known(w, n):
    w.start_client()
    w.register(1)
    w.wait_for("Receivers", 1)

    def learn():
        w.register(n)
        w.wait_for("Receivers", n + 1)
    return w.measure(learn, n)


@row("messages to a receiver, so many other senders are connected and idle", "message", 10, 300, 1000)
def idle_senders(w, n):
    receiver = w.receiver("--queue", 2048)
    w.start_client()
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            stack.callback(Sender(w.directory / "receiver.sock", w.receiver_id()).close)
        before = w.caller.number("Attempts", "t")
        cost = w.measure(lambda: w.load(20_000), 20_000, receiver)
        cost.note = f"{(w.caller.number('Attempts', 't') - before) / 20_000:.2f} sends a message"
    return cost


@row("a message to all of so many", "member", 10, 100, 1000)
def to_all(w, n):
    w.register(n, address=w.crowd())
    w.start_client()
    w.load(1, "-m", "all")
    return w.measure(lambda: w.load(5, "-m", "all", "-w", 1), 5 * n)


@row("handlers of /bin/true, so many at once", "message", 1, 4, 16)
def handlers(w, n):
    receiver = w.receiver("--queue", 256, "--concurrency", n, "--", "/bin/true")
    w.start_client()
    w.load(100, "-t")
    return w.measure(lambda: w.load(1000, "-t"), 1000, receiver)


@row("accepting messages, so many wait", "message", 1000, 100_000, 1_000_000)
def waiting(w, n):
    w.start_client()
    w.load(n, "-a", "-g", "nobody", "-w", 4096)
    return w.measure(lambda: w.load(50_000, "-a", "-g", "nobody"), 50_000)


@row("payloads of so many bytes, 4 in flight", "MB", 1 << 10, 64 << 10, 1 << 20, 16 << 20)
def payloads(w, n):
    receiver = w.receiver("--max-payload", n)
    w.start_client("--max-payload", n)
    w.load(8, "-s", n, "-w", 4)
    rest = w.client.memory() + receiver.memory()
    count = max(16, min(20_000, (256 << 20) // n))
    cost = w.measure(lambda: w.load(count, "-s", n, "-w", 4), count * n / 1e6)
    peak = w.client.memory("VmHWM") + receiver.memory("VmHWM")
    cost.memory = None
    cost.note = f"peak of both daemons {peak / 1e6:.0f} MB ({rest / 1e6:.0f} MB after the first 8)"
    return cost


@row("messages to any, beside 100,000 known, 10,000 of them unreachable, 100,000 keys and 10,000 selectors; parts in 1000",
     "message", 0, 10, 100, 1000)
def everything(w, n):
    address = w.crowd()
    w.register(1 + 90 * n, address=address)
    w.register(10 * n, group="unreachable")
    w.start_client()
    if n > 0:
        w.caller.send("any", "unreachable")
        w.load(100 * n, "-a", "-m", "key", "-k", 100 * n, "-g", "unreachable", "-w", 4096)
        for i in range(10 * n):
            w.caller.send("any", f"group-{i}")
        w.wait_for("Waiting", 1 + 110 * n)
    w.load(1000, "-t", "-g", "default")
    return w.measure(lambda: w.load(20_000, "-g", "default"), 20_000)
