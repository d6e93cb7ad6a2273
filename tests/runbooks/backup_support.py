"""A Swarm without a network that can be asked all that a backup must know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmtui.backups.catalogue import Catalogue
from swarmtui.config import BackupsConfig
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import Completed
from swarmtui.link.target import SshTarget
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Info
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.runbook import Plan
from tests import builders as b
from tests.runbooks.support import FakeSession

KEY = "SWMKEY-1-0123456789abcdef0123456789abcdef0123456789a"
GB = 1_000_000_000


@dataclass
class BackupHost:
    """A manager's host. answers: what it says to a command line, in place of what a host in order says."""

    name: str
    answers: dict[str, Completed] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    user: str = "root"

    @property
    def label(self) -> str:
        return f"{self.user}@{self.name}"

    async def run(self, command: str, **_: Any) -> Completed:
        self.ran.append(command)
        usual = {
            "id -u": "0\n",
            "sudo -n true": "",
            "systemctl --version": "systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT\n",
            "tar --version": "tar (GNU tar) 1.34\n",
            "du -sb /var/lib/docker/swarm": "128451234\t/var/lib/docker/swarm\n",
            "df -Pk /var/lib/swarmtui /var/lib": "Filesystem 1024-blocks Used Available\n/dev/sda1 99 9 9000000\n",
            "systemctl is-active docker.socket docker.service": "active\nactive\n",
        }
        for known, answer in self.answers.items():
            if command.removeprefix("sudo -n ") == known.removeprefix("sudo -n "):
                return answer
        bare = command.removeprefix("sudo -n ") if command != "sudo -n true" else command
        if bare in usual:
            return Completed(0, usual[bare], "")
        return Completed(2, "", f"sh: {command}: no such thing")


class BackupSession(FakeSession):
    """The cluster, seen through mgr1."""

    def __init__(self, now: Snapshot, folder: Path, *, autolock: bool = False, **options: Any) -> None:
        super().__init__(now, **options)
        self.folder = folder
        self.autolock = autolock
        self.root = "/var/lib/docker"
        self.settings = BackupsConfig()
        managers = [node for node in now.nodes.values() if node.is_voter]
        self.machines = {node.hostname: BackupHost(node.hostname) for node in managers}
        self._names = {str(self.host_label(node)): node.hostname for node in managers}

    @property
    def backups(self) -> Catalogue:
        return Catalogue(self.folder)

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, clean: bool = True) -> bytes:
        spec = {"EncryptionConfig": {"AutoLockManagers": self.autolock}}
        tokens = {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"}
        answers: dict[str, Any] = {
            "/swarm": {"ID": b.CLUSTER, "Version": {"Index": 3}, "CreatedAt": "", "Spec": spec, "JoinTokens": tokens},
            "/swarm/unlockkey": {"UnlockKey": KEY if self.autolock else ""},
        }
        return json.dumps(answers[path]).encode()

    async def reach(self, target: SshTarget, *, ask: bool = True) -> Any:
        name = self._names[str(target)]
        if name not in self.machines:
            raise LinkError(Reason.UNREACHABLE, name)
        return self.machines[name]

    async def host(self, node: Any, *, ask: bool = True) -> Any:
        return await self.reach(self.host_label(node))

    async def engine_of(self, target: SshTarget) -> Any:
        return _Engine(self.root)


@dataclass
class _Engine:
    root: str

    async def info(self) -> Info:
        return Info(server_version="26.1.5", docker_root_dir=self.root)


async def made(session: BackupSession, **given: str) -> Plan:
    """The plan, as the command line makes it."""
    runbook = registry.runbook("swarm.backup")
    return await runbook.prepare(session, params.parse("swarm.backup", runbook.params, given))  # type: ignore[arg-type]
