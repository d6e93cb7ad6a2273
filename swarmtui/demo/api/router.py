"""Paths, API versions and the headers every answer of an engine carries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from swarmtui.demo.api.gojson import canonical
from swarmtui.demo.api.http import Request, Response, json_response
from swarmtui.demo.world import errors
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Host, LocalSwarm
from swarmtui.demo.world.world import World

API_VERSION = "1.41"
MIN_API_VERSION = "1.12"
_VERSIONED = re.compile(r"^/v([0-9.]+)(/.*)$")

Json = dict[str, Any]


@dataclass(slots=True)
class Call:
    """A request on its way: who is asked, and what for."""

    world: World
    host: Host
    request: Request
    args: dict[str, str]
    version: tuple[int, int]

    @property
    def query(self) -> dict[str, str]:
        """The parameters."""
        return self.request.query

    def flag(self, name: str) -> bool:
        """A parameter that is on or off, as the engine reads them."""
        return self.query.get(name, "").lower() not in ("", "0", "no", "false", "none")

    def json(self, kind: str = "map[string]interface {}") -> Json:
        """The body.

        Args:
            kind: the engine's own name for what it expects.

        Raises:
            ApiError: 400, it is missing or malformed.
        """
        if not self.request.body.strip():
            raise ApiError(400, "got EOF while reading request body")
        try:
            value = msgspec.json.decode(self.request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if "truncated" in str(error):
                raise ApiError(400, "unexpected EOF") from None
            first = self.request.body.strip()[:1].decode("latin-1")
            raise ApiError(400, f"invalid character '{first}' looking for beginning of value") from None
        value = canonical(value)
        if not isinstance(value, dict):
            raise ApiError(400, f"json: cannot unmarshal array into Go value of type {kind}")
        return value

    def object_version(self, kind: str) -> int:
        """The `version` parameter of an update.

        Raises:
            ApiError: 400, it is missing or no number.
        """
        text = self.query.get("version", "")
        if not text.isdigit():
            raise ApiError(
                400, f"invalid {kind} version '{text}': strconv.ParseUint: parsing \"{text}\": invalid syntax"
            )
        return int(text)

    def swarm(self) -> LocalSwarm:
        """The Swarm this manager belongs to.

        Raises:
            ApiError: 503, why this host cannot speak for one.
        """
        swarm = self.host.swarm
        if swarm is None or swarm.error:
            raise ApiError(503, errors.NOT_MANAGER)
        if swarm.locked:
            raise ApiError(503, errors.LOCKED)
        if swarm.rejected or swarm.role != "manager":
            raise ApiError(503, errors.WORKER)
        return swarm

    async def manager(self, *, write: bool = False) -> Control:
        """The control plane behind this manager, once there is a leader to ask.

        Raises:
            ApiError: this host is no manager, or there is no leader.
        """
        swarm = self.swarm()
        await swarm.raft.ready(self.host, write=write)
        return self.world.control(swarm.cluster)


Endpoint = Callable[[Call], Awaitable[Response]]


class Router:
    """All endpoints of one simulated engine."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        version = API_VERSION
        path = request.path
        found = _VERSIONED.match(path)
        if found:
            version, path = found[1], found[2]
        for method, pattern, endpoint in ROUTES:
            if method != request.method:
                continue
            match = pattern.match(path)
            if match:
                return await self._call(request, version, endpoint, match.groupdict())
        return json_response({"message": "page not found"}, 404)

    async def _call(self, request: Request, version: str, endpoint: Endpoint, args: dict[str, str]) -> Response:
        number = _number(version)
        headers = {
            "Api-Version": API_VERSION,
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"Docker/{self.host.engine} (linux)",
        }
        if not _number(MIN_API_VERSION) <= number <= _number(API_VERSION):
            del headers["Docker-Experimental"]
        if number > _number(API_VERSION):
            response = json_response(
                {"message": f"client version {version} is too new. Maximum supported API version is {API_VERSION}"},
                400,
            )
        elif number < _number(MIN_API_VERSION):
            text = (
                f"client version {version} is too old. Minimum supported API version is {MIN_API_VERSION}, "
                "please upgrade your client to a newer version\n"
            )
            response = Response(400, text.encode(), "text/plain; charset=utf-8")
        else:
            try:
                response = await endpoint(Call(self.world, self.host, request, args, number))
            except ApiError as error:
                response = _refusal(error, number)
        response.headers = {**headers, **response.headers}
        return response


def _refusal(error: ApiError, version: tuple[int, int]) -> Response:
    if version < (1, 24):
        return Response(error.status, f"{error.message}\n".encode(), "text/plain; charset=utf-8")
    return json_response({"message": error.message}, error.status)


def _number(version: str) -> tuple[int, int]:
    parts = version.split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        return 0, 0


ROUTES: list[tuple[str, re.Pattern[str], Endpoint]] = []


def route(methods: str, path: str) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint. `{name}` in the path stands for one segment, `{name:.*}` for all that follows."""
    pattern = re.sub(r"\{(\w+):\.\*\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    compiled = re.compile(f"^{pattern}$")

    def register(endpoint: Endpoint) -> Endpoint:
        ROUTES.extend((method, compiled, endpoint) for method in methods.split())
        return endpoint

    return register
