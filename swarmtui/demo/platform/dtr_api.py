"""The HTTPS API of DTR on one replica, of what is documented of 2.4 to MSR 2.9."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import msgspec

from swarmtui.demo.api.http import Request, Response, json_response
from swarmtui.demo.platform import dtr_jobs, dtr_status
from swarmtui.demo.platform.accounts import Account
from swarmtui.demo.platform.dtr import Dtr, Replica, serving, shared
from swarmtui.demo.platform.https import Client
from swarmtui.demo.platform.ucp_api import SLOW
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

_STORAGES = ("s3", "azure", "gcs", "swift", "filesystem")
_SIMPLE = "/api/v0/admin/settings/registry/simple"


class DtrApi:
    """What the replica on one host answers."""

    def __init__(self, world: World, host: Host, port: int) -> None:
        self.world = world
        self.port = port
        self.host = host

    async def __call__(self, request: Request, client: Client) -> Response:
        """Answer a request; DTR takes no client certificates."""
        found = serving(self.world, self.host)
        if found is None:
            return Response(502, b"", "text/html")
        dtr, replica = found
        wrong = dtr.answers.get(self.host.name, "")
        if wrong == "never":
            await asyncio.Event().wait()
        if wrong == "slow":
            await asyncio.sleep(SLOW)
        if wrong == "wrong":
            return Response(200, b"<html>It works!</html>" + bytes(1 << 20), "text/html")
        return self._answer(dtr, replica, request)

    def _answer(self, dtr: Dtr, replica: Replica, request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        if path in ("/_ping", "/health") and request.method in ("GET", "HEAD"):
            ill = dtr.ill(replica)
            return json_response({"Error": ill, "Healthy": not ill}, 503 if ill else 200)
        if path == "/ca" and request.method == "GET":
            return Response(200, dtr.ca_pem.encode(), "application/x-pem-file")
        if not dtr.sees_majority(replica) or self.world.ucp is None or not self.world.ucp.quorum:
            return _refused(500, "INTERNAL_ERROR", "internal server error")
        account = self._who(request)
        if account is None:
            return _refused(401, "UNAUTHORIZED", "authentication required")
        if request.method == "GET":
            return self._known(dtr, replica, request, path, account)
        if not account.admin:
            return _refused(403, "NOT_AUTHORIZED", "an administrator is needed")
        return self._change(dtr, replica, request, path)

    def _who(self, request: Request) -> Account | None:
        """Basic authentication with an account of UCP."""
        ucp = self.world.ucp
        kind, _, coded = request.headers.get("authorization", "").partition(" ")
        if ucp is None or kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return ucp.accounts.check(name, password)

    def _known(self, dtr: Dtr, replica: Replica, request: Request, path: str, account: Account) -> Response:
        if path == "/api/v0/repositories":
            return _repositories(dtr, request.query)
        if path.startswith("/api/v0/repositories/") and path.endswith("/tags"):
            name = path.removeprefix("/api/v0/repositories/").removesuffix("/tags")
            if name not in dtr.repositories:
                return _refused(404, "NO_SUCH_REPOSITORY", "A repository with the given name does not exist")
            tags = sorted(tag for tag in dtr.tags if tag.rpartition(":")[0] == name)
            return json_response([{"name": tag.rpartition(":")[2]} for tag in tags])
        if path == "/api/v0/meta/features":
            ucp_host = next(iter(self.world.hosts))
            return json_response({"scanningEnabled": False, "scanningLicensed": False, "ucpHost": ucp_host})
        if not account.admin:
            return _refused(403, "NOT_AUTHORIZED", "an administrator is needed")
        if path == "/api/v0/meta/cluster_status":
            return json_response(dtr_status.cluster_status(dtr))
        if path == "/api/v0/meta/settings":
            return json_response(_settings(dtr, replica))
        if path == "/api/v0/workers":
            return json_response({"workers": dtr_jobs.workers(dtr)})
        if path == "/api/v0/jobs":
            return json_response({"jobs": dtr_jobs.shown(dtr, request.query)})
        if path == "/api/v0/crons":
            return json_response({"crons": []})
        if path == "/api/v0/admin/version" and dtr.release.mirantis:
            return json_response({"version": dtr.release.version})
        return _refused(404, "NOT_FOUND", "not found")

    def _change(self, dtr: Dtr, replica: Replica, request: Request, path: str) -> Response:
        body = _body(request)
        if request.method == "PUT" and path == _SIMPLE:
            return _store(dtr, body)
        if request.method == "POST" and path == "/api/v0/admin/jobs":
            if body.get("job") != dtr_jobs.GC:
                return _refused(400, "INVALID_JOB", "no such job")
            if dtr.gc_lock:
                return _refused(400, "JOB_RUNNING", "a garbage collection is running already")
            return json_response(dtr_jobs.start(dtr, replica), 202)
        if request.method == "POST" and path == "/api/v0/meta/settings":
            if "dtrHost" in body:
                dtr.external_url = f"https://{body['dtrHost']}"
            dtr.logs = {name: str(body.get(name, old)) for name, old in dtr.logs.items()}
            self.world.on_platform_change()
            return Response(202)
        return _refused(405, "METHOD_NOT_ALLOWED", "method not allowed")


def _repositories(dtr: Dtr, query: dict[str, str]) -> Response:
    found = [
        {"namespace": name.partition("/")[0], "name": name.partition("/")[2], "visibility": "private"}
        for name in sorted(dtr.repositories)
    ]
    size, begin = query.get("pageSize", ""), query.get("pageStart", "")
    if begin:
        found = [one for one in found if f"{one['namespace']}/{one['name']}" >= begin]
    number = int(size) if size.isdigit() and int(size) else 10
    response = json_response({"repositories": found[:number]})
    if len(found) > number:
        response.headers["X-Next-Page-Start"] = f"{found[number]['namespace']}/{found[number]['name']}"
    return response


def _store(dtr: Dtr, body: dict[str, Any]) -> Response:
    """Where images shall lie; it writes there first. What lies elsewhere is not brought along."""
    storage = body.get("storage")
    if not isinstance(storage, dict):
        return _refused(400, "INVALID_SETTINGS", "storage is missing")
    kinds = [kind for kind in _STORAGES if kind in storage]
    if len(kinds) > 1:
        return _refused(400, "INVALID_SETTINGS", "there is more than one storage driver")
    place = ""
    for kind in kinds:
        given = storage[kind] if isinstance(storage[kind], dict) else {}
        name = str(given.get("bucket") or given.get("container") or "")
        keys = {
            key: str(given[key]) for key in ("accesskey", "secretkey", "accountname", "accountkey") if given.get(key)
        }
        if kind != "filesystem":
            if not name:
                return _refused(400, "INVALID_SETTINGS", f"{kind}: there is no bucket or container")
            if not keys or any("wrong" in value.lower() for value in keys.values()):
                return _refused(
                    400,
                    "STORAGE_FAILED",
                    "Unable to access storage: InvalidAccessKeyId: The Access Key Id you provided does not exist",
                )
        place, dtr.keys = (f"{kind}://{name}" if name else "local"), keys
    if place and place != dtr.storage:
        dtr.world.journal.note("dtr.storage", f"DTR keeps images in {place} now, and what it had lies elsewhere.")
        dtr.storage = place
    readonly = ((storage.get("maintenance") or {}).get("readonly") or {}).get("enabled")
    dtr.readonly = bool(dtr.readonly if readonly is None else readonly)
    return Response(202)


def _settings(dtr: Dtr, replica: Replica) -> dict[str, object]:
    nfs = dtr.storage.startswith("nfs://")
    host, _, path = dtr.storage.removeprefix("nfs://").partition("/") if nfs else ("", "", "")
    own = dtr.storage.removeprefix("volume:") if not shared(dtr.storage) and dtr.storage != "local" else ""
    return {
        "dtrHost": dtr.external_url.removeprefix("https://"),
        "sso": bool(dtr.external_url),
        "replicaSettings": {
            one.id: {"HTTPPort": one.http, "HTTPSPort": one.https, "node": one.host} for one in dtr.replicas.values()
        },
        "httpProxy": "",
        "httpsProxy": "",
        "noProxy": "",
        "disableUpgrades": False,
        "reportAnalytics": False,
        "anonymizeAnalytics": False,
        "disableBackupWarning": False,
        **dtr.logs,
        "webTLSCert": dtr.own.get("cert.pem", ""),
        "webTLSCA": dtr.ca_pem,
        "replicaID": replica.id,
        "gcMode": "automatic",
        "scanningEnabled": False,
        "scanningSyncOnline": False,
        "scanningEnableAutoRecheck": False,
        "jobHistoryToKeep": 1000,
        "storageVolume": own,
        "nfsHost": host,
        "nfsPath": f"/{path}" if nfs else "",
    }


def _refused(status: int, code: str, message: str) -> Response:
    return json_response({"errors": [{"code": code, "message": message}]}, status)


def _body(request: Request) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
