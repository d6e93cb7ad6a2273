"""Copies of hosts' disks: a state that took long to reach, kept to start several cases from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.machine import LabError, copy_tree, remove_tree

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

PARTS = ("upper", "docker", "docker.img")


@dataclass(frozen=True)
class Saved:
    """The disks of all hosts at one moment. It lies in the lab's folder and ends with the lab."""

    folder: Path
    on: frozenset[str]
    """Hosts that ran."""


def save(lab: Lab) -> Saved:
    """Copy all disks. The hosts stand still meanwhile (well under a second) and go on as if nothing had been.

    The copies are what a power failure at that moment would have left on the disks.
    """
    index = len(list(lab.folder.glob("saved-*")))
    saved = Saved(lab.folder / f"saved-{index}", frozenset(host.name for host in lab.hosts if host.is_on()))
    running = [host for host in lab.hosts if host.is_on() and not host.is_frozen()]
    lab.each(lambda host: host.freeze(), running)
    try:
        lab.each(lambda host: _copy(host.folder, saved.folder / host.name))
    finally:
        lab.each(lambda host: host.thaw(), running)
    return saved


def restore(lab: Lab, saved: Saved) -> None:
    """Put the disks back and start the hosts that ran then.

    A Swarm of several managers then needs 10 to 20 s until it has elected a leader (raft's own time): making a new one
    with `Lab.rebuild()` and `Lab.swarm()` is faster where that will do.
    """
    if not saved.folder.is_dir():
        raise LabError(f"{saved.folder} is not there: it was saved by another lab, or that one has ended")
    lab.each(lambda host: _put_back(host, saved.folder / host.name))
    for host in lab.hosts:
        lab.network.mend(host.name)
    lab.each(lambda host: host.power_on(), [host for host in lab.hosts if host.name in saved.on])


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for part in PARTS:
        if (source / part).exists():
            copy_tree(source / part, target / part)


def _put_back(host: Host, copy: Path) -> None:
    host.power_off()
    remove_tree(host.folder)
    for part in ("work", "root"):
        (host.folder / part).mkdir(parents=True)
    for part in PARTS:
        if (copy / part).exists():
            copy_tree(copy / part, host.folder / part)
