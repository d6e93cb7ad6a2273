"""What swarm.backup must know before it plans: which manager, its host, the quorum, the key, and the place here."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link import jobs
from swarmtui.link.jobs import JobState
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.model.quorum import quorum
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.runbooks.node_facts import NodeFacts, command_name, gather, resolve, with_containers, with_impact
from swarmtui.runbooks.swarm.autolock import KeyFacts, survey_key
from swarmtui.runbooks.swarm.backups.here import Here, free_of, here_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session

QUESTION_SECONDS = 20.0
LOOK_SECONDS = 8.0
"""How long the host of another manager may take to tell what lies there."""
HOST_SECONDS = 60.0
"""How long one host may take to be looked at, with the login."""
ROOT = "/var/lib/docker"
UNITS = ("docker.socket", "docker.service")
_ROOT = re.compile(r"/[A-Za-z0-9._/-]{1,200}")


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of an earlier job on a host. state: how it stands."""

    id: str
    state: JobState


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A manager's host, as far as a backup needs to know it.

    Attributes:
        trouble: why no backup can be taken there, one sentence; "" where nothing is in the way.
        advice: what to do about that.
        root: the daemon's data root.
        size: bytes of its folder `swarm` with its holes filled; 0 where nobody knows.
        free: bytes that are free where the archive is made; -1 where nobody knows.
        systemd: whether the job can be a unit of systemd.
        units: those of Docker that run now, and are started again: with socket activation two.
        version: of its engine.
        raw_holes: whether its tar can be told to look for holes by reading (GNU tar 1.29 of 2016).
        leftovers: folders of earlier jobs.
    """

    at: Where
    trouble: str = ""
    advice: str = ""
    root: str = ROOT
    size: int = 0
    free: int = -1
    systemd: bool = True
    units: tuple[str, ...] = ("docker",)
    version: str = ""
    raw_holes: bool = False
    leftovers: tuple[Leftover, ...] = ()


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier jobs left on the host of another manager than the chosen one."""

    node_id: str
    at: Where
    leftovers: tuple[Leftover, ...]


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """A manager of the Swarm.

    Attributes:
        up: ready, and reachable for the leader.
        joined: when it joined, as the Swarm tells it.
        tasks: how many run on it.
    """

    id: str
    name: str
    at: Where
    leader: bool
    up: bool
    locked: bool
    joined: str
    tasks: int
    address: str


class BackupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        nodes: about the chosen manager.
        managers: all of them, by name.
        chosen: id of the one; because: why that one.
        job: the name of the job that will do it.
        silent: managers that were looked at in vain before: (name, why).
        elsewhere: other managers on whose hosts earlier jobs left something, as far as they can be reached.
    """

    cluster: str
    cluster_id: str
    nodes: NodeFacts
    managers: tuple[Manager, ...]
    chosen: str
    because: str
    host: HostFacts
    here: Here
    key: KeyFacts
    job: str
    silent: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def manager(self) -> Manager:
        return next(manager for manager in self.managers if manager.id == self.chosen)


async def survey(session: Session, params: Mapping[str, Any]) -> BackupFacts:
    """Gathers the facts.

    Raises:
        UsageError: node= is nobody's name.
        RefusedError: it is no manager's.
        LinkError, EngineError, VaultError: something that must be known cannot be asked.
    """
    snapshot = await session.refresh()
    if not (now := quorum(snapshot.nodes.values())).held:
        raise RefusedError(
            f"The Swarm has no quorum ({now}): what it contains cannot be compared with a backup now.",
            "Bring managers back first: swarmtui status. A stopped manager's directory can be copied by hand.",
        )
    managers = _managers(session, snapshot)
    if params.get("node"):
        node = _named(snapshot, managers, params["node"])
        choice = Choice(node, "named by you", await look(session, node.at))
    else:
        choice = await _choose(session, managers)
    chosen = choice.manager.id
    others = [manager for manager in managers if manager.id != chosen]
    key, facts, here, found = await asyncio.gather(
        survey_key(session),
        gather(session, [chosen]),
        here_of(session, snapshot.cluster_id),
        asyncio.gather(*(_left_on(session, manager) for manager in others)),
    )
    facts = await with_containers(session, with_impact(facts, session.snapshot, {chosen: None}))
    return BackupFacts(
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        nodes=facts,
        managers=managers,
        chosen=chosen,
        because=choice.because,
        host=choice.host,
        here=here,
        key=key,
        job=jobs.new_id(),
        silent=choice.silent,
        elsewhere=tuple(one for one in found if one is not None),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """The manager that is taken, and those that would have been better: (name, why not)."""

    manager: Manager
    because: str
    host: HostFacts
    silent: tuple[tuple[str, str], ...] = ()


def _named(snapshot: Snapshot, managers: Sequence[Manager], name: str) -> Manager:
    node = resolve(snapshot, [name])[0]
    found = next((manager for manager in managers if manager.id == node.id), None)
    if found is None:
        raise RefusedError(
            f"{one_line(node.name)} is a worker: it has nothing of the Swarm's content.",
            f"Name a manager: {', '.join(manager.name for manager in managers)}.",
        )
    return found


async def _choose(session: Session, managers: Sequence[Manager]) -> Choice:
    """The best one that a backup can be taken of; where that is none, the best one with its trouble."""
    ranked = rank(managers)
    if not ranked:
        raise RefusedError("No manager is up that could be backed up.", "See: swarmtui status")
    looked: list[HostFacts] = []
    for manager in ranked:
        looked.append(await look(session, manager.at))
        if not looked[-1].trouble:
            break
    place = next((place for place, each in enumerate(looked) if not each.trouble), 0)
    before = zip(ranked[:place], looked, strict=False)
    silent = tuple((manager.name, each.trouble) for manager, each in before)
    return Choice(ranked[place], why(ranked[place], ranked), looked[place], silent)


def _managers(session: Session, snapshot: Snapshot) -> tuple[Manager, ...]:
    found = [_manager(session, snapshot, node) for node in snapshot.nodes.values() if node.is_voter]
    return tuple(sorted(found, key=lambda manager: (manager.name, manager.id)))


def _manager(session: Session, snapshot: Snapshot, node: Node) -> Manager:
    name = command_name(snapshot, node)
    return Manager(
        id=node.id,
        name=name,
        at=where(session, name, session.host_label(node)),
        leader=node.is_leader,
        up=node.is_ready and node.is_reachable,
        locked=node.id in snapshot.locked,
        joined=node.created_at,
        tasks=sum(task.runs for task in snapshot.tasks_on(node.id)),
        address=node.address,
    )


def rank(managers: Sequence[Manager]) -> list[Manager]:
    """Those that are up, the best one first: the fewest tasks; the newest, which is the least relied on. The leader is
    taken only when it is named, or the only manager there is."""
    up = [manager for manager in managers if manager.up and (not manager.leader or len(managers) == 1)]
    newest = sorted(up, key=lambda manager: (manager.joined, manager.id), reverse=True)
    return sorted(newest, key=lambda manager: manager.tasks)


def why(chosen: Manager, others: Sequence[Manager]) -> str:
    """Why this one of those that could be."""
    if chosen.leader:
        return "it is the only manager"
    if len(others) == 1:
        return "the only manager that is up and not the leader"
    if any(other.tasks > chosen.tasks for other in others):
        return f"not the leader, and it runs the fewest tasks ({chosen.tasks})"
    return "not the leader, and of those the newest"


async def look(session: Session, at: Where) -> HostFacts:
    """Asks a host what a backup needs to know; never fails, and changes nothing."""
    try:
        async with asyncio.timeout(HOST_SECONDS):
            host = await at.reach(session)
            try:
                return await _questions(session, host, at)
            except LinkError as error:
                if running := await _running(host, at):
                    return running  # that is why its Docker does not answer
                return HostFacts(at=at, trouble=error.what, advice=error.next_step)
    except LinkError as error:
        return HostFacts(at=at, trouble=f"{at.name} cannot be reached over SSH: {error.what}", advice=error.next_step)
    except TimeoutError:
        return HostFacts(at=at, trouble=f"{at.name} let us in, but did not answer in time.", advice="Look at its load.")
    except SwarmtuiError as error:
        return HostFacts(at=at, trouble=f"{at.name}: {error.what}", advice=error.next_step)


async def _questions(session: Session, host: SshHost, at: Where) -> HostFacts:
    async def ask(line: str) -> tuple[int, str, str]:
        completed = await host.run(line, timeout=QUESTION_SECONDS)
        return completed.code, completed.out, completed.words

    systemd = await jobs.has_systemd(host)
    at = msgspec.structs.replace(at, systemd=systemd)
    engine = await session.engine_of(at.ssh)
    info = await engine.info()
    root = info.docker_root_dir or ROOT
    facts = HostFacts(at=at, root=root, systemd=systemd, version=one_line(info.server_version))

    def trouble(what: str, advice: str) -> HostFacts:
        return msgspec.structs.replace(facts, trouble=what, advice=advice)

    if not _ROOT.fullmatch(root) or "/../" in f"{root}/":
        return trouble(f"The data root of Docker on {at.name} is {one_line(root)!r}: no path to work with.", "")
    if not at.sudo and (await ask("id -u"))[1].strip() != "0":
        return trouble(
            f"{host.user} is not root on {at.name}, and only root reads {root}/swarm.",
            "Set sudo = true for this cluster in the configuration (sudo -n must work there), or log in as root.",
        )
    if at.sudo and (answer := await ask("sudo -n true"))[0] != 0:
        return trouble(
            f"sudo -n does not work on {at.name}: {answer[2]}.",
            "Let this user run sudo without a password there, or keep it: swarmtui secrets set sudo-password "
            f"{host.label}",
        )
    tar = await ask("tar --version")
    if "GNU tar" not in tar[1]:
        return trouble(f"There is no GNU tar on {at.name}: {tar[2]}.", "Install it there (package tar).")
    facts = msgspec.structs.replace(facts, raw_holes=_tar_version(tar[1]) >= (1, 29))
    size = await ask(at.root(f"du -sb {shlex.quote(f'{root}/swarm')}"))
    if size[0] != 0 or not size[1].split()[:1] or not size[1].split()[0].isdigit():
        return trouble(f"{root}/swarm on {at.name} cannot be read: {size[2]}.", "Is that the daemon's data root?")
    if systemd:
        states = (await ask(f"systemctl is-active {' '.join(UNITS)}"))[1].split()
        facts = msgspec.structs.replace(
            facts, units=tuple(unit for unit, state in zip(UNITS, states, strict=False) if state == "active")
        )
        if UNITS[-1] not in facts.units:
            return trouble(
                f"docker.service does not run on {at.name}: its Docker is started by something else.",
                "Take the backup on another manager: node=NAME",
            )
    # The folder may not be there yet; then its place is.
    free = free_of((await ask(f"df -Pk {jobs.BASE} /var/lib"))[1])
    names = await jobs.leftovers(host, sudo=at.sudo)
    left = await _states(host, at, names)
    return msgspec.structs.replace(facts, size=int(size[1].split()[0]), free=free, leftovers=left)


async def _left_on(session: Session, manager: Manager) -> Elsewhere | None:
    """What earlier jobs left on the host of a manager; None where that is nothing, or nobody can look."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            # A look on the side asks nobody anything.
            host = await session.reach(manager.at.ssh, ask=False)
            if not (names := await jobs.leftovers(host, sudo=manager.at.sudo)):
                return None
            at = msgspec.structs.replace(manager.at, systemd=await jobs.has_systemd(host))
            return Elsewhere(node_id=manager.id, at=at, leftovers=await _states(host, at, names))
    except (SwarmtuiError, TimeoutError):
        return None


async def _running(host: SshHost, at: Where) -> HostFacts | None:
    """What is in the way where another backup is being taken of this host right now; None where none is."""
    names = await jobs.leftovers(host, sudo=at.sudo)
    if not names:
        return None
    at = msgspec.structs.replace(at, systemd=await jobs.has_systemd(host))
    alive = [left for left in await _states(host, at, names) if left.state.alive]
    return HostFacts(at=at, leftovers=tuple(alive)) if alive else None


async def _states(host: SshHost, at: Where, names: Sequence[str]) -> tuple[Leftover, ...]:
    found = await jobs.states(host, names, sudo=at.sudo, systemd=at.systemd)
    return tuple(Leftover(id=each, state=state) for each, state in found.items())


def _tar_version(text: str) -> tuple[int, int]:
    """Of GNU tar, as `tar --version` begins: tar (GNU tar) 1.34; (0, 0) where it does not tell."""
    found = re.match(r"tar \(GNU tar\) (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
