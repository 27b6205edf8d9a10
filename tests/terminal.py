# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a program on a pseudo-terminal, as a person does."""

import os
import pty
import select
import signal
import subprocess


class Terminal:
    def __init__(self, command, environment=None, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # in a shell's background they are ignored
                signal.signal(number, signal.SIG_DFL)
            os.environ.update({**(environment or {}), "LC_ALL": "C.UTF-8", "TERM": "xterm"})
            subprocess.run(["stty", "cols", str(columns)])
            os.execvp(command[0], command)
        self.text = ""

    def read(self, wanted):
        """Returns False at the end."""
        assert select.select([self.fd], [], [], 60)[0], f"{wanted} never came: {self.text}"
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data.decode()
        return bool(data)

    def read_until(self, wanted):
        begin = len(self.text)
        while wanted not in self.text[begin:]:
            assert self.read(repr(wanted)), f"it ended before {wanted!r}: {self.text[begin:]}"
        return self.text[begin:]

    def write(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while self.read("its end"):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
