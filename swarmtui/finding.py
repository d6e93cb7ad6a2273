"""Finds a manager to talk through among several: each is tried a little after the one before, and the best one wins.

What came of it is a `Connection`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from swarmtui.link.manager import Manager
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.link.target import Target
from swarmtui.model.swarm import Info

STAGGER_SECONDS = 1.5
"""The next manager is tried this long after the one before, without waiting for it to time out."""

USABLE = frozenset({Reason.NO_LEADER})
"""Troubles with which a manager is still worth staying on: it shows what is left of the cluster."""

Open = Callable[[Target], Awaitable[tuple[Manager, LinkError | None]]]
"""Opens one target; tells why it should be used only if there is nothing better, or raises LinkError."""


class Attempt(Struct, frozen=True):
    """One manager that could not be used, when it was tried (seconds since the epoch), and why."""

    target: str
    at: float
    what: str
    next_step: str
    reason: str

    @classmethod
    def failed(cls, target: str, error: LinkError) -> Attempt:
        """An attempt that failed just now."""
        return cls(target, time.time(), error.what, error.next_step, error.reason)


class Phase(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


class Connection(Struct, frozen=True):
    """How a session is connected.

    Attributes:
        through: label of the manager in use, or of the last one.
        via: forward, dial-stdio, socket or tls.
        node_id: the manager's own node id, "" until known.
        note: one sentence about the last change, such as a fail-over; "" when there is nothing to say.
        attempts: what was tried since the last time it was live.
        next_try_at: seconds since the epoch, 0.0 while one is under way.
    """

    phase: Phase = Phase.CONNECTING
    through: str = ""
    via: str = ""
    node_id: str = ""
    note: str = ""
    attempts: tuple[Attempt, ...] = ()
    next_try_at: float = 0.0

    def why_not_live(self, name: str) -> LinkError:
        """The error that tells why there is no live connection to a cluster: the most telling of all attempts."""
        if not self.attempts:
            return LinkError(Reason.TIMEOUT, name, "Nothing answered yet.", "Look at the network and try again.")
        telling = min(self.attempts, key=lambda a: (a.reason in (Reason.TIMEOUT, Reason.UNREACHABLE), -a.at))
        others = [a for a in self.attempts if a.target != telling.target]
        what = telling.what + (f" ({len(others)} more tried: {'; '.join(a.what for a in others)})" if others else "")
        return LinkError(Reason(telling.reason), telling.target, what, telling.next_step)


def fitness(info: Info, label: str, *, cluster_id: str, avoided: Collection[str], leaving: str) -> LinkError | None:
    """Judges whether an engine is a manager to talk through.

    Args:
        info: what it says of itself.
        cluster_id: the Swarm it has to belong to; "" for any.
        avoided: ids of managers that are only used if there is no other.
        leaving: id of the manager that must not be used; "" for none.

    Returns:
        Why it should be used only if there is no better one; None where nothing speaks against it.

    Raises:
        LinkError: it cannot be used.
    """
    reserve = standing(info, label)
    if reserve is not None and reserve.reason not in USABLE:
        raise reserve
    if reserve is None and info.swarm.node_id in avoided:
        what = f"{label} is about to leave the managers: it is only used if there is no other."
        reserve = LinkError(Reason.WORKER, label, what, "")
    if leaving and info.swarm.node_id == leaving:
        raise LinkError(Reason.WORKER, label, f"{label} is about to leave the managers.", "")
    cluster = info.swarm.cluster
    if cluster_id and cluster is not None and cluster.id not in ("", cluster_id):
        raise LinkError(
            Reason.OTHER_SWARM,
            label,
            f"{label} belongs to another Swarm ({cluster.id[:12]}) than the one shown ({cluster_id[:12]}).",
            "Open that one by itself, or mend the configuration.",
        )
    return reserve


async def first_usable(
    candidates: Sequence[Target], open_one: Open, tried: Callable[[Attempt], None]
) -> Manager | None:
    """Opens the candidates, staggered, until one is usable; closes all others.

    Args:
        tried: called with every attempt that failed, or was less than wished for.

    Returns:
        The first that is usable without reserve, else the first with one, else None.
    """
    waiting = list(candidates)
    names: dict[asyncio.Task[tuple[Manager, LinkError | None]], str] = {}
    running: set[asyncio.Task[tuple[Manager, LinkError | None]]] = set()
    fallback: Manager | None = None
    winner: Manager | None = None
    try:
        while (waiting or running) and winner is None:
            if waiting:
                target = waiting.pop(0)
                task = asyncio.ensure_future(open_one(target))
                names[task] = str(target)
                running.add(task)
            done, running = await asyncio.wait(
                running, timeout=STAGGER_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                try:
                    manager, reserve = task.result()
                except LinkError as error:
                    tried(Attempt.failed(names[task], error))
                    continue
                if reserve is None and winner is None:
                    winner = manager
                elif reserve is not None and fallback is None and winner is None:
                    fallback = manager
                    tried(Attempt.failed(names[task], reserve))
                else:
                    await manager.close()
    except BaseException:
        await _close(winner)
        await _close(fallback)
        raise
    finally:
        for task in running:
            task.cancel()
        late: list[Any] = await asyncio.gather(*running, return_exceptions=True)
        for result in late:
            if isinstance(result, tuple):
                await result[0].close()
    if winner is None:
        return fallback
    await _close(fallback)
    return winner


async def _close(manager: Manager | None) -> None:
    if manager is not None:
        await manager.close()
