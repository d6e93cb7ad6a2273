"""The HTTPS API of UCP 2.2 on one manager."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import msgspec

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import Request, Response, json_response
from swarmtui.demo.api.local import containers
from swarmtui.demo.platform.accounts import Account
from swarmtui.demo.platform.certificates import public
from swarmtui.demo.platform.ucp import VERSION, Ucp
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

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

    async def __call__(self, request: Request, user: str) -> Response:
        """Answer a request of a client that showed a certificate of `user`, or none."""
        ucp = self.world.ucp
        if ucp is None:
            return Response(503, b"", "text/plain")
        path = request.path.rstrip("/") or "/"
        if path == "/_ping":
            return self._ping(ucp, request, user)
        if path == "/ca" and request.method == "GET":
            return Response(200, ucp.root.pem.encode(), "application/x-pem-file")
        if path in ("/auth/login", "/id/login") and request.method == "POST":
            return self._login(ucp, request, path)
        account = self._who(ucp, request, user)
        if account is None:
            return _refused(401, "unauthorized: provide a valid token or client certificate")
        return await self._known(ucp, request, path, account)

    def _ping(self, ucp: Ucp, request: Request, user: str) -> Response:
        if request.method != "GET":
            return Response(404, b"", "text/plain")
        ill = ucp.ill(self.host)
        account = ucp.accounts.by_name.get(user)
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

    def _who(self, ucp: Ucp, request: Request, user: str) -> Account | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return ucp.accounts.of_token(token)
        account = ucp.accounts.by_name.get(user)
        return account if account is not None and account.keys else None

    async def _known(self, ucp: Ucp, request: Request, path: str, account: Account) -> Response:
        method = request.method
        if path == "/id/logout" and method == "POST":
            ucp.accounts.logout(request.headers.get("authorization", "").partition(" ")[2])
            return Response(204)
        if path == "/id" and method == "GET":
            return json_response(account.doc())
        if path == "/api/clientbundle" and method in ("GET", "POST"):
            return Response(200, self._bundle(ucp, account), "application/zip")
        if path == "/accounts" or path.startswith("/accounts/"):
            return self._accounts(ucp, request, path, account)
        bare = path[path.index("/", 2) :] if path.startswith("/v1.") and path.count("/") > 1 else path
        if bare == "/version":
            return await self._version(request)
        if bare == "/containers/json":
            return json_response(self._containers())
        if bare.startswith(_ENGINE):
            return await self._engine(request)
        return _refused(404, "not found")

    async def _version(self, request: Request) -> Response:
        answer = await self._engine(Request("GET", "/version", {}, {}, b""))
        document = msgspec.json.decode(answer.body)
        document.update(Version=f"ucp/{VERSION}", ApiVersion="1.30", MinAPIVersion="1.20")
        document.pop("Components", None)
        document.pop("Platform", None)
        response = json_response(document)
        response.headers = {"Api-Version": "1.30", "Server": f"ucp/{VERSION} (linux)"}
        return response

    def _containers(self) -> list[dict[str, Any]]:
        found = []
        for host in self.world.hosts.values():
            if not host.running:
                continue
            found += [
                {**item, "Names": [f"/{host.name}{name}" for name in item["Names"]]}
                for item in containers(self.world, host)
                if item["State"] == "running"
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
        if len(parts) == 1 and method == "DELETE" and account.admin:
            del known[parts[0]]
            return Response(204)
        if parts[1:2] == ["publicKeys"] and method == "GET":
            keys = known[parts[0]].keys.items()
            shown = [{"id": k, "accountID": known[parts[0]].id, "publicKey": v, "label": ""} for k, v in keys]
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
        found = [a for _, a in sorted(ucp.accounts.by_name.items()) if tests[wanted](a) and a.name > start]
        number = int(limit) if limit.isdigit() and int(limit) else 10
        return json_response({"accounts": [a.doc() for a in found[:number]]})

    def _bundle(self, ucp: Ucp, account: Account) -> bytes:
        """A client bundle as UCP 2.2.5 makes it; every call makes a new key."""
        certificate, key = ucp.root.client(account.name)
        account.keys[uuid.uuid4().hex] = public(certificate)
        address = f"tcp://127.0.0.1:{self.port}"
        note = f"# Bundle for user {account.name}\n# UCP Instance ID {ucp.instance}\n"
        files = {
            "ca.pem": ucp.root.pem,
            "cert.pem": certificate,
            "key.pem": key,
            "cert.pub": public(certificate),
            "env.sh": "export DOCKER_TLS_VERIFY=1\nexport COMPOSE_TLS_VERSION=TLSv1_2\n"
            f"export DOCKER_CERT_PATH=$PWD\nexport DOCKER_HOST={address}\n#\n{note}",
            "env.ps1": f'$env:DOCKER_TLS_VERIFY = "1"\n$env:DOCKER_CERT_PATH = $pwd\n$env:DOCKER_HOST = "{address}"\n',
            "env.cmd": f"@echo off\nset DOCKER_TLS_VERIFY=1\nset DOCKER_CERT_PATH=%~dp0\nset DOCKER_HOST={address}\n",
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return buffer.getvalue()


def _body(request: Request) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
