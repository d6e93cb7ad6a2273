"""The locks that a run lays on hosts of its cluster, for its length, so that operators do not disturb each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.host_lock import HostLock, Owner
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.swarm import Node
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.session import Session

LAY_SECONDS = 20.0
"""How long one host may take for its lock, with the login where there is no connection yet."""
LAY_TRIES = 4
"""How often, where the connection is lost meanwhile."""
RELEASE_SECONDS = 5.0
AGAIN_SECONDS = 0.5
_AROUND: ContextVar[frozenset[str]] = ContextVar("runs around this one", default=frozenset())
"""Ids of the runs that hold their cluster alone while this one is a step of theirs."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A host on which a plan wants its lock: that of a node, or one that is only known by its address."""

    name: str
    at: Node | SshTarget

    async def reach(self, session: Session, plan: Plan, *, ask: bool) -> SshHost:
        """The connection that the plan uses anyway. Raises LinkError."""
        if isinstance(self.at, SshTarget):
            return await session.reach(self.at, ask=ask)
        if plan.exclusive:
            return await session.reach(session.host_label(self.at), ask=ask)
        return await session.host(self.at, ask=False)


@contextlib.asynccontextmanager
async def held(session: Session, plan: Plan, run_id: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Holds the locks of a plan for the length of a block.

    One that is disruptive holds one that goes together with others of its kind, on the manager in use, where this user
    may write there. One that names managers to hold alone (`Plan.exclusive`, `Plan.exclusive_hosts`) holds those of all
    that can be reached; a run that is a step of such a run lies within its locks.

    Raises:
        RefusedError: somebody living holds one that does not go together with it. Nothing was begun.
    """
    places = _places(session, plan)
    cluster_id = (plan.cluster_id if plan.exclusive_hosts else session.snapshot.cluster_id) if places else ""
    if not cluster_id:
        yield
        return
    alone = bool(plan.exclusive or plan.exclusive_hosts)
    owner, around = Owner.ours(run_id, plan.runbook), _AROUND.get()
    lock = HostLock(cluster_id, owner, exclusive=alone, sudo=session.opening.cluster.sudo, say=say)
    laid: list[_Place] = []
    within = _AROUND.set(around | {run_id} if alone else around)
    try:
        for number, place in enumerate(places):
            try:
                async with asyncio.timeout(LAY_SECONDS):
                    lies = await _lay(session, plan, lock, place, around, ask=number == 0)
                if lies is None:
                    continue
                if lies:
                    laid.append(place)
                    continue
                why = "this user may not write to /run there"
            except RefusedError:
                raise
            except TimeoutError:
                why = f"it did not answer within {LAY_SECONDS:g} s"
            except SwarmtuiError as error:
                why = error.what
            if alone:
                if number == 0:
                    raise RefusedError(
                        f"No lock can be laid on {place.name}: {why}.", "Nothing was begun. Mend that, then retry."
                    )
                say(f"No lock lies on {place.name}: {why.rstrip('.')}. Other operators are not kept away through it.")
        yield
    finally:
        _AROUND.reset(within)
        await asyncio.gather(*(_release(session, plan, lock, place) for place in laid))


def _places(session: Session, plan: Plan) -> list[_Place]:
    """The hosts on which the plan wants a lock, the one that matters first."""
    if plan.exclusive_hosts and plan.steps:
        targets = [parse_target(text) for text in dict.fromkeys(plan.exclusive_hosts)]
        return [_Place(target.host, target) for target in targets if isinstance(target, SshTarget)]
    return [_Place(node.name, node) for node in _nodes(session, plan)]


def _nodes(session: Session, plan: Plan) -> list[Node]:
    if not plan.steps or (plan.danger < Danger.DISRUPTIVE and not plan.exclusive):
        return []
    known = session.snapshot.nodes
    if plan.exclusive:
        return [known[node_id] for node_id in plan.exclusive if node_id in known]
    if session.connection.via not in ("forward", "dial-stdio"):
        return []  # no host that is reached anyway
    node = known.get(session.connection.node_id)
    return [node] if node is not None else []


async def _lay(
    session: Session, plan: Plan, lock: HostLock, place: _Place, around: frozenset[str], *, ask: bool
) -> bool | None:
    """Whether it lies; None where a run around this one holds it. Raises as `HostLock.lay` does."""
    tries = LAY_TRIES
    while True:
        try:
            host = await place.reach(session, plan, ask=ask)
            if around and await lock.covered(host, around):
                return None
            return await lock.lay(host)
        except LinkError as error:
            # A part lays its locks in the middle of a run: a connection that is lost there is made again, as in a step.
            tries -= 1
            if error.reason is not Reason.CONNECTION_LOST or not tries:
                raise
            await asyncio.sleep(AGAIN_SECONDS)


async def _release(session: Session, plan: Plan, lock: HostLock, place: _Place) -> None:
    """Takes one away; where that fails it counts as left behind, as soon as this program has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RELEASE_SECONDS):
            while True:
                try:
                    await lock.release(await place.reach(session, plan, ask=False))
                    return
                except SwarmtuiError:  # a connection that was lost a moment ago is made again
                    await asyncio.sleep(AGAIN_SECONDS)
