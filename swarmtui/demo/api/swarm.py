"""/swarm and what is below it."""

from __future__ import annotations

from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.world import membership
from swarmtui.demo.world.errors import ApiError


@route("GET", "/swarm")
async def inspect(call: Call) -> Response:
    cluster = (await call.manager()).cluster
    tokens = {"Worker": cluster.worker_token, "Manager": cluster.manager_token}
    return json_response({**cluster.doc(), "JoinTokens": tokens})


@route("POST", "/swarm/init")
async def init(call: Call) -> Response:
    request = call.json()
    if request.get("ForceNewCluster"):
        return json_response(await membership.force_new_cluster(call.world, call.host, request))
    await call.world.kernel.sleep(membership.JOIN_TIME)
    return json_response(membership.init(call.world, call.host, request))


@route("POST", "/swarm/join")
async def join(call: Call) -> Response:
    await membership.join(call.world, call.host, call.json())
    return Response()


@route("POST", "/swarm/leave")
async def leave(call: Call) -> Response:
    await membership.leave(call.world, call.host, force=call.flag("force"))
    return Response()


@route("POST", "/swarm/update")
async def update(call: Call) -> Response:
    spec = call.json("swarm.Spec")
    version = call.object_version("swarm")
    rotate = {}
    for name in ("rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"):
        value = call.query.get(name, "")
        if value.lower() not in ("", "0", "1", "t", "f", "true", "false"):
            raise ApiError(400, f"invalid value for {name}: {value}")
        rotate[name] = value.lower() in ("1", "t", "true")
    control = await call.manager(write=True)
    control.update_cluster(version, spec, rotate)
    return Response()


@route("GET", "/swarm/unlockkey")
async def unlock_key(call: Call) -> Response:
    return json_response({"UnlockKey": (await call.manager()).cluster.unlock_key})


@route("POST", "/swarm/unlock")
async def unlock(call: Call) -> Response:
    await membership.unlock(call.world, call.host, str(call.json().get("UnlockKey") or ""))
    return Response()
