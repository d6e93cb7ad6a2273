"""The engines of all nodes behind one manager's API, as UCP shows them: containers and volumes as `node/name`.

A node is chosen as in classic Swarm, by a line `constraint:node==NAME` among the environment of a new container.
"""

from __future__ import annotations

import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from standin import engine, store
from standin.components import NODE_CERTS
from standin.engine import EngineError

PROXY = 12376
_CONSTRAINT = "constraint:node=="


@dataclass(frozen=True)
class Node:
    """A node that answers; `address` is "" for the one we are on."""

    name: str
    address: str


@cache
def _context() -> ssl.SSLContext:
    folder = store.ROOT / NODE_CERTS
    made = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    made.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return made


def nodes() -> list[Node]:
    """The nodes that are ready, ours first."""
    own = engine.info()["Swarm"]["NodeID"]
    found = []
    for entry in engine.call("GET", "/nodes"):
        if entry["Status"]["State"] != "ready":
            continue
        address = entry["Status"].get("Addr", "")
        if entry["Spec"]["Role"] == "manager":
            address = entry.get("ManagerStatus", {}).get("Addr", "").rpartition(":")[0] or address
        found.append(Node(entry["Description"]["Hostname"], "" if entry["ID"] == own else address))
    return sorted(found, key=lambda node: node.address)


def connect(node: Node, timeout: float = 60) -> http.client.HTTPConnection:
    """A connection to a node's engine, not open yet."""
    if not node.address:
        return engine.UnixConnection(timeout=timeout)
    return http.client.HTTPSConnection(node.address, PROXY, timeout=timeout, context=_context())


def ask(node: Node, path: str) -> Any:
    """GET from a node's engine, which has five seconds; None where it refuses, or does not answer."""
    link = connect(node, 5)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        data = answer.read()
        return json.loads(data) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        link.close()


def _each(path: str) -> list[tuple[Node, Any]]:
    there = nodes()
    with ThreadPoolExecutor(8) as pool:
        return list(zip(there, pool.map(lambda node: ask(node, path), there), strict=True))


def containers(path: str) -> list[dict[str, Any]]:
    """The containers of all nodes."""
    return [
        {**entry, "Names": [f"/{node.name}{name}" for name in entry["Names"]]}
        for node, listed in _each(path)
        for entry in listed or []
    ]


def volumes(path: str) -> dict[str, Any]:
    """The volumes of all nodes."""
    found = [
        {**entry, "Name": f"{node.name}/{entry['Name']}"}
        for node, listed in _each(path)
        for entry in (listed or {}).get("Volumes") or []
    ]
    return {"Volumes": found, "Warnings": None}


def chosen(body: dict[str, Any]) -> tuple[Node | None, dict[str, Any]]:
    """The node that a new container asks for (None: any), and its body without that wish.

    Raises:
        EngineError: no such node answers.
    """
    lines = body.get("Env") or []
    wishes = [line.removeprefix(_CONSTRAINT) for line in lines if line.startswith(_CONSTRAINT)]
    if not wishes:
        return None, body
    node = next((node for node in nodes() if node.name == wishes[-1]), None)
    if node is None:
        raise EngineError(500, f"Unable to find a node that satisfies the following conditions [node=={wishes[-1]}]")
    return node, {**body, "Env": [line for line in lines if not line.startswith(_CONSTRAINT)]}


def holder(container: str) -> Node | None:
    """The node that has a container, by its id or name; None where it is unknown, or on this node."""
    if engine.find("GET", f"/containers/{container}/json") is not None:
        return None
    return next((node for node, found in _each(f"/containers/{container}/json") if found), None)
