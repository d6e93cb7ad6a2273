"""Service specs: what the engine accepts, what it adds, and in which words it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from swarmtui.demo.world.constraints import ConstraintError, parse
from swarmtui.demo.world.errors import ApiError, rpc
from swarmtui.demo.world.objects import Json

_DNS_NAME = re.compile(r"^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$")
_BLOB_NAME = re.compile(r"^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$")
_IMAGE = re.compile(r"^[a-z0-9]+(?:[._/:@-]+[A-Za-z0-9_]+)*$")

_ADJECTIVES = ("calm", "eager", "nifty", "quiet", "sharp", "vivid")
_NOUNS = ("euler", "hopper", "lovelace", "noether", "turing", "wing")


def random_name(pick: Callable[[tuple[str, ...]], str]) -> str:
    """The name of a service that came without one."""
    return f"{pick(_ADJECTIVES)}_{pick(_NOUNS)}"


def check_name(name: str) -> None:
    """Refuse a name that no service or network may have."""
    if not name:
        raise rpc("InvalidArgument", "meta: name must be provided")
    if not _DNS_NAME.match(name):
        raise rpc("InvalidArgument", "name must be valid as a DNS name component")
    if len(name) > 63:
        raise rpc("InvalidArgument", "name must be 63 characters or fewer")


def check_blob_name(name: str) -> None:
    """Refuse a name that no secret or config may have."""
    if not name:
        raise rpc("InvalidArgument", "name must be provided")
    if len(name) > 64 or not _BLOB_NAME.match(name):
        raise rpc(
            "InvalidArgument",
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
            "and the start and end character must be [a-zA-Z0-9]",
        )


def normalise(spec: Json) -> Json:
    """A service spec as the engine keeps it: unknown and empty fields gone, its own defaults added.

    Raises:
        ApiError: 400, when it cannot be converted at all.
    """
    template = dict(spec.get("TaskTemplate") or {})
    container = template.get("ContainerSpec")
    if container is None or template.get("Runtime", "container") not in ("", "container"):
        raise ApiError(400, "mismatched Runtime and *Spec fields")
    container = _without_empty(container)
    container.setdefault("Isolation", "default")
    kept: Json = {"ContainerSpec": container}
    for key in ("Resources", "RestartPolicy", "Placement", "LogDriver", "Networks"):
        if template.get(key) is not None:
            kept[key] = template[key]
    if not kept.get("Networks", True):
        del kept["Networks"]
    if "RestartPolicy" in kept:
        kept["RestartPolicy"] = {"Condition": "any", "MaxAttempts": 0, **_without_empty(kept["RestartPolicy"])}
    kept["ForceUpdate"] = int(template.get("ForceUpdate") or 0)
    kept["Runtime"] = "container"
    result: Json = {
        "Name": spec.get("Name") or "",
        "Labels": dict(spec.get("Labels") or {}),
        "TaskTemplate": kept,
        "Mode": _mode(spec.get("Mode") or {}),
    }
    for key in ("UpdateConfig", "RollbackConfig"):
        if spec.get(key) is not None:
            result[key] = _update_config(spec[key])
    if spec.get("Networks"):
        result["Networks"] = spec["Networks"]
    if spec.get("EndpointSpec") is not None:
        result["EndpointSpec"] = _endpoint(spec["EndpointSpec"])
    return result


def _without_empty(value: Json) -> Json:
    return {k: v for k, v in value.items() if v is not None and v not in ([], "")}


def _mode(mode: Json) -> Json:
    given = {k: v for k, v in mode.items() if v is not None}
    if len(given) > 1:
        raise ApiError(400, "must specify only one service mode")
    if not given:
        return {"Replicated": {"Replicas": 1}}
    name, body = next(iter(given.items()))
    if name == "Replicated":
        replicas = body.get("Replicas")
        if replicas is not None and int(replicas) < 0:
            where = "Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64"
            raise ApiError(400, f"json: cannot unmarshal number {replicas} into {where}")
        return {"Replicated": {"Replicas": 1 if replicas is None else int(replicas)}}
    if name == "ReplicatedJob":
        concurrent = body.get("MaxConcurrent")
        total = body.get("TotalCompletions")
        concurrent = 1 if concurrent is None else int(concurrent)
        total = concurrent if total is None else int(total)
        return {"ReplicatedJob": {"MaxConcurrent": concurrent, "TotalCompletions": total}}
    return {name: {}}


def _update_config(config: Json) -> Json:
    action = config.get("FailureAction") or "pause"
    if action not in ("pause", "continue", "rollback"):
        raise ApiError(400, f"unrecognized update failure action {action}")
    order = config.get("Order") or "stop-first"
    if order not in ("stop-first", "start-first"):
        raise ApiError(400, f"unrecognized update order {order}")
    result: Json = {"Parallelism": int(config.get("Parallelism") or 0)}
    if config.get("Delay"):
        result["Delay"] = int(config["Delay"])
    result["FailureAction"] = action
    if config.get("Monitor"):
        result["Monitor"] = int(config["Monitor"])
    result["MaxFailureRatio"] = config.get("MaxFailureRatio") or 0
    result["Order"] = order
    return result


def _endpoint(endpoint: Json) -> Json:
    result: Json = {"Mode": endpoint.get("Mode") or "vip"}
    ports = []
    for port in endpoint.get("Ports") or []:
        named = {"Name": port["Name"]} if port.get("Name") else {}
        published = {"PublishedPort": port["PublishedPort"]} if port.get("PublishedPort") else {}
        ports.append(
            {
                **named,
                "Protocol": port.get("Protocol") or "tcp",
                "TargetPort": int(port.get("TargetPort") or 0),
                **published,
                "PublishMode": port.get("PublishMode") or "ingress",
            }
        )
    if ports:
        result["Ports"] = ports
    return result


def check(spec: Json) -> None:
    """Refuse a normalised spec that the orchestrator would not take.

    Raises:
        ApiError: in the words of the cluster's control API.
    """
    check_name(spec["Name"])
    template = spec["TaskTemplate"]
    for part in ("Limits", "Reservations"):
        _check_resources((template.get("Resources") or {}).get(part) or {})
    try:
        parse((template.get("Placement") or {}).get("Constraints") or [])
    except ConstraintError as error:
        raise rpc("Unknown", str(error)) from None
    _check_references(template["ContainerSpec"])
    _check_container(template["ContainerSpec"])
    if spec["Mode"].keys() & {"ReplicatedJob", "GlobalJob"} and "UpdateConfig" in spec:
        raise rpc("InvalidArgument", "Jobs may not have an update config")
    if int((spec.get("UpdateConfig") or {}).get("Delay") or 0) < 0:
        raise rpc("InvalidArgument", "TaskSpec: update-delay cannot be negative")
    ratio = float((spec.get("UpdateConfig") or {}).get("MaxFailureRatio") or 0)
    if not 0 <= ratio <= 1:
        raise rpc("InvalidArgument", "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")
    _check_ports(spec.get("EndpointSpec") or {})


def _check_resources(resources: Json) -> None:
    cpus = int(resources.get("NanoCPUs") or 0)
    memory = int(resources.get("MemoryBytes") or 0)
    if cpus and cpus < 10**6:
        raise rpc("InvalidArgument", f"invalid cpu value {cpus / 1e9:g}: Must be at least 0.001")
    if memory and memory < 4 << 20:
        raise rpc("InvalidArgument", f"invalid memory value {memory}: Must be at least 4MiB")


def _check_container(container: Json) -> None:
    image = container.get("Image") or ""
    if not image:
        raise rpc("InvalidArgument", "ContainerSpec: image reference must be provided")
    if not _IMAGE.match(image):
        raise rpc("InvalidArgument", f'ContainerSpec: "{image}" is not a valid repository/tag')
    targets: set[str] = set()
    for mount in container.get("Mounts") or []:
        target = str(mount.get("Target", ""))
        if target in targets:
            raise rpc("InvalidArgument", f"ContainerSpec: duplicate mount point: {target}")
        targets.add(target)


def _check_references(container: Json) -> None:
    for kind, key in (("secret", "Secrets"), ("config", "Configs")):
        for reference in container.get(key) or []:
            name = kind.capitalize()
            if not reference.get(f"{name}ID") or not reference.get(f"{name}Name"):
                raise rpc("InvalidArgument", f"malformed {kind} reference")


def _check_ports(endpoint: Json) -> None:
    seen: set[tuple[Any, ...]] = set()
    for port in endpoint.get("Ports") or []:
        if endpoint["Mode"] == "dnsrr" and port["PublishMode"] == "ingress":
            raise rpc("InvalidArgument", "EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
        if not port.get("PublishedPort"):
            continue
        key = (port["PublishedPort"], port["Protocol"])
        if key in seen:
            raise rpc("InvalidArgument", "EndpointSpec: duplicate published ports provided")
        seen.add(key)


def published(ports: Iterable[Json], mode: str) -> set[tuple[str, int]]:
    """Protocol and number of the ports published in a mode."""
    return {
        (port["Protocol"], int(port["PublishedPort"]))
        for port in ports
        if port.get("PublishMode") == mode and port.get("PublishedPort")
    }
