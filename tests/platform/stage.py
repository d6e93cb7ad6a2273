"""A simulated platform that is destroyed, and how it is afterwards, asked of the simulator itself."""

from __future__ import annotations

import pytest

from swarmtui.demo.hosts import files
from swarmtui.demo.serve import Demo
from swarmtui.runbooks.image import job
from swarmtui.runbooks.platform import dtr_look, recover_steps, ucp_look
from swarmtui.runbooks.swarm.backups import backup_steps
from swarmtui.runbooks.ucp import restore_steps

MANAGERS = ("mgr1", "mgr2", "mgr3")
WELL = dict.fromkeys(MANAGERS, "")
REPLICAS = ("dtr1", "dtr2", "dtr3")


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits looks often, and gives up early what has no hope."""
    for module in (job, backup_steps, restore_steps, recover_steps, ucp_look, dtr_look):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.2)
    for module in (ucp_look, dtr_look):
        monkeypatch.setattr(module, "SETTLE_SECONDS", 2.0)


def lose(demo: Demo, name: str, product: str) -> None:
    """A host has lost every container and volume of "ucp" or "dtr"."""
    host = demo.world.hosts[name]
    for each in [one for one in host.containers.values() if one.name.startswith(f"{product}-")]:
        del host.containers[each.id]
    for volume in [one for one in host.volumes if one.startswith(f"{product}-")]:
        del host.volumes[volume]


def destroy(demo: Demo, *names: str, ucp: bool = True) -> None:
    """The disks of these managers have lost the Swarm, and UCP with all it kept; their Docker runs again."""
    for name in names:
        host = demo.world.hosts[name]
        demo.world.stop_docker(host)
        assert files.remove(host, files.SWARM)
        if ucp:
            lose(demo, name, "ucp")
        demo.world.start_docker(host)


def destroy_all(demo: Demo) -> None:
    """Nothing of Swarm, UCP and DTR is left on any manager or replica's node."""
    destroy(demo, *MANAGERS)
    for name in REPLICAS:
        lose(demo, name, "dtr")


def ucp_ill(demo: Demo) -> dict[str, str]:
    """How UCP is on each manager."""
    assert demo.world.ucp is not None
    return {host.name: demo.world.ucp.ill(host) for host in demo.world.ucp.managers()}


def dtr_nodes(demo: Demo) -> list[str]:
    """The nodes with a healthy replica of DTR."""
    dtr = demo.world.dtr
    assert dtr is not None
    return sorted(replica.host for replica in dtr.healthy())
