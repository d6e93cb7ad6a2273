"""The locks that a run lays on hosts of its cluster, for its length, so that operators do not disturb each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.host_lock import HostLock, Owner
from swarmtui.link.ssh import SshHost
from swarmtui.model.swarm import Node
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.session import Session

LAY_SECONDS = 20.0
"""How long one host may take for its lock, with the login where there is no connection yet."""
RELEASE_SECONDS = 5.0
AGAIN_SECONDS = 0.5


@contextlib.asynccontextmanager
async def held(session: Session, plan: Plan, run_id: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Holds the locks of a plan for the length of a block.

    One that is disruptive holds one that goes together with others of its kind, on the manager in use, where this user
    may write there. One that names managers to hold alone (`Plan.exclusive`) holds those of all that can be reached.

    Raises:
        RefusedError: somebody living holds one that does not go together with it. Nothing was begun.
    """
    nodes = _hosts(session, plan)
    cluster_id = session.snapshot.cluster_id if nodes else ""
    if not cluster_id:
        yield
        return
    owner = Owner.ours(run_id, plan.runbook)
    lock = HostLock(cluster_id, owner, exclusive=bool(plan.exclusive), sudo=session.opening.cluster.sudo, say=say)
    laid: list[Node] = []
    try:
        for place, node in enumerate(nodes):
            try:
                async with asyncio.timeout(LAY_SECONDS):
                    if await lock.lay(await _host(session, plan, node, ask=place == 0)):
                        laid.append(node)
                        continue
                    why = "this user may not write to /run there"
            except RefusedError:
                raise
            except TimeoutError:
                why = f"it did not answer within {LAY_SECONDS:g} s"
            except SwarmtuiError as error:
                why = error.what
            if plan.exclusive:
                if place == 0:
                    raise RefusedError(
                        f"No lock can be laid on {node.name}: {why}.", "Nothing was begun. Mend that, then retry."
                    )
                say(f"No lock lies on {node.name}: {why.rstrip('.')}. Other operators are not kept away through it.")
        yield
    finally:
        await asyncio.gather(*(_release(session, plan, lock, node) for node in laid))


def _hosts(session: Session, plan: Plan) -> list[Node]:
    """The nodes on whose hosts the plan wants a lock, the one that matters first."""
    if not plan.steps or (plan.danger < Danger.DISRUPTIVE and not plan.exclusive):
        return []
    known = session.snapshot.nodes
    if plan.exclusive:
        return [known[node_id] for node_id in plan.exclusive if node_id in known]
    if session.connection.via not in ("forward", "dial-stdio"):
        return []  # no host that is reached anyway
    node = known.get(session.connection.node_id)
    return [node] if node is not None else []


async def _host(session: Session, plan: Plan, node: Node, *, ask: bool) -> SshHost:
    """The connection to a node's host that the plan uses anyway. Raises LinkError."""
    if plan.exclusive:
        return await session.reach(session.host_label(node), ask=ask)
    return await session.host(node, ask=False)


async def _release(session: Session, plan: Plan, lock: HostLock, node: Node) -> None:
    """Takes one away; where that fails it counts as left behind, as soon as this program has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RELEASE_SECONDS):
            while True:
                try:
                    await lock.release(await _host(session, plan, node, ask=False))
                    return
                except SwarmtuiError:  # a connection that was lost a moment ago is made again
                    await asyncio.sleep(AGAIN_SECONDS)
