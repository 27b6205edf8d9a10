# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledgers that submitters and handlers write and sync themselves, and the rules that must hold for them. Nothing
here comes from counters of the daemons. Only the end of each message is the word of a daemon, and it is compared with
the ledger."""

import collections
import os

Run = collections.namedtuple("Run", "time message receiver attempt told text")
Sent = collections.namedtuple("Sent", "sender number mode key message limited", defaults=[True])

QUORUM = 2  # of each message to one

# The handler. Message and attempt alone decide whether it fails, is slow or reports, so a seed repeats it. Its
# line in the ledger is its effect; the order of lines is the order of effects.
HANDLER = """#!/bin/bash
text=$(cat); n=${text##* }
(( h = (n * 7919 + ACKGROUP_ATTEMPT * 104729 + SEED) % 100 ))
(( h < 8 )) && exit 1
(( h < 10 )) && { echo "retry 200ms" >&3; exit 75; }
(( h < 14 )) && { echo "progress 50 half" >&3; sleep 0.4; }
read -r up _ </proc/uptime
printf '%s|%s|%s|%s|%s|%s\\n' "$up" "$ACKGROUP_MESSAGE" "$ACKGROUP_RECEIVER_NAME" "$ACKGROUP_ATTEMPT" \\
    "${ACKGROUP_POSSIBLE_DUPLICATE:-0}" "$text" >>"$LEDGER" || exit 1
sync "$LEDGER"
(( h < 20 )) && echo "reply to $n"
exit 0
"""


class Submissions:
    """One submitter's ledger."""

    def __init__(self, path):
        self.file = open(path, "a")
        self.sent = []

    def note(self, sent):
        self.file.write("|".join(map(str, sent)) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.sent.append(sent)


def read_runs(path):
    runs = []
    for line in path.read_text().splitlines() if path.exists() else []:
        up, message, receiver, attempt, told, text = line.split("|", 5)
        runs.append(Run(float(up), message, receiver, int(attempt), told == "1", text))
    return runs


class Verdict:
    def __init__(self):
        self.problems = []
        self.counts = collections.Counter()

    def problem(self, kind, text):
        self.counts[kind] += 1
        if len(self.problems) < 20:
            self.problems.append(f"{kind}: {text}")


def check_doubles(v, message, runs, absences):
    """A second run must be marked as a possible duplicate. A second run at the same receiver is allowed only if that
    receiver died in between: the named gap. A run at another receiver is allowed only if the first one died or could
    not be reached."""
    for before, again in zip(runs, runs[1:]):
        same = before.receiver == again.receiver
        gone = [end - begin for begin, end in absences.get(before.receiver, [])
                if begin <= again.time + 0.1 and end >= before.time - 1]
        if again.told and (0 in gone if same else gone):
            v.counts["doubled in the named gap" if same else "failed over, told"] += 1
        else:
            v.problem("doubled", f"{message} at {before.receiver} {before.time} and {again.receiver} {again.time},"
                                 f" told {again.told}")


def check_key_order(v, sent, first_run):
    queues = collections.defaultdict(list)
    for s in sent:
        if s.mode == "key" and s.message in first_run:
            queues[s.sender, s.key].append(first_run[s.message])
    for name, places in queues.items():
        if places != sorted(places):
            v.problem("out of order", f"key {name}")


def judge(sent, ends, members, runs, absences):
    """`ends`: state by message. Only a message that is `limited` may be dead, and no handler rejects. `members`: of
    messages to several, state by receiver. `absences`: by receiver, the (begin, end) of the times at which it could not
    be reached; for a death begin and end are the same."""
    v = Verdict()
    by_message = collections.defaultdict(list)
    first_run = {}
    for place, run in enumerate(runs):
        by_message[run.message].append(run)
        first_run.setdefault(run.message, place)
    for s in sent:
        v.counts["accepted"] += 1
        end, mine = ends.get(s.message), by_message[s.message]
        v.counts[end or "missing"] += 1
        if end not in ("acked", "dead") or end == "dead" and not s.limited:
            v.problem("lost", f"{s} is {end}")
        elif s.mode in ("all", "quorum"):
            acks = 0
            for receiver, state in members.get(s.message, {}).items():
                own = [run for run in mine if run.receiver == receiver]
                acks += state == "acked"
                if state == "acked" and not own:
                    v.problem("lost", f"{s} acked by {receiver}, which never ran it")
                check_doubles(v, s.message, own, absences)
            if end == "acked" and acks < (QUORUM if s.mode == "quorum" else max(1, len(members.get(s.message, {})))):
                v.problem("lost", f"{s} acked, but only by {acks}")
        else:
            if end == "acked" and not mine:
                v.problem("lost", f"{s} acked, and nobody ran it")
            if s.mode == "to" and len({run.receiver for run in mine}) > 1:
                v.problem("astray", f"{s}, for one receiver, ran at several")
            check_doubles(v, s.message, mine, absences)
    check_key_order(v, sent, first_run)
    v.counts["runs"] = len(runs)
    v.counts["retries"] = sum(run.attempt > 1 for run in runs)
    return v
