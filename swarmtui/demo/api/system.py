"""/_ping, /version, /info, /events and /system/df."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.local import containers, images
from swarmtui.demo.api.router import API_VERSION, MIN_API_VERSION, Call, route
from swarmtui.demo.api.volumes import volumes
from swarmtui.demo.world import errors, faults
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.world import World

KERNEL = "6.1.0-28-amd64"
_TWO_MANAGERS = (
    "WARNING: Running Swarm in a two-manager configuration. This configuration provides\n"
    "         no fault tolerance, and poses a high risk to lose control over the cluster.\n"
    "         Refer to https://docs.docker.com/engine/swarm/admin_guide/ to configure the\n"
    "         Swarm for fault-tolerance."
)
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h)$")


@route("GET HEAD", "/_ping")
async def ping(call: Call) -> Response:
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    body = b"" if call.request.method == "HEAD" else b"OK"
    return Response(200, body, "text/plain; charset=utf-8", headers)


@route("GET", "/version")
async def version(call: Call) -> Response:
    engine = call.host.engine
    details = {
        "ApiVersion": API_VERSION,
        "Arch": "amd64",
        "BuildTime": "2024-05-07T21:09:36.000000000+00:00",
        "Experimental": "false",
        "GitCommit": "5d6db84",
        "GoVersion": "go1.19.8",
        "KernelVersion": KERNEL,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
    }
    return json_response(
        {
            "Platform": {"Name": ""},
            "Components": [
                {"Name": "Engine", "Version": engine, "Details": details},
                {"Name": "containerd", "Version": "1.6.20", "Details": {"GitCommit": "2806fc1"}},
                {"Name": "runc", "Version": "1.1.5", "Details": {"GitCommit": "1.1.5"}},
                {"Name": "docker-init", "Version": "0.19.0", "Details": {"GitCommit": ""}},
            ],
            "Version": engine,
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "GitCommit": "5d6db84",
            "GoVersion": "go1.19.8",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": KERNEL,
            "BuildTime": "2024-05-07T21:09:36.000000000+00:00",
        }
    )


async def swarm_info(world: World, host: Host) -> Json:
    """`Swarm` of /info: what this host knows of its Swarm, even when that is little."""
    swarm = host.swarm
    nothing: Json = {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    }
    if swarm is None and host.swarm_error:
        return {**nothing, "LocalNodeState": "error", "Error": host.swarm_error}
    if swarm is None:
        return nothing
    remotes = [{"NodeID": node_id, "Addr": address} for node_id, address in swarm.remotes.items()]
    removed = swarm.rejected
    known: Json = {
        **nothing,
        "NodeID": swarm.node_id,
        "NodeAddr": swarm.address,
        "LocalNodeState": "pending" if removed else "active",
        "RemoteManagers": remotes or None,
    }
    if swarm.locked:
        return {**nothing, "NodeAddr": swarm.address, "LocalNodeState": "locked", "Error": errors.LOCKED}
    if swarm.error:
        state = "inactive" if swarm.error == errors.LOCKED else "error"
        return {**nothing, "LocalNodeState": state, "Error": swarm.error}
    if swarm.role != "manager" or removed:
        return known
    known["ControlAvailable"] = True
    if not swarm.seen_leader:
        return {**known, "LocalNodeState": "pending", "Error": errors.NO_LEADER}
    try:
        await swarm.raft.ready(host)
    except ApiError as error:
        empty: Json = {
            "ID": "",
            "Version": {},
            "CreatedAt": "0001-01-01T00:00:00Z",
            "UpdatedAt": "0001-01-01T00:00:00Z",
            "Spec": {
                "Labels": None,
                "Orchestration": {},
                "Raft": {"ElectionTick": 0, "HeartbeatTick": 0},
                "Dispatcher": {},
                "CAConfig": {},
                "TaskDefaults": {},
                "EncryptionConfig": {"AutoLockManagers": False},
            },
            "TLSInfo": {},
            "RootRotationInProgress": False,
            "DefaultAddrPool": None,
            "SubnetSize": 0,
            "DataPathPort": 0,
        }
        return {**known, "Error": error.message, "Cluster": empty}
    known["Nodes"] = len(swarm.cluster.nodes)
    known["Managers"] = len(swarm.raft.members)
    known["Cluster"] = swarm.cluster.doc()
    if known["Managers"] == 2:
        known["Warnings"] = [_TWO_MANAGERS]
    return known


@route("GET", "/info")
async def info(call: Call) -> Response:
    host = call.host
    states = [container.state for container in host.containers.values()]
    swarm = await swarm_info(call.world, host)
    return json_response(
        {
            "ID": host.engine_id,
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": states.count("paused"),
            "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
            "Images": len(host.images),
            "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"],
                "Authorization": None,
                "Log": ["awslogs", "fluentd", "gcplogs", "gelf", "journald", "json-file", "local", "syslog"],
            },
            "MemoryLimit": True,
            "SwapLimit": True,
            "KernelMemory": True,
            "KernelMemoryTCP": True,
            "CpuCfsPeriod": True,
            "CpuCfsQuota": True,
            "CPUShares": True,
            "CPUSet": True,
            "PidsLimit": True,
            "IPv4Forwarding": True,
            "BridgeNfIptables": True,
            "BridgeNfIp6tables": True,
            "Debug": False,
            "NFd": 40 + host.events.listeners,
            "OomKillDisable": True,
            "NGoroutines": 150,
            "SystemTime": stamp(call.world.kernel.now()),
            "LoggingDriver": "json-file",
            "CgroupDriver": "systemd",
            "CgroupVersion": "2",
            "NEventsListener": host.events.listeners,
            "KernelVersion": KERNEL,
            "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
            "OSVersion": "12",
            "OSType": "linux",
            "Architecture": "x86_64",
            "IndexServerAddress": "",
            "RegistryConfig": {
                "AllowNondistributableArtifactsCIDRs": [],
                "AllowNondistributableArtifactsHostnames": [],
                "InsecureRegistryCIDRs": ["127.0.0.0/8"],
                "IndexConfigs": {
                    "registry.invalid": {
                        "Name": "registry.invalid",
                        "Mirrors": [],
                        "Secure": True,
                        "Official": False,
                    }
                },
                "Mirrors": [],
            },
            "NCPU": host.cpus,
            "MemTotal": host.memory,
            "GenericResources": None,
            "DockerRootDir": "/var/lib/docker",
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Name": host.name,
            "Labels": [],
            "ExperimentalBuild": False,
            "ServerVersion": host.engine,
            "Runtimes": {"runc": {"path": "runc"}, "io.containerd.runc.v2": {"path": "runc"}},
            "DefaultRuntime": "runc",
            "Swarm": swarm,
            "LiveRestoreEnabled": False,
            "Isolation": "",
            "InitBinary": "docker-init",
            "ContainerdCommit": {"ID": "2806fc1", "Expected": "2806fc1"},
            "RuncCommit": {"ID": "1.1.5", "Expected": "1.1.5"},
            "InitCommit": {"ID": "", "Expected": ""},
            "SecurityOptions": [
                "name=seccomp,profile=default",
                *(["name=selinux"] if faults.SELINUX in host.faults else []),
                "name=cgroupns",
            ],
            "Warnings": None,
        }
    )


@route("GET", "/system/df")
async def disk_usage(call: Call) -> Response:
    found = images(call.host)
    return json_response(
        {
            "LayersSize": sum(image["Size"] for image in found),
            "Images": found,
            "Containers": [{**item, "SizeRootFs": 4 << 20} for item in containers(call.world, call.host)],
            "Volumes": [{**volume, "UsageData": {"RefCount": 1, "Size": 4 << 20}} for volume in volumes(call.host)],
            "BuildCache": None,
            "BuilderSize": 0,
        }
    )


@route("GET", "/events")
async def events(call: Call) -> Response:
    now = call.world.kernel.now()
    since = _moment(call.query.get("since", ""), now)
    until = _moment(call.query.get("until", ""), now)
    wanted = filters.parse(call.query.get("filters", ""), None)
    return Response(stream=_events(call, since, until, wanted))


async def _events(
    call: Call, since: float | None, until: float | None, wanted: filters.Filters
) -> AsyncIterator[bytes]:
    log = call.host.events
    queue = log.listen()
    try:
        if since is not None:
            for message in list(log.past):
                seconds = message["timeNano"] / 1e9
                if seconds >= since and (until is None or seconds <= until) and _shown(message, wanted):
                    yield msgspec.json.encode(message) + b"\n"
        timer = None
        if until is not None:
            left = until - call.world.kernel.now()
            if left <= 0:
                return
            timer = call.world.kernel.after(left * call.world.kernel.speed, lambda: queue.put_nowait(None))
        try:
            while (message_or_end := await queue.get()) is not None:
                if _shown(message_or_end, wanted):
                    yield msgspec.json.encode(message_or_end) + b"\n"
        finally:
            if timer is not None:
                timer.cancel()
    finally:
        log.leave(queue)


def _shown(message: Json, wanted: filters.Filters) -> bool:
    if not wanted:
        return True
    actor = message["Actor"]
    names = {actor["ID"], actor["Attributes"].get("name", "")}
    if wanted.get("type") and message["Type"] not in wanted["type"]:
        return False
    if wanted.get("scope") and message["scope"] not in wanted["scope"]:
        return False
    if wanted.get("event") and message["Action"] not in wanted["event"]:
        return False
    if wanted.get("label") and not filters.labels_match(actor["Attributes"], wanted["label"]):
        return False
    for kind in ("container", "node", "service", "network", "secret", "config"):
        if wanted.get(kind) and not (message["Type"] == kind and names & set(wanted[kind])):
            return False
    return True


def _moment(text: str, now: float) -> float | None:
    """A time: seconds since the epoch, or a duration before now ("10m").

    Raises:
        ApiError: neither.
    """
    if not text:
        return None
    duration = _DURATION.match(text)
    if duration:
        return now - float(duration[1]) * {"s": 1, "m": 60, "h": 3600}[duration[2]]
    try:
        return float(text)
    except ValueError:
        raise ApiError(500, f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
