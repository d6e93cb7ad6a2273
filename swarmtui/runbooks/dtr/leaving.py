"""Steps after which a replica is no longer there: nothing of it on its node, and the load balancer knows it no more."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from swarmtui.link.dtr.errors import Trouble
from swarmtui.link.https import endpoint
from swarmtui.link.reasons import LinkError
from swarmtui.model.dtr import facts
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.dtr import by_hand
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.commanding import Work
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost, look, on, remove, without
from swarmtui.runbooks.dtr.lives import Lost
from swarmtui.runbooks.node_waits import waited, waiting
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

TRIES: Final = 4
"""New connections to the load balancer for each replica that was behind it."""


def clear_step(
    replica: Replica,
    node: Place,
    *,
    why: str = "",
    skippable: bool = True,
    lost: Lost | None = None,
    keep: tuple[str, ...] = (),
) -> ClearReplica:
    """The step that leaves nothing of a replica on a node, but for volumes to keep."""
    return ClearReplica(
        id=f"clear-{replica.id}-{node.name}",
        title=f"Leave nothing of replica {replica.id} on {node.name}",
        why=why
        or "Its containers would start again with the host, and take their ports and their old state with them.",
        replica_id=replica.id,
        node=node,
        skippable=skippable,
        lost=lost,
        keep=keep,
    )


def wait_others(
    work: Work, stay: tuple[str, ...], by: Replica, balancer: str, *, title: str, why: str, if_stopped: str
) -> WaitOthers:
    """The step that waits until those that stay are well. by: one of them, asked where no load balancer is known."""
    return WaitOthers(
        id="well",
        title=title,
        why=why,
        ids=stay,
        url=balancer or by.url,
        username=work.way.username,
        at=by.at,
        https=by.https,
        if_stopped=if_stopped,
    )


def forget_balancer(
    at: Where, balancer: str, gone: tuple[Replica, ...], left: int, *, title: str
) -> Iterator[ForgetBalancer]:
    """The step that sees whether the load balancer still leads to those that are gone; none where it is not known."""
    if balancer:
        yield ForgetBalancer(
            id="balancer",
            title=title,
            why="Each client that it sends to a replica that is gone fails; only its operator can tell it.",
            at=at,
            url=balancer,
            gone=gone,
            left=left,
        )


@dataclass(frozen=True, kw_only=True)
class ClearReplica(Step):
    """Removes containers and volumes of a replica from a node, where the command left some.

    Attributes:
        lost: what must still be lost; None where it may live.
        keep: volumes that stay.
    """

    replica_id: str
    node: Place
    lost: Lost | None = None
    keep: tuple[str, ...] = ()
    danger: Danger = field(default=Danger.DESTRUCTIVE)

    @property
    def shown(self) -> tuple[Shown, ...]:
        at = self.node.at
        ending = f"-{self.replica_id}"
        ps = at.root("docker ps -a --filter name=dtr- --format '{{.Names}}'")
        volumes = shlex.quote("|".join(name for name in facts.volumes(self.replica_id) if name not in self.keep))
        ls = at.root("docker volume ls -q --filter name=dtr-")
        lines = (
            f"{ps} | grep -E '^dtr-.*{ending}$' | xargs -r {at.root('docker rm -f')}",
            f"{ls} | grep -Ex {volumes} | xargs -r {at.root('docker volume rm')}",
        )
        return tuple(Shown(line, at.host, at.port) for line in lines)

    async def left(self, session: Session) -> ReplicaOnHost | None:
        """What is there now, and is to go; None for nothing. Raises LinkError, EngineError."""
        held = await look(session, self.node.at)
        return without(next((one for one in on(self.node, held) if one.id == self.replica_id), None), self.keep)

    async def already_done(self, session: Session, before: Facts) -> str:
        if await self.left(session) is not None:
            return ""
        return f"Nothing of replica {self.replica_id} is on {one_line(self.node.name)}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if (left := await self.left(session)) is not None:
            if self.lost is not None:
                await self.lost.must(session)
            voice.say(f"There are {left.words}.")
            await remove(session, left)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if (left := await self.left(session)) is not None:
            raise StepError(f"There are still {left.words}.", "Look what holds them: docker ps -a. Then retry.")


@dataclass(frozen=True, kw_only=True)
class ForgetBalancer(Step):
    """Sees whether the load balancer still leads to replicas that are gone: only its operator can make it forget them.

    Attributes:
        at: a host of the cluster, by which the load balancer is asked where it is not reached from here.
        url: of the load balancer.
        gone: the replicas.
        left: how many replicas are still there.
    """

    at: Where
    url: str
    gone: tuple[Replica, ...]
    left: int
    skippable: bool = field(default=True)

    @property
    def to_tell(self) -> str:
        """What the operator of the load balancer must do."""
        addresses = [f"{one.behind} ({one.node})" if one.behind else one.shown for one in self.gone]
        what = listed(addresses) if addresses else "every replica that is gone"
        return f"Take {what} out of the load balancer of {self.url}."

    @property
    def tries(self) -> int:
        return TRIES * (self.left + len(self.gone))

    @property
    def shown(self) -> tuple[Shown, ...]:
        ping = f"curl -fsSk -o /dev/null {shlex.quote(self.url)}/_ping"
        line = f"i=0; while [ $i -lt {self.tries} ]; do {ping} || exit 1; i=$((i+1)); done"
        words = f"ask the load balancer {self.tries} times; each time a healthy replica must answer"
        return Shown(f": {shlex.quote(self.to_tell)}", here=True), Shown(line, words=words, here=True)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""  # its own list of replicas cannot be asked for: each time it is tried

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say(self.to_tell)
        await self._try(session, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say(f"{self.url} led to a healthy replica {self.tries} times of {self.tries}.")

    async def _try(self, session: Session, voice: Voice) -> None:
        known = await access(session, again=True)
        # One client: it remembers the name of the certificate. A new one may try two names each time, over two
        # connections, and a load balancer that takes turns would lead only to every other replica.
        async with contextlib.AsyncExitStack() as clients:
            client = await clients.enter_async_context(known.client())
            if (await client.ping()).trouble in (Trouble.AWAY, Trouble.SLOW):
                with contextlib.suppress(LinkError):
                    target = endpoint(known.balancer, "DTR")
                    via = await (await self.at.reach(session)).forward_port(target.host, target.port)
                    client = await clients.enter_async_context(known.client(via=via))
            for number in range(self.tries):
                ping = await client.ping()
                voice.progress(number + 1, self.tries, f"asked {self.url}")
                if not ping.ok:
                    raise StepError(
                        f"The load balancer {self.url} did not lead to a healthy replica at try {number + 1}: "
                        f"{one_line(ping.text).rstrip('.')}.",
                        f"{self.to_tell} Then retry; or skip this step, where that is done later.",
                    )


@dataclass(frozen=True, kw_only=True)
class WaitOthers(Step):
    """Waits until exactly these replicas are counted in, and each is well by its own word.

    Attributes:
        ids: of the replicas.
        url: of DTR, for the commands as they are shown. username: as whom it is asked.
        seconds: when it gives up.
        at: host of a replica, which tells DTR's authority in those commands; https: its port there.
    """

    ids: tuple[str, ...]
    url: str
    username: str
    seconds: int = 900

    at: Where | None = None
    https: int = facts.HTTPS_PORT

    @property
    def shown(self) -> tuple[Shown, ...]:
        wanted = " ".join(f"{replica}=OK" for replica in sorted(self.ids))
        told = (
            f"{by_hand.call(self.url, '/api/v0/meta/cluster_status')} | jq -r '.replica_health | to_entries | "
            'sort_by(.key) | map("\\(.key)=\\(.value)") | join(" ")\''
        )
        wait = waiting(self.title, f'[ "$({told})" = {shlex.quote(wanted)} ]', self.seconds)
        return (
            *by_hand.opened(self.at, self.https, self.username),
            Shown(wait.line, words=wait.words, here=True),
            by_hand.logout(),
        )

    async def missing(self, session: Session) -> str:
        """What is not so yet, one sentence; "" for nothing."""
        known = await access(session, again=True)
        if known.told is None:
            return f"DTR does not say how its replicas are: {known.trouble}"
        counted = {one.id: one for one in known.members}
        if more := sorted(counted.keys() - set(self.ids)):
            return f"DTR still counts {listed(more)} in."
        ill = [
            f"{one} ({one_line(known.told.health.get(one, 'not known'))})"
            for one in self.ids
            if not _well(counted, one)
        ]
        return f"Not well yet: {listed(ill)}." if ill else ""

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self.missing(session) else f"DTR counts in {listed(self.ids)}, and each is well."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        still = await waited(lambda: self.missing(session), self.seconds, voice, poll=node_steps.POLL_SECONDS)
        if still:
            raise StepError(
                f"{still.rstrip('.')}, for {self.seconds} seconds now.",
                "Look why, by the logs of that replica's containers: docker logs. Then retry.",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self.missing(session):
            raise StepError(missing, "It was so a moment ago: look at DTR, then retry.")
        voice.say(f"DTR counts in {listed(self.ids)}, and each is well.")


def _well(counted: dict[str, Replica], replica_id: str) -> bool:
    return replica_id in counted and counted[replica_id].well
