"""Whether a lab can run on this machine, and if not, why not, in one line."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from tests.lab import base, mirrors
from tests.lab.machine import COMMANDS, LabError, run, which


def is_debian() -> bool:
    """True on Debian and on what calls itself like it (Ubuntu)."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return False
    words = {
        word.strip('"')
        for line in text.splitlines()
        if line.startswith(("ID=", "ID_LIKE="))
        for word in line.partition("=")[2].split()
    }
    return "debian" in words


@cache
def why_no_lab(engine: str = "20.10") -> str | None:
    """One line that says why the lab cannot run here, or None if nothing speaks against it."""
    if not is_debian():
        return "the lab needs Debian (it boots whole Debian hosts under systemd-nspawn)"
    if os.geteuid() != 0:
        return "the lab needs root (it boots whole hosts under systemd-nspawn)"
    missing = sorted({package for command, package in COMMANDS.items() if which(command) is None})
    if missing:
        return f"the lab needs these packages: apt-get install {' '.join(missing)}"
    release = base.release_for(engine)
    if not base.place(release).is_dir() and not mirrors.mirrors():
        return "the lab needs a Debian mirror, and this machine's apt sources name none"
    try:
        run(
            [
                "unshare",
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--propagation",
                "private",
                "mount",
                "-t",
                "tmpfs",
                "none",
                "/tmp",
            ],
            timeout=10,
        )
    except LabError:
        return "the lab needs the right to make namespaces and mounts, and this root has not got it (a container?)"
    return None


def lab_must_run() -> bool:
    """True where a lab that cannot start is a failure and no reason to skip: CI, as root on Debian."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") and os.geteuid() == 0 and is_debian()
