"""What a rehearsal is planned from: what the host has, what the archive has, and what of it stands in the way. Pure."""

from __future__ import annotations

import re

import msgspec

from swarmtui.model.swarm import SwarmInfo
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import Commands, is_id

MB = 1 << 20
RAFT_GROWTH = 2 * 64 * MB
"""A manager that starts preallocates further files of its raft log, 64 MB each (swarm-dr.md §1)."""
DATA_ROOT = 64 * MB
"""What dockerd and containerd write besides."""
SPARE = 512 * MB
"""What must be left of the host's memory, or disk."""
_VERSION = re.compile(r"Docker version (\S+?),")


class Leftover(msgspec.Struct, frozen=True):
    """A rehearsal whose folder lies on the host. alive: its processes run."""

    id: str
    alive: bool


class RehearsalHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that a backup is to be rehearsed on.

    Attributes:
        target: "ssh://root@10.0.0.5", or "local".
        label: what people call it.
        destination, port: as the ssh command takes it; "" for this machine.
        sudo: whether we become root there with `sudo -n`.
        trouble: why nothing is known of it, one sentence.
        missing: programs that it lacks.
        systemd: whether the guard can be a unit.
        version: of its dockerd; "" where it does not tell.
        disk, memory: bytes that are free; -1 where nobody knows.
        leftovers: earlier rehearsals.
        engine: its own Docker that runs, by process id and start; "" where none does.
        swarm: what that one says of its Swarm.
    """

    target: str
    label: str
    destination: str = ""
    port: int | None = None
    sudo: bool = False
    trouble: str = ""
    missing: tuple[str, ...] = ()
    systemd: bool = False
    version: str = ""
    disk: int = -1
    memory: int = -1
    leftovers: tuple[Leftover, ...] = ()
    engine: str = ""
    swarm: SwarmInfo = SwarmInfo()

    def read(self, told: str) -> RehearsalHost:
        """The same with what the host answered to `rehearse_commands.look`."""
        missing: list[str] = []
        leftovers: list[Leftover] = []
        found: dict[str, str] = {}
        for line in told.splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "missing":
                missing.append(one_line(rest))
            elif word in ("alive", "left") and is_id(rest):
                leftovers.append(Leftover(rest, word == "alive"))
            else:
                found[word] = rest
        version = _VERSION.search(found.get("version", ""))
        # df -P: name, blocks, used, free, …; a name may have spaces, so from the end.
        disk = found.get("disk", "").split()
        memory = re.search(r"(\d+) kB", found.get("memory", ""))
        return msgspec.structs.replace(
            self,
            missing=tuple(missing),
            leftovers=tuple(leftovers),
            systemd="systemd" in found,
            version=one_line(version[1]) if version else "",
            disk=int(disk[-3]) * 1024 if len(disk) >= 6 and disk[-3].isdigit() else -1,
            memory=int(memory[1]) * 1024 if memory else -1,
            engine=found.get("engine", ""),
        )


class RehearsalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for one rehearsal.

    Attributes:
        id: its name.
        backup, cluster_id: which backup.
        cluster, node: what people call the cluster, and the manager the backup is of.
        node_id: that manager's, from the certificate in the archive.
        engine_version: of that manager, where known.
        locked: whether the archive's key file is locked.
        opened_by: fingerprint of the key that opens it; "" where none does.
        keys: how many keys were tried.
        size: bytes of its files.
        counts: what it should have, in words; "" where the manifest has no inventory.
        problems: what stands in the way of a restore, as a look inside found.
        source: taken or imported.
        feed: the command that gives what is sent.
    """

    id: str
    backup: str
    cluster_id: str
    host: RehearsalHost
    cluster: str = ""
    node: str = ""
    node_id: str = ""
    engine_version: str = ""
    locked: bool = False
    opened_by: str = ""
    keys: int = 0
    size: int = 0
    counts: str = ""
    problems: tuple[str, ...] = ()
    source: str = "taken"
    feed: str = ""

    @property
    def dead(self) -> tuple[str, ...]:
        """Names of earlier rehearsals of which only a folder is left."""
        return tuple(left.id for left in self.host.leftovers if not left.alive)

    @property
    def needed(self) -> int:
        """Bytes of the data root."""
        return self.size + RAFT_GROWTH + DATA_ROOT

    @property
    def in_memory(self) -> bool:
        """Whether the host has the memory for the data root: then nothing of it ever touches its disk."""
        return self.host.memory >= self.needed + SPARE

    @property
    def commands(self) -> Commands:
        return Commands(
            self.id,
            sudo=self.host.sudo,
            systemd=self.host.systemd,
            memory_mb=-(-self.needed // MB) if self.in_memory else 0,
            hostname=self.node,
        )

    @property
    def unable(self) -> tuple[str, str]:
        """Why it cannot be rehearsed on this host at all, and what to do; ("", "") where it can."""
        host = self.host
        if host.trouble:
            return host.trouble, "Name a host that lets us in, with root or sudo."
        if missing := [name for name in host.missing if name in ("dockerd", "containerd", "docker")]:
            return (
                f"{host.label} has no Docker engine installed: {', '.join(missing)} is missing.",
                "Install it there (it need not run), of the version that the backup is of, or name another host.",
            )
        if host.missing:
            return (
                f"{host.label} lacks what a rehearsal needs: {', '.join(host.missing)}.",
                "Install it there (util-linux, iproute2, coreutils), or name another host.",
            )
        if not self.in_memory and 0 <= host.disk < self.needed + SPARE:
            return (
                f"{host.label} has too little room: {host.disk // MB} MB are free in /var/lib and "
                f"{max(host.memory, 0) // MB} MB in memory, and {(self.needed + SPARE) // MB} MB are needed.",
                "Free space there, or name another host.",
            )
        return "", ""

    @property
    def hopeless(self) -> tuple[str, str]:
        """Why a rehearsal could not be begun because of the backup, and what to do; ("", "") where it can."""
        if self.locked and not self.opened_by:
            tried = f"none of the {self.keys} unlock keys that are known opens it" if self.keys else "no key is known"
            return (
                f"The backup {self.backup} is locked, and {tried}.",
                f"Give its key to the vault: swarmtui secrets set unlock-key {self.cluster_id}",
            )
        return "", ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may hurt, or make the rehearsal prove less."""
        host, told = self.host, []
        of = host.swarm.cluster.id if host.swarm.cluster is not None else ""
        if host.swarm.control_available:
            which = "the very cluster that was backed up" if of == self.cluster_id else "a Swarm"
            told.append(
                f"{host.label} is a manager of {which}: a rehearsal needs some of its processors, memory and disk for "
                "a minute. A spare host is better."
            )
        elif of == self.cluster_id or host.swarm.local_node_state == "active":
            told.append(f"{host.label} is a node of a Swarm, and runs its tasks: a spare host is better.")
        if host.version and self.engine_version and not _same(host.version, self.engine_version):
            told.append(
                f"The engine on {host.label} is {host.version}, and the backup is of {self.engine_version}: what it "
                "proves holds for that version."
            )
        told += [f"A look inside the archive found: {problem}" for problem in self.problems]
        told += [
            f"A rehearsal runs on {host.label} already ({left.id}); it is left alone, and ends by itself."
            for left in host.leftovers
            if left.alive
        ]
        return tuple(told)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is good to know."""
        told = [
            "The Docker that runs on the host is not touched: the second one has processes, mounts and a network of "
            "its own, with nothing but loopback.",
            "The Swarm's tasks cannot start: there are no images and no network.",
            f"All of it lies in {'memory' if self.in_memory else 'a folder for root only, and is overwritten after'}.",
        ]
        if not self.host.destination:
            told.append("All of it is run on this machine, as root.")
        if self.locked:
            told.append(f"The archive is locked: its key file is unlocked here with key {self.opened_by}, offline.")
        if self.counts:
            told.append(f"It must have what the manifest lists: {self.counts}.")
        return tuple(told)


def _same(one: str, other: str) -> bool:
    """Whether two engine versions are the same up to a distribution's own suffix ("20.10.24+dfsg1")."""
    return one.split("+")[0].split("-")[0] == other.split("+")[0].split("-")[0]
