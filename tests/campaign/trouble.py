# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong."""

import itertools
import json
import random
import shutil
import signal
import time

from .daemons import uptime
from .damage import flip_somewhere
from .ledger import LIMIT, read_deaths
from .world import LEASE, PATIENCE

NOTICED = 60  # seconds, of a machine that others use too, until an address that has changed is advertised


class Trouble:
    """The failures: one after the other, each for a while."""

    def __init__(self, world, submitters):
        self.world, self.submitters = world, submitters
        self.random = random.Random(world.seed)
        self.counts = {}
        self.numbers = itertools.count(1_000_000)
        self.certain = [
            (4, self.flip_bit), (2, self.freeze_receiver), (1, self.freeze_client), (1, self.freeze_discovery),
            (2, self.death_by_message), (1, self.clone_client), (1, self.change_address), (1, self.move_receiver)]
        self.others = [
            (4, self.kill_receiver), (2, self.stop_receiver), (3, self.kill_client), (1, self.stop_client),
            (2, self.kill_discovery), (1, self.kill_everybody), (1, self.long_absence), (2, self.cut_connections),
            (2, self.delay), (2, self.lose_packets), (1, self.cut_network), (2, self.fill_disk), (2, self.step_clock)]

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def restart(self, daemon, number=signal.SIGKILL, most=1.5):
        daemon.end(number)
        self.pause(0, most)
        daemon.start()

    def kill_receiver(self):
        self.restart(self.random.choice(self.world.receivers))

    def stop_receiver(self):
        self.restart(self.random.choice(self.world.receivers), signal.SIGTERM)

    def kill_client(self):
        self.restart(self.random.choice(self.world.clients))

    def stop_client(self):
        self.restart(self.random.choice(self.world.clients), signal.SIGTERM)

    def kill_discovery(self):
        self.restart(self.world.discovery, most=4)

    def kill_everybody(self):
        order = self.random.sample(self.world.everybody, len(self.world.everybody))
        for daemon in order:
            daemon.end()
        for daemon in self.random.sample(order, len(order)):
            daemon.start()
            self.pause(0, 0.3)

    def long_absence(self):
        """Longer than its lease: messages to any receiver go to others."""
        self.restart(self.random.choice(self.world.receivers), most=10)

    def cut_connections(self):
        for _ in range(self.random.randrange(1, 4)):
            self.world.proxy.cut()
            self.pause(0, 0.5)

    def delay(self):
        self.world.proxy.delay = self.random.uniform(0.05, 1.5)
        self.pause(1, 4)
        self.world.proxy.delay = 0.0

    def lose_packets(self):
        self.world.network.lose(self.random.randrange(10, 60))
        self.pause(1, 5)
        self.world.network.heal()

    def cut_network(self):
        self.world.network.lose(100)
        self.pause(2, 8)
        self.world.network.heal()

    def fill_disk(self):
        small = self.random.choice(self.world.small)
        self.world.fill(small, True)
        self.pause(0.5, 4)
        self.world.fill(small, False)

    def step_clock(self):
        self.world.set_clock(self.random.choice([-7200, -60, 60, 7200, 86400 * 30]))
        self.pause(0.5, 3)
        self.world.set_clock(0)

    def flip_bit(self):
        """It is found at the next start, or later, or never since nobody needs the place."""
        daemon = self.random.choice([*self.world.everybody, *self.world.clients])
        daemon.end(self.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        flip = flip_somewhere(daemon.state, self.random)
        if flip:
            daemon.flips.append(flip)
            self.world.n_flips[daemon.name] = self.world.n_flips.get(daemon.name, 0) + 1
            print(f"{uptime():.2f} {daemon.name}: bit {flip.bit} of byte {flip.at} of {flip.path.name}",
                  file=self.world.notes, flush=True)
        self.pause(0, 0.5)
        daemon.start()
        self.pause(0.5, 1)
        return flip is not None

    def freeze(self, daemon, least, most):
        frozen = daemon.freeze(self.random.random() < 0.5)
        self.pause(least, most)
        daemon.thaw()
        return frozen

    def freeze_receiver(self):
        """Longer than its lease and the ack timeout: it is not listed any more, and does not answer."""
        return self.freeze(self.random.choice(self.world.receivers), LEASE + 1, LEASE + 4)

    def freeze_client(self):
        return self.freeze(self.random.choice(self.world.clients), 1.5, 5)

    def freeze_discovery(self):
        """When it goes on all leases have ended, but the connections are there."""
        return self.freeze(self.world.discovery, LEASE + 0.5, LEASE + 3)

    def death_by_message(self):
        submitter = self.random.choice(self.submitters)
        key = self.random.choice(["deadly", "deadly", "wounding"])
        mode, words = ("any", ["--any"]) if self.random.random() < 0.3 else (
            "to", ["--to", self.random.choice(self.world.receivers).name])
        if key == "deadly":
            words += ["--max-attempts", str(LIMIT)]
        n = next(self.numbers)
        message = submitter.submit(n, mode, key, words, name=f"death-{n}")
        end = time.monotonic() + 8
        while time.monotonic() < end:
            if any(d.message == message for d in read_deaths(self.world.ledger / "handlers.deaths")):
                self.pause(0.5, 3)
                return True
            time.sleep(0.1)
        return False

    def clone_client(self):
        """The state directory of a client is copied, and another client starts with it. It stays until the campaign ends."""
        client = self.random.choice(self.world.clients)
        clone = self.world.make_client(f"{client.name}-clone-{len(self.world.clones) + 1}")
        client.end()
        shutil.copytree(client.state, clone.state)
        clone.flips += [flip._replace(path=clone.state / flip.path.name) for flip in client.flips]
        client.start()
        self.world.clones.append(clone)
        clone.start()
        end = time.monotonic() + PATIENCE
        while not (name := clone.identity()) and time.monotonic() < end:
            time.sleep(0.1)
        if name in self.world.identities or name in self.world.clone_ids or not name:
            self.world.problem("clone", f"{clone.name} has the id {name}")
        self.world.clone_ids.add(name)
        return True

    def is_advertised(self, receiver, address):
        """Within some seconds clients know the new address, and no other one."""
        begin = time.monotonic()
        known = None
        while time.monotonic() < begin + NOTICED:
            status, text = self.random.choice(self.world.clients).ackctl("list", "--json=short")
            known = [r["addresses"] for r in json.loads(text) if r["name"] == receiver.name] if status == 0 else known
            if known == [[address]]:
                return True
            time.sleep(0.1)
        self.world.problem("stale address", f"{receiver.name} is at {address}, and {known} is advertised after {NOTICED} s")
        return False

    def change_address(self):
        """The host of a receiver gets another address. The receiver listens at all addresses, and runs on."""
        network, receiver = self.world.network, next(r for r in self.world.receivers if r.prefix)
        begin = uptime()
        network.move(f"10.77.1.{self.random.choice([n for n in range(2, 6) if str(n) != network.there[-1]])}")
        found = self.is_advertised(receiver, f"tcp:{network.there}:7481")
        network.troubles.append((begin, uptime() + 1))
        return found

    def move_receiver(self):
        """It listens at another path when it starts again."""
        receiver = self.random.choice(self.world.receivers[:2])
        path = self.world.directory / receiver.name / f"r-{next(self.numbers)}.sock"
        receiver.end(self.random.choice([signal.SIGKILL, signal.SIGTERM]))
        receiver.command[receiver.command.index("--listen") + 1] = f"unix:{path}"
        self.pause(0, 1)
        receiver.start()
        return self.is_advertised(receiver, f"unix:{path}")

    def happens(self, kind):
        name = kind.__name__.replace("_", " ")
        self.counts[name] = self.counts.get(name, 0) + (kind() is not False)
        self.pause(0.1, 1.2)

    def go_on_until(self, end):
        """First each of the certain ones, until it has happened, and some of the others between them."""
        for _, kind in self.random.sample(self.certain, len(self.certain)):
            for _ in range(5):
                self.happens(kind)
                if self.counts[kind.__name__.replace("_", " ")]:
                    break
            if self.random.random() < 0.5:
                self.happens(self.choose(self.others))
        while time.monotonic() < end:
            self.happens(self.choose(self.certain + self.others))
        for _, kind in self.certain:
            if not self.counts[kind.__name__.replace("_", " ")]:
                self.world.problem("did not happen", kind.__name__.replace("_", " "))

    def choose(self, kinds):
        return self.random.choices([fn for _, fn in kinds], [weight for weight, _ in kinds])[0]
