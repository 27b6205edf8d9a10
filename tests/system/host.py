# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian with its own systemd as PID 1, in systemd-nspawn over a tree from debootstrap. The tree is made once and
kept; every host is an overlay over it."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

CACHE = pathlib.Path(os.environ.get("ACKGROUP_TREES", "/var/cache/ackgroup-tests"))
PACKAGES = {
    "bookworm": "libmicrohttpd12,libcurl3-gnutls",
    "trixie": "libmicrohttpd12t64,libcurl3t64-gnutls",
}
COMMON = "systemd,systemd-sysv,dbus,curl,procps,libcjson1,libsqlite3-0,libinih1"


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.1)


def mirror():
    """Where this machine gets its own packages from; None: debootstrap knows."""
    found = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        for line in path.read_text().splitlines():
            match = re.match(r"(?:URIs:|deb(?: \[[^]]*\])?)\s+(\S+://\S+)", line)
            if match and "security" not in match[1]:
                found.append(match[1])
    return next((uri for uri in found if "debian" in uri), None)


def tree(release):
    """The directory of that release; made when it is missing."""
    directory = CACHE / release
    if directory.exists():
        return directory
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = CACHE / f"{release}.{os.getpid()}"
    command = ["debootstrap", "--variant=minbase", f"--include={COMMON},{PACKAGES[release]}", release, str(unfinished)]
    done = subprocess.run(command + ([mirror()] if mirror() else []), capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RuntimeError(f"debootstrap: {done.stdout[-2000:]}{done.stderr[-500:]}")
    unfinished.rename(directory)
    return directory


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Host:
    def __init__(self, release, files, directory):
        """`files`: a tree to be put over the release, as `meson install` makes it."""
        self.release = release
        self.nspawn = None
        self.root = directory / "root"
        parts = {name: directory / name for name in ("upper", "work")}
        for part in (self.root, *parts.values()):
            part.mkdir(parents=True)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={tree(release)},upperdir={parts['upper']},workdir={parts['work']}", self.root],
                       check=True)
        try:
            subprocess.run(["cp", "-a", f"{files}/.", self.root], check=True)
            (self.root / "etc/machine-id").write_text(os.urandom(16).hex() + "\n")
            (self.root / "etc/hostname").write_text(release + "\n")
            self.boot(directory)
        except BaseException:
            self.kill()
            subprocess.run(["umount", self.root], check=True)
            raise

    def boot(self, directory):
        self.console = open(directory / "console", "wb")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-D", self.root, "--boot", "--register=no", "--keep-unit", "--private-network",
             "--console=pipe"], env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        self.pid = wait_until(self.find_pid, "PID 1 of the container")
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"),
                   "the host is up")

    def find_pid(self):
        """The process that is 1 in there: a child of nspawn's, or a child of that while it starts."""
        assert self.nspawn.poll() is None, pathlib.Path(self.console.name).read_text(errors="replace")
        for pid in [p for child in children(self.nspawn.pid) for p in (child, *children(child))]:
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if name == "systemd" and re.search(r"^NSpid:.*\t1$", status, re.M):
                return pid
        return None

    def run(self, *words, check=True, stdin=""):
        """Standard output; with check=False whatever came, and self.status."""
        done = subprocess.run(["nsenter", "-t", str(self.pid), "-a", "--", *map(str, words)], input=stdin,
                              capture_output=True, text=True, timeout=120,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})
        self.status = done.returncode
        assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def systemctl(self, *words, **more):
        return self.run("systemctl", "--no-pager", *words, **more)

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit).strip()

    def is_active(self, unit):
        return self.property(unit, "ActiveState") == "active"

    def main_pid(self, unit):
        return int(self.property(unit, "MainPID"))

    def drop_in(self, unit, text):
        """For this boot only."""
        directory = f"/run/systemd/system/{unit}.d"
        self.run("mkdir", "-p", directory)
        self.run("tee", f"{directory}/test.conf", stdin=text)
        self.systemctl("daemon-reload")

    def no_drop_in(self, unit):
        self.run("rm", "-rf", f"/run/systemd/system/{unit}.d")
        self.systemctl("daemon-reload")

    def kill(self):
        if self.nspawn:
            self.nspawn.kill()
            self.nspawn.wait()
            self.console.close()

    def end(self):
        os.kill(self.pid, signal.SIGRTMIN + 4)
        try:
            self.nspawn.wait(60)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        subprocess.run(["umount", self.root], check=True)
