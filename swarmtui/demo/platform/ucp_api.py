"""The HTTPS API of UCP on one manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import Request, Response, json_response
from swarmtui.demo.api.local import containers
from swarmtui.demo.platform import ucp_backup_api, ucp_bundle
from swarmtui.demo.platform.accounts import Account
from swarmtui.demo.platform.https import Client
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

SLOW = 8.0
"""Seconds that a slow `_ping` takes; no speed makes them shorter."""
_ENGINE = (
    "/info",
    "/nodes",
    "/services",
    "/tasks",
    "/networks",
    "/configs",
    "/secrets",
    "/swarm",
    "/volumes",
    "/events",
)


def _refused(status: int, message: str) -> Response:
    return json_response({"errors": [{"code": str(status), "message": message}]}, status)


class UcpApi:
    """What the controller on one manager answers."""

    def __init__(self, world: World, host: Host, port: int) -> None:
        self.world = world
        self.host = host
        self.port = port
        self._engine = Router(world, host)

    async def __call__(self, request: Request, client: Client) -> Response:
        """Answer a request."""
        ucp = self.world.ucp
        if ucp is None:
            return Response(503, b"", "text/plain")
        path = request.path.rstrip("/") or "/"
        if path == "/_ping":
            return await self._ping(ucp, request, client)
        if path == "/ca" and request.method == "GET":
            return Response(200, ucp.ca_pem.encode(), "application/x-pem-file")
        if not ucp.quorum:
            return _refused(500, "unable to reach the authentication store")
        if path in ("/auth/login", "/id/login") and request.method == "POST":
            return self._login(ucp, request, path)
        account = self._who(ucp, request, client)
        if account is None:
            return _refused(401, "unauthorized: provide a valid token or client certificate")
        return await self._known(ucp, request, path, account)

    async def _ping(self, ucp: Ucp, request: Request, client: Client) -> Response:
        if request.method != "GET":
            return Response(404, b"", "text/plain")
        wrong = ucp.pings.get(self.host.name, "")
        if wrong == "never":
            await asyncio.Event().wait()
        if wrong == "slow":
            await asyncio.sleep(SLOW)
        if wrong == "wrong":
            return Response(200, b"<html>It works!</html>" + bytes(1 << 20), "text/html")
        ill = ucp.ill(self.host)
        account = self._of_bundle(ucp, client)
        detailed = ill if ill and account is not None and account.admin else ""
        return Response(500 if ill else 200, (detailed or ("" if ill else "OK")).encode(), "text/plain; charset=utf-8")

    def _login(self, ucp: Ucp, request: Request, path: str) -> Response:
        body = _body(request)
        name = str(body.get("username", ""))
        token = ucp.accounts.login(name, str(body.get("password", "")))
        if token is None:
            return _refused(401, "invalid username or password")
        if path == "/auth/login":
            return json_response({"auth_token": token})
        return json_response({"account": ucp.accounts.by_name[name].doc(), "sessionToken": token})

    def _who(self, ucp: Ucp, request: Request, client: Client) -> Account | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return ucp.accounts.of_token(token)
        return self._of_bundle(ucp, client)

    @staticmethod
    def _of_bundle(ucp: Ucp, client: Client) -> Account | None:
        """Whose bundle it is: a certificate counts as long as its key is among the user's, and is nobody's after."""
        account = ucp.accounts.by_name.get(client.user)
        return account if account is not None and client.key in account.keys.values() else None

    async def _known(self, ucp: Ucp, request: Request, path: str, account: Account) -> Response:
        method = request.method
        if path == "/id/logout" and method == "POST":
            ucp.accounts.logout(request.headers.get("authorization", "").partition(" ")[2])
            return Response(204)
        if path == "/id" and method == "GET":
            return json_response(account.doc())
        if path == "/api/clientbundle" and method in ("GET", "POST"):
            data = ucp_bundle.make(ucp, account, self.port, request.query.get("label", ""))
            return Response(200, data, "application/zip")
        if path.startswith("/api/ucp/") and ucp.release.files:
            return self._of_ucp(ucp, request, path, account)
        if path == "/accounts" or path.startswith("/accounts/"):
            return self._accounts(ucp, request, path, account)
        bare = path[path.index("/", 2) :] if path.startswith("/v1.") and path.count("/") > 1 else path
        if bare == "/version":
            return await self._version(ucp)
        if bare == "/nodes" or bare.startswith("/nodes/"):
            return await self._nodes(ucp, request)
        if bare == "/containers/json":
            return json_response(self._containers(every=request.query.get("all", "0").lower() in ("1", "true")))
        if bare.startswith(_ENGINE):
            return await self._engine(request)
        return _refused(404, "not found")

    def _of_ucp(self, ucp: Ucp, request: Request, path: str, account: Account) -> Response:
        if not account.admin:
            return _refused(403, "only an administrator may do this")
        if path == "/api/ucp/backup" and request.method == "POST":
            return ucp_backup_api.start(ucp, self.host, _body(request))
        if path == "/api/ucp/backups" and request.method == "GET":
            return ucp_backup_api.show(ucp)
        if path.startswith("/api/ucp/backup/") and request.method == "GET":
            return ucp_backup_api.show(ucp, path.rpartition("/")[2])
        if path == "/api/ucp/config-toml" and request.method == "GET":
            return Response(200, b'[auth]\n  backend = "managed"\n', "application/toml")
        return _refused(404, "not found")

    async def _nodes(self, ucp: Ucp, request: Request) -> Response:
        """As the engine has them, with what UCP says of each."""
        answer = await self._engine(request)
        if request.method != "GET" or answer.status != 200:
            return answer
        found = msgspec.json.decode(answer.body)
        for node in found if isinstance(found, list) else [found]:
            node["Status"]["Message"] = ucp.message(node)
        response = json_response(found)
        response.headers = answer.headers
        return response

    async def _version(self, ucp: Ucp) -> Response:
        version, api = f"ucp/{ucp.release.version}", "1.40" if ucp.release.files else "1.30"
        answer = await self._engine(Request("GET", "/version", {}, {}, b""))
        document = msgspec.json.decode(answer.body)
        document.update(Version=version, ApiVersion=api, MinAPIVersion="1.20")
        document.pop("Components", None)
        document.pop("Platform", None)
        if ucp.release.files:
            document["Components"] = [{"Name": "Universal Control Plane", "Version": version}]
        response = json_response(document)
        response.headers = {"Api-Version": api, "Server": f"{version} (linux)"}
        return response

    def _containers(self, *, every: bool) -> list[dict[str, Any]]:
        """Those of all nodes, each with its node's name before its own; stopped ones too where that is asked."""
        found = []
        for host in self.world.hosts.values():
            if not host.running:
                continue
            found += [
                {**item, "Names": [f"/{host.name}{name}" for name in item["Names"]]}
                for item in containers(self.world, host)
                if every or item["State"] == "running"
            ]
        return found

    def _accounts(self, ucp: Ucp, request: Request, path: str, account: Account) -> Response:
        parts = path.split("/")[2:]
        method, known = request.method, ucp.accounts.by_name
        if not parts and method == "GET":
            return self._list(ucp, request)
        if parts and parts[0] not in known and method != "POST":
            return _refused(404, f"no such account: {parts[0]}")
        own = bool(parts) and parts[0] == account.name
        if not account.admin and not (own and method in ("GET", "DELETE")):
            return _refused(403, "only an administrator may do this")
        if not parts and method == "POST":
            body = _body(request)
            name = str(body.get("name", ""))
            if not name or name in known:
                return _refused(400, "the name is taken or missing")
            made = ucp.accounts.create(
                name,
                str(body.get("password", "")),
                full_name=str(body.get("fullName", "")),
                admin=bool(body.get("isAdmin")),
                org=bool(body.get("isOrg")),
            )
            return json_response(made.doc(), 201)
        if len(parts) == 1 and method == "GET":
            return json_response(known[parts[0]].doc())
        if len(parts) == 1 and method == "PATCH":
            body, one = _body(request), known[parts[0]]
            one.full_name = str(body.get("fullName", one.full_name))
            one.admin, one.active = bool(body.get("isAdmin", one.admin)), bool(body.get("isActive", one.active))
            return json_response(one.doc())
        if len(parts) == 1 and method == "DELETE" and account.admin:
            del known[parts[0]]
            return Response(204)
        if parts[1:2] == ["publicKeys"] and method == "GET":
            one = known[parts[0]]
            shown = [
                {"id": key, "accountID": one.id, "publicKey": value, "label": one.labels.get(key, "")}
                for key, value in one.keys.items()
            ]
            return json_response({"accountPublicKeys": shown, "nextPageStart": ""})
        if parts[1:2] == ["publicKeys"] and len(parts) == 3 and method == "DELETE":
            return Response(204 if known[parts[0]].keys.pop(parts[2], None) else 404)
        return _refused(404, "not found")

    def _list(self, ucp: Ucp, request: Request) -> Response:
        wanted = request.query.get("filter", "all")
        tests: dict[str, Callable[[Account], bool]] = {
            "all": lambda a: True,
            "users": lambda a: not a.org,
            "orgs": lambda a: a.org,
            "admins": lambda a: a.admin,
            "non-admins": lambda a: not a.admin and not a.org,
            "active-users": lambda a: a.active and not a.org,
            "inactive-users": lambda a: not a.active and not a.org,
        }
        if wanted not in tests:
            return _refused(400, f"unknown filter: {wanted}")
        limit = request.query.get("limit", "10")
        start = request.query.get("start", "")
        found = [a for _, a in sorted(ucp.accounts.by_name.items()) if tests[wanted](a) and a.name >= start]
        number = int(limit) if limit.isdigit() and int(limit) else 10
        shown: dict[str, Any] = {"accounts": [a.doc() for a in found[:number]]}
        if ucp.release.files:
            shown |= {"usersCount": sum(not a.org for a in found), "orgsCount": sum(a.org for a in found)}
            shown["nextPageStart"] = found[number].name if len(found) > number else ""
        return json_response(shown)


def _body(request: Request) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
