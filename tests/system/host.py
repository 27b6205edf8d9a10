# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian with its own systemd as PID 1, in systemd-nspawn over a tree from debootstrap. The tree is made once and
kept; every host is an overlay over it."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import wait  # noqa: E402

CACHE = pathlib.Path(os.environ.get("ACKGROUP_TREES", "/var/cache/ackgroup-tests"))
PACKAGES = {
    "bookworm": "libmicrohttpd12,libcurl3-gnutls",
    "trixie": "libmicrohttpd12t64,libcurl3t64-gnutls",
}
COMMON = ("systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,polkitd,curl,procps,expect,zsh,bash-completion,locales,"
          "libcjson1,libsqlite3-0,libxxhash0")

LOCALE = ["localedef", "-i", "pt_BR", "-f", "UTF-8", "pt_BR.UTF-8"]


def wait_until(condition, what):
    """Whole hosts take their time."""
    return wait.wait_until(condition, what, seconds=60)


def mirror():
    """The mirror from which this machine gets its own packages. None: debootstrap knows one."""
    found = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        for line in path.read_text().splitlines():
            match = re.match(r"(?:URIs:|deb(?: \[[^]]*\])?)\s+(\S+://\S+)", line)
            if match and "security" not in match[1]:
                found.append(match[1])
    return next((uri for uri in found if "debian" in uri), None)


def tree(release, packages=None):
    """The directory of that release with these packages ("": only the essential ones). It is made when it is
    missing."""
    locale = LOCALE if packages is None else []
    packages = f"{COMMON},{PACKAGES[release]}" if packages is None else packages
    directory = CACHE / f"{release}-{hashlib.sha256(f'{packages} {locale}'.encode()).hexdigest()[:8]}"
    if directory.exists():
        return directory
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = CACHE / f"{release}.{os.getpid()}"
    include = [f"--include={packages}"] if packages else []
    command = ["debootstrap", "--variant=minbase", *include, release, str(unfinished)]
    done = subprocess.run(command + ([mirror()] if mirror() else []), capture_output=True, text=True)
    if done.returncode == 0 and locale:
        done = subprocess.run(["chroot", unfinished, *locale], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RuntimeError(f"debootstrap: {done.stdout[-2000:]}{done.stderr[-500:]}")
    unfinished.rename(directory)
    return directory


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def control_group(pid):
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    mount = next(m[1] for m in mounts if m[2] == "cgroup2")
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return pathlib.Path(mount, next(line[3:] for line in lines if line.startswith("0::")).lstrip("/"))


def new_control_group(name):
    """Below this process's own. Two hosts in one control group would share the groups of their units and kill each
    other's processes."""
    group = control_group("self") / f"ackgroup-{name}-{os.getpid()}-{os.urandom(4).hex()}"
    group.mkdir()
    return group


def remove_control_group(group):
    for directory, _, _ in os.walk(group, topdown=False):
        wait_until(lambda: not pathlib.Path(directory, "cgroup.procs").read_text(), f"{directory} is empty")
        os.rmdir(directory)


class Host:
    options = ()  # more of systemd-nspawn
    environment = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}

    def __init__(self, release, directory, packages=None, namespace=None, name=None):
        """`packages`: directory of .deb files that apt finds. `namespace`: of the network; else it has loopback only."""
        self.release = release
        self.name = name or release
        self.namespace = namespace
        self.nspawn = None
        self.root = directory / "root"
        parts = {part: directory / part for part in ("upper", "work")}
        for part in (self.root, *parts.values()):
            part.mkdir(parents=True)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={tree(release)},upperdir={parts['upper']},workdir={parts['work']}", self.root],
                       check=True)
        try:
            self.offer(packages)
            (self.root / "etc/machine-id").write_text(os.urandom(16).hex() + "\n")
            (self.root / "etc/hostname").write_text(self.name + "\n")
            self.boot(directory)
        except BaseException:
            self.kill()
            subprocess.run(["umount", self.root], check=True)
            raise

    def offer(self, packages):
        """Makes a repository on the host's own disk the only one."""
        repository = self.root / "srv/packages"
        shutil.rmtree(repository, ignore_errors=True)
        repository.mkdir(parents=True)
        for file in pathlib.Path(packages).glob("*.deb") if packages else []:
            if "-dbgsym_" not in file.name:
                shutil.copy(file, repository)
        index = subprocess.run(["dpkg-scanpackages", "--multiversion", "."], cwd=repository, check=True,
                               capture_output=True, text=True).stdout
        (repository / "Packages").write_text(index)
        shutil.rmtree(self.root / "etc/apt/sources.list.d", ignore_errors=True)
        (self.root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/packages ./\n")

    def apt(self, *words):
        self.run("apt-get", "-q", "update")
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *words)

    def boot(self, directory):
        self.console = open(directory / "console", "wb")
        self.group = new_control_group(self.name)
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-D", self.root, "--boot", "--register=no", "--keep-unit",
             f"--network-namespace-path={self.namespace}" if self.namespace else "--private-network",
             "--console=pipe", *self.options], env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
            preexec_fn=lambda: (self.group / "cgroup.procs").write_text("0"))
        self.pid = wait_until(self.find_pid, "PID 1 of the container")
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"),
                   "the host is up")

    def find_pid(self):
        """The process that is PID 1 of the host: a child of nspawn, or a grandchild while it starts."""
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

    def command(self, *words):
        """The command that runs these words on the host."""
        return ["nsenter", "-t", str(self.pid), "-a", "--", *map(str, words)]

    def run(self, *words, check=True, stdin=""):
        """Returns standard output. With check=False returns what came, and sets self.status. It runs beside the host's
        PID 1; logind does not know a process whose control group is outside."""
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, timeout=180,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})
        self.status = done.returncode
        assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def join(self):
        (control_group(self.pid) / "cgroup.procs").write_text("0")

    def systemctl(self, *words, **more):
        return self.run("systemctl", "--no-pager", *words, **more)

    def as_user(self, user, *words, **more):
        """Runs as that user, with the session bus and the user's manager if there is one."""
        uid = self.run("id", "-u", user).strip()
        return self.run("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env",
                        f"XDG_RUNTIME_DIR=/run/user/{uid}", f"HOME=/home/{user}", *words, **more)

    def write(self, path, text):
        self.run("mkdir", "-p", str(pathlib.Path(path).parent))
        self.run("tee", path, stdin=text)

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit).strip()

    def is_active(self, unit):
        return self.property(unit, "ActiveState") == "active"

    def main_pid(self, unit):
        return int(self.property(unit, "MainPID"))

    def drop_in(self, unit, text):
        """For this boot only."""
        self.write(f"/run/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def no_drop_in(self, unit):
        self.run("rm", "-rf", f"/run/systemd/system/{unit}.d")
        self.systemctl("daemon-reload")

    def kill(self):
        if self.nspawn:
            self.nspawn.kill()
            self.nspawn.wait()
            self.console.close()
            remove_control_group(self.group)

    def end(self):
        os.kill(self.pid, signal.SIGRTMIN + 4)
        try:
            self.nspawn.wait(60)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        subprocess.run(["umount", self.root], check=True)
