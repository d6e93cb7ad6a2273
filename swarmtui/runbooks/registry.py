"""All runbooks by name. Each is imported when it is asked for: a command line needs one, and a person waits for it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping

from swarmtui.errors import UsageError
from swarmtui.runbooks.runbook import Runbook

_WHERE = {
    "node.drain": "nodes:Drain",
    "node.activate": "nodes:Activate",
    "node.pause": "nodes:Pause",
    "node.promote": "nodes:Promote",
    "node.demote": "nodes:Demote",
    "node.remove": "nodes:Remove",
    "node.label": "nodes:Label",
    "node.rejoin": "swarm.rejoining.rejoin:Rejoin",
    "node.replace": "swarm.rejoining.replace:Replace",
    "service.scale": "services:Scale",
    "service.update": "services:Update",
    "service.rollback": "services:RollBack",
    "service.restart": "services:Restart",
    "service.remove": "services:Remove",
    "swarm.rebalance": "rebalance:Rebalance",
    "stack.deploy": "stacks:Deploy",
    "stack.remove": "stacks:Remove",
    "secret.create": "objects:CreateSecret",
    "secret.remove": "objects:RemoveSecret",
    "config.create": "objects:CreateConfig",
    "config.remove": "objects:RemoveConfig",
    "network.create": "networks:Create",
    "network.remove": "networks:Remove",
    "volume.remove": "volumes:Remove",
    "swarm.build": "swarm.building.build:Build",
    "swarm.init": "swarm.building.build:Init",
    "swarm.join": "swarm.building.join:Join",
    "swarm.autolock": "swarm.autolock:Autolock",
    "swarm.rotate-key": "swarm.autolock:RotateKey",
    "swarm.unlock": "swarm.unlock:Unlock",
    "swarm.rotate-tokens": "swarm.tokens:RotateTokens",
    "swarm.rotate-ca": "swarm.ca:RotateCa",
    "swarm.rehearse": "swarm.rehearsal.rehearse:Rehearse",
    "swarm.backup": "swarm.backups.backup:Backup",
    "swarm.renew-certificates": "swarm.recovery.certificates:RenewCertificates",
    "swarm.recover-quorum": "swarm.recovery.quorum:RecoverQuorum",
    "swarm.restore": "swarm.recovery.restore:Restore",
    "swarm.end-split": "swarm.recovery.split:EndSplit",
    "swarm.recreate": "swarm.recovery.recreate:Recreate",
    "ucp.install": "ucp.install:Install",
    "ucp.join": "ucp.join:JoinUcp",
    "ucp.user": "ucp.users:CreateUser",
    "ucp.bundle": "ucp.bundles:GetBundle",
    "ucp.revoke": "ucp.revoke:RevokeBundle",
    "ucp.backup": "ucp.backup:UcpBackup",
    "ucp.restore": "ucp.restore:UcpRestore",
    "ucp.uninstall": "ucp.uninstall:Uninstall",
    "dtr.install": "dtr.install:Install",
    "dtr.join": "dtr.join:Join",
    "dtr.reconfigure": "dtr.reconfigure:ReconfigureDtr",
    "dtr.upgrade-check": "dtr.upgrade:UpgradeCheck",
    "dtr.backup": "dtr.backup:DtrBackup",
    "dtr.restore": "dtr.restore:DtrRestore",
    "dtr.remove": "dtr.remove:Remove",
    "dtr.destroy": "dtr.destroy:Destroy",
    "dtr.repair": "dtr.repair:Repair",
    "dtr.storage": "dtr.storage:SetStorage",
    "platform.backup": "platform.backup:PlatformBackup",
    "platform.recover": "platform.recover:PlatformRecover",
}
"""The module, under this package, and the class of each."""


class _Runbooks(Mapping[str, Runbook]):
    """Runbooks by name, in the order in which they are listed; imported and made when first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Runbook] = {}

    def __getitem__(self, name: str) -> Runbook:
        if name not in self._made:
            module, _, kind = _WHERE[name].partition(":")
            self._made[name] = getattr(importlib.import_module(f"{__package__}.{module}"), kind)()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in _WHERE

    def __iter__(self) -> Iterator[str]:
        return iter(_WHERE)

    def __len__(self) -> int:
        return len(_WHERE)


RUNBOOKS: Mapping[str, Runbook] = _Runbooks()


def load_all() -> None:
    """Imports them all: for who has time now, and will not want to wait at a key."""
    for name in _WHERE:
        RUNBOOKS[name]


def runbook(name: str) -> Runbook:
    """The runbook of this name.

    Raises:
        UsageError: there is none; names the closest.
    """
    if name in RUNBOOKS:
        return RUNBOOKS[name]
    close = difflib.get_close_matches(name, RUNBOOKS, 1)
    hint = f'Did you mean "{close[0]}"?' if close else "See them with: swarmtui run --list"
    raise UsageError(f'There is no runbook "{name}".', hint)
