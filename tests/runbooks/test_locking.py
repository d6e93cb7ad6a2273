"""The locks that a run lays on hosts: which, how long, and what happens where they cannot be laid."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from swarmtui.errors import RefusedError
from swarmtui.link.host_lock import Owner
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import Completed
from swarmtui.runbooks import locking
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Voice
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.session import Session
from tests import builders as b
from tests.runbooks.small_steps import RUN, Bump, World, plan, steps
from tests.runbooks.support import FakeSession

OTHER = Owner(run="20261121T080000Z-swarm.backup-0002", since=1.0, user="ana", host="desk", what="swarm.backup")
IDS = [b.object_id("node", f"mgr{i}") for i in (1, 2, 3)]


class LockHost:
    """A host that has only its folder of locks."""

    def __init__(self, name: str) -> None:
        self.label = f"root@{name}"
        self.links: dict[str, str] = {}
        self.lost = 0
        self.may = True

    async def run(self, command: str, **_: Any) -> Completed:
        if self.lost:
            self.lost -= 1
            raise LinkError(Reason.CONNECTION_LOST, self.label)
        if command.startswith("rm -f "):
            for path in command.split()[2:]:
                self.links.pop(path.rpartition("/")[2], None)
            return Completed(0, "", "")
        text, _, path = command.partition("ln -sn ")[2].partition(";")[0].partition(" ")
        if self.may and path:
            self.links.setdefault(path.rpartition("/")[2], text.strip("'"))
        rows = "".join(f"lrwxrwxrwx 1 root root 9 Nov 21 20:00 {name} -> {to}\n" for name, to in self.links.items())
        return Completed(0, f"total 0\n{rows}", "")


class LockSession(FakeSession):
    """Three managers, seen through mgr1."""

    def __init__(self) -> None:
        nodes = [b.node(f"mgr{i}", manager="leader" if i == 1 else "reachable", addr=f"10.0.0.{i}") for i in (1, 2, 3)]
        super().__init__(b.snapshot(nodes), through=IDS[0])
        self.lock_hosts = {f"10.0.0.{i}": LockHost(f"mgr{i}") for i in (1, 2, 3)}

    async def host(self, node: Any, *, ask: bool = True) -> Any:
        return await self.reach(self.host_label(node), ask=ask)

    async def reach(self, target: Any, *, ask: bool = True) -> Any:
        if target.host not in self.lock_hosts:
            raise LinkError(Reason.UNREACHABLE, target.host)
        return self.lock_hosts[target.host]

    @property
    def lying(self) -> dict[str, list[str]]:
        return {host.label: sorted(host.links) for host in self.lock_hosts.values() if host.links}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> LockSession:
    monkeypatch.setattr(locking, "AGAIN_SECONDS", 0.01)
    return LockSession()


def disruptive(world: World, *, exclusive: bool = False) -> Plan:
    made = plan(*(replace(step, danger=Danger.DISRUPTIVE) for step in steps(world, "a", "b")))
    return replace(made, exclusive=(IDS[2], IDS[0], IDS[1]) if exclusive else ())


async def go(session: LockSession, made: Plan, folder: Path) -> tuple[list[dict[str, list[str]]], list[str], Any]:
    """Runs it; what lay where at each step, what was said, and how it ended."""
    seen, said = [], []

    def observe(event: Event) -> None:
        if event.kind == "said":
            said.append(event.text)
        if event.point == "intent":
            seen.append(session.lying)

    with Journal(folder).writer(RUN) as writer:
        outcome = await Runner(cast(Session, session), made, writer, observe=observe).run()
    return seen, said, outcome


async def test_an_ordinary_disruptive_run_lays_one_on_the_manager_in_use(session: LockSession, tmp_path: Path) -> None:
    seen, _, outcome = await go(session, disruptive(World()), tmp_path)
    assert outcome.ok
    assert seen == [{"root@mgr1": [f"run-{RUN}"]}] * 2
    assert session.lying == {}


async def test_one_that_disturbs_nothing_lays_none(session: LockSession, tmp_path: Path) -> None:
    seen, _, outcome = await go(session, plan(*steps(World(), "a")), tmp_path)
    assert outcome.ok and seen == [{}]


@pytest.mark.parametrize("via", ["tls", "socket", ""])
async def test_where_no_host_is_reached_anyway_none_is(session: LockSession, tmp_path: Path, via: str) -> None:
    session.connection = msgspec.structs.replace(session.connection, via=via)
    seen, _, _ = await go(session, disruptive(World()), tmp_path)
    assert seen == [{}] * 2


async def test_where_it_cannot_be_laid_an_ordinary_run_goes_on(session: LockSession, tmp_path: Path) -> None:
    session.lock_hosts["10.0.0.1"].may = False
    assert (await go(session, disruptive(World()), tmp_path))[2].ok
    session.lock_hosts.clear()
    assert (await go(session, disruptive(World()), tmp_path / "again"))[2].ok


async def test_an_exclusive_run_lays_it_on_all_and_says_where_it_could_not(
    session: LockSession, tmp_path: Path
) -> None:
    del session.lock_hosts["10.0.0.2"]
    seen, said, outcome = await go(session, disruptive(World(), exclusive=True), tmp_path)
    assert outcome.ok
    assert seen == [{"root@mgr1": ["exclusive"], "root@mgr3": ["exclusive"]}] * 2
    assert len([line for line in said if line.startswith("No lock lies on mgr2: ")]) == 1
    assert session.lying == {}


async def test_a_connection_that_is_lost_while_they_are_laid_is_made_again(
    session: LockSession, tmp_path: Path
) -> None:
    for host in session.lock_hosts.values():
        host.lost = 2
    seen, said, outcome = await go(session, disruptive(World(), exclusive=True), tmp_path)
    assert outcome.ok and not [line for line in said if line.startswith("No lock")]
    assert seen == [{f"root@mgr{i}": ["exclusive"] for i in (1, 2, 3)}] * 2
    session.lock_hosts["10.0.0.3"].lost = 1000
    with pytest.raises(RefusedError, match="No lock can be laid on mgr3"):
        await go(session, disruptive(World(), exclusive=True), tmp_path / "again")


async def test_without_a_lock_on_its_own_host_it_is_refused(session: LockSession, tmp_path: Path) -> None:
    session.lock_hosts["10.0.0.3"].may = False
    world = World()
    with pytest.raises(RefusedError, match="No lock can be laid on mgr3"):
        await go(session, disruptive(world, exclusive=True), tmp_path)
    assert world.calls == []


@pytest.mark.parametrize("exclusive", [True, False])
async def test_refused_while_somebody_else_has_it_and_the_journal_says_so(
    session: LockSession, tmp_path: Path, exclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 61.0)
    session.lock_hosts["10.0.0.1"].links["exclusive"] = OTHER.text
    world = World()
    with pytest.raises(RefusedError, match=r"of ana on desk, begun 1 minute ago, is under way on this cluster"):
        await go(session, disruptive(world, exclusive=exclusive), tmp_path)
    assert world.calls == []
    assert session.lying == {"root@mgr1": ["exclusive"]}, "what it had laid itself is left behind"
    *_, end = (json.loads(line) for line in Journal(tmp_path).path(RUN).read_bytes().splitlines())
    assert (end["kind"], end["outcome"]) == ("end", "failed") and "desk" in end["detail"]


async def test_a_failed_run_leaves_none_behind_nor_does_a_connection_that_was_just_lost(
    session: LockSession, tmp_path: Path
) -> None:
    world = World(troubles={"b.run": [RefusedError("no")]})
    made = disruptive(world, exclusive=True)

    def observe(event: Event) -> None:
        if event.step == "b" and event.point == "intent":
            session.lock_hosts["10.0.0.3"].lost = 2

    with Journal(tmp_path).writer(RUN) as writer:
        outcome = await Runner(cast(Session, session), made, writer, observe=observe).run()
    assert not outcome.ok
    assert session.lying == {}


# -- where no Swarm answers: by the addresses of its managers --------------------------------------------------------

HOSTS = tuple(f"ssh://root@10.0.0.{number}" for number in (3, 1))
CLUSTER = "tla1qprx04x2veayp6b7mlun9"


def forcing(world: World, *ids: str) -> Plan:
    """A plan about a Swarm that does not answer, on the hosts of two of its three managers."""
    made = plan(*(replace(step, danger=Danger.DESTRUCTIVE) for step in steps(world, *ids)))
    return replace(made, exclusive_hosts=(*HOSTS, HOSTS[0]), cluster_id=CLUSTER)


@pytest.fixture
def blind(session: LockSession) -> LockSession:
    """The same hosts, and no Swarm is seen."""
    session.snapshot = b.snapshot([])
    return session


async def test_hosts_of_a_swarm_that_does_not_answer_are_held_alone(blind: LockSession, tmp_path: Path) -> None:
    seen, _, outcome = await go(blind, forcing(World(), "a"), tmp_path)
    assert outcome.ok
    assert seen == [{"root@mgr3": ["exclusive"], "root@mgr1": ["exclusive"]}]
    assert blind.lying == {}


async def test_a_second_operator_is_told_who_is_at_it_and_nothing_is_begun(
    blind: LockSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 61.0)
    blind.lock_hosts["10.0.0.1"].links["exclusive"] = OTHER.text
    world = World()
    with pytest.raises(RefusedError, match=r"of ana on desk, begun 1 minute ago, is under way on this cluster"):
        await go(blind, forcing(world, "a"), tmp_path)
    assert world.calls == [] and blind.lying == {"root@mgr1": ["exclusive"]}


@dataclass(frozen=True, kw_only=True)
class Inner(Bump):
    """A step that is a run of its own, as the fresh backup after a forced cluster is."""

    session: LockSession = field(compare=False)
    make: Callable[[], Plan] = field(compare=False)
    folder: Path = field(compare=False)
    seen: list[dict[str, list[str]]] = field(compare=False)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        def observe(event: Event) -> None:
            if event.point == "intent":
                self.seen.append(self.session.lying)

        with Journal(self.folder).writer("20261121T090204Z-inner-0002") as writer:
            assert (await Runner(session, self.make(), writer, observe=observe).run()).ok
        self.seen.append(self.session.lying)
        await super().run(session, before, voice)


async def test_a_run_within_a_run_lies_within_its_locks(blind: LockSession, tmp_path: Path) -> None:
    """It neither is kept away by them, nor takes them off; a host that the outer one does not hold it holds itself."""
    world, seen = World(), list[dict[str, list[str]]]()

    def inner() -> Plan:
        made = disruptive(world, exclusive=True)
        return replace(made, exclusive=(), exclusive_hosts=(*HOSTS, "ssh://root@10.0.0.2"), cluster_id=CLUSTER)

    step = Inner(
        id="backup", title="t", why="w", world=world, session=blind, make=inner, folder=tmp_path / "inner", seen=seen
    )
    outer = replace(forcing(world, "a"), steps=(replace(step, danger=Danger.DISRUPTIVE),))
    _, _, outcome = await go(blind, outer, tmp_path)
    assert outcome.ok, outcome
    held = {"root@mgr3": ["exclusive"], "root@mgr1": ["exclusive"]}
    assert seen[-1] == held, "the outer run's locks lie on"
    assert seen[0] == held | {"root@mgr2": ["exclusive"]}
    assert blind.lying == {}
