"""A backup is restored from the backups pane: with a key, a host, and the typed word; all managers are lost."""

from __future__ import annotations

from pathlib import Path

from swarmtui.backups.catalogue import Catalogue
from swarmtui.demo.hosts import files
from tests.ui.test_console import opened


async def test_from_the_pane_to_a_swarm_that_lives_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        await console.nodes().select("mgr2").press("B").confirm().until_done()
        entry = Catalogue().entries()[0]
        await console.here().view("backups").title("Backups (1)").press("R").at("ask")
        await console.here().sees("Bring the Swarm back from a backup").answer("ssh://mgr2")
        # While the quorum holds there is a better way than that.
        await console.here().dialog("gentler=quorum").leave()
        await console.here().leave()

        world = demo.world
        for name in ("mgr1", "mgr2", "mgr3"):
            world.stop_docker(world.hosts[name])
            assert files.remove(world.hosts[name], files.SWARM)
            world.start_docker(world.hosts[name])
        await console.here().view("backups").select(entry.id).press("R").answer("ssh://mgr2")
        await console.here().dialog(f"Restore {entry.id} of simulated on mgr2", "force-new-cluster").confirm("mgr2")
        await console.here().until_done(within=90)
        swarm = world.hosts["mgr2"].swarm
        assert swarm is not None and swarm.cluster.id == entry.cluster_id
        assert {member.host for member in swarm.raft.members.values()} == {"mgr1", "mgr2", "mgr3"}
        await console.here().view("nodes").live(within=60).contains("mgr1", "mgr3", "wrk5")
