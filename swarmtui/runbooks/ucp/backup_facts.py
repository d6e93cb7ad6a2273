"""What ucp.backup must know before it plans: which manager, how UCP is there, passphrase, accounts, the places."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from swarmtui.backups.manifest import UcpAccount
from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link import jobs
from swarmtui.link.https import Ping
from swarmtui.link.reasons import LinkError
from swarmtui.link.together import together
from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.link.ucp.shapes import Account
from swarmtui.model.quorum import quorum
from swarmtui.model.text import one_line
from swarmtui.runbooks.image.archive import room
from swarmtui.runbooks.swarm.backups.backup_facts import Leftover
from swarmtui.runbooks.swarm.backups.here import free_in
from swarmtui.runbooks.swarm.custody import custody_facts
from swarmtui.runbooks.ucp import logins, places
from swarmtui.runbooks.ucp.access import Access, access, opened, pings
from swarmtui.runbooks.ucp.places import OnHost, Part, Place
from swarmtui.session import Session
from swarmtui.vault import Kind

QUESTION_SECONDS: Final = 20.0
_CANNOT_TELL: Final = (Trouble.AWAY, Trouble.SLOW)
"""Why a /_ping may not come that say nothing of UCP itself: no way from here."""


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """A manager, with how UCP is on it.

    Attributes:
        tasks: how many of the Swarm run on it.
        ill: why no backup is taken there, a clause; "" for a healthy one.
        parts: what of UCP is on it.
    """

    place: Place
    tasks: int = 0
    ill: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def well(self) -> tuple[str, ...]:
        """Names of the components that are well, and so must be again afterwards; tasks of services come and go."""
        return tuple(part.name for part in self.parts if part.runs and part.well and "." not in part.name)


class UcpHost(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen manager's host.

    Attributes:
        busy: what has the name that the command's container must have; "" where it is free.
        image: whether the image of the command is there.
        size: bytes of UCP's volumes; 0 where nobody knows. free: where the archive is made; -1 where nobody knows.
        leftovers: of earlier jobs of ours.
    """

    busy: str = ""
    image: bool = True
    selinux: bool = False
    size: int = 0
    free: int = -1
    leftovers: tuple[Leftover, ...] = ()


class UcpBackupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        managers: all of them, by name. chosen: id of the one; because: why that one.
        passphrase: "kept" where the vault has one, else "" and one is made.
        custody: what `custody_rules` needs, where one is made.
        accounts: those that UCP has; None where nobody could ask, and `unasked` says why.
        folder: of the catalogue here; free: bytes there, -1 where nobody knows; trouble: why nothing can be kept.
        drafts: what backups left behind here that were cut off, one sentence each.
        job, restart: names of the jobs that will do it.
    """

    known: Access
    managers: tuple[Manager, ...]
    chosen: str
    because: str
    host: UcpHost
    passphrase: str
    custody: dict[str, Any]
    accounts: tuple[UcpAccount, ...] | None
    unasked: str
    folder: str
    free: int
    trouble: str
    drafts: tuple[str, ...]
    job: str
    restart: str

    @property
    def manager(self) -> Manager:
        return next(manager for manager in self.managers if manager.place.id == self.chosen)


async def survey(session: Session, params: Mapping[str, Any]) -> UcpBackupFacts:
    """Gathers the facts.

    Raises:
        RefusedError: there is no UCP, no quorum, or no manager that could be taken.
        UsageError: node= is no manager.
        LinkError, EngineError, UcpError, VaultError: something that must be known cannot be asked.
    """
    snapshot = await session.refresh()
    if not (now := quorum(snapshot.nodes.values())).held:
        raise RefusedError(
            f"The Swarm has no quorum ({now}), and UCP does not work without it.",
            "Bring managers back first: swarmtui recover",
        )
    known = await access(session)
    managers = await _managers(session, known)
    chosen, because = _choose(managers, params.get("node") or "", known)
    at = await places.with_systemd(session, chosen.place.at)
    chosen = msgspec.structs.replace(chosen, place=msgspec.structs.replace(chosen.place, at=at))
    managers = tuple(chosen if one.place.id == chosen.place.id else one for one in managers)
    host, (accounts, unasked) = await together(_host(session, known, chosen), accounts_now(session, known))
    kept = await session.vault.get(Kind.UCP_PASSPHRASE, known.cluster_id)
    catalogue = session.backups

    def here() -> tuple[int, str, tuple[str, ...]]:
        free, trouble = free_in(catalogue.root)
        return free, trouble, tuple(str(draft) for draft in catalogue.leftovers(known.cluster_id))

    free, trouble, drafts = await asyncio.to_thread(here)
    return UcpBackupFacts(
        known=known,
        managers=managers,
        chosen=chosen.place.id,
        because=because,
        host=host,
        passphrase="kept" if kept is not None else "",
        custody={}
        if kept is not None
        else await custody_facts(session.vault, Kind.UCP_PASSPHRASE, known.cluster_id, new=True),
        accounts=accounts,
        unasked=unasked,
        folder=str(catalogue.root),
        free=free,
        trouble=trouble,
        drafts=drafts,
        job=jobs.new_id(),
        restart=jobs.new_id(),
    )


async def _managers(session: Session, known: Access) -> tuple[Manager, ...]:
    answers = await pings(known)
    nodes = session.snapshot.nodes

    async def one(place: Place) -> Manager:
        tasks = sum(task.runs for task in session.snapshot.tasks_on(place.id))
        node = nodes[place.id]
        if not (node.is_ready and node.is_reachable):
            return Manager(place=place, tasks=tasks, ill="it is not up")
        try:
            there = await places.look(session, place.at)
        except SwarmtuiError as error:
            return Manager(place=place, tasks=tasks, ill=f"its host cannot be asked: {error.what.rstrip('.')}")
        name = one_line(node.name)
        return Manager(place=place, tasks=tasks, ill=ill(answers.get(name), there), parts=there.parts)

    found = [place for place in places.places(session, session.snapshot) if place.manager]
    return tuple(await together(*(one(place) for place in found)))


def ill(answer: Ping | None, there: OnHost) -> str:
    """Why UCP is not healthy on a manager, a clause; "" where it is."""
    if answer is not None and answer.ok:
        return ""
    if answer is not None and answer.trouble not in _CANNOT_TELL:
        return f"its /_ping says: {answer.text.rstrip('.') or answer.status}"
    bad = [part.name for part in there.parts if not part.well and "." not in part.name]
    if not any(part.name == "ucp-controller" and part.runs for part in there.parts):
        return "UCP's controller does not run there"
    return f"not well are {', '.join(bad[:4])}" if bad else ""


def _choose(managers: tuple[Manager, ...], name: str, known: Access) -> tuple[Manager, str]:
    if name:
        door = known.door(name)
        return next(one for one in managers if one.place.id == door.node_id), "named by you"
    healthy = [one for one in managers if not one.ill]
    if not healthy:
        told = "; ".join(f"{one_line(one.place.name)}: {one.ill}" for one in managers)
        raise RefusedError(
            f"UCP of {known.cluster} is healthy on no manager ({told}).",
            "A backup is taken of a healthy one. Mend it first: swarmtui doctor",
        )
    ranked = sorted(healthy, key=lambda one: (one.place.leader, one.tasks, one.place.name))
    best = ranked[0]
    if len(healthy) == 1:
        return best, "UCP is healthy on it alone" if len(managers) > 1 else "it is the only manager"
    return best, "healthy, and the leader" if best.place.leader else "healthy, and not the leader"


async def _host(session: Session, known: Access, manager: Manager) -> UcpHost:
    at = manager.place.at
    host = await at.reach(session)
    holder = await places.holder(session, at)
    engine = await session.engine_of(at.ssh)
    root = (await engine.info()).docker_root_dir or "/var/lib/docker"
    sizes = await host.run(at.root(f"sh -c {shlex.quote(f'du -scb {root}/volumes/ucp-*')}"), timeout=QUESTION_SECONDS)
    last = (sizes.out.splitlines() or [""])[-1].split()
    there = await room(session, at)
    return UcpHost(
        busy=f"{holder.image}, {holder.status}" if holder is not None else "",
        image=await places.has_image(session, at, known.release.image),
        selinux=(await places.engine_says(session, at)).selinux,
        size=int(last[0]) if last and last[0].isdigit() else 0,
        free=there.free,
        leftovers=there.leftovers,
    )


async def accounts_now(session: Session, known: Access) -> tuple[tuple[UcpAccount, ...] | None, str]:
    """The accounts that UCP has; (None, why) where nobody can ask for them. Nobody is asked for a password: a backup is
    a backup without them."""
    try:
        secret = await logins.kept(session, known, known.username)
        if secret is None:
            return None, f"the vault has no password of {one_line(known.username)}"
        async with await opened(session, known, username=known.username, password=secret) as client:
            return told_of(await client.accounts()), ""
    except (UcpError, LinkError, SwarmtuiError) as error:
        return None, error.what.rstrip(".")


def told_of(accounts: tuple[Account, ...]) -> tuple[UcpAccount, ...]:
    """Accounts as a manifest has them."""
    return tuple(
        UcpAccount(
            account.shown, admin=bool(account.is_admin), org=bool(account.is_org), active=account.is_active is not False
        )
        for account in accounts
    )
