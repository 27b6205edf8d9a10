# SPDX-License-Identifier: LGPL-2.1-or-later
"""podman and podman-compose with their own images, containers and networks. They see and touch nothing of the machine,
and leave nothing behind. Containers run in a network namespace and a mount namespace of the engine; otherwise bridges,
addresses and locks of two engines would collide. Only builds use the network outside."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(TOP / "tests/system"), str(TOP / "tests")]

import host  # noqa: E402
import wait  # noqa: E402

BASE = "debian:bookworm-slim"
IMAGE = "localhost/ackgroup"
# What the slim image leaves out of the tree that debootstrap makes.
NOT_SLIM = ["usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "var/cache/apt/*", "var/lib/apt/lists/*"]

CONFIGURATION = """\
[engine]
# The other one, crun, refuses a machine with both versions of control groups.
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{directory}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
[containers]
log_driver = "k8s-file"
# No more than a container of a container may have.
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{directory}/images"
runroot = "{directory}/run"
"""


def wait_until(condition, what, seconds=60):
    """Containers take their time."""
    return wait.wait_until(condition, what, seconds=seconds)


# Where engines would meet: state of networks and their name servers, named network namespaces, locks.
NAMESPACE = """\
mkdir -p /run/containers /run/netns
for directory in /run/containers /run/netns /dev/shm; do mount -t tmpfs tmpfs $directory; done
ip link set lo up
echo ready
exec sleep infinity
"""


class Engine:
    def __init__(self, directory):
        self.directory = directory
        for part in ("tmp", "networks"):
            (directory / part).mkdir(exist_ok=True)
        files = {"CONTAINERS_CONF": CONFIGURATION, "CONTAINERS_STORAGE_CONF": STORAGE}
        self.environment = {k: v for k, v in os.environ.items() if k not in ("RECEIVERS", "CLIENTS", "CONTAINER_HOST")}
        for name, text in files.items():
            path = directory / name.lower()
            path.write_text(text.format(directory=directory))
            self.environment[name] = str(path)
        self.status = None
        self.namespace = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-ec", NAMESPACE], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, text=True)
        assert self.namespace.stdout.readline() == "ready\n"
        self.inside = ["nsenter", f"--target={self.namespace.pid}", "--net", "--mount", f"--wd={TOP / 'containers'}", "--"]

    def podman(self, *words, check=True, stdin=None, timeout=180, outside=False):
        """Returns standard output. With check=False returns all output and sets self.status."""
        done = subprocess.run([*([] if outside else self.inside), "podman", *map(str, words)], env=self.environment, capture_output=True, text=True,
                              input=stdin or "", timeout=timeout)
        self.status = done.returncode
        assert not check or done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def compose(self, *words, **variables):
        """Runs what a person types in the folder of the compose files."""
        done = subprocess.run([*self.inside, "podman-compose", *map(str, words)], text=True, timeout=180,
                              env={**self.environment, **{k: str(v) for k, v in variables.items()}},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def inspect(self, container, template):
        return self.podman("inspect", "-f", "{{" + template + "}}", container).strip()

    def running(self):
        """The names of the containers that run."""
        return self.podman("ps", "--format", "{{.Names}}").split()

    def import_base(self):
        """Imports the base image under the name that the Containerfile uses for it, so no registry is asked."""
        if self.podman("images", "-q", BASE):
            return
        tree = host.tree("bookworm", "")
        tar = subprocess.Popen(["tar", "-C", tree, *[f"--exclude=./{path}" for path in NOT_SLIM], "-c", "."],
                               stdout=subprocess.PIPE)
        subprocess.run(["podman", "import", "-q", "-", BASE], env=self.environment, stdin=tar.stdout, check=True,
                       capture_output=True)
        tar.stdout.close()
        assert tar.wait() == 0

    def build(self, image=IMAGE, target="runtime"):
        """Uses the network of the host, because containers may have no way out here."""
        self.import_base()
        self.podman("build", "--network=host", "-f", TOP / "containers/Containerfile", "--target", target, "-t", image, TOP,
                    timeout=900, outside=True)

    def clear(self):
        """No container, no volume, no network."""
        self.podman("rm", "-a", "-f", "-t", "0", check=False)
        self.podman("volume", "rm", "-a", "-f", check=False)
        self.podman("network", "prune", "-f", check=False)

    def end(self):
        """Stops and unmounts everything; the images stay in the directory."""
        self.clear()
        self.namespace.kill()
        self.namespace.wait()
        self.namespace.stdout.close()
        subprocess.run(["umount", self.directory / "images/overlay"], capture_output=True)


class Group:
    """Discovery, receivers and clients as the compose files make them."""

    def __init__(self, engine):
        self.engine = engine
        self.names = {}

    def name(self, service, n=1):
        """The container's name; versions of podman-compose choose different names."""
        if (service, n) not in self.names:
            labels = {"service": service, "container-number": n}
            filters = [word for key, value in labels.items() for word in ("--filter", f"label=com.docker.compose.{key}={value}")]
            self.names[service, n] = self.engine.podman("ps", "-a", "--format", "{{.Names}}", *filters).strip()
        return self.names[service, n]

    def up(self, *files, **variables):
        for file in files or ("compose.yml",):
            self.engine.compose("-f", file, "up", "-d", **variables)

    def ackctl(self, *words, client=1, check=True, stdin=None, user=None):
        options = ["-i"] if stdin is not None else []
        options += ["-u", user] if user else []
        return self.engine.podman("exec", *options, self.name("client", client), "ackctl", *words, check=check, stdin=stdin)

    def receivers(self, client=1):
        """Returns name → record; empty while the client does not answer."""
        text = self.ackctl("list", "--json=short", client=client, check=False)
        return {r["name"]: r for r in json.loads(text)} if self.engine.status == 0 else {}

    def wait_for(self, *names, client=1):
        """Exactly these receivers are listed."""
        wait_until(lambda: set(self.receivers(client)) == set(names), f"the list is {names}")
        return self.receivers(client)

    def show(self, message, client=1):
        return json.loads(self.ackctl("show", "--json=short", message, client=client))

    def log(self, service, n=1):
        return self.engine.podman("logs", self.name(service, n), check=False)


def main():
    """Prints why no container can run here and returns 1; prints nothing otherwise."""
    with tempfile.TemporaryDirectory(prefix="ackgroup-engine-", dir="/var/tmp") as directory:
        engine = Engine(pathlib.Path(directory))
        try:
            text = engine.podman("run", "--rm", "--rootfs", f"{host.tree('bookworm', '')}:O", "true", check=False)
            if engine.status != 0:
                sys.exit(text.strip().splitlines()[-1])
        finally:
            engine.end()


if __name__ == "__main__":
    main()
