"""/containers and /images: what is on one host."""

from __future__ import annotations

import re
import zlib

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.router import Call, route
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.world import World


def _ago(seconds: float) -> str:
    """A duration in the engine's own words."""
    for limit, size, name in ((60, 1, "second"), (3600, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            number = int(seconds // size)
            if number == 0:
                return "Less than a second"
            if name == "minute" and number == 1:
                return "About a minute"
            if name == "hour" and number == 1:
                return "About an hour"
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{int(seconds // 86400)} days"


def _status(container: Container, now: float) -> str:
    if container.state == "running":
        shown = "health: starting" if container.health == "starting" else container.health
        health = f" ({shown})" if shown else ""
        return f"Up {_ago(now - container.started)}{health}"
    if container.state == "created":
        return "Created"
    return f"Exited ({container.exit_code}) {_ago(now - container.finished)} ago"


def _image_id(host: Host, image: str) -> str:
    known = host.images.get(image)
    return str(known["Id"]) if known else f"sha256:{zlib.crc32(image.encode()):064x}"


def _endpoint(address: str) -> Json:
    return {
        "IPAMConfig": {"IPv4Address": address} if address else None,
        "Links": None,
        "Aliases": None,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": address,
        "IPPrefixLen": 24 if address else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
        "DriverOpts": None,
    }


def container_summary(world: World, host: Host, container: Container) -> Json:
    """A container as the list shows it."""
    mounts = [
        {
            "Type": mount.get("Type", "volume"),
            "Name": mount.get("Source", ""),
            "Source": f"/var/lib/docker/volumes/{mount.get('Source', '')}/_data",
            "Destination": mount.get("Target", ""),
            "Driver": "local",
            "Mode": "z",
            "RW": not mount.get("ReadOnly", False),
            "Propagation": "",
        }
        for mount in container.mounts
    ]
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": _image_id(host, container.image),
        "Command": " ".join(container.command) or "/docker-entrypoint.sh",
        "Created": int(container.created),
        "Ports": [
            {
                "IP": "0.0.0.0",
                "PrivatePort": port["TargetPort"],
                "PublicPort": port["PublishedPort"],
                "Type": port["Protocol"],
            }
            for port in (container.ports if container.state == "running" else [])
        ],
        "Labels": container.labels,
        "State": container.state,
        "Status": _status(container, world.kernel.now()),
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {k: _endpoint(v) for k, v in container.networks.items()}},
        "Mounts": mounts,
    }


def containers(world: World, host: Host) -> list[Json]:
    """All containers of a host, newest first."""
    ordered = sorted(host.containers.values(), key=lambda c: (-c.created, c.id))
    return [container_summary(world, host, container) for container in ordered]


def images(host: Host) -> list[Json]:
    """All images of a host, newest first."""
    return [
        {
            "Containers": -1,
            "Created": image["Created"],
            "Id": image["Id"],
            "Labels": None,
            "ParentId": "",
            "RepoDigests": None,
            "RepoTags": [name if ":" in name else f"{name}:latest"],
            "SharedSize": -1,
            "Size": image["Size"],
            "VirtualSize": image["Size"],
        }
        for name, image in sorted(host.images.items(), key=lambda item: -item[1]["Created"])
    ]


@route("GET", "/containers/json")
async def list_containers(call: Call) -> Response:
    names = "ancestor before expose exited health id is-task isolation label name network publish since status volume"
    wanted = filters.parse(call.query.get("filters", ""), names.split(), malformed=400)
    everything = call.flag("all") or bool(wanted.get("status"))
    found = [
        item
        for item in containers(call.world, call.host)
        if (everything or item["State"] == "running") and _matches(item, wanted)
    ]
    limit = call.query.get("limit", "")
    return json_response(found[: int(limit)] if limit.isdigit() and int(limit) else found)


def _matches(item: Json, wanted: filters.Filters) -> bool:
    name = item["Names"][0]
    task = "com.docker.swarm.task.id" in item["Labels"]
    is_task = wanted.get("is-task")
    mounted = {text for mount in item["Mounts"] for text in (mount["Name"], mount["Destination"])}
    return (
        (not wanted.get("status") or item["State"] in wanted["status"])
        and (not wanted.get("name") or any(_named(name, text) for text in wanted["name"]))
        and (not wanted.get("health") or (_health(item) in wanted["health"]))
        and (not wanted.get("exited") or (_exit(item) in wanted["exited"]))
        and filters.prefixed(item["Id"], wanted.get("id", []))
        and filters.labels_match(item["Labels"], wanted.get("label", []))
        and (not wanted.get("ancestor") or item["Image"] in wanted["ancestor"])
        and (not wanted.get("volume") or not mounted.isdisjoint(wanted["volume"]))
        and (not is_task or task == (is_task[0] in ("true", "1")))
    )


def _named(name: str, pattern: str) -> bool:
    """Does a name fit a filter, which is a regular expression for it with its slash and without?"""
    try:
        return bool(re.search(pattern, name) or re.search(pattern, name.removeprefix("/")))
    except re.error:
        return pattern in name


def _health(item: Json) -> str:
    found = re.search(r"\((?:health: )?(healthy|unhealthy|starting)\)", item["Status"])
    return found[1] if found else "none"


def _exit(item: Json) -> str:
    found = re.match(r"Exited \((\d+)\)", item["Status"])
    return found[1] if found else ""


def find_container(host: Host, text: str) -> Container:
    """A container by id, name or the beginning of its id.

    Raises:
        ApiError: 404, there is none.
    """
    if text in host.containers:
        return host.containers[text]
    bare = text.removeprefix("/")
    for container in host.containers.values():
        if container.name == bare:
            return container
    found = [c for c in host.containers.values() if c.id.startswith(text)]
    if not found:
        raise ApiError(404, f"No such container: {text}")
    if len(found) > 1:
        raise ApiError(400, f"Multiple IDs found with provided prefix: {text}")
    return found[0]


def _time(seconds: float) -> str:
    return stamp(seconds) if seconds else "0001-01-01T00:00:00Z"


@route("GET", "/containers/{id}/json")
async def inspect_container(call: Call) -> Response:
    container = find_container(call.host, call.args["id"])
    summary = container_summary(call.world, call.host, container)
    running = container.state == "running"
    return json_response(
        {
            "Id": container.id,
            "Created": stamp(container.created),
            "Path": container.command[0] if container.command else "/docker-entrypoint.sh",
            "Args": container.command[1:],
            "State": {
                "Status": container.state,
                "Running": running,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": False,
                "Dead": False,
                "Pid": container.pid,
                "ExitCode": container.exit_code,
                "Error": "",
                "StartedAt": _time(container.started),
                "FinishedAt": _time(container.finished),
                **({"Health": {"Status": container.health, "FailingStreak": 0}} if container.health else {}),
            },
            "Image": summary["ImageID"],
            "Name": f"/{container.name}",
            "RestartCount": 0,
            "Driver": "overlay2",
            "Platform": "linux",
            "HostConfig": {
                "NetworkMode": "default",
                "RestartPolicy": {"Name": "always" if container.restart else "", "MaximumRetryCount": 0},
            },
            "Mounts": summary["Mounts"],
            "Config": {
                "Hostname": container.id[:12],
                "Tty": False,
                "Image": container.image,
                "Labels": container.labels,
                "Cmd": container.command or None,
            },
            "NetworkSettings": summary["NetworkSettings"],
        }
    )


@route("GET", "/images/json")
async def list_images(call: Call) -> Response:
    wanted = filters.parse(
        call.query.get("filters", ""), ("dangling", "label", "before", "since", "reference"), malformed=400
    )
    found = images(call.host)
    if wanted.get("reference"):
        found = [i for i in found if any(r in tag for r in wanted["reference"] for tag in i["RepoTags"])]
    return json_response(found)


@route("GET", "/images/{name:.*}/json")
async def inspect_image(call: Call) -> Response:
    name = call.args["name"]
    for image in images(call.host):
        if name in (image["Id"], *image["RepoTags"]) or f"{name}:latest" in image["RepoTags"]:
            return json_response({**image, "Os": "linux", "Architecture": "amd64", "Created": stamp(image["Created"])})
    full = name if ":" in name else f"{name}:latest"
    raise ApiError(404, f"no such image: {name}: No such image: {full}")
