"""The HTTPS API of DTR 2.4 on one replica."""

from __future__ import annotations

import base64
import binascii

from swarmtui.demo.api.http import Request, Response, json_response
from swarmtui.demo.platform.accounts import Account
from swarmtui.demo.platform.dtr import Dtr, Replica
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World


class DtrApi:
    """What the replica on one host answers."""

    def __init__(self, world: World, host: Host, port: int) -> None:
        self.world = world
        self.port = port
        self.host = host

    async def __call__(self, request: Request, user: str) -> Response:
        """Answer a request; DTR takes no client certificates."""
        dtr = self.world.dtr
        replica = self._replica(dtr)
        if dtr is None or replica is None:
            return Response(502, b"", "text/html")
        path = request.path.rstrip("/") or "/"
        if path in ("/_ping", "/health") and request.method in ("GET", "HEAD"):
            ill = dtr.ill(replica)
            return json_response({"Error": ill, "Healthy": not ill}, 503 if ill else 200)
        if path == "/ca" and request.method == "GET":
            return Response(200, dtr.root.pem.encode(), "application/x-pem-file")
        account = self._who(request)
        if account is None:
            return _refused(401, "UNAUTHORIZED", "authentication required")
        if not dtr.quorum:
            return _refused(500, "INTERNAL_ERROR", "internal server error")
        return self._known(dtr, request, path, account)

    def _replica(self, dtr: Dtr | None) -> Replica | None:
        replicas = dtr.replicas.values() if dtr is not None else ()
        return next((replica for replica in replicas if replica.host == self.host.name), None)

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

    def _known(self, dtr: Dtr, request: Request, path: str, account: Account) -> Response:
        if request.method != "GET":
            return _refused(405, "METHOD_NOT_ALLOWED", "method not allowed")
        if path == "/api/v0/repositories":
            found = [
                {"namespace": name.partition("/")[0], "name": name.partition("/")[2], "visibility": "private"}
                for name in dtr.repositories
            ]
            return json_response({"repositories": found})
        if path.startswith("/api/v0/repositories/") and path.endswith("/tags"):
            name = path.removeprefix("/api/v0/repositories/").removesuffix("/tags")
            if name not in dtr.repositories:
                return _refused(404, "NO_SUCH_REPOSITORY", "A repository with the given name does not exist")
            tags = sorted(tag for tag in dtr.images if tag.rpartition(":")[0] == name)
            return json_response([{"name": tag.rpartition(":")[2]} for tag in tags])
        if path == "/api/v0/meta/features":
            ucp_host = next(iter(self.world.hosts))
            return json_response({"scanningEnabled": False, "scanningLicensed": False, "ucpHost": ucp_host})
        if not account.admin:
            return _refused(403, "NOT_AUTHORIZED", "an administrator is needed")
        if path == "/api/v0/meta/cluster_status":
            return json_response(dtr.status())
        if path == "/api/v0/meta/settings":
            return json_response(self._settings(dtr))
        if path == "/api/v0/workers":
            workers = [{"id": replica_id, "status": "running"} for replica_id in dtr.replicas]
            return json_response({"workers": workers})
        if path == "/api/v0/jobs":
            return json_response({"jobs": []})
        return _refused(404, "NOT_FOUND", "not found")

    def _settings(self, dtr: Dtr) -> dict[str, object]:
        shared = dtr.storage.startswith("nfs://")
        host, _, path = dtr.storage.removeprefix("nfs://").partition("/") if shared else ("", "", "")
        return {
            "dtrHost": dtr.external_url.removeprefix("https://"),
            "sso": True,
            "replicaSettings": {
                replica.id: {"HTTPPort": replica.http, "HTTPSPort": replica.https, "node": replica.host}
                for replica in dtr.replicas.values()
            },
            "httpProxy": "",
            "httpsProxy": "",
            "noProxy": "",
            "disableUpgrades": False,
            "reportAnalytics": False,
            "anonymizeAnalytics": False,
            "disableBackupWarning": False,
            "logProtocol": "internal",
            "logHost": "",
            "logLevel": "INFO",
            "webTLSCert": "",
            "webTLSCA": dtr.root.pem,
            "replicaID": "",
            "gcMode": "automatic",
            "scanningEnabled": False,
            "jobHistoryToKeep": 1000,
            "storageVolume": "",
            "nfsHost": host,
            "nfsPath": f"/{path}" if shared else "",
        }


def _refused(status: int, code: str, message: str) -> Response:
    return json_response({"errors": [{"code": code, "message": message}]}, status)
