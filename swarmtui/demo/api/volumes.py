"""/volumes: the named volumes of one host."""

from __future__ import annotations

import re

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.hosts import files
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.objects import Json

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def volumes(host: Host) -> list[Json]:
    """All volumes of a host."""
    return [_doc(volume) for _, volume in sorted(host.volumes.items())]


def _doc(volume: Json) -> Json:
    name = volume["Name"]
    return {
        "CreatedAt": stamp(int(volume["Created"])),
        "Driver": "local",
        "Labels": volume.get("Labels"),
        "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
        "Name": name,
        "Options": volume.get("Options"),
        "Scope": "local",
    }


def _users(host: Host, name: str) -> list[Container]:
    """The containers that have a volume mounted, running or not."""
    return [
        container
        for container in host.containers.values()
        if any(m.get("Type") == "volume" and m.get("Source") == name for m in container.mounts)
    ]


@route("GET", "/volumes")
async def list_volumes(call: Call) -> Response:
    wanted = filters.parse(call.query.get("filters", ""), ("dangling", "name", "driver", "label"), malformed=400)
    dangling = wanted.get("dangling", [])
    if any(text not in _TRUE + _FALSE for text in dangling):
        raise ApiError(400, f"Invalid filter 'dangling=[{' '.join(dangling)}]'")
    found = [
        volume
        for volume in volumes(call.host)
        if (not wanted.get("name") or any(text in volume["Name"] for text in wanted["name"]))
        and (not wanted.get("driver") or volume["Driver"] in wanted["driver"])
        and filters.labels_match(volume["Labels"] or {}, wanted.get("label", []))
        and (not dangling or bool(_users(call.host, volume["Name"])) == (dangling[0] in _FALSE))
    ]
    return json_response({"Volumes": found, "Warnings": None})


@route("POST", "/volumes/create")
async def create_volume(call: Call) -> Response:
    request = call.json()
    host, world = call.host, call.world
    driver = request.get("Driver") or "local"
    name = str(request.get("Name") or "") or world.ids.container()
    if driver != "local":
        raise ApiError(404, f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
    if not _NAME.fullmatch(name):
        if len(name) == 1:
            raise ApiError(
                400, f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )
        raise ApiError(
            400,
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
        )
    if name not in host.volumes:
        host.volumes[name] = {
            "Name": name,
            "Created": world.kernel.now(),
            "Labels": dict(request.get("Labels") or {}),
            "Options": dict(request.get("DriverOpts") or {}) or None,
        }
        world.tell_local(host, "volume", "create", name, {"driver": driver})
    return json_response(_doc(host.volumes[name]), 201)


@route("GET", "/volumes/{name}")
async def inspect_volume(call: Call) -> Response:
    return json_response(_doc(_find(call)))


@route("DELETE", "/volumes/{name}")
async def remove_volume(call: Call) -> Response:
    try:
        volume = _find(call)
    except ApiError:
        if call.flag("force"):
            return Response(204)
        raise
    users = [container.id for container in _users(call.host, volume["Name"])]
    if users:
        raise ApiError(409, f"remove {volume['Name']}: volume is in use - [{', '.join(users)}]")
    del call.host.volumes[volume["Name"]]
    files.remove(call.host, f"{files.VOLUMES}/{volume['Name']}")
    call.world.tell_local(call.host, "volume", "destroy", volume["Name"], {"driver": "local"})
    return Response(204)


def _find(call: Call) -> Json:
    name = call.args["name"]
    volume = call.host.volumes.get(name)
    if volume is None:
        raise ApiError(404, f"get {name}: no such volume")
    return volume
