# SPDX-License-Identifier: LGPL-2.1-or-later
"""A continuous flow of messages on a host, and what the handlers record about each run."""

import collections
import json

from host import wait_until

GROUP = "load"
RUNS = "/var/lib/ackgroup/receiver/{}/runs"
HANDLER = """#!/bin/sh
echo "$ACKGROUP_MESSAGE $ACKGROUP_ATTEMPT ${ACKGROUP_POSSIBLE_DUPLICATE:-0}" >>"/var/lib/ackgroup/receiver/$1/runs"
"""
# One after the other, each under a name of its own, so that a call that got no answer may be made again. There are
# enough for the slowest machine: it ends when it is told to.
SUBMIT = """#!/bin/bash
for ((n = 0; n < 20000; n++)); do
    [ ! -e /run/load/stop ] || exit 0
    sleep 0.01
    until id=$(ackctl send --any --group load --no-wait --idempotency-key "$1-$n" "$n"); do sleep 0.05; done
    echo "$id" >>/run/load/accepted
done
"""


class Load:
    """`with Load(host, "name", receivers) as load:` and afterwards load.check()."""

    def __init__(self, host, name, receivers=(1, 2)):
        self.host = host
        self.name = name
        self.receivers = receivers

    def __enter__(self):
        host = self.host
        host.run("rm", "-rf", "/run/load")
        host.write("/run/load/submit", SUBMIT)
        host.write("/usr/local/bin/note-the-run", HANDLER)
        host.run("chmod", "755", "/usr/local/bin/note-the-run", "/run/load/submit")
        for n in self.receivers:
            host.write(f"/etc/ackgroup/receiver@{n}.conf",
                       f"[Receiver]\nExec=/usr/local/bin/note-the-run {n}\nGroup={GROUP}\nConcurrency=4\n")
            host.run("rm", "-f", RUNS.format(n))
        host.systemctl("start", *(f"ackgroup-receiver@{n}.service" for n in self.receivers))
        host.run("systemd-run", "--quiet", "--collect", "--unit=load", "/run/load/submit", self.name)
        self.flows()
        return self

    def accepted(self):
        return self.host.run("sh", "-c", "cat /run/load/accepted 2>/dev/null || true").split()

    def flows(self):
        """Waits until some more messages have been accepted."""
        before = len(self.accepted())
        wait_until(lambda: len(self.accepted()) >= before + 10, "messages are accepted")

    def runs(self):
        texts = [self.host.run("sh", "-c", f"cat {RUNS.format(n)} 2>/dev/null || true") for n in self.receivers]
        return [line.split() for text in texts for line in text.splitlines()]

    def __exit__(self, *exception):
        self.host.run("touch", "/run/load/stop")
        wait_until(lambda: not self.host.is_active("load.service"), "the submitter has ended")

    def check(self, client_restarted=False):
        """Nothing is lost, nothing runs twice, and every message needs one attempt. A client that was restarted cannot
        know what it had written before, so it marks each message that it sends again."""
        accepted = self.accepted()
        assert len(set(accepted)) == len(accepted) > 20
        self.host.run("ackctl", "wait", "--timeout", "60s", *accepted)
        runs = self.runs()
        counts = collections.Counter(message for message, _, _ in runs)
        assert set(accepted) - set(counts) == set()
        assert [run for run in runs if counts[run[0]] > 1] == []
        assert {attempt for _, attempt, _ in runs} == {"1"}
        assert client_restarted or {possible_duplicate for _, _, possible_duplicate in runs} == {"0"}
        listed = json.loads(self.host.run("ackctl", "messages", "--json=short", "--all"))
        attempts = {m["id"]: m["attempts"] for m in listed}
        assert {attempts[m] for m in accepted} == {1}
