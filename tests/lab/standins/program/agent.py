"""The agent on each node: it lets `ucp-reconcile` bring the node to what its role needs; and the one that removes."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from standin import engine, state, store
from standin.components import NODE_CERTS, PROGRAM, SERVER_CERTS, VOLUMES, Part, Ucp
from standin.engine import EngineError
from standin.table import NEW

RECONCILE = "ucp-reconcile"


def is_manager(info: dict[str, Any]) -> bool:
    """Whether this node is a manager."""
    return bool(info["Swarm"].get("ControlAvailable"))


def own_sans(node: str) -> list[str]:
    """The names a manager's label asks for."""
    found = engine.find("GET", f"/nodes/{node}") or {}
    text = found.get("Spec", {}).get("Labels", {}).get("com.docker.ucp.SANs", "")
    return [name for name in text.split(",") if name]


def run(ucp: Ucp) -> None:
    """Look every few seconds whether the node is as it must be; never start what somebody stopped."""
    last: tuple[Any, ...] = ()
    while True:
        try:
            now = _seen(ucp)
            if now is not None and (now[1] or now != last):
                last = now if _reconcile(ucp) == 0 else ()
        except EngineError as error:
            print(f'level=error msg="{error}"', file=sys.stderr, flush=True)
        time.sleep(3)


def _seen(ucp: Ucp) -> tuple[Any, ...] | None:
    """(role, missing containers, names asked for); None while somebody else is at work on this node."""
    there = engine.containers()
    names = {entry["name"] for entry in there if entry["State"] != "created"}
    services = {entry["Labels"].get("com.docker.swarm.service.name") for entry in there}
    if any(entry["name"] == "ucp" and entry["State"] == "running" for entry in there):
        return None
    if "ucp-uninstall-agent" in services:
        return None
    info = engine.info()
    manager = is_manager(info)
    missing = tuple(part.name for part in ucp.parts(manager) if part.name not in names)
    sans = tuple(own_sans(info["Swarm"]["NodeID"])) if manager else ()
    return manager, missing, sans


def _reconcile(ucp: Ucp) -> int:
    engine.remove(RECONCILE)
    spec = {
        "Image": ucp.image("agent"), "Entrypoint": [*PROGRAM, "reconcile"], "Env": ucp.environment,
        "Labels": ucp.labels, "HostConfig": {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
    }  # fmt: skip
    engine.run(RECONCILE, spec)
    return int(engine.call("POST", f"/containers/{RECONCILE}/wait", timeout=180)["StatusCode"])


def reconcile(ucp: Ucp) -> int:
    """Run as `ucp-reconcile`: make what is missing, remove what a worker has no use for."""
    info = engine.info()
    manager = is_manager(info)
    present = {entry["name"]: entry for entry in engine.containers()}
    wanted = ucp.parts(manager)
    mark = ucp.labels["com.docker.ucp.installation"]
    strange = [
        part.name
        for part in ucp.parts(True)
        if part.name in present and present[part.name]["Labels"].get("com.docker.ucp.installation") != mark
    ]
    if strange:
        print(f'level=fatal msg="The container name \\"/{strange[0]}\\" is already in use"', file=sys.stderr)
        return 1
    for part in ucp.parts(True):
        if part not in wanted and part.name in present:
            engine.remove(part.name)
    try:
        renewed = _files(ucp, info, manager)
    except OSError as error:
        print(f'level=fatal msg="unable to join: {error}"', file=sys.stderr)
        return 1

    alarm = engine.has_image("standin.switch:auth-store-false-alarm")

    def make(part: Part) -> None:
        engine.remove(part.name)
        engine.run(part.name, ucp.spec(part, alarm and part.name == "ucp-auth-store"))

    missing = [part for part in wanted if part.name not in present or present[part.name]["State"] == "created"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, missing))
    if renewed and "ucp-controller" not in (part.name for part in missing):
        engine.call("POST", "/containers/ucp-controller/restart?t=2")
    if manager:
        _label(ucp, info)
    return 0


def _files(ucp: Ucp, info: dict[str, Any], manager: bool) -> bool:
    """Fill the volumes; whether the server certificate changed."""
    hostname, address = info["Name"], info["Swarm"]["NodeAddr"]
    with engine.Mounted(ucp.image("agent"), VOLUMES if manager else [NODE_CERTS]) as volumes:
        files = volumes.read()
        if not manager:
            if f"{NODE_CERTS}/key.pem" not in files:
                volumes.write(store.certificate(ucp.key, hostname, address))
            return False
        fresh: state.Files = {}
        if state.ACCOUNTS not in files:
            fresh = store.seed(ucp.key)
        names = [hostname, "127.0.0.1", "172.17.0.1", address, *state.settings(files | fresh)["sans"]]
        asked = own_sans(info["Swarm"]["NodeID"])
        names = list(dict.fromkeys([*names, *asked]))
        fresh |= state.node_files(files | fresh, hostname, names, asked if ucp.number >= NEW else names)
        volumes.write(fresh)
    return f"{SERVER_CERTS}/cert.pem" in fresh


def _label(ucp: Ucp, info: dict[str, Any]) -> None:
    node = info["Swarm"]["NodeID"]
    for _ in range(5):
        found = engine.call("GET", f"/nodes/{node}")
        spec = found["Spec"]
        labels = {f"com.docker.ucp.collection.{name}": "true" for name in ("root", "swarm", "system")}
        labels |= {"com.docker.ucp.access.label": "/System", "com.docker.ucp.collection": "system"}
        if ucp.number >= (3, 0):
            labels |= {"com.docker.ucp.orchestrator.swarm": "true", "com.docker.ucp.orchestrator.kubernetes": "false"}
        if labels.items() <= (spec.get("Labels") or {}).items():
            return
        spec["Labels"] = (spec.get("Labels") or {}) | labels
        try:
            engine.call("POST", f"/nodes/{node}/update?version={found['Version']['Index']}", spec)
            return
        except EngineError:  # changed by somebody else meanwhile
            time.sleep(0.3)


def remove_all(ucp: Ucp) -> int:
    """Run as `ucp-uninstall-agent`: remove UCP from this node. One volume survives."""
    for _ in range(100):
        if not any(entry["name"] == RECONCILE and entry["State"] == "running" for entry in engine.containers()):
            break
        time.sleep(0.2)
    remove_local(ucp)
    return 0


def remove_local(ucp: Ucp, *, keep: tuple[str, ...] = (SERVER_CERTS,)) -> None:
    """Remove the component containers and volumes of this host."""
    ours = {RECONCILE, *(part.name for part in ucp.parts(True))}
    for _ in range(50):  # what was being made at this moment shows up a little later
        found = [
            entry
            for entry in engine.containers()
            if entry["name"] in ours or entry["Labels"].get("com.docker.ucp.phase") == "files"
        ]
        for entry in found:
            engine.remove(entry["Id"])
        volumes = {entry["Name"] for entry in engine.call("GET", "/volumes").get("Volumes") or []}
        left = sorted((volumes & set(VOLUMES)) - set(keep))
        if not found and not left:
            return
        for name in left:
            with suppress(EngineError):  # still held by a container that is on its way out
                engine.find("DELETE", f"/volumes/{name}?force=1")
        time.sleep(0.3)
