"""`ucp-controller`: the HTTPS API of one manager."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from standin import accounts, cluster, engine, relay, saving, store
from standin.components import SERVER_CERTS, Ucp
from standin.engine import EngineError
from standin.refusal import Refused
from standin.table import MKE, NEW

LIFETIME = 4320 * 60
SESSIONS = 5


class Handler(relay.Handler):
    """One connection to the controller."""

    def _any(self) -> None:
        where = urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+(?=/)", "", where.path)
        query = {key: values[-1] for key, values in parse_qs(where.query, keep_blank_values=True).items()}
        try:
            self._route(path, query)
        except Refused as refused:
            self.json({"errors": [{"code": refused.code, "message": str(refused)}]}, refused.status)
        except EngineError as error:
            self.json({"message": str(error)}, error.status or 500)
        except (ValueError, KeyError, TypeError) as error:
            self.json({"code": "BAD_REQUEST", "message": f"bad request: {error}"}, 400)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

    # --- answers --------------------------------------------------------------------------------------------------

    def send(self, data: bytes, status: int = 200, kind: str = "text/plain") -> None:
        self.send_response(status)
        if status >= 400:  # its body may not have been read
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("Content-Type", kind)
        self.send_header("Api-Version", "1.30" if self.ucp.number < (3, 0) else "1.39")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def json(self, value: Any, status: int = 200) -> None:
        self.send(json.dumps(value).encode(), status, "application/json")

    # --- who asks -------------------------------------------------------------------------------------------------

    def _user(self) -> dict[str, Any]:
        held = store.read()
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token:
            session = held["sessions"].get(token)
            if session is None or session["made"] + LIFETIME < time.time():
                raise Refused(401, "AUTHENTICATION_REQUIRED", "session token is invalid or has expired")
            name = session["user"]
        else:
            name, public = self.client()
            if not name:
                raise Refused(401, "AUTHENTICATION_REQUIRED", "authentication required")
            if not any(key["publicKey"] == public for key in held["keys"].get(name, [])):
                raise Refused(401, "AUTHENTICATION_REQUIRED", "the client certificate is not known")
        user = held["accounts"].get(name)
        if user is None or not user["isActive"]:
            raise Refused(401, "AUTHENTICATION_REQUIRED", f"no active account {name}")
        return dict(user)

    def _admin(self) -> dict[str, Any]:
        user = self._user()
        if not user["isAdmin"]:
            raise Refused(403, "NOT_AUTHORIZED", "access denied: this takes an admin account")
        return user

    # --- what is asked --------------------------------------------------------------------------------------------

    def _route(self, path: str, query: dict[str, str]) -> None:
        verb = self.command
        if path == "/_ping":
            self._ping()
        elif path == "/ca" and verb == "GET":
            self.send((store.ROOT / SERVER_CERTS / "ca.pem").read_bytes(), kind="application/x-pem-file")
        elif path in ("/auth/login", "/id/login") and verb == "POST":
            self._login(path)
        elif path == "/id/logout" and verb == "POST":
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._user()
            with store.changed(self.ucp.key) as held:
                held["sessions"].pop(token, None)
            self.send(b"", 204)
        elif path == "/id/" and verb == "GET":
            self.json(accounts.shown(self._user()))
        elif path == "/api/clientbundle" and (verb == "GET" or (verb == "POST" and self.ucp.number >= MKE)):
            self._bundle(query.get("label", ""), nested=verb == "POST")
        elif path == "/standin/authenticate" and verb == "POST":  # for the stand-ins of DTR: no session is made
            given = json.loads(self.body())
            self.json(accounts.shown(accounts.login(store.read(), str(given["username"]), str(given["password"]))))
        elif path.startswith("/accounts"):
            parts = [unquote(part) for part in path.split("/")[2:] if part]
            self._accounts(verb, parts, query)
        elif path.startswith("/api/ucp/backup") and self.ucp.number >= NEW:
            self._backups(verb, path)
        elif path.startswith(("/api/", "/id/", "/auth/", "/metricsdiscovery")):
            self._user()
            self.json({"code": "NOT_FOUND", "message": "page not found"}, 404)
        else:
            self._docker(path)

    def _ping(self) -> None:
        if self.command != "GET":
            self.send(b"", 404)
            return
        wrong = unhealthy(self.ucp)
        if not wrong:
            self.send(b"OK")
            return
        name = self.client()[0]
        admin = name and store.read()["accounts"].get(name, {}).get("isAdmin")
        self.send(("; ".join(wrong) if admin else "Error").encode(), 500)

    def _login(self, path: str) -> None:
        given = json.loads(self.body())
        user = accounts.login(store.read(), str(given["username"]), str(given["password"]))
        token = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        with store.changed(self.ucp.key) as held:
            mine = sorted((s["made"], t) for t, s in held["sessions"].items() if s["user"] == user["name"])
            for _, oldest in mine[: max(0, len(mine) + 1 - SESSIONS)]:
                del held["sessions"][oldest]
            held["sessions"][token] = {"user": user["name"], "made": time.time()}
        if path == "/auth/login":
            self.json({"auth_token": token})
        else:
            self.json({"account": accounts.shown(user), "sessionToken": token})

    def _bundle(self, label: str, *, nested: bool) -> None:
        from standin import bundles

        user = self._user()
        host = self.headers.get("Host", "") or self.connection.getsockname()[0]
        data, known = bundles.make(self.ucp, user, host, label, nested=nested)
        with store.changed(self.ucp.key) as held:
            held["keys"].setdefault(user["name"], []).append(known)
        self.send(data, kind="application/zip")

    def _accounts(self, verb: str, parts: list[str], query: dict[str, str]) -> None:
        me = self._user()
        if verb != "GET" and not (len(parts) == 3 and parts[0] in (me["name"], me["id"])):
            self._admin()
        body = json.loads(self.body() or b"{}")
        if verb == "GET":
            self.json(accounts.get(store.read(), parts, query, self.ucp))
            return
        with store.changed(self.ucp.key) as held:
            answer = accounts.change(held, verb, parts, body, self.ucp)
        if answer is None:
            self.send(b"", 204)
        else:
            self.json(answer, 201 if verb == "POST" else 200)

    def _backups(self, verb: str, path: str) -> None:
        self._admin()
        held = store.read()["backups"]
        if verb == "GET" and path == "/api/ucp/backups":
            self.json(list(held.values()))
        elif verb == "GET" and path.startswith("/api/ucp/backup/"):
            found = held.get(path.rpartition("/")[2])
            self.json(found or {"code": "NOT_FOUND", "message": "no such backup"}, 200 if found else 404)
        elif verb == "POST" and path == "/api/ucp/backup":
            given = json.loads(self.body())
            if any(entry["backupState"] == "IN_PROGRESS" for entry in held.values()):
                self.json({"code": "BACKUP_IN_PROGRESS", "message": "another backup is in progress"}, 500)
                return
            entry = saving.entry(given, engine.info()["Name"])
            with store.changed(self.ucp.key) as value:
                value["backups"][entry["id"]] = entry
            threading.Thread(target=saving.by_api, args=(self.ucp, entry, given), daemon=True).start()
            self.json(entry["id"])
        else:
            self.json({"code": "NOT_FOUND", "message": "page not found"}, 404)

    # --- the engine's API -----------------------------------------------------------------------------------------

    def _docker(self, path: str) -> None:
        user = self._user()
        if not user["isAdmin"] and (
            self.command not in ("GET", "HEAD") or path not in ("/version", "/info", "/events")
        ):
            if self.command == "GET" and path in (
                "/containers/json",
                "/services",
                "/tasks",
                "/networks",
                "/images/json",
            ):
                self.json([])
                return
            raise Refused(403, "NOT_AUTHORIZED", "access denied: no access to this resource")
        if self.command != "GET" or path not in ("/version", "/info", "/nodes", "/containers/json", "/volumes"):
            self._hand_on(path)
            return
        if path in ("/containers/json", "/volumes"):
            self.json((cluster.containers if path == "/containers/json" else cluster.volumes)(self.path))
            return
        value = engine.call("GET", self.path)
        if path == "/version":
            value["Version"] = f"ucp/{self.ucp.version}"
            parts = value.pop("Components", [])
            if self.ucp.number >= (3, 0):
                engines = [{**part, "Version": value["Version"]} for part in parts if part["Name"] == "Engine"]
                value["Components"] = [*engines, {"Name": "Universal Control Plane", "Version": self.ucp.version}]
        elif path == "/info":
            value["ServerVersion"] = f"ucp/{self.ucp.version}"
        else:
            value = with_messages(value, self.ucp)
        self.json(value)

    def _hand_on(self, path: str) -> None:
        """To the engine of the node that has the container or the volume, or shall have it; else to our own."""
        parts, asked, body = path.split("/")[1:], self.path, None
        node: cluster.Node | None = None
        if path == "/containers/create" and self.command == "POST":
            node, wanted = cluster.chosen(json.loads(self.body()))
            body = json.dumps(wanted).encode()
        elif parts[0] == "containers" and len(parts) > 1:
            node = cluster.holder(parts[1])
        elif parts[0] == "volumes" and len(parts) == 3:
            node = next((node for node in cluster.nodes() if node.name == parts[1]), None)
            asked = self.path.replace(f"/volumes/{parts[1]}/", "/volumes/", 1)
        if node is None or not node.address:
            self.relay(asked, body=body)
            return
        link = cluster.connect(node)
        try:
            link.connect()
        except OSError as error:
            raise EngineError(500, f"Cannot connect to the Docker engine endpoint of {node.name}: {error}") from error
        self.relay(asked, link.sock, body)


def unhealthy(ucp: Ucp) -> list[str]:
    """What is wrong with this manager's components."""
    running = {entry["name"]: entry for entry in engine.containers() if entry["State"] == "running"}
    wrong = [f"{part.name} is not running" for part in ucp.parts(True) if part.name not in running]
    if not any(name.startswith(f"{ucp.agents[0]}.") for name in running):
        wrong.append(f"the {ucp.agents[0]} task is not running")
    bad = [name for name, entry in running.items() if name.startswith("ucp-") and "(unhealthy)" in entry["Status"]]
    if ucp.version in ("2.2.4", "2.2.5"):  # their false alarm, mended in 2.2.6
        bad = [name for name in bad if name != "ucp-auth-store"]
    return wrong + [f"{name} is unhealthy" for name in bad]


