# SPDX-License-Identifier: LGPL-2.1-or-later
"""The previous version. Its packages are in $ACKGROUP_PREVIOUS. Otherwise they are the tested packages under an older
version number and with another configuration file, as if that had been changed since."""

import os
import pathlib
import re
import subprocess

SINCE = "\n# This line is not there any more.\n"


def older(package, directory):
    """Makes a copy of one package under an older version number."""
    tree = directory / package.stem
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    version = re.search(r"^Version: (.*)$", text, re.M)[1]
    control.write_text(text.replace(version, f"{version}~previous"))
    configuration = tree / "etc/ackgroup/ackgroup.conf"
    if configuration.exists():
        configuration.write_text(configuration.read_text() + SINCE)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, directory], check=True,
                   stdout=subprocess.DEVNULL)


def previous(packages, directory):
    """The directory of the packages of the previous version."""
    if "ACKGROUP_PREVIOUS" in os.environ:
        return pathlib.Path(os.environ["ACKGROUP_PREVIOUS"])
    for package in packages.glob("*.deb"):
        if "-dbgsym_" not in package.name:
            older(package, directory)
    return directory
