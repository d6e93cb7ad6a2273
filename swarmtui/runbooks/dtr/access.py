"""The way to DTR of a cluster: its replicas, where each is, by which authority it is believed, and as whom.

Nothing of it need be configured. What runs is found on the nodes' own engines, so it is found with DTR's API down too;
where that answers, its settings tell the rest. DTR has no users: everybody logs in with an account of UCP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from swarmtui.config import state_dir
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link import trust
from swarmtui.link.dtr import authority, memory
from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrAwayError, DtrError, Trouble
from swarmtui.link.https import Ping
from swarmtui.link.reasons import LinkError
from swarmtui.model.url import https_url
from swarmtui.runbooks.dtr.found import DtrAccess, Replica, found, with_port, with_told
from swarmtui.runbooks.dtr.hosts import look_at_all
from swarmtui.runbooks.ucp import access as ucp_access
from swarmtui.runbooks.ucp import logins
from swarmtui.runbooks.ucp.access import Access as UcpAccess
from swarmtui.runbooks.ucp.places import places
from swarmtui.session import Session
from swarmtui.vault import Secret, VaultError

__all__ = ["DtrAccess", "Replica", "access", "opened", "password_of", "pings", "ucp_of", "ucp_url"]

CA_SECONDS: Final = 30.0
_HOLDERS: Final[WeakKeyDictionary[Session, frozenset[str]]] = WeakKeyDictionary()
"""Ids of the nodes on which each session found something of DTR when it looked at all of them."""


async def access(
    session: Session, *, fresh: bool = False, password: Secret | None = None, ask: bool = False, again: bool = False
) -> DtrAccess:
    """Finds out how DTR of a cluster is reached: from its nodes, its configuration, its settings where they are told.

    Args:
        fresh: read the authority from a replica, though one is remembered.
        password: of UCP's user who logs in; the vault's, where none is given.
        ask: a person may be asked for it; else its API is not asked where the vault has none.
        again: look only at nodes on which this session found something of it before, as who waits for it does.

    Raises:
        RefusedError: nothing of DTR is on this cluster.
        UsageError: the configuration names a file with its authority that cannot be read; there is no password, and
            one was to be asked for.
    """
    nodes = [node for node in places(session, session.snapshot) if again and node.id in _HOLDERS.get(session, ())]
    looked, (ucp, ucp_trouble) = await asyncio.gather(look_at_all(session, nodes), ucp_of(session))
    if not nodes:
        _HOLDERS[session] = frozenset(one.node.id for one in looked.found)
    known = msgspec.structs.replace(found(session, looked, ucp, ucp_trouble), name=_NAMES.get(session, ""))
    if ucp is not None:
        known = await _way_to_ucp(session, known, ucp)
    known = await _trusting(session, known, fresh=fresh)
    known = msgspec.structs.replace(known, noted=await asyncio.to_thread(memory.noted, folder(), known.cluster_id))
    secret = password or await _kept(session, ucp, known)
    if secret is None and ask and ucp is not None:
        secret = await password_of(session, known)
    known, answers = await _asked(session, known)
    known = msgspec.structs.replace(known, works=any(answer.ok for answer in answers.values()))
    if secret is None:
        no_password = "There is no password of UCP here to ask it with."
        return _must_be(session, msgspec.structs.replace(known, trouble=no_password))
    try:
        async with await _open(session, known, answers, secret) as client:
            known = msgspec.structs.replace(known, works=True)
            told = await client.told()
            await asyncio.to_thread(memory.remember_told, folder(), known.cluster_id, told)
            return _must_be(session, with_told(session, known, told))
    except DtrError as error:
        known = msgspec.structs.replace(known, trouble=error.what)
    return _must_be(session, known)


def _must_be(session: Session, known: DtrAccess) -> DtrAccess:
    """The same. Raises RefusedError where nothing of DTR is known, and nobody answers in its name."""
    if known.replicas:
        return known
    silent = f", as far as they answer ({len(known.silent)} do not)" if known.silent else ""
    said = f"; and where it should answer: {known.trouble}" if session.opening.cluster.dtr.url else "."
    raise RefusedError(
        f"No DTR is on {session.name}: nothing of it lies on its nodes{silent}{said}",
        "To install it: swarmtui run dtr.install --help",
    )


# -- UCP, without which no command of DTR works ------------------------------------------------------------------------


async def ucp_of(session: Session) -> tuple[UcpAccess | None, str]:
    """UCP of the cluster, or why it is not to be had. Raises UsageError for a configuration that cannot be meant."""
    try:
        return await ucp_access.access(session), ""
    except UsageError:
        raise
    except SwarmtuiError as error:
        return None, error.what


async def _way_to_ucp(session: Session, known: DtrAccess, ucp: UcpAccess) -> DtrAccess:
    """The same with UCP as it can be given to DTR's commands: its address, and an authority that is not outdated."""
    answers = await ucp_access.pings(ucp)
    if ucp.ca_from == "remembered" and all(one.trouble == Trouble.NOT_TRUSTED for one in answers.values()):
        with contextlib.suppress(SwarmtuiError):
            ucp = await ucp_access.trusting(session, ucp, fresh=True)
            answers = await ucp_access.pings(ucp)
    well = tuple(door.name for door in ucp.managers if answers[door.name].ok)
    return msgspec.structs.replace(known, ucp=ucp, ucp_url=ucp_url(session, ucp, well), ucp_managers=well)


