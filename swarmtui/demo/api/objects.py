"""/secrets, /configs and /networks."""

from __future__ import annotations

import string
from collections.abc import Callable

from swarmtui.demo.api import filters
from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.api.nodes import join_json
from swarmtui.demo.api.router import Call, Endpoint, route
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.find import find
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.resources import Blob

_BASE64 = frozenset(string.ascii_letters + string.digits + "+/")
_LOCAL_DRIVERS = ("bridge", "host", "macvlan", "ipvlan", "null")


def _table(control: Control, kind: str) -> dict[str, Blob]:
    return control.cluster.secrets if kind == "secret" else control.cluster.configs


def _check_data(spec: Json) -> None:
    """Refuse data that is no base64.

    Raises:
        ApiError: 400, with the place of the first wrong character.
    """
    data = str(spec.get("Data") or "")
    bare = data.rstrip("=")
    wrong = next((at for at, char in enumerate(bare) if char not in _BASE64), None)
    if wrong is None and (len(data) % 4 or len(data) - len(bare) > 2):
        wrong = len(bare)
    if wrong is not None:
        raise ApiError(400, f"illegal base64 data at input byte {wrong}")


def _register(kind: str) -> None:
    """The same five endpoints for secrets and for configs."""
    names = ("name", "names", "id", "label") if kind == "secret" else ("name", "id", "label")

    def endpoint(methods: str, path: str) -> Callable[[Endpoint], Endpoint]:
        return route(methods, f"/{kind}s{path}")

    @endpoint("GET", "")
    async def list_all(call: Call) -> Response:
        control = await call.manager()
        wanted = filters.parse(call.query.get("filters", ""), names)
        exact, starts, ids = (wanted.get(name, []) for name in ("names", "name", "id"))
        found = [
            blob
            for _, blob in sorted(_table(control, kind).items())
            if filters.labels_match(blob.spec["Labels"], wanted.get("label", []))
            and (
                not (exact or starts or ids)
                or blob.name in exact
                or any(blob.name.startswith(s) for s in starts)
                or any(blob.id.startswith(s) for s in ids)
            )
        ]
        return Response(body=join_json([blob.encoded() for blob in found]))

    @endpoint("POST", "/create")
    async def create(call: Call) -> Response:
        spec = call.json()
        _check_data(spec)
        control = await call.manager(write=True)
        return json_response({"ID": control.blobs.create(spec, secret=kind == "secret").id}, 201)

    @endpoint("GET", "/{id}")
    async def inspect(call: Call) -> Response:
        control = await call.manager()
        return Response(body=find(_table(control, kind), call.args["id"], kind).encoded() + b"\n")

    @endpoint("POST", "/{id}/update")
    async def update(call: Call) -> Response:
        spec = call.json()
        _check_data(spec)
        if not call.query.get("version", "").isdigit():
            raise ApiError(400, f"invalid {kind} version")
        control = await call.manager(write=True)
        blob = find(_table(control, kind), call.args["id"], kind)
        control.blobs.update(blob, int(call.query["version"]), spec)
        return Response()

    @endpoint("DELETE", "/{id}")
    async def remove(call: Call) -> Response:
        control = await call.manager(write=True)
        control.blobs.remove(find(_table(control, kind), call.args["id"], kind))
        return Response(204)


_register("secret")
_register("config")


def local_network(network: Json) -> Json:
    """A network of one host, as /networks shows it."""
    return {
        "Name": network["Name"],
        "Id": network["Id"],
        "Created": stamp(network["Created"]),
        "Scope": "local",
        "Driver": network["Driver"],
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [dict(network["Config"])] if network.get("Config") else [],
        },
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": dict(network.get("Options") or {}),
        "Labels": {},
    }


