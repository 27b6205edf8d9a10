# SPDX-License-Identifier: LGPL-2.1-or-later
"""The floors of src/, as the file floors.txt describes them."""

import fnmatch
import sys


class Floors:
    """tests/static/floors.txt: what may use what. A file is named "floor/path" without its suffix."""

    def __init__(self, path):
        self.below = {}
        self.lines = {}
        floor = None
        for line in path.read_text().splitlines():
            words = line.split("#")[0].replace(":", " : ").split()
            if not words:
                continue
            if line[0].isspace():
                self.lines[floor].append(words)
            else:
                floor = words[0]
                self.below[floor] = set(words[2:])
                self.lines[floor] = []
                for other in self.below[floor] - set(self.below):
                    sys.exit(f"{path}: {floor} uses {other}, which does not stand above it in this file")

    def rank(self, name):
        """The line of its floor on which a file stands, 0 the highest. A whole name counts before a pattern."""
        floor, _, rest = name.partition("/")
        for matches in (str.__eq__, fnmatch.fnmatch):
            for rank, patterns in enumerate(self.lines.get(floor, [])):
                if any(matches(rest, pattern) for pattern in patterns):
                    return rank
        return None

    def upward(self, user, used):
        """Why this use is not allowed, or None."""
        floor, other = user.split("/")[0], used.split("/")[0]
        if floor != other:
            return None if other in self.below.get(floor, ()) else f"{floor} may not use {other}"
        mine, its = self.rank(user), self.rank(used)
        return "upward" if mine is not None and its is not None and its < mine else None
