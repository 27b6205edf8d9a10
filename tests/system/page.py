# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the commands of a page of the documentation as a reader would, and compares what they print with the page.

In an indented block, "# COMMAND" is run by root. What follows is what it prints; "…" stands for anything. "# cat FILE" is
followed by the content that the reader is to write into FILE."""

import re
import subprocess
import threading
import time

# What differs from run to run, and what stands for it.
VARIABLE = [
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "ID"),
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\b[0-9a-f]{8}-?…", "ID"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "TIME"),
    (r"\b\d+(\.\d+)?(us|ms|s)\b( \d+(us|ms))?", "DURATION"),
    (r"[ \t]+", " "),
]
# These only look: a reader who is too early asks again.
PATIENCE = 60  # seconds
QUERY = re.compile(r"ackctl (list|trace|messages|show|status|why|dead list)\b|ls |cat ")


def plain(text):
    for pattern, word in VARIABLE:
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_like(found, wanted):
    """Each line of `wanted`, in order; "…" alone is any number of lines, within a line it is any text."""
    pattern = "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in plain(wanted))
    return re.fullmatch(pattern, "".join(line + "\n" for line in plain(found))) is not None


def steps(block):
    """(command, what follows)."""
    found = []
    for line in block:
        if line.startswith("# "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(rest)) for command, rest in found]


def sections(path):
    """{heading: the steps of those of its blocks that begin with a command of root}"""
    found, title, ours = {}, "", False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            title, ours = line.lstrip("# "), False
        elif line.startswith("    "):
            ours = ours or line.startswith("    # ")
            if ours:
                found.setdefault(title, []).append(line[4:])
        elif line:
            ours = False
    return {title: steps(block) for title, block in found.items()}


class Shell:
    """One bash of root on a host, so variables stay."""

    MARK = "that-was-it"

    def __init__(self, host):
        self.process = subprocess.Popen(host.command("bash"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"})

    def run(self, command):
        self.process.stdin.write(f"{{ {command}\n}} </dev/null 2>&1\necho {self.MARK}\n")
        self.process.stdin.flush()
        patience = threading.Timer(10 * PATIENCE, self.process.kill)
        patience.start()
        try:
            return self.read(command)
        finally:
            patience.cancel()

    def read(self, command):
        text = ""
        while not text.endswith(self.MARK + "\n"):
            line = self.process.stdout.readline()
            assert line, f"the shell has ended: {command}: {text}"
            text += line
        return text.removesuffix(self.MARK + "\n")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def follow(host, section):
    """Returns the commands that printed something else, with that."""
    shell, wrong = Shell(host), []
    try:
        for command, wanted in section:
            if re.fullmatch(r"cat /(etc|usr/local|srv)/\S+", command) and wanted.strip():
                host.write(command.removeprefix("cat "), wanted.rstrip("\n") + "\n")
                continue
            found, end = shell.run(command), time.monotonic() + PATIENCE
            while QUERY.match(command) and not is_like(found, wanted) and time.monotonic() < end:
                time.sleep(0.1)
                found = shell.run(command)
            if not is_like(found, wanted):
                wrong.append(f"# {command}\n{found}")
    finally:
        shell.end()
    return wrong
