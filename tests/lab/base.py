"""Base trees: one Debian with Docker and sshd for each release, made once and shared read-only by all hosts.

A tree is made in a temporary folder beside its place and renamed into it, under a lock: two runs never collide, and
a tree that is there is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import images, mirrors
from tests.lab.machine import CACHE, LabError, remove_tree, run

RELEASES = {"20.10": "bookworm", "26.1": "trixie"}
"""Engine version asked for -> the Debian release that brings it."""

PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "docker.io", "openssh-server", "iptables", "iproute2", "procps", "cron"),
    *("sudo", "openssl"),
]
EXTRA = {"bookworm": [], "trixie": ["docker-cli"]}

FILES = {
    # nspawn mounts these read-only; without write access no container starts. `$$`: systemd expands a single one.
    "etc/systemd/system/docker.service.d/lab.conf": (
        "[Service]\n"
        "ExecStartPre=/bin/sh -c 'for m in /sys/fs/cgroup/* /proc/sys; do"
        " mountpoint -q $$m && mount -o remount,bind,rw $$m; done; true'\n"
    ),
    # One list of keys for every user: hosts get theirs as a single file.
    "etc/ssh/sshd_config.d/50-lab.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
        "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/authorized_keys.lab\n"
    ),
    "etc/sudoers.d/op": "op ALL=(ALL) NOPASSWD: ALL\n",
    # Look-ups fail at once; else every start of a task waits 10 s for a registry.
    "etc/resolv.conf": "nameserver 127.0.0.1\n",
    "etc/apt/sources.list": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/hostname": "base\n",
    "etc/machine-id": "",
}
COMMANDS = (
    "useradd --create-home --shell /bin/bash --uid 1000 --groups docker op",
    "useradd --create-home --shell /bin/bash --uid 1001 nodocker",
    "chmod 0440 /etc/sudoers.d/op",
    # What a host of the lab has no use for, and what would start at odd moments.
    "systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer"
    " e2scrub_reap.service fstrim.timer systemd-pstore.service getty@tty1.service console-getty.service"
    " systemd-networkd.service systemd-networkd-wait-online.service systemd-timesyncd.service",
    "systemctl enable -q docker.service docker.socket containerd.service ssh.service cron.service",
    "rm -f /etc/ssh/ssh_host_*",
    "rm -rf /var/cache/apt/archives /var/lib/apt/lists",
    "mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial /var/log/journal",
)
VERSION = 1
"""Raise it when the steps in this file change in a way that PACKAGES, FILES and COMMANDS do not show."""


@dataclass(frozen=True)
class Base:
    """A base tree.

    Attributes:
        release: Debian's code name.
        path: its folder; `tree` is the root, `docker` what every /var/lib/docker starts with (the stock images).
    """

    release: str
    path: Path

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    @property
    def docker(self) -> Path:
        return self.path / "docker"


class NoBase(LabError):
    """A base tree could not be made: no mirror, not the packages, no debootstrap."""


def recipe(release: str) -> str:
    """A hash of all that goes into a tree; another recipe makes another tree."""
    parts = [VERSION, release, PACKAGES, EXTRA[release], FILES, COMMANDS, images.STOCK, images.CHANGES]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def place(release: str) -> Path:
    """Where the tree of a release is, or will be."""
    return CACHE / f"{release}-{recipe(release)}"


def release_for(engine: str) -> str:
    """The release that has an engine version ("20.10" or "26.1")."""
    if engine not in RELEASES:
        raise LabError(f"the lab has no engine {engine}; it has {' and '.join(RELEASES)}")
    return RELEASES[engine]


def ensure(release: str, fill: Callable[[Base], None], say: Callable[[str], None] | None = None) -> Base:
    """The base tree of a release, made now if it is not there (about a minute).

    Args:
        fill: makes `Base.docker` of a finished tree (it boots a host; that is above this module).
        say: told what takes long.

    Raises:
        NoBase: no mirror has this release or its packages, or the machine cannot run debootstrap.
    """
    final = place(release)
    if final.is_dir():
        return Base(release, final)
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{release}.lock", lambda: say(f"Another run is making the {release} base tree; waiting.")):
        if final.is_dir():
            return Base(release, final)
        for stale in CACHE.glob(f".{release}-*"):  # of a run that was killed: we hold its lock now
            remove_tree(stale)
        work = Base(release, CACHE / f".{release}-{os.getpid()}")
        started = time.monotonic()
        say(f"Making the {release} base tree of the lab, once (a minute or two).")
        try:
            work.path.mkdir(mode=0o755)
            _debootstrap(work)
            _customise(work)
            fill(work)
            work.path.rename(final)
        finally:
            remove_tree(work.path)
        say(f"The {release} base tree is made: {final} ({time.monotonic() - started:.0f} s).")
    return Base(release, final)


def old_trees() -> list[Path]:
    """Trees of recipes that are no longer this checkout's."""
    current = {place(release) for release in RELEASES.values()}
    folders = CACHE.iterdir() if CACHE.is_dir() else iter(())
    return sorted(f for f in folders if f.is_dir() and not f.name.startswith(".") and f not in current)


def _debootstrap(base: Base) -> None:
    found = mirrors.mirrors()
    if not found:
        raise NoBase("this machine's apt sources name no Debian mirror, so the lab has nothing to build hosts from")
    problems = []
    # Namespaces of its own: its mounts and processes are gone with it, however it ends.
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    # Releases newer than the machine's debootstrap are described by the script for sid.
    script = Path("/usr/share/debootstrap/scripts", base.release)
    tail = [] if script.exists() else [str(script.with_name("sid"))]
    keyring = [f"--keyring={mirrors.KEYRING}"] if mirrors.KEYRING.exists() else []
    include = "--include=" + ",".join([*PACKAGES, *EXTRA[base.release]])
    environment = [f"{k}={v}" for k, v in mirrors.proxy_environment().items() if k.endswith("_proxy")]
    for mirror in found:
        command = ["debootstrap", "--variant=minbase", *keyring, include, base.release, str(base.tree), mirror, *tail]
        done = run([*own, "env", *environment, *command], timeout=1200, check=False)
        if done.returncode == 0:
            return
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line[:2] in ("E:", "W:")]
        problems.append("; ".join(lines[-3:]) or f"debootstrap ended with {done.returncode}")
        remove_tree(base.tree)
    raise NoBase(f"no mirror of this machine's apt sources gives {base.release}: {' | '.join(problems)}")


def _customise(base: Base) -> None:
    for name, text in FILES.items():
        file = base.tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
    for command in COMMANDS:
        run(["chroot", str(base.tree), "/bin/sh", "-ec", command])
    shutil.rmtree(base.tree / "var/log/apt", ignore_errors=True)


@contextmanager
def _locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