def _ingress_here(call: Call, network: Json) -> Json:
    """The ingress network as a host of the Swarm itself sees it."""
    sandbox = {
        "Name": "ingress-endpoint",
        "EndpointID": network["Id"][::-1].rjust(64, "0"),
        "MacAddress": "02:42:0a:00:00:02",
        "IPv4Address": "10.0.0.2/24",
        "IPv6Address": "",
    }
    hosts = [h for h in call.world.hosts.values() if h.swarm is not None and h.running]
    peers = [{"Name": h.engine_id.replace(":", "").lower()[:12], "IP": h.ip} for h in hosts]
    return {**network, "Containers": {"ingress-sbox": sandbox}, "Labels": network["Labels"] or {}, "Peers": peers}


async def _swarm_networks(call: Call) -> list[Json]:
    """The Swarm's networks as this host sees them; none where there is no Swarm to ask."""
    try:
        control = await call.manager()
    except ApiError:
        return []
    return [n.doc() for n in control.cluster.networks.values() if not n.predefined]


@route("GET", "/networks")
async def list_networks(call: Call) -> Response:
    names = ("dangling", "driver", "id", "label", "name", "scope", "type")
    wanted = filters.parse(call.query.get("filters", ""), names)
    found = await _swarm_networks(call) + [local_network(n) for n in call.host.networks]
    return json_response([network for network in found if _network_matches(network, wanted)])


def _network_matches(network: Json, wanted: filters.Filters) -> bool:
    builtin = network["Name"] in ("bridge", "host", "none")
    return (
        (not wanted.get("driver") or network["Driver"] in wanted["driver"])
        and (not wanted.get("scope") or network["Scope"] in wanted["scope"])
        and (not wanted.get("name") or any(name in network["Name"] for name in wanted["name"]))
        and (not wanted.get("id") or any(text in network["Id"] for text in wanted["id"]))
        and (not wanted.get("type") or ("builtin" if builtin else "custom") in wanted["type"])
        and filters.labels_match(network["Labels"] or {}, wanted.get("label", []))
    )


async def _find_network(call: Call) -> Json:
    text = call.args["id"]
    every = await _swarm_networks(call) + [local_network(n) for n in call.host.networks]
    for matches in (
        [n for n in every if n["Id"] == text],
        [n for n in every if n["Name"] == text],
        [n for n in every if n["Id"].startswith(text)],
    ):
        if len(matches) > 1:
            raise ApiError(400, f"network {text} is ambiguous ({len(matches)} matches found)")
        if matches:
            return matches[0]
    raise ApiError(404, f"network {text} not found")


@route("GET", "/networks/{id}")
async def inspect_network(call: Call) -> Response:
    network = await _find_network(call)
    return json_response(_ingress_here(call, network) if network["Ingress"] else network)


@route("POST", "/networks/create")
async def create_network(call: Call) -> Response:
    request = call.json()
    driver = request.get("Driver") or "bridge"
    if driver != "overlay" and driver not in _LOCAL_DRIVERS:
        raise ApiError(404, f'plugin "{driver}" not found')
    if driver == "overlay" or request.get("Scope") == "swarm":
        control = await call.manager(write=True)
        return json_response({"Id": control.networks.create(request).id, "Warning": ""}, 201)
    if any(network["Name"] == request.get("Name") for network in call.host.networks):
        raise ApiError(409, f"network with name {request.get('Name')} already exists")
    network = {
        "Name": request.get("Name", ""),
        "Id": call.world.ids.container(),
        "Driver": request.get("Driver") or "bridge",
        "Created": call.world.kernel.now(),
    }
    call.host.networks.append(network)
    return json_response({"Id": network["Id"], "Warning": ""}, 201)


@route("DELETE", "/networks/{id}")
async def remove_network(call: Call) -> Response:
    network = await _find_network(call)
    if network["Scope"] == "local":
        if network["Name"] in ("bridge", "host", "none"):
            raise ApiError(403, f"{network['Name']} is a pre-defined network and cannot be removed")
        call.host.networks = [n for n in call.host.networks if n["Id"] != network["Id"]]
        return Response(204)
    control = await call.manager(write=True)
    control.networks.remove(control.cluster.networks[network["Id"]])
    return Response(204)