def with_messages(nodes: list[dict[str, Any]], ucp: Ucp) -> list[dict[str, Any]]:
    """Nodes with UCP's own words about each."""

    def told(node: dict[str, Any]) -> dict[str, Any]:
        manager = node["Spec"]["Role"] == "manager"
        address = node["Status"].get("Addr", "")
        if manager:
            address = node.get("ManagerStatus", {}).get("Addr", "").rpartition(":")[0] or address
        message = f"Healthy UCP {'manager' if manager else 'worker'}"
        if node["Status"]["State"] != "ready":
            message = "Unhealthy UCP Controller: node is unreachable" if manager else node["Status"].get("Message", "")
        else:
            try:
                socket.create_connection((address, ucp.controller_port if manager else 12376), timeout=1).close()
            except OSError:
                message = "[Pending] Completing node registration"
                if manager:
                    message = "Unhealthy UCP Controller: unable to reach controller"
        return {**node, "Status": {**node["Status"], "Message": message}}

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(told, nodes))


class _Health(BaseHTTPRequestHandler):
    """For the container's own health check."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def serve(ucp: Ucp) -> None:
    """Run as `ucp-controller`."""
    Handler.ucp = ucp
    folder = store.ROOT / SERVER_CERTS
    server = relay.Server(8080, Handler, folder, relay.roots(), required=False)
    health = HTTPServer(("127.0.0.1", 8079), _Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    server.serve_forever()
