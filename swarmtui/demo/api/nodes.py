"""/nodes."""

from __future__ import annotations

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.find import find
from swarmtui.demo.world.objects import Node


def join_json(parts: list[bytes]) -> bytes:
    """A JSON list of objects that are JSON already."""
    return b"[" + b",".join(parts) + b"]\n"


@route("GET", "/nodes")
async def list_nodes(call: Call) -> Response:
    swarm = call.swarm()
    wanted = filters.parse(call.query.get("filters", ""), ("name", "id", "label", "role", "membership", "node.label"))
    for role in wanted.get("role", []):
        if role.lower() not in ("worker", "manager", ""):
            raise ApiError(500, f"Invalid role filter: '{role}'")
    for membership in wanted.get("membership", []):
        if membership.lower() not in ("pending", "accepted", ""):
            raise ApiError(500, f"Invalid membership filter: '{membership}'")
    await swarm.raft.ready(call.host)
    nodes = [node for _, node in sorted(swarm.cluster.nodes.items()) if _matches(node, wanted)]
    return Response(body=join_json([node.encoded() for node in nodes]))


def _matches(node: Node, wanted: filters.Filters) -> bool:
    roles = [role.lower() for role in wanted.get("role", []) if role]
    memberships = [m.lower() for m in wanted.get("membership", []) if m]
    return (
        filters.prefixed(node.hostname, wanted.get("name", []))
        and filters.prefixed(node.id, wanted.get("id", []))
        and filters.labels_match(node.engine_labels, wanted.get("label", []))
        and filters.labels_match(node.labels, wanted.get("node.label", []))
        and (not roles or node.role in roles)
        and (not memberships or node.membership in memberships)
    )


@route("GET", "/nodes/{id}")
async def inspect(call: Call) -> Response:
    cluster = (await call.manager()).cluster
    return Response(body=find(cluster.nodes, call.args["id"], "node").encoded() + b"\n")


@route("POST", "/nodes/{id}/update")
async def update(call: Call) -> Response:
    spec = call.json("swarm.NodeSpec")
    version = call.object_version("node")
    swarm = call.swarm()
    role, availability = str(spec.get("Role") or ""), str(spec.get("Availability") or "")
    if role.lower() not in ("worker", "manager"):
        raise ApiError(400, f'invalid Role: "{role}"')
    if availability.lower() not in ("active", "pause", "drain"):
        raise ApiError(400, f'invalid Availability: "{availability}"')
    spec["Role"], spec["Availability"] = role.lower(), availability.lower()
    await swarm.raft.ready(call.host, write=True)
    control = call.world.control(swarm.cluster)
    control.nodes.update(find(swarm.cluster.nodes, call.args["id"], "node").id, version, spec)
    return Response()


@route("DELETE", "/nodes/{id}")
async def remove(call: Call) -> Response:
    control = await call.manager(write=True)
    node = find(control.cluster.nodes, call.args["id"], "node")
    control.nodes.remove(node.id, force=call.flag("force"))
    return Response()