def ucp_url(session: Session, ucp: UcpAccess, well: tuple[str, ...] = ()) -> str:
    """UCP's address as the hosts of the cluster reach it, with its port (ucp-dtr.md §2.3).

    That is the load balancer, where one is configured that is no way of this machine alone; else a manager's own
    address, one that is well before others.
    """
    if ucp.balancer and (urlsplit(ucp.balancer).hostname or "") not in ("localhost", "127.0.0.1", "::1"):
        return with_port(ucp.balancer)
    doors = sorted(ucp.managers, key=lambda door: (door.name not in well, not door.ready))
    if not doors:
        return ""
    door = doors[0]
    node = session.snapshot.nodes.get(door.node_id)
    url = door.url if door.named or node is None else https_url(node.address, urlsplit(door.url).port or 443)
    if (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1") and node is not None and node.address:
        url = https_url(node.address)
    return with_port(url)


# -- by whose word, and as whom ----------------------------------------------------------------------------------------


async def password_of(session: Session, known: DtrAccess, place: str = logins.VAULT) -> Secret:
    """The password of UCP's user, from the vault or whoever can be asked. Raises UsageError, VaultError."""
    if known.ucp is None:
        raise UsageError(
            f"UCP of {known.cluster} is not to be had, and DTR has no users of its own: {known.ucp_trouble}",
            "Bring UCP back first: swarmtui recover",
        )
    return await logins.password_of(session, known.ucp, known.username, place)


async def _kept(session: Session, ucp: UcpAccess | None, known: DtrAccess) -> Secret | None:
    if ucp is None:
        return None
    with contextlib.suppress(VaultError):
        return await logins.kept(session, ucp, known.username)
    return None


def folder() -> Path:
    """Where DTR's authorities are remembered, and whom it counted in when it last told."""
    return state_dir() / "dtr"


async def _trusting(session: Session, known: DtrAccess, *, fresh: bool) -> DtrAccess:
    """The same with the authority that its certificates are believed by; "" where nobody can tell it."""
    replace = msgspec.structs.replace
    if file := session.opening.cluster.dtr.ca:
        pem = await asyncio.to_thread(trust.of_file, Path(file).expanduser(), "DTR")
        return replace(known, ca=pem, ca_from="config")
    if not fresh and (kept := await asyncio.to_thread(trust.recall, folder(), known.cluster_id)):
        return replace(known, ca=kept, ca_from="remembered")
    for one in sorted(known.replicas, key=lambda one: not one.well):
        if one.on is None or not one.on.runs:
            continue
        with contextlib.suppress(TimeoutError, SwarmtuiError):
            async with asyncio.timeout(CA_SECONDS):
                pem = await authority.read_authority(await one.on.node.at.reach(session), one.https, one.node)
            with contextlib.suppress(OSError):
                # Only saves the next start from asking again.
                await asyncio.to_thread(trust.remember, folder(), known.cluster_id, pem)
            return replace(known, ca=pem, ca_from=one.node)
    return known


async def pings(known: DtrAccess) -> dict[str, Ping]:
    """Replica id → how it is, all asked at once, straight; "" → through the load balancer, where one is known."""

    async def ping(name: str) -> Ping:
        async with known.client(name) as client:
            return await client.ping()

    names = [one.id for one in known.replicas if one.url] + ([""] if known.balancer else [])
    answers = await asyncio.gather(*(ping(name) for name in names))
    return dict(zip(names, answers, strict=True))


async def opened(session: Session, known: DtrAccess, *, password: Secret | None, replica: str = "") -> DtrClient:
    """A client at a replica that is healthy: straight, over SSH, or through the load balancer. Close it.

    Args:
        replica: only this one will do.

    Raises:
        DtrError: none is; says how each one is.
        UsageError: replica is none.
    """
    if replica:
        known = msgspec.structs.replace(known, replicas=(known.replica(replica),), balancer="")
    known, answers = await _asked(session, known)
    return await _open(session, known, answers, password)


async def _asked(session: Session, known: DtrAccess) -> tuple[DtrAccess, dict[str, Ping]]:
    """How each replica is; and the same way to them, by the authority that they have now."""
    answers = await pings(known)
    stale = known.ca_from == "remembered" and any(one.trouble == Trouble.NOT_TRUSTED for one in answers.values())
    if stale and not any(one.ok for one in answers.values()):
        # What was remembered is of an older installation: the replicas themselves know better.
        known = await _trusting(session, known, fresh=True)
        answers = await pings(known)
    if any(one.trouble == Trouble.WRONG_NAME for one in answers.values()):
        # As a rule it is for the external URL alone, which only the settings tell, which cannot be asked before.
        known = await _named(session, known)
        answers = await pings(known) if known.name else answers
    return known, answers


_NAMES: Final[WeakKeyDictionary[Session, str]] = WeakKeyDictionary()
"""What the certificate of each session's DTR was for, when a replica's own host was asked."""


async def _named(session: Session, known: DtrAccess) -> DtrAccess:
    """The same, knowing what the replicas' certificate is for, as one of their own hosts told."""
    for one in known.replicas:
        if one.on is None or not one.on.runs:
            continue
        with contextlib.suppress(TimeoutError, SwarmtuiError):
            async with asyncio.timeout(CA_SECONDS):
                name = await authority.read_name(await one.on.node.at.reach(session), one.https)
            if name:
                _NAMES[session] = name
                return msgspec.structs.replace(known, name=name)
    return known


async def _open(session: Session, known: DtrAccess, answers: Mapping[str, Ping], password: Secret | None) -> DtrClient:
    """A client at the first that is well. Raises DtrError where none is."""
    answers = dict(answers)
    for name, answer in answers.items():
        if answer.ok:
            return known.client(name, password=password)
    for one in known.replicas:
        before = answers.get(one.id)
        if one.on is None or not one.on.runs or (before is not None and before.trouble not in _UNREACHED):
            continue
        try:
            host = await one.on.node.at.reach(session)
            via = await host.forward_port("127.0.0.1", one.https)
        except LinkError:
            continue
        client = known.client(one.id, password=password, via=via)
        over_ssh = await client.ping()
        if over_ssh.trouble == Trouble.WRONG_NAME:
            await client.close()
            client = (await _named(session, known)).client(one.id, password=password, via=via)
            over_ssh = await client.ping()
        if over_ssh.ok:
            return client
        answers[one.id] = over_ssh
        await client.close()
    raise _none(known, answers)


_UNREACHED: Final = (Trouble.AWAY, Trouble.SLOW)


def _none(known: DtrAccess, answers: dict[str, Ping]) -> DtrError:
    named = {one.id: one.shown for one in known.replicas} | {"": "through the load balancer"}
    told = "; ".join(f"{named[name]}: {_how(answer)}" for name, answer in answers.items())
    away = all(answer.trouble in _UNREACHED for answer in answers.values())
    kind = DtrAwayError if away else DtrError
    status = next((answer.status for answer in answers.values() if answer.status), 0)
    return kind(
        Trouble.AWAY if away else Trouble.FAILED,
        f"DTR of {known.cluster} is not healthy on any replica ({told or 'nothing of it runs'}).",
        "Look at its components there: docker ps -a --filter name=dtr-. What to do: swarmtui doctor",
        status=status,
    )


def _how(answer: Ping) -> str:
    return answer.text.rstrip(".") if not answer.status else f"its /_ping says {answer.status} {answer.text}".rstrip()
