"""The steps that put a backup in its place, on simulated hosts that are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.cli.main import main as command_line
from swarmtui.demo.hosts import files
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.host import Host
from swarmtui.link.person import Nobody
from swarmtui.link.target import SshTarget
from swarmtui.opening import find
from swarmtui.runbooks.runbook import ConflictError, Voice
from swarmtui.runbooks.swarm.recovery.after_force import seed_of
from swarmtui.runbooks.swarm.recovery.fence_steps import Fence
from swarmtui.runbooks.swarm.recovery.restore_inside import look_inside
from swarmtui.runbooks.swarm.recovery.restore_steps import AllFollow, StartOnBackup, Unpack
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import where
from swarmtui.session import Session


def runs(host: Host) -> bool:
    return host.docker


def locked(host: Host) -> bool:
    return host.swarm is not None and host.swarm.locked


JOB = "20261122T000000Z-00000000"


@dataclass
class Place:
    """A Swarm with a backup of mgr2, and a way to its hosts."""

    demo: Demo
    session: Session
    said: list[str] = field(default_factory=list)

    @property
    def voice(self) -> Voice:
        return Voice(self.said.append, lambda done, total, text: None)

    async def swarmtui(self, *words: str) -> None:
        line = ["run", *words, "--yes", "--target", "simulated", "--config", str(self.demo.config)]
        assert await asyncio.to_thread(command_line, line) == 0

    async def steps(self) -> tuple[Fence, Unpack, StartOnBackup]:
        """The first steps of a restore on mgr2."""
        from swarmtui.backups.keys import keys_of

        entry = Catalogue().entries()[0]
        seen = await look_inside(self.session, entry, await keys_of(self.session.vault, entry.cluster_id))
        assert (seen.verdict, seen.hopeless, seen.node) == ("yes", ("", ""), "mgr2")
        at = where(self.session, "mgr2", SshTarget("mgr2"))
        about = {"node_id": seen.node_id, "name": "mgr2", "at": at}
        fence = Fence(id="aside", title="", why="", job=JOB, **about)  # type: ignore[arg-type]
        unpack = Unpack(
            id="unpack",
            title="",
            why="",
            root="/var/lib/docker",
            certificate=seen.certificate,
            backup=entry.id,
            cluster_id=entry.cluster_id,
            job=JOB,
            locked=seen.locked,
            **about,  # type: ignore[arg-type]
        )
        return fence, unpack, StartOnBackup(id="start", title="", why="", what=unpack, **about)  # type: ignore[arg-type]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with Demo("calm", speed=50, seed=1, nodes=4) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        session = Session(opening, Nobody())
        try:
            yield Place(demo, session)
        finally:
            await session.close()


async def test_what_was_moved_aside_is_there_again(place: Place) -> None:
    await place.swarmtui("swarm.backup", "node=mgr2")
    fence, unpack, start = await place.steps()
    await fence.run(place.session, {}, place.voice)
    await fence.verify(place.session, {}, place.voice)
    host = place.demo.world.hosts["mgr2"]
    assert not runs(host) and not host.socket
    # Somebody brings back a directory of another node, and starts Docker on it.
    assert files.move(host, f"{files.SWARM}.fenced-{JOB}", files.SWARM)
    other = files.content(place.demo.world.hosts["mgr1"], f"{files.SWARM}/certificates/swarm-node.crt")
    assert other is not None
    files.put(host, f"{files.SWARM}/certificates/swarm-node.crt", other)
    with pytest.raises(ConflictError, match=r"is there again, of node \w+ of the Swarm"):
        await unpack.run(place.session, {}, place.voice)
    assert files.kind(host, f"{files.SWARM}/raft") == "folder", "it was touched"

    assert files.remove(host, files.SWARM)
    place.demo.world.start_docker(host)
    await asyncio.sleep(0.3)
    assert await unpack.already_done(place.session, {}) == ""
    await unpack.run(place.session, {}, place.voice)
    await unpack.verify(place.session, {}, place.voice)
    assert not runs(host), "its files were changed under a Docker that runs"
    assert files.kind(host, f"{files.SWARM}/docker-state.json") == ""
    assert not [path for path in (*host.files, *host.folders) if ".unpacking-" in path]
    await start.run(place.session, {}, place.voice)
    await start.verify(place.session, {}, place.voice)
    assert runs(host) and host.swarm is None, "it went into a Swarm by itself"


async def test_a_manager_that_was_booted_is_unlocked_before_it_is_asked(place: Place) -> None:
    await place.swarmtui("swarm.autolock", "enable=true", "--accept", "key-without-custody=simulated")
    world = place.demo.world
    cluster_id = world.clusters[0].id
    host = world.hosts["mgr3"]
    world.stop_docker(host)
    world.start_docker(host)
    places = tuple(where(place.session, name, SshTarget(name)) for name in ("mgr1", "mgr2", "mgr3"))
    step = AllFollow(
        id="one-leader",
        title="",
        why="",
        seed=seed_of(places[0], "10.0.1.11:2377", cluster_id, places),
        managers=places,
        cluster_id=cluster_id,
    )
    await asyncio.sleep(0.3)
    assert locked(host)
    await step.run(place.session, {}, place.voice)
    assert not locked(host)
    await step.verify(place.session, {}, place.voice)
    assert place.said[-1] == "3 of 3 managers follow the same leader."
