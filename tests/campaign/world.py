# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemons of a campaign, what stands between them, and who starts them again."""

import os
import pathlib
import random
import signal
import struct
import sys
import threading

from .daemons import Client, Daemon, Network, Proxy, run, uptime
from .damage import ENDED, mend, salvage
from .ledger import HANDLER, Evidence, read_deaths

LEASE = 4  # seconds
PATIENCE = int(os.environ.get("PATIENCE", 240))  # seconds for everything to come to its end when nothing goes wrong any more


class World:
    def __init__(self, build, directory, seed):
        self.build, self.directory, self.seed = build, directory, seed
        self.ledger = directory / "ledger"
        self.ledger.mkdir()
        self.notes = open(directory / "notes", "a")
        self.handler = directory / "handler"
        self.handler.write_text(HANDLER)
        self.handler.chmod(0o755)
        self.small = [self.make_small("small-1", 6), self.make_small("small-2", 60)]  # a receiver's, a client's
        self.full = {small: (0.0, 0.0) for small in self.small}  # when it was full last
        self.clock = directory / "clock"
        self.set_clock(0)
        self.network = Network()
        self.proxy = Proxy(7501, 7502)
        self.discovery = Daemon("discovery", directory / "discovery", [
            build / "src/discovery/ackgroup-discovery", "--config", "/dev/null", "--state-dir", directory / "discovery/state",
            "--listen", f"unix:{directory}/discovery.sock", "--listen", "tcp:0.0.0.0:7480", "--lease", LEASE,
            "--allow-tcp-registration", "--allow-insecure"])
        self.receivers = self.make_receivers()
        self.clients = self.make_clients()
        self.everybody = [self.discovery, *self.receivers, *self.clients]
        self.clones, self.clone_ids = [], set()
        self.n_flips = {r.name: 0 for r in self.receivers}
        self.problems = []  # (kind, text)
        self.random = random.Random(seed + 1)

    def make_small(self, name, megabytes):
        path = self.directory / name
        path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", path)
        return path

    def set_clock(self, seconds):
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as f:  # it is mapped
            f.write(struct.pack("=q", seconds))

    def stepped(self):
        """The file moves the wall clock of this daemon; its timers and the machine's own clock do not change."""
        return {"LD_PRELOAD": str(self.build / "tests/campaign/wall-clock.so"), "WALL_CLOCK_FILE": str(self.clock)}

    def make_receiver(self, name, *options, state=None, discovery=None, **more):
        directory = self.directory / name
        environment = {"SEED": str(self.seed), "LEDGER": str(self.ledger / "handlers"), **more.pop("environment", {})}
        return Daemon(name, directory, [
            self.build / "src/receiver/ackgroup-receiver", "--config", "/dev/null", "--instance", name, "--name", name,
            "--state-dir", state or directory / "state", "--discovery", discovery or f"unix:{self.directory}/discovery.sock",
            "--concurrency", "4", "--handler-timeout", "120", *options, "--", self.handler], environment, **more)

    def make_receivers(self):
        def unix(name):
            return "--listen", f"unix:{self.directory}/{name}/r.sock"

        return [
            self.make_receiver("r0", *unix("r0")),
            self.make_receiver("r1", *unix("r1"), "--failure-probability", "0.2"),
            self.make_receiver("r2", *unix("r2"), state=self.small[0] / "state", environment=self.stepped(), small=self.small[0]),
            self.make_receiver("r3", "--listen", "tcp:0.0.0.0:7481", "--allow-insecure", namespace=self.network.name,
                               discovery=f"http://{Network.HERE}:7480"),
            self.make_receiver("r4", "--listen", "tcp:127.0.0.1:7502", "--advertise", "tcp:127.0.0.1:7501",
                               "--failure-probability", "0.05"),
        ]

    def make_client(self, name, **more):
        directory = self.directory / name
        small = more.get("small")
        return Client(name, directory, self.build, [
            self.build / "src/client/ackgroup-client", "--user", "--config", "/dev/null", "--state-dir", (small or directory) / "state",
            "--discovery", f"unix:{self.directory}/discovery.sock", "--ack-timeout", "1", "--backoff", "100ms",
            "--backoff-max", "1", "--history", "1000000"], **more)

    def make_clients(self):
        return [self.make_client("c0"), self.make_client("c1", small=self.small[1]),
                self.make_client("c2", environment=self.stepped())]

    def absences(self):
        return {r.name: [(t, t) for t in r.deaths] + r.absences + (self.network.troubles if r.prefix else []) for r in self.receivers}

    def evidence(self, errors, charges):
        return Evidence(
            absences=self.absences(), losses={n: [(x.time, x.budget) for x in c.losses] for n, c in enumerate(self.clients)},
            forgetful={r.name: [x.time for x in r.losses] for r in self.receivers}, clones=frozenset(self.clone_ids),
            deaths=tuple(read_deaths(self.ledger / "handlers.deaths")), errors=errors, charges=charges, flips=self.n_flips)

    def problem(self, kind, text):
        print(f"{kind}: {text}", file=sys.stderr, flush=True)
        self.problems.append((kind, text))

    def fill(self, small, full):
        filler = small / "filler"
        if not full:
            if filler.exists():
                filler.unlink()
                self.full[small] = (self.full[small][0], uptime())
            return
        self.full[small] = (uptime(), float("inf"))
        try:
            with open(filler, "wb") as f:
                while True:
                    f.write(b"x" * 4096)
                    f.flush()
        except OSError:
            pass

    def heal(self):
        for small in self.small:
            self.fill(small, False)
        self.set_clock(0)
        self.network.heal()
        self.proxy.delay = 0.0


