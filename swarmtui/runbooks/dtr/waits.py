"""Waiting until a replica of DTR is well, and until the load balancer leads to it (T3, T4)."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.https import Ping, endpoint
from swarmtui.link.reasons import LinkError
from swarmtui.model.dtr import facts
from swarmtui.model.text import one_line
from swarmtui.model.url import https_url
from swarmtui.runbooks.dtr.access import access, password_of
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.hosts import CORE, look
from swarmtui.runbooks.node_waits import WaitStep, waiting
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session
from swarmtui.vault import Secret

SECONDS: Final = 900
"""How long a replica may take: its components start one after another."""
TRIES: Final = 8
"""New connections to the load balancer for each replica behind it, before it is said not to lead to one of them."""


async def ping_there(session: Session, at: Where, https: int) -> Ping:
    """How a replica is, asked from its own host over SSH. Raises LinkError."""
    via = await (await at.reach(session)).forward_port("127.0.0.1", https)
    async with DtrClient(https_url("127.0.0.1", https), "", via=via, anybody=True) as client:
        return await client.ping()


@dataclass(frozen=True, kw_only=True)
class WaitReplica(WaitStep):
    """Waits until a replica runs on its node, and says of itself that it is healthy.

    Attributes:
        at: its host.
        https: its port there.
    """

    at: Where
    replica_id: str
    https: int = facts.HTTPS_PORT
    seconds: int = SECONDS

    @property
    def condition(self) -> str:
        # Asked on its own host: nobody stands between, and its certificate may be made out to other names.
        curl = f"curl -sk -o /dev/null -w '%{{http_code}}' {https_url('127.0.0.1', self.https)}/_ping"
        return f'[ "$({curl})" = 200 ]'

    @property
    def shown(self) -> tuple[Shown, ...]:
        wait = waiting(self.title, self.condition, self.seconds)
        return (Shown(wait.line, self.at.host, self.at.port, words=wait.words),)

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        try:
            there = await look(session, self.at)
            running = {
                one.component for one in there.parts if one.replica == self.replica_id and one.state == "running"
            }
            if missing := [name for name in CORE if name not in running]:
                return f"Not yet running on {self.name}: {', '.join(missing)}.", len(missing) + 1
            ping = await ping_there(session, self.at, self.https)
        except SwarmtuiError as error:
            return f"{self.name} does not tell how its replica is: {error.what}", len(CORE) + 1
        return ("", 0) if ping.ok else (f"The replica on {self.name} is not well yet: {one_line(ping.text)}.", 1)


@dataclass(frozen=True, kw_only=True)
class WaitBalancer(Step):
    """Sees whether the load balancer leads to a replica: its operator must tell it, and nobody else can.

    Attributes:
        url: external URL.
        replica_id, name: the replica and its node. address: of that node, for the load balancer.
        https: its port there.
        at: a host of the cluster, by which the load balancer is asked where it is not reached from here.
    """

    at: Where
    url: str
    replica_id: str
    name: str
    address: str
    https: int = facts.HTTPS_PORT
    skippable: bool = field(default=True)

    @property
    def to_tell(self) -> str:
        """What the operator of the load balancer must do."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return (
            f"Add {host}:{self.https} ({one_line(self.name)}) to the load balancer of {self.url}: TCP passed on as it "
            "is, TLS not ended there; its check of each replica: GET https://REPLICA/_ping gives 200."
        )

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (
            Shown(f": {shlex.quote(self.to_tell)}", here=True),
            Shown(f"curl -fsSk {shlex.quote(self.url)}/_ping", here=True),
        )

    async def _known(self, session: Session) -> DtrAccess:
        known = await access(session, again=True)
        return msgspec.structs.replace(known, balancer=known.balancer or self.url)

    async def already_done(self, session: Session, before: Facts) -> str:
        known = await self._known(session)
        if len(known.members) != 1 or known.members[0].id != self.replica_id:
            return ""
        async with _Through(self, session, known, None) as through:
            ping, _ = await through.ask()
        return f"{self.url} answers, and {self.name} has the only replica." if ping.ok else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say(self.to_tell)
        known = await self._known(session)
        secret = await password_of(session, known)
        tries = TRIES * max(len(known.members), 1)
        seen: set[str] = set()
        well = 0
        async with _Through(self, session, known, secret) as through:
            for number in range(tries):
                ping, replica = await through.ask()
                if not ping.ok:
                    raise StepError(
                        f"The load balancer {self.url} does not lead to a healthy replica: {one_line(ping.text)}.",
                        f"{self.to_tell} Then retry; or skip this step, where that is done later.",
                    )
                well += 1
                seen.add(replica)
                voice.progress(number + 1, tries, f"answered by {replica or 'a replica that does not tell its id'}")
                if replica == self.replica_id:
                    return
        self._refuse(known, seen - {""}, well)

    def _refuse(self, known: DtrAccess, seen: set[str], well: int) -> None:
        if len(known.members) <= 1:
            return
        if not seen:
            raise StepError(
                f"{self.url} answered {well} of {well} times, and {known.product} does not tell which replica it was: "
                f"whether {self.name} is among them cannot be seen from here.",
                f"{self.to_tell} Look at the load balancer's own list, and skip this step when it is there.",
            )
        named = {one.id: one.shown for one in known.replicas}
        told = ", ".join(sorted(named.get(one, one) for one in seen))
        raise StepError(
            f"{self.url} led {well} times to {told}, and never to {self.replica_id} on {self.name}.",
            f"{self.to_tell} Then retry.",
        )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        async with _Through(self, session, await self._known(session), None) as through:
            ping, _ = await through.ask()
        if not ping.ok:
            raise StepError(
                f"The load balancer {self.url} does not lead to a healthy replica: {one_line(ping.text)}.", self.to_tell
            )


class _Through:
    """Asks through the load balancer, over one new connection each time.

    With the same client, which remembers the name that the certificate is for: a new one may try two names each time,
    over two connections, and a load balancer that takes turns would show only every other replica.
    """

    def __init__(self, step: WaitBalancer, session: Session, known: DtrAccess, secret: Secret | None) -> None:
        self._step = step
        self._session = session
        self._known = known
        self._secret = secret
        self._clients = contextlib.AsyncExitStack()
        self._here: DtrClient | None = None
        self._inside: DtrClient | None = None

    async def __aenter__(self) -> Self:
        self._here = await self._clients.enter_async_context(self._known.client(password=self._secret))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._clients.aclose()

    async def ask(self) -> tuple[Ping, str]:
        """How the replica is that answers, and its id where it tells."""
        assert self._here is not None
        ping, replica = await self._told(self._here)
        if ping.trouble not in (Trouble.AWAY, Trouble.SLOW):
            return ping, replica
        if self._inside is None:
            try:
                target = endpoint(self._known.balancer, "DTR")
                via = await (await self._step.at.reach(self._session)).forward_port(target.host, target.port)
            except LinkError:
                return ping, ""
            client = self._known.client(password=self._secret, via=via)
            self._inside = await self._clients.enter_async_context(client)
        ping, replica = await self._told(self._inside)
        if ping.trouble == Trouble.AWAY:
            self._inside = None  # the way there may be lost with its connection
        return ping, replica

    async def _told(self, client: DtrClient) -> tuple[Ping, str]:
        if self._secret is not None:
            with contextlib.suppress(DtrError):
                told = (await client.settings()).get("replicaID")
                known = isinstance(told, str) and facts.REPLICA_ID.fullmatch(told) is not None
                return Ping(ok=True, status=200, text=""), str(told) if known else ""
        return await client.ping(), ""
