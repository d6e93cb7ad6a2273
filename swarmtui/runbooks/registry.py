"""All runbooks by name."""

from __future__ import annotations

import difflib

from swarmtui.errors import UsageError
from swarmtui.runbooks import networks, nodes, objects, rebalance, services, stacks, volumes
from swarmtui.runbooks.runbook import Runbook
from swarmtui.runbooks.swarm import autolock, ca, tokens, unlock
from swarmtui.runbooks.swarm.backups import backup
from swarmtui.runbooks.swarm.building import build, join
from swarmtui.runbooks.swarm.recovery import quorum, recreate, restore, split
from swarmtui.runbooks.swarm.rehearsal import rehearse
from swarmtui.runbooks.swarm.rejoining import rejoin, replace

RUNBOOKS: dict[str, Runbook] = {
    runbook.name: runbook
    for runbook in (
        nodes.Drain(),
        nodes.Activate(),
        nodes.Pause(),
        nodes.Promote(),
        nodes.Demote(),
        nodes.Remove(),
        nodes.Label(),
        rejoin.Rejoin(),
        replace.Replace(),
        services.Scale(),
        services.Update(),
        services.RollBack(),
        services.Restart(),
        services.Remove(),
        rebalance.Rebalance(),
        stacks.Deploy(),
        stacks.Remove(),
        objects.CreateSecret(),
        objects.RemoveSecret(),
        objects.CreateConfig(),
        objects.RemoveConfig(),
        networks.Create(),
        networks.Remove(),
        volumes.Remove(),
        build.Build(),
        build.Init(),
        join.Join(),
        autolock.Autolock(),
        autolock.RotateKey(),
        unlock.Unlock(),
        tokens.RotateTokens(),
        ca.RotateCa(),
        rehearse.Rehearse(),
        backup.Backup(),
        quorum.RecoverQuorum(),
        restore.Restore(),
        split.EndSplit(),
        recreate.Recreate(),
    )
}


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
