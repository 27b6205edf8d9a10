# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledgers that submitters and handlers write and sync themselves, and the rules that must hold for them. Nothing
here comes from counters of the daemons. Only the end of each message is the word of a daemon, and it is compared with
the ledger."""

import collections
import os

# `sender`: the id of the client that sent it.
Run = collections.namedtuple("Run", "time message receiver attempt told text sender", defaults=["client"])
# A handler killed its receiver.
Death = collections.namedtuple("Death", "time message receiver attempt sender", defaults=["client"])
# `time`: when the submitter had the id. `kind`: "" or what the handler does: "deadly", "wounding".
Sent = collections.namedtuple("Sent", "sender number mode key message limited time kind", defaults=[True, 0.0, ""])

QUORUM = 2  # of each message to one
LIMIT = 3  # attempts of a deadly message
GAP = 30  # seconds. The record of an outcome follows its effect within this time, also when the disk was full for a while.
GONE = 2  # seconds. A message may leave a receiver that cannot be reached for so long, and even come back to it.
DIED = "receiver died while running this"

# The handler. Message and attempt alone decide whether it fails, is slow or reports, so a seed repeats it. Its
# line in the ledger is its effect; the order of lines is the order of effects. A deadly message kills its receiver, as
# the kernel does when memory runs out; a wounding one only at its first attempt. The warden is between handler and receiver.
HANDLER = """#!/bin/bash
text=$(cat); n=${text##* }
read -r up _ </proc/uptime
if [[ $text == *" deadly "* || ( $text == *" wounding "* && $ACKGROUP_ATTEMPT = 1 ) ]]; then
    while read -r name receiver; do [[ $name == PPid: ]] && break; done </proc/$PPID/status
    read -r name </proc/$receiver/comm
    [[ $name == ackgroup-receiv ]] || exit 1
    printf '%s|%s|%s|%s|%s\\n' "$up" "$ACKGROUP_MESSAGE" "$ACKGROUP_RECEIVER_NAME" "$ACKGROUP_ATTEMPT" "$ACKGROUP_SENDER" \\
        >>"$LEDGER.deaths" && sync "$LEDGER.deaths" && kill -KILL "$receiver"
    sleep 60
fi
(( h = (n * 7919 + ACKGROUP_ATTEMPT * 104729 + SEED) % 100 ))
(( h < 8 )) && exit 1
(( h < 10 )) && { echo "retry 200ms" >&3; exit 75; }
(( h < 14 )) && { echo "progress 50 half" >&3; sleep 0.4; }
read -r up _ </proc/uptime
printf '%s|%s|%s|%s|%s|%s|%s\\n' "$up" "$ACKGROUP_MESSAGE" "$ACKGROUP_RECEIVER_NAME" "$ACKGROUP_ATTEMPT" \\
    "${ACKGROUP_POSSIBLE_DUPLICATE:-0}" "$ACKGROUP_SENDER" "$text" >>"$LEDGER" || exit 1
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
        up, message, receiver, attempt, told, sender, text = line.split("|", 6)
        runs.append(Run(float(up), message, receiver, int(attempt), told == "1", text, sender))
    return runs


def read_deaths(path):
    deaths = []
    for line in path.read_text().splitlines() if path.exists() else []:
        up, message, receiver, attempt, sender = line.split("|")
        deaths.append(Death(float(up), message, receiver, int(attempt), sender))
    return deaths


class Verdict:
    def __init__(self):
        self.problems = []
        self.counts = collections.Counter()

    def problem(self, kind, text):
        self.counts[kind] += 1
        if len(self.problems) < 20:
            self.problems.append(f"{kind}: {text}")


class Evidence(collections.namedtuple("Evidence", "absences losses forgetful clones deaths errors charges flips",
                                      defaults=[{}, {}, {}, frozenset(), (), {}, (), {}])):
    """What excuses what the ledgers show, and what else is to be judged. None of it is there unless the campaign did it, or a
    daemon reported it.

    `absences`: by receiver, the (begin, end) of the times at which it could not be reached; for a death begin and end are
    the same. `losses`: by number of the submitter, (time, budget): its client reported then that its state is damaged, and so
    many messages may be lost. `forgetful`: by receiver, the times at which it reported the same. `clones`: ids of clients that began
    with the state of another one. `deaths`: the receivers that handlers killed. `errors`: by message, why it is dead. `charges`:
    (message, receiver, time) of attempts that ended with DIED. `flips`: by receiver, how many bits were flipped."""


def check_doubles(v, message, runs, e, sender=None, free=False):
    """A second run must be marked as a possible duplicate. A second run at the same receiver is allowed only in the named
    gap, if that receiver died soon after the first one; or if the receiver, or the client, has reported that it lost records. A run at
    another receiver is allowed only if the first one died or could not be reached; a message that is `free` to move may then also
    come back. Of two runs at two receivers it is the later send that is marked, and that may run first: the other one has the
    message, and was frozen."""
    for before, again in zip(runs, runs[1:]):
        same = before.receiver == again.receiver
        left = [run.receiver for run, other in ((before, again), (again, before)) if other.told]
        gone = [(begin, end) for receiver in left for begin, end in e.absences.get(receiver, [])
                if begin <= again.time + 0.1 and end >= before.time - 1]
        lost = any(before.time - 1 <= time <= again.time + 0.1
                   for time in [*e.forgetful.get(before.receiver, []), *(time for time, _ in e.losses.get(sender, []))])
        kind = None
        if same and again.told:
            gap = any(begin == end <= before.time + GAP for begin, end in gone)
            away = any(end - begin >= GONE for begin, end in gone)
            kind = "doubled in the named gap" if gap else "failed over, told" if free and away else None
        elif not same and (before.told or again.told) and gone:
            kind = "failed over, told"
        kind = kind or (again.told and lost and "doubled after a reported loss")
        if kind:
            v.counts[kind] += 1
        else:
            v.problem("doubled", f"{message} at {before.receiver} {before.time} and {again.receiver} {again.time},"
                                 f" told {again.told}")


def check_clones(v, s, runs, e):
    """A clone cannot know what became of its messages."""
    for clone in e.clones:
        own = [run for run in runs if run.sender == clone]
        v.counts["runs of clones"] += len(own)
        for run in own:
            if not run.told:
                v.problem("clone", f"{s} ran at {run.receiver} {run.time} for {clone}, and was not told")
        for receiver in {run.receiver for run in own} if s.mode in ("all", "quorum") else [None]:
            check_doubles(v, s.message, [run for run in own if receiver in (None, run.receiver)], e, s.sender, s.mode in ("any", "key"))


def check_deaths(v, s, end, e):
    """What kills its receiver is charged. Only the first time, when others ran beside it, nobody knew; after a
    reported loss that may be so again."""
    deaths = collections.defaultdict(list)
    for death in e.deaths:
        if death.message == s.message:
            deaths[death.receiver, death.sender].append(death)
    v.counts["deaths by message"] += sum(map(len, deaths.values()))
    allowed = (LIMIT if s.kind == "deadly" else 1) + 1
    for (receiver, _), own in deaths.items():
        more = len(e.losses.get(s.sender, [])) * allowed + e.flips.get(receiver, 0)
        if len(own) > allowed + more:
            v.problem("not charged", f"{s} has killed {receiver} {len(own)} times")
    if s.kind == "deadly":
        last = [death for own in deaths.values() for death in own if death.attempt == LIMIT]
        if last and end == "dead" and DIED not in e.errors.get(s.message, ""):
            v.problem("no reason", f"{s} is dead: {e.errors.get(s.message)}")


def check_charges(v, kinds, e):
    """A message is charged for a death only if it killed its receiver, or if it ran alone when something else did. Beside a
    message that kills nothing runs but when it does so for the first time, and then nobody is charged."""
    for message, receiver, time in e.charges:
        v.counts["charges"] += 1
        killed = [death.time for death in e.deaths if death.receiver == receiver and death.time <= time]
        ended = [begin for begin, end in e.absences.get(receiver, []) if begin == end and begin <= time + 0.5]
        if not kinds.get(message) and (not ended or killed and max(killed) > max(ended)):
            v.problem("charged", f"{message} for a death of {receiver} before {time:.1f}, which another message caused")


def check_losses(v, missing, e):
    """Messages that are not there any more, or whose end is another one than it was: at most so many as their client
    reported, and only such as it had then."""
    for sender in {s.sender for s in missing}:
        taken = 0
        for s in sorted((s for s in missing if s.sender == sender), key=lambda s: -s.time):
            taken += 1
            if taken > sum(budget for time, budget in e.losses.get(sender, []) if time >= s.time - 2):
                v.problem("lost", f"{s} is lost, or its end, and no such loss was reported")
            else:
                v.counts["lost, reported"] += 1


def check_key_order(v, sent, runs, ends):
    """A message that its sender has given up may run late, at a receiver that was cut off."""
    first_run = {}
    for place, run in enumerate(runs):
        first_run.setdefault((run.message, run.sender), place)
    for client in {run.sender for run in runs}:
        queues = collections.defaultdict(list)
        for s in sent:
            if s.mode == "key" and ends.get(s.message) != "dead" and (s.message, client) in first_run:
                queues[s.sender, s.key].append(first_run[s.message, client])
        for name, places in queues.items():
            if places != sorted(places):
                v.problem("out of order", f"key {name}")


def judge_several(v, s, end, members, runs, e):
    """False: what its members acked is lost, as its sender has reported."""
    acks = 0
    for receiver, state in members.items():
        own = [run for run in runs if run.receiver == receiver]
        acks += state == "acked"
        if state == "acked" and not own:
            v.problem("lost", f"{s} acked by {receiver}, which never ran it")
        check_doubles(v, s.message, own, e, s.sender)
    enough = end != "acked" or acks >= (QUORUM if s.mode == "quorum" else max(1, len(members)))
    if not enough and s.sender not in e.losses:
        v.problem("lost", f"{s} acked, but only by {acks}")
    return enough or s.sender not in e.losses


def judge(sent, ends, members, runs, evidence):
    """`ends`: state by message. Only a message that is `limited` may be dead, and no handler rejects. `members`: of
    messages to several, state by receiver."""
    v = Verdict()
    by_message = collections.defaultdict(list)
    missing = []
    for run in runs:
        by_message[run.message].append(run)
    for s in sent:
        v.counts["accepted"] += 1
        end, mine = ends.get(s.message), [run for run in by_message[s.message] if run.sender not in evidence.clones]
        v.counts[end or "missing"] += 1
        # Its end was lost, and its receiver says only that it is settled.
        forgotten = end == "acked" and (s.kind == "deadly" or not mine) and s.mode not in ("all", "quorum") and s.sender in evidence.losses
        if end is None or forgotten:
            missing.append(s)
        elif end not in ("acked", "dead") or end == "dead" and not s.limited or end == "acked" and s.kind == "deadly":
            v.problem("lost", f"{s} is {end}")
        if end and s.mode in ("all", "quorum"):
            if not judge_several(v, s, end, members.get(s.message, {}), mine, evidence):
                missing.append(s)
        else:
            if end == "acked" and not mine and not forgotten:
                v.problem("lost", f"{s} acked, and nobody ran it")
            if s.mode == "to" and len({run.receiver for run in mine}) > 1:
                v.problem("astray", f"{s}, for one receiver, ran at several")
            if s.mode not in ("all", "quorum"):
                check_doubles(v, s.message, mine, evidence, s.sender, s.mode in ("any", "key"))
        check_clones(v, s, by_message[s.message], evidence)
        if s.kind:
            check_deaths(v, s, end, evidence)
    check_losses(v, missing, evidence)
    check_charges(v, {s.message: s.kind for s in sent}, evidence)
    check_key_order(v, sent, runs, ends)
    v.counts["runs"] = len(runs)
    v.counts["retries"] = sum(run.attempt > 1 for run in runs)
    return v
