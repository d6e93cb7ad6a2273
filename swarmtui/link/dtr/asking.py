"""Asks DTR's API how it is, beside the polls: at a replica that answers as healthy, else at any, by whoever is kept.

A password that was refused is not tried again by itself: behind UCP there may be an LDAP that locks its owner out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from swarmtui.errors import SwarmtuiError
from swarmtui.link import trust
from swarmtui.link.dtr.authority import read_authority, read_name
from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.https import Hidden, endpoint
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.behind import Turn
from swarmtui.model.dtr.seen import Storage, Told
from swarmtui.model.dtr.told import with_jobs

if TYPE_CHECKING:
    from swarmtui.link.ssh import SshHost

TRIES: Final = 3
"""Replicas that are asked before it is given up."""
AWAY: Final = (Trouble.AWAY, Trouble.SLOW)
NOT_THERE: Final = (*AWAY, Trouble.NOT_TLS, Trouble.NOT_TRUSTED, Trouble.WRONG_NAME, Trouble.EXPIRED, Trouble.NOT_DTR)
"""What answers is nothing of this DTR, or nothing does."""
TURN_SECONDS: Final = 3.0
"""For one connection through the load balancer."""
IN_VAIN: Final = 3
"""Of them, before it is tried by another way, or given up."""


class Login(Struct, frozen=True):
    """Whom to log in as. password: None where nobody keeps it."""

    username: str
    password: Hidden | None = None


class At(Struct, frozen=True):
    """Where the API may answer.

    Attributes:
        name: of the node.
        url: https://HOST[:PORT].
        https: the port on the node's own host; 0 where it has no host that SSH would lead to.
        host: opens that host; asks nobody anything.
    """

    name: str
    url: str
    https: int = 0
    host: Callable[[], Awaitable[SshHost]] | None = None


class Balancer(Struct, frozen=True):
    """The load balancer. host: opens a host of the cluster, by which it is asked where it is not reached from here."""

    url: str
    host: Callable[[], Awaitable[SshHost]] | None = None


class Asking:
    """Asks, and remembers what it needs for the next time.

    Args:
        login: whom to log in as, looked up each time: the vault may have got it meanwhile.
        ca_file: a file with DTR's authority that the configuration names; "" for none.
        folder: where authorities are remembered that were read.
    """

    def __init__(self, login: Callable[[], Awaitable[Login]], ca_file: Callable[[], str], folder: Path) -> None:
        self._login = login
        self._ca_file = ca_file
        self._folder = folder
        self._refused: tuple[str, str] | None = None
        self._ways: dict[str, tuple[SshHost, Path]] = {}
        self._names: dict[str, str] = {}
        self._inside: set[str] = set()

    def again(self) -> None:
        """Somebody asked: also what was refused is tried again."""
        self._refused = None
        self._names.clear()

    async def told(self, cluster_id: str, places: Sequence[At], external: str) -> Told:
        """What DTR says of itself.

        Args:
            external: host of its external URL: a replica's certificate may be for that.

        Raises:
            SwarmtuiError: it could not be asked; says why.
        """
        login = await self._who()
        pem = await self._authority(cluster_id, places)
        worst: SwarmtuiError | None = None
        for place in places[:TRIES]:
            try:
                return await self._ask(place, pem, login, external)
            except DtrError as error:
                if error.trouble is Trouble.LOGIN:
                    self._refuse(login)
                    raise
                if error.trouble is Trouble.NOT_TRUSTED:
                    pem = await self._authority(cluster_id, places, fresh=True)
                worst = worst or error
            except SwarmtuiError as error:
                worst = worst or error
        raise worst or DtrError(Trouble.AWAY, "no replica of it is known that could be asked.", "")

    async def _who(self) -> Login:
        """Whom to log in as. Raises DtrError where nobody keeps the password, or it was refused."""
        login = await self._login()
        if login.password is None:
            raise DtrError(
                Trouble.LOGIN,
                f"there is no password of {login.username} here.",
                "Keep UCP's in the vault: swarmtui secrets set ucp-password CLUSTER",
            )
        if (login.username, login.password.reveal()) == self._refused:
            raise DtrError(
                Trouble.LOGIN,
                f"it refused the password of {login.username}, which is not tried again by itself.",
                "Put the right one into the vault: swarmtui secrets set ucp-password CLUSTER; ctrl-r tries again.",
            )
        return login

    def _refuse(self, login: Login) -> None:
        """The next one does not try it again."""
        if login.password is not None:
            self._refused = (login.username, login.password.reveal())

    async def behind(
        self, cluster_id: str, places: Sequence[At], balancer: Balancer, external: str, turns: int, seconds: float
    ) -> list[Turn]:
        """Who answers through the load balancer, over as many new connections as there is time for.

        Args:
            turns: how many, at most; seconds: for all of them.

        Raises:
            SwarmtuiError: it could not be asked; says why.
        """
        login = await self._who()
        pem = await self._authority(cluster_id, places)
        until = time.monotonic() + seconds
        found: list[Turn] = []
        # By the way that led there the last time; where that is none, by the other one.
        for inside in (balancer.url in self._inside, balancer.url not in self._inside):
            if inside and balancer.host is None:
                continue
            via = await self._forwarded(balancer) if inside else None
            found = await self._turns(balancer.url, pem, login, external, via, turns, until)
            if any(not turn.trouble for turn in found):
                (self._inside.add if inside else self._inside.discard)(balancer.url)
                return found
        return found

    async def _turns(
        self, url: str, pem: str, login: Login, external: str, via: Path | None, turns: int, until: float
    ) -> list[Turn]:
        found: list[Turn] = []
        user, password = login.username, login.password
        # One client, which remembers the name that the certificate is for: each call of it is one connection, and so
        # one turn of the load balancer. With two for each, one that takes turns would show only every other replica.
        async with DtrClient(url, pem, username=user, password=password, via=via, external=external) as client:
            while len(found) < turns and (left := until - time.monotonic()) > 0:
                if len(found) == IN_VAIN and all(turn.trouble for turn in found):
                    break
                found.append(await self._turn(client, login, min(TURN_SECONDS, left)))
        return found

    async def _turn(self, client: DtrClient, login: Login, seconds: float) -> Turn:
        try:
            async with asyncio.timeout(seconds):
                told = (await client.settings()).get("replicaID")
        except TimeoutError:
            return Turn(trouble=f"nothing answered within {seconds:.0f} s.")
        except DtrError as error:
            if error.trouble is Trouble.LOGIN:
                self._refuse(login)
                raise
            # Whatever DTR refuses or fails at, it was DTR that answered.
            return Turn(trouble=error.what) if error.trouble in NOT_THERE else Turn()
        return Turn(told if isinstance(told, str) and facts.REPLICA_ID.fullmatch(told) else "")

    async def _forwarded(self, balancer: Balancer) -> Path:
        """A local socket that leads to the load balancer as a host of the cluster sees it."""
        assert balancer.host is not None
        host, target = await balancer.host(), endpoint(balancer.url, "DTR")
        known = self._ways.get(balancer.url)
        if known is None or known[0] is not host:
            known = self._ways[balancer.url] = (host, await host.forward_port(target.host, target.port))
        return known[1]

    async def _ask(self, place: At, pem: str, login: Login, external: str) -> Told:
        try:
            return await self._from_here(place, pem, login, self._names.get(place.url) or external)
        except DtrError as error:
            if error.trouble is not Trouble.WRONG_NAME or place.host is None or place.url in self._names:
                raise
        # Its certificate is for the external URL as a rule, which only its settings tell: its own host tells it too.
        name = self._names[place.url] = await read_name(await place.host(), place.https)
        return await self._from_here(place, pem, login, name)

    async def _from_here(self, place: At, pem: str, login: Login, external: str) -> Told:
        try:
            return await self._ask_by(place, pem, login, external, None)
        except DtrError as error:
            if error.trouble not in AWAY or place.host is None:
                raise
        # Not to be reached from here: by the replica's own host.
        return await self._ask_by(place, pem, login, external, await self._way(place))

    async def _ask_by(self, place: At, pem: str, login: Login, external: str, via: Path | None) -> Told:
        user, password = login.username, login.password
        async with DtrClient(place.url, pem, username=user, password=password, via=via, external=external) as client:
            told = await client.told()
            try:
                told = with_jobs(told, await client.jobs(running=True))
            except DtrError as error:
                told = replace(told, unread=(*told.unread, error.what))
            if told.storage is not None and told.storage.kind == "unnamed":
                # Its settings name file systems only; of an object storage some releases tell beside them.
                kind = await client.storage_kind()
                if kind not in ("", "filesystem"):
                    told = replace(told, storage=Storage("object", kind))
            return replace(told, at=time.time())

    async def _way(self, place: At) -> Path | None:
        """A local socket that leads to the replica as its own host sees it; made once for each connection."""
        if place.host is None:
            return None
        host = await place.host()
        known = self._ways.get(place.url)
        if known is None or known[0] is not host:
            known = self._ways[place.url] = (host, await host.forward_port("127.0.0.1", place.https))
        return known[1]

    async def _authority(self, cluster_id: str, places: Sequence[At], *, fresh: bool = False) -> str:
        if file := self._ca_file():
            return await asyncio.to_thread(trust.of_file, Path(file).expanduser(), "DTR")
        if not fresh and (kept := await asyncio.to_thread(trust.recall, self._folder, cluster_id)):
            return kept
        worst: SwarmtuiError | None = None
        for place in [place for place in places if place.host is not None][:TRIES]:
            try:
                assert place.host is not None
                pem = await read_authority(await place.host(), place.https, place.name)
            except SwarmtuiError as error:
                worst = worst or error
                continue
            with contextlib.suppress(OSError):
                # Only saves the next start from asking again.
                await asyncio.to_thread(trust.remember, self._folder, cluster_id, pem)
            return pem
        raise worst or DtrError(
            Trouble.NOT_TRUSTED,
            "nobody told by which authority it is to be believed.",
            "Save what https://REPLICA/ca gives on a replica's host, and name that file: [clusters.NAME.dtr] ca = FILE",
        )
