"""What the cluster itself says that it contains, just before and just after a backup of it is taken."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.link.together import together
from swarmtui.model.inventory import Inventory
from swarmtui.runbooks.node_steps import OUT_OF_SEQUENCE_TRIES, POLL_SECONDS
from swarmtui.runbooks.runbook import StepError
from swarmtui.session import Session

KINDS = ("nodes", "services", "networks", "secrets", "configs")


@dataclass(frozen=True, slots=True)
class Contents:
    """The API objects of a cluster at one moment.

    Attributes:
        objects: by kind, as the engine gives them; "swarm" holds the one of the Swarm, without its tokens.
    """

    objects: dict[str, list[dict[str, Any]]] = field(repr=False)
    inventory: Inventory

    def encoded(self) -> bytes:
        """For the file beside the archive."""
        return json.dumps(self.objects, ensure_ascii=False, indent=1).encode()


async def read_contents(session: Session) -> Contents:
    """Reads everything now. No secret's data is among it: the API has none.

    Raises:
        LinkError, EngineError: the cluster cannot be asked.
        StepError: its answer is none.
    """
    bodies = await together(
        session.get("/swarm", clean=False), *(session.get(f"/{kind}", clean=False) for kind in KINDS)
    )
    tasks = len(session.snapshot.tasks)
    return await asyncio.to_thread(_made, bodies, tasks)


async def write_as_it_is(session: Session, node_id: str) -> None:
    """Writes a node's spec as it is: one more entry of the raft log that changes nothing (`docker node update NODE`).

    A running manager writes that an entry was agreed on together with the next entry (etcd's wal.Save flushes for
    entries and votes only; seen on 20.10): what was written last is not yet agreed on in the files, and a restore
    would drop it. Stopping Docker writes it out; a hot backup needs one more entry.

    Raises:
        LinkError, EngineError: the cluster cannot be asked, or refuses.
    """
    for attempt in range(OUT_OF_SEQUENCE_TRIES):
        node, body = await session.node(node_id)
        try:
            version = {"version": str(node.version.index)}
            await session.post(f"/nodes/{node_id}/update", version, json.loads(body)["Spec"])
            return
        except EngineError as error:
            if "out of sequence" not in error.message or attempt == OUT_OF_SEQUENCE_TRIES - 1:
                raise
        await asyncio.sleep(POLL_SECONDS)


def _made(bodies: list[bytes], tasks: int) -> Contents:
    try:
        swarm, *lists = [json.loads(body) for body in bodies]
        if not isinstance(swarm, dict) or not isinstance(swarm.get("ID"), str):
            raise ValueError
        found: dict[str, list[dict[str, Any]]] = {
            kind: [one for one in listed or () if isinstance(one, dict)]
            for kind, listed in zip(KINDS, lists, strict=True)
        }
    except (ValueError, TypeError):
        # Its words are left out: they may hold a token.
        raise StepError(
            "The engine's answer about the Swarm cannot be read.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from None
    # Whoever has one can join the Swarm, or unlock its managers.
    bare = {key: value for key, value in swarm.items() if key not in ("JoinTokens", "UnlockKey")}
    found["networks"] = [network for network in found["networks"] if network.get("Scope") == "swarm"]
    nodes, services, networks, secrets, configs = (found[kind] for kind in KINDS)
    inventory = Inventory.from_api(bare, nodes, services, networks, secrets, configs, tasks)
    return Contents({"swarm": [bare], **found}, inventory)
