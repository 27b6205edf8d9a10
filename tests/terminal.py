# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program on a pseudo-terminal, as a person has it."""

import os
import pty
import select
import subprocess
import time


class Terminal:
    def __init__(self, command, environment=None, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({**(environment or {}), "LC_ALL": "C.UTF-8", "TERM": "xterm"})
            subprocess.run(["stty", "cols", str(columns)])
            os.execvp(command[0], command)
        self.text = ""

    def read_until(self, wanted):
        begin = len(self.text)
        end = time.monotonic() + 60
        while wanted not in self.text[begin:]:
            assert time.monotonic() < end, f"{wanted!r} never came: {self.text[begin:]}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                assert data, f"it ended before {wanted!r}: {self.text[begin:]}"
                self.text += data.decode()
        return self.text[begin:]

    def write(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.text += data.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
