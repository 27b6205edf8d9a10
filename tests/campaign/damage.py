# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bits that flip in the files of a daemon, what the daemon says about it, and what an administrator does then (docs/ADMIN.md,
"Damaged state")."""

import collections
import pathlib
import re
import sqlite3
import subprocess

PAGE = 4096  # of SQLite
FRAME = PAGE + 24  # of its log
BLOCK = 512
# What a daemon said: from then on it may have forgotten. `budget`: so many messages that a client had accepted may be lost.
Loss = collections.namedtuple("Loss", "time budget text")
# `block`: what is around the bit since it has flipped.
Flip = collections.namedtuple("Flip", "path at bit block")

REPORT = re.compile(r"The state is damaged, and records are lost: (.*)")
ENDED = re.compile(r"is damaged|damaged: |could be read|malformed|is kept as|not a database")


def budget_of(text):
    """A batch has at most one new message, since each client has one submitter, which waits for the acceptance. So has a
    transaction in the log of the tables that does not only repeat batches; it has two pages or more. A salvage counts the
    messages of which it found a part; each has rows in two tables."""
    batches = sum(int(n) for found in re.findall(r"(\d+) batches of|of (\d+) more only parts", text) for n in found if n)
    log = sum(int(n) for n in re.findall(r"the last (\d+) bytes of", text))
    return batches + log // FRAME // 2


def block_around(path, at):
    with open(path, "rb") as f:
        f.seek(at // BLOCK * BLOCK)
        return f.read(BLOCK)


def turn(path, at, bit):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


def flip_somewhere(state, random):
    """Flips one bit, mostly where something is written. None when there is no file yet."""
    files = sorted(f for f in state.iterdir() if f.stat().st_size and ".damaged-" not in f.name and not f.name.endswith("-shm"))
    if not files:
        return None
    path = random.choice(files)
    data = path.read_bytes()
    used = [at for at in range(0, len(data), BLOCK) if data[at:at + BLOCK].strip(b"\0")]
    at = random.choice(used) + random.randrange(BLOCK) if used and random.random() < 0.8 else random.randrange(len(data))
    at, bit = min(at, len(data) - 1), random.randrange(8)
    turn(path, at, bit)
    return Flip(path, at, bit, block_around(path, at))


def mend(flips):
    """Flips the bits back that are still there. True if there was one."""
    found = False
    for flip in flips:
        if flip.path.exists() and block_around(flip.path, flip.at) == flip.block:
            turn(flip.path, flip.at, flip.bit)
            found = True
    return found


def salvage(program, state, now):
    """Makes a new outbox. Returns the Loss, or None if that is not possible."""
    done = subprocess.run([program, "--salvage", "--config", "/dev/null", "--state-dir", state], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return None
    text = done.stdout.strip().replace("\n", " ")
    return Loss(now, budget_of(text), text)


def count_rows(path, text):
    """Of a daemon that has ended. Nothing is written: the checksums of the pages are the daemon's."""
    db = sqlite3.connect(f"file:{pathlib.Path(path)}?immutable=1", uri=True)
    try:
        return db.execute(text).fetchone()[0]
    finally:
        db.close()
