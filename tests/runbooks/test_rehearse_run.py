"""A rehearsal with every fault at every step: whatever fails, the last thing done is to take everything down."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from swarmtui.backups.catalogue import Catalogue, Entry, backup_id
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.saved import saved_objects
from swarmtui.errors import EngineError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import Completed
from swarmtui.model.swarm import Info, SwarmInfo
from swarmtui.runbooks.runbook import Shown, Voice
from swarmtui.runbooks.swarm.rehearsal import rehearse, rehearse_run
from swarmtui.runbooks.swarm.rehearsal.rehearse import RehearseBackup
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import Commands
from swarmtui.runbooks.swarm.rehearsal.rehearse_facts import MB, RehearsalFacts, RehearsalHost
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import inventory_of
from swarmtui.runbooks.swarm.rehearsal.rehearse_place import LocalPlace
from swarmtui.runbooks.swarm.rehearsal.rehearse_run import Rehearsal
from swarmtui.vault import Vault

CLUSTER = "gcf6i02gy7c0xfddvj55hfoqh"
NODE = "dcx9zdx9qe6wfi2jstltppgkk"
OBJECTS: dict[str, Any] = {
    "swarm": {"ID": CLUSTER, "Version": {"Index": 9}, "Spec": {}, "JoinTokens": {"Worker": "SWMTKN-1-secret"}},
    "nodes": [{"ID": NODE, "Spec": {"Role": "manager"}, "Description": {"Hostname": "mgr2"}}],
    "services": [{"ID": "s1", "Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": 2}}}}],
    "networks": [{"Id": "x1", "Name": "ingress", "Scope": "swarm"}],
    "secrets": [],
    "configs": [],
    "tasks": [],
}


class Gone(EngineError):
    """What a Swarm without a leader says."""

    def __init__(self) -> None:
        super().__init__("The swarm does not have a leader.")


class FakeEngine:
    """The restored engine."""

    def __init__(self, objects: dict[str, Any], node: str, *, leads: bool) -> None:
        self.objects, self.node, self.leads = objects, node, leads

    async def info(self) -> Info:
        return Info(swarm=SwarmInfo(node_id=self.node, local_node_state="active", control_available=True))

    async def get(self, path: str, params: Any = None) -> bytes:
        if not self.leads:
            raise Gone
        return json.dumps(self.objects[path.strip("/")]).encode()


class FakePlace:
    """A host that does what it is told; at one of its commands something happens.

    Attributes:
        at: number of the command at which it does.
        fault: "fails" (exit 1), "cut" (the connection is lost), "cancel".
    """

    label = "spare"

    def __init__(self, at: int = -1, fault: str = "", *, engine: FakeEngine | None = None) -> None:
        self.at, self.fault = at, fault
        self.ran: list[str] = []
        self.received = b""
        self.api = engine or FakeEngine(OBJECTS, NODE, leads=True)

    def shown(self, line: str, feed: Shown | None = None) -> Shown:
        return Shown(line, feed=feed)

    async def run(self, line: str, *, timeout: float) -> Completed:
        number = len(self.ran)
        self.ran.append(line)
        if number == self.at and self.fault == "cut":
            raise LinkError(Reason.CONNECTION_LOST, self.label)
        if number == self.at and self.fault == "cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        if number == self.at:
            return Completed(1, "", "it went wrong")
        return Completed(0, "1: lo    inet 127.0.0.1/8 scope host lo", "")

    async def feed(self, line: str, chunks: Iterator[bytes]) -> Completed:
        self.received = b"".join(chunks)
        return await self.run(line, timeout=1.0)

    @contextlib.asynccontextmanager
    async def engine(self, commands: Commands) -> AsyncIterator[Any]:
        yield self.api


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """A backup whose archive is a tar like one that `tar` makes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in (
            ("swarm/certificates/swarm-node.key", b"-----BEGIN PRIVATE KEY-----\n"),
            ("swarm/certificates/swarm-node.crt", b"c"),
            ("swarm/docker-state.json", b"{}"),
            ("swarm/raft/wal-v3-encrypted/0.wal", b"w" * 1000),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    inventory = inventory_of({**OBJECTS, "swarm": [OBJECTS["swarm"]]})
    draft = Catalogue(tmp_path / "backups").begin(CLUSTER, backup_id(time.time(), "mgr2"))
    draft.write(out.getvalue())
    return draft.commit(Manifest(cluster_id=CLUSTER, node="mgr2", taken_at=1.0, cold=True, inventory=inventory))


def facts(entry: Entry) -> RehearsalFacts:
    host = RehearsalHost(target="local", label="spare", version="20.10.24", disk=9000 * MB, memory=9000 * MB)
    return RehearsalFacts(
        id="20261121T200301Z-3f9a0b1c", backup=entry.id, cluster_id=CLUSTER, node_id=NODE, host=host, node="mgr2"
    )


def rehearsal(entry: Entry, place: FakePlace, running: list[str] | None = None) -> Rehearsal:
    told: list[str] = [] if running is None else running
    return Rehearsal(place, facts(entry), entry, (), None, running=told.append)


async def test_what_was_shown_is_what_runs(entry: Entry) -> None:
    running: list[str] = []
    place = FakePlace()
    done = await rehearsal(entry, place, running).run()
    assert done.result.ok is True, done
    step = RehearseBackup(id="rehearse", title="", why="", facts=facts(entry))
    assert running == [shown.line for shown in step.shown]
    reads = set(facts(entry).commands.reads)  # asked over the API, in its words
    assert place.ran == [line for line in running if line not in reads]
    assert "JoinTokens" not in done.objects["swarm"][0] and len(done.objects["nodes"]) == 1


STEPS = ("prepare", "isolate", "start 1", "stop 1", "send", "start 2", "init")
OF_THE_BACKUP = {"start 2", "init"}


@pytest.mark.parametrize("fault", ["fails", "cut", "cancel"])
@pytest.mark.parametrize("step", STEPS)
async def test_whatever_fails_everything_is_taken_down(entry: Entry, step: str, fault: str) -> None:
    place = FakePlace(STEPS.index(step), fault)
    running = asyncio.create_task(rehearsal(entry, place).run())
    if fault == "cancel":
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        done = await running
        # A host that fails proves nothing; dockerd that does not take the backup does. A lost connection never does.
        assert done.result.ok is (False if fault == "fails" and step in OF_THE_BACKUP else None), done
        assert done.objects == {} and done.error is not None
        assert fault == "cut" or "it went wrong" in done.error.what or "log" in done.error.what
    assert place.ran[-1] == facts(entry).commands.down
    assert place.ran.count(facts(entry).commands.down) == 1


@pytest.mark.parametrize("fault", ["fails", "cut"])
async def test_taking_down_is_tried_again(entry: Entry, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse_run, "AGAIN_SECONDS", 0.0)
    place = FakePlace(len(STEPS), fault)
    done = await rehearsal(entry, place).run()
    assert done.result.ok is True
    assert place.ran[-2:] == [facts(entry).commands.down] * 2


async def test_a_swarm_without_a_leader_is_no_restore(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse_run, "LEADER_SECONDS", 0.0)
    place = FakePlace(engine=FakeEngine(OBJECTS, NODE, leads=False))
    done = await rehearsal(entry, place).run()
    assert done.result.ok is False
    assert "Docker said that it was restored, but no Swarm works there" in done.result.what[0]
    assert place.ran[-1] == facts(entry).commands.down


async def test_another_swarm_or_node_is_no_restore(entry: Entry) -> None:
    other = {**OBJECTS, "swarm": {**OBJECTS["swarm"], "ID": "jv9lqgmfhlm5w23sjcceamsd6"}}
    for engine in (FakeEngine(other, NODE, leads=True), FakeEngine(OBJECTS, "someone-else", leads=True)):
        done = await rehearsal(entry, FakePlace(engine=engine)).run()
        assert done.result.ok is False and done.error is None and done.objects == {}


@pytest.mark.parametrize("source", ["imported", "taken"])
async def test_what_an_imported_backup_contains_is_kept(
    entry: Entry, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cluster was never asked; of one that we took, the cluster's own answer is kept already."""
    catalogue = Catalogue(tmp_path / source)
    draft = catalogue.begin(CLUSTER, backup_id(time.time(), "mgr2"))
    draft.write(entry.archive.read_bytes())
    kept = draft.commit(msgspec.structs.replace(entry.whole, source=source))
    place = FakePlace()
    monkeypatch.setattr(rehearse, "place_of", lambda session, target: place)
    session: Any = SimpleNamespace(backups=catalogue, vault=Vault.in_memory())
    said: list[str] = []
    voice = Voice(said.append, lambda done, total, text: None)
    step = RehearseBackup(id="rehearse", title="", why="", facts=facts(kept))
    await step.run(session, await step.before(session), voice)
    (after,) = catalogue.entries()
    assert after.tier == 5
    assert any("is kept beside it" in line for line in said) is (source == "imported")
    if source == "taken":
        assert after.rehearsed is None
        return
    assert after.rehearsed is not None and "SWMTKN" not in after.rehearsed.read_text()
    objects = saved_objects(after)
    assert [one["ID"] for one in objects["services"]] == ["s1"] and objects["swarm"][0]["ID"] == CLUSTER


async def test_a_sign_of_life_goes_to_the_guard(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse_run, "BEAT_SECONDS", 0.0)

    class Slow(FakePlace):
        async def run(self, line: str, *, timeout: float) -> Completed:
            await asyncio.sleep(0.01)
            return await super().run(line, timeout=timeout)

    place = Slow()
    await rehearsal(entry, place).run()
    beat = facts(entry).commands.beat
    assert beat in place.ran and place.ran[-1] == facts(entry).commands.down


# -- this machine ----------------------------------------------------------------------------------------------------


async def test_here_a_command_runs_and_reads_what_it_is_fed() -> None:
    place = LocalPlace()
    assert await place.run("echo out; echo err >&2; exit 3", timeout=10) == Completed(3, "out\n", "err\n")
    assert await place.feed("cat", iter([b"one ", b"two"])) == Completed(0, "one two", "")
    assert (await place.feed("exit 4", iter([b"x" * 1_000_000] * 3))).code == 4  # it reads nothing of it


async def test_here_a_command_ends_with_its_children_when_its_time_is_up_or_its_food_is_bad() -> None:
    place = LocalPlace()
    with pytest.raises(LinkError, match=r"did not end within 0\.2 s"):
        await place.run("sleep 60 | cat", timeout=0.2)

    def bad() -> Iterator[bytes]:
        yield b"x"
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        async with asyncio.timeout(10):
            await place.feed("sh -c 'cat >/dev/null'", bad())