class Supervisor(threading.Thread):
    """Starts daemons again that have ended by themselves, as systemd does. None may do so without a reason that the campaign
    knows: a message that kills, a full disk, a flipped bit that was found."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world
        self.counts = {"by message": 0, "on a full disk": 0, "on damage": 0, "salvages": 0}
        self.unexplained = set()  # names; each is reported once
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(0.1):
            for daemon in [*self.world.everybody, *self.world.clones]:
                if daemon.lock.acquire(blocking=False):
                    try:
                        self.look_at(daemon)
                    finally:
                        daemon.lock.release()

    def look_at(self, daemon):
        status = daemon.has_ended()
        daemon.take_news()
        if status is None:
            return
        daemon.note_death()
        why = self.explain(daemon, status)
        if why:
            self.counts[why] += 1
        elif daemon.name not in self.unexplained:
            self.unexplained.add(daemon.name)
            last = daemon.news.strip().splitlines()[-1:] or [""]
            self.world.problem("ended by itself", f"{daemon.name} with status {status}: {last[0]}")
        daemon.start()

    def explain(self, daemon, status):
        if status == -signal.SIGKILL and any(d.receiver == daemon.name and d.time >= daemon.since
                                             for d in read_deaths(self.world.ledger / "handlers.deaths")):
            return "by message"
        if daemon.flips and (status == 78 or status == 1 and daemon is self.world.discovery):
            why = self.repair(daemon)
            return why if ENDED.search(daemon.news) else None
        if daemon.small and status > 0 and self.world.full[daemon.small][1] >= daemon.since:
            return "on a full disk"
        return None

    def repair(self, daemon):
        """A damaged registry is replaced by discovery itself. A client may be salvaged. Otherwise the bit is flipped back: a
        daemon that has ended for that reason must not have lost anything."""
        flips, daemon.flips = daemon.flips, []
        if daemon is self.world.discovery:
            return "on damage"
        if daemon in self.world.clients and any(flip.path.suffix == ".db" for flip in flips) and self.world.random.random() < 0.6:
            loss = salvage(daemon.command[0], daemon.state, uptime())
            if loss:
                daemon.losses.append(loss)
                self.counts["salvages"] += 1
                return "on damage"
        return "on damage" if mend(flips) else None
