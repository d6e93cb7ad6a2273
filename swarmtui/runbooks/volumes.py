"""The runbook on volumes, each of which is of one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.objects import volume_users
from swarmtui.model.text import one_line
from swarmtui.runbooks import node_facts, params
from swarmtui.runbooks.object_steps import (
    RemoveVolume,
    containers_with,
    volumes_on,
)
from swarmtui.runbooks.objects import (
    with_services,
)
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.session import Session


class Remove(Runbook):
    name = "volume.remove"
    summary = "remove a volume of one node, which no container has"
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the node that has it", params.text, "NAME", required=True),
        Param("volume", "the volume", params.text, "NAME", required=True),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await with_services(session)
        (node,) = node_facts.resolve(snapshot, (params["node"],))
        volume, name = params["volume"], one_line(node.name)
        there = await volumes_on(session, node.id)
        if volume not in there:
            known = ", ".join(sorted(there)[:20]) or "none"
            raise UsageError(f'{name} has no volume "{volume}".', f"It has: {known}.")
        if containers := await containers_with(session, node.id, volume):
            raise RefusedError(
                f"The volume {volume} on {name} is in {containers} of its containers, running or not.",
                "Remove those first (a service: scale or move it; what ended: docker container prune).",
            )
        target = session.host_label(node)
        here = session.connection.via == "socket" and node.id == session.connection.node_id
        return {
            "node_id": node.id,
            "node": name,
            "host": "" if here else target.destination,
            "port": target.port,
            "sudo": session.opening.cluster.sudo and not here,
            "users": [one_line(s.name) for s in volume_users(snapshot.services.values()).get(volume, ())],
        }

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        volume, node = params["volume"], facts["node"]
        users = ", ".join(facts["users"])
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Remove volume {volume} of {node}",
            why="What is in it goes away. Volumes of the same name on other nodes stay.",
            steps=(
                RemoveVolume(
                    id=f"remove-{volume}",
                    title=f"Remove volume {volume} on {node}",
                    why="No container has it; the engine refuses if one does by then.",
                    node_id=facts["node_id"],
                    node=node,
                    volume=volume,
                    host=facts["host"],
                    port=facts["port"],
                    sudo=facts["sudo"],
                ),
            ),
            touches=(volume,),
            warnings=(f"Services mount a volume of this name: {users}. A task that comes here finds it empty.",)
            if users
            else (),
            binding=binding_of(volume, facts["node_id"], facts["users"]),
        )
