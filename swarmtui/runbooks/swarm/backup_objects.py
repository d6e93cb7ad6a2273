"""What the cluster itself says that it contains, just before and just after a backup of it is taken."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from swarmtui.link.together import together
from swarmtui.model.inventory import Inventory
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
