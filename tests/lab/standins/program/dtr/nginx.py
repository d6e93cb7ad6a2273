"""`dtr-nginx`: the HTTPS API of one replica."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin import relay
from standin.dtr import rethink, state
from standin.dtr.names import IDLE_PORT, NETWORK, PINGED, Replica, number
from standin.dtr.rethink import NoQuorum
from standin.dtr.ucp import UcpClient, UcpError
from standin.refusal import Refused

FOLDER = Path("/vol/data")
_known: dict[str, tuple[float, dict[str, Any]]] = {}
"""Credentials that UCP took within the last minute, by their hash."""
_GC_SECONDS = 3


class Handler(relay.Handler):
    """One connection."""

    own: Replica

    def _any(self) -> None:
        where = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(where.query, keep_blank_values=True).items()}
        try:
            self._route(where.path.rstrip("/") or "/", query)
        except Refused as refused:
            self._error(refused.status, refused.code, str(refused))
        except NoQuorum as error:
            self._error(500, "INTERNAL_ERROR", f"internal server error: {error}")
        except UcpError as error:
            self._error(500, "INTERNAL_ERROR", f"unable to reach the auth server: {error}")
        except (ValueError, KeyError, TypeError) as error:
            self._error(400, "INVALID_JSON", f"unable to parse the request: {error}")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

    def _send(self, value: Any, status: int = 200) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", "text/plain" if isinstance(value, bytes) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="dtr"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _error(self, status: int, code: str, message: str) -> None:
        self._send({"errors": [{"code": code, "message": message}]}, status)

    # --- who asks -------------------------------------------------------------------------------------------------

    def _user(self, *, admin: bool = False) -> dict[str, Any]:
        held = self._held()
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            raise Refused(401, "NOT_AUTHENTICATED", "The client is not authenticated.")
        name, _, password = base64.b64decode(text).decode().partition(":")
        mark = hashlib.sha256(text.encode()).hexdigest()
        at, user = _known.get(mark, (0.0, {}))
        if at < time.monotonic() - 60 or not user:
            try:
                body = {"username": name, "password": password}
                user = UcpClient(**held["ucp"]).call("POST", "/standin/authenticate", body, timeout=20)
            except UcpError as error:
                if error.status == 401:
                    raise Refused(401, "NOT_AUTHENTICATED", "The client is not authenticated.") from error
                raise
            _known[mark] = time.monotonic(), user
        if admin and not user["isAdmin"]:
            raise Refused(403, "NOT_AUTHORIZED", "The client is not authorized.")
        return user

    # --- what is asked --------------------------------------------------------------------------------------------

    def _ask(self, path: str, value: Any = None) -> Any:
        return rethink.ask(self.own.id, self.own.key, path, value, 8)

    def _held(self) -> rethink.State:
        return dict(self._ask("/state"))

    def _route(self, path: str, query: dict[str, str]) -> None:
        verb = self.command
        if path in ("/_ping", "/health") and verb in ("GET", "HEAD"):
            self._ping("Error" if path == "/_ping" else "error", "Healthy" if path == "/_ping" else "healthy")
        elif path == "/ca" and verb == "GET":
            self._send((FOLDER / "ca.pem").read_bytes())
        elif path == "/nginx_status":
            self._send(b"Active connections: 1 \n")
        elif path == "/auth/token":
            self._user()
            token = uuid.uuid4().hex
            self._send({"token": token, "access_token": token, "expires_in": 900, "issued_at": _now()})
        elif path.startswith("/api/v0/"):
            self._api(verb, path.removeprefix("/api/v0/"), query)
        elif path in ("/v2", "/"):
            self._user()
            self._send({})
        else:
            self._error(404, "NOT_FOUND", "page not found")

    def _ping(self, error: str, healthy: str) -> None:
        wrong, status = [], 503
        for part in PINGED:
            try:
                address = f"{self.own.container(part)}.{NETWORK}", IDLE_PORT
                socket.create_connection(address, timeout=2).close()
            except OSError as failed:
                wrong.append(f"{part}: {failed}")
        try:
            self._held()
        except NoQuorum as failed:
            wrong, status = [*wrong, str(failed)], 500
        self._send({error: "; ".join(wrong), healthy: not wrong}, status if wrong else 200)

    def _api(self, verb: str, path: str, query: dict[str, str]) -> None:
        version = number(self.own.version)
        parts = path.split("/")
        if path == "meta/features" and verb == "GET":
            self._user()
            features = {"scanningEnabled": False, "scanningLicensed": False, "promotionLicensed": False}
            self._send({**features, "db_version": 1, "ucpHost": urlsplit(self._held()["ucp"]["url"]).netloc})
        elif parts[0] == "repositories":
            self._repositories(verb, parts[1:], query)
        elif path == "meta/settings" and verb in ("GET", "POST"):
            self._user(admin=True)
            if verb == "POST":
                self._change_settings(json.loads(self.body()))
            self._send(state.settings(self._held(), self.own.id), 200 if verb == "GET" else 202)
        elif path == "admin/settings/registry/simple" and verb == "PUT":
            self._user(admin=True)
            self._storage(json.loads(self.body()))
            self._send({}, 202)
        elif path == "admin/jobs" and verb == "POST":
            self._user(admin=True)
            if json.loads(self.body())["job"] != "registryGC":
                raise Refused(400, "INVALID_JOB", "no such job")
            self._send(self._collect(), 202)
        elif verb != "GET":
            raise Refused(404, "NOT_FOUND", "page not found")
        else:
            self._user(admin=True)
            held = self._held()
            if path == "meta/cluster_status":
                self._send(state.status(self._ask("/cluster")))
            elif path == "workers":
                self._send(
                    {"workers": [{"id": name, "status": "running", "capacityMap": {}} for name in held["members"]]}
                )
            elif path == "jobs":
                self._send({"jobs": held["jobs"]})
            elif path == "crons":
                self._send({"crons": held["crons"]})
            elif path == "admin/version" and version >= (2, 8):
                self._send({"version": self.own.version})
            else:
                raise Refused(404, "NOT_FOUND", "page not found")

    def _change(self, edit: Any) -> rethink.State:
        return rethink.change(self.own.id, self.own.key, edit)

    def _change_settings(self, given: dict[str, Any]) -> None:
        def edit(held: rethink.State) -> None:
            unknown = set(given) - set(state.settings(held, self.own.id))
            if unknown:
                raise Refused(400, "INVALID_SETTINGS", f"unknown settings: {', '.join(sorted(unknown))}")
            held["settings"] |= {key: value for key, value in given.items() if key in held["settings"]}
            if "dtrHost" in given:
                state.apply(held, {"dtr-external-url": str(given["dtrHost"])}, "")

        self._change(edit)

    def _storage(self, given: dict[str, Any]) -> None:
        asked = given["storage"]
        kinds = [name for name in asked if name not in ("delete", "maintenance", "cache", "redirect")]
        if len(kinds) > 1:
            raise Refused(400, "INVALID_SETTINGS", "multiple storage drivers specified in configuration or environment")
        config = asked[kinds[0]] if kinds else {}
        if kinds == ["s3"] and (not config.get("accesskey") or config.get("secretkey") == "wrong"):
            raise Refused(
                400,
                "STORAGE_ERROR",
                "Unable to write to the storage backend: s3aws: InvalidAccessKeyId: The AWS Access Key Id you provided"
                " does not exist in our records.",
            )

        def edit(held: rethink.State) -> None:
            held["readonly"] = bool(asked.get("maintenance", {}).get("readonly", {}).get("enabled"))
            if kinds:
                held["storage"] = {"kind": "default" if kinds[0] == "filesystem" else kinds[0], "config": config}

        self._change(edit)

    def _collect(self) -> dict[str, Any]:
        job = {
            "id": str(uuid.uuid4()), "action": "gc", "status": "running", "workerID": self.own.id,
            "scheduledAt": _now(), "lastUpdated": _now(), "retriesLeft": 0, "isActive": True,
        }  # fmt: skip

        def begin(held: rethink.State) -> None:
            held["jobs"] = [job, *held["jobs"]][: held["settings"]["jobHistoryToKeep"]]

        def end(held: rethink.State) -> None:
            for known in held["jobs"]:
                if known["id"] == job["id"]:
                    known |= {"status": "done", "isActive": False, "lastUpdated": _now()}

        self._change(begin)
        timer = threading.Timer(_GC_SECONDS, self._change, (end,))
        timer.daemon = True
        timer.start()
        return job

    def _repositories(self, verb: str, parts: list[str], query: dict[str, str]) -> None:
        user, held = self._user(), self._held()
        every = [entry for entry in held["repositories"] if user["isAdmin"] or entry["visibility"] == "public"]
        if verb == "GET" and not parts:
            size, start = int(query.get("pageSize") or 10), int(query.get("pageStart") or 0)
            self._send({"repositories": every[start : start + size]})
            return
        full = "/".join(parts[:2])
        if verb == "POST" and len(parts) == 1:
            given = json.loads(self.body())
            entry = {
                "id": str(uuid.uuid4()), "namespace": parts[0], "namespaceType": "user", "name": given["name"],
                "shortDescription": given.get("shortDescription", ""), "visibility": given.get("visibility", "private"),
                "scanOnPush": False, "pulls": 0, "pushes": 0,
            }  # fmt: skip
            if any((known["namespace"], known["name"]) == (parts[0], entry["name"]) for known in held["repositories"]):
                raise Refused(400, "REPOSITORY_EXISTS", "A repository with the given name already exists.")
            self._change(lambda now: now["repositories"].append(entry))
            self._send(entry, 201)
        elif not any(f"{entry['namespace']}/{entry['name']}" == full for entry in every):
            raise Refused(404, "NO_SUCH_REPOSITORY", "A repository with the given name does not exist.")
        elif verb == "PUT" and parts[2:3] == ["tags"] and len(parts) == 4:  # instead of a push, for tests
            digest = "sha256:" + hashlib.sha256(self.path.encode()).hexdigest()
            tag = {"name": parts[3], "digest": digest, "repository": full}
            self._change(lambda now: now["tags"].append(tag))
            self._send(tag, 201)
        elif verb == "GET" and parts[2:] == ["tags"]:
            self._send([tag for tag in held["tags"] if tag["repository"] == full])
        elif verb == "GET" and len(parts) == 2:
            self._send(next(entry for entry in every if f"{entry['namespace']}/{entry['name']}" == full))
        else:
            raise Refused(404, "NOT_FOUND", "page not found")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class _Server(relay.Server):
    def __init__(self, port: int) -> None:
        ThreadingHTTPServer.__init__(self, ("", port), Handler)
        self.renew()

    def renew(self) -> None:
        """Show the certificate that is in the volume now."""
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(FOLDER / "cert.pem", FOLDER / "key.pem")
        self._context = fresh


class _Plain(BaseHTTPRequestHandler):
    """Port 80: everybody is sent to HTTPS. On 8079: the container's own health check."""

    def do_GET(self) -> None:
        assert isinstance(self.server, HTTPServer)
        if self.server.server_address[1] == 80:
            self.send_response(301)
            self.send_header("Location", f"https://{self.headers.get('Host', '')}{self.path}")
        else:
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def _follow(server: _Server, own: Replica) -> None:
    """Take over certificates that were changed."""
    while True:
        try:
            tls = rethink.ask(own.id, own.key, "/state")["tls"]
            if (FOLDER / "cert.pem").read_text() != tls["cert"]:
                for name, text in tls.items():
                    (FOLDER / f"{name}.pem").write_text(text)
                server.renew()
        except (NoQuorum, OSError, ssl.SSLError):
            pass  # asked again soon
        time.sleep(3)


def serve(own: Replica) -> None:
    """Run as `dtr-nginx`."""
    Handler.own = own
    server = _Server(443)
    plain = [ThreadingHTTPServer(("", 80), _Plain), HTTPServer(("127.0.0.1", 8079), _Plain)]
    for target in (*(each.serve_forever for each in plain), lambda: _follow(server, own)):
        threading.Thread(target=target, daemon=True).start()
    server.serve_forever()
