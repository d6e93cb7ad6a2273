"""UCP over HTTPS, as DTR's bootstrapper and its API use it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from standin import engine


class UcpError(Exception):
    """UCP refused, or cannot be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UcpClient:
    """UCP's API.

    Args:
        ca: PEM; "" for a client that checks no certificate.
    """

    def __init__(self, url: str, ca: str, token: str = "") -> None:
        where = urlsplit(url if "//" in url else f"https://{url}")
        self.url, self.ca, self.token = url, ca, token
        self._host, self._port = where.hostname or "", where.port or 443

    def _open(self, method: str, path: str, body: bytes | None, kind: str, timeout: float) -> http.client.HTTPResponse:
        try:
            context = ssl.create_default_context(cadata=self.ca or None)
        except ssl.SSLError as error:
            raise UcpError(0, f"unable to parse UCP CA: {error}") from error
        if not self.ca:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        headers = {"Content-Type": kind} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise UcpError(0, f"x509: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise UcpError(0, f"dial tcp {self._host}:{self._port}: {error}") from error
        if answer.status >= 400:
            raise UcpError(answer.status, _message(answer.read()))
        return answer

    def raw(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json", timeout: float = 60
    ) -> bytes:
        """One request; the answer's body.

        Raises:
            UcpError: it was refused, or nobody answers.
        """
        try:
            return self._open(method, path, body, kind, timeout).read()
        except (OSError, http.client.HTTPException) as error:
            raise UcpError(0, f"UCP hung up: {error}") from error

    def call(self, method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        """One request with JSON both ways."""
        data = self.raw(method, path, None if body is None else json.dumps(body).encode(), timeout=timeout)
        return json.loads(data) if data.strip() else None

    def login(self, name: str, password: str) -> None:
        """Get a token.

        Raises:
            UcpError: name or password are wrong.
        """
        self.token = self.call("POST", "/auth/login", {"username": name, "password": password})["auth_token"]

    def logout(self) -> None:
        """Give the token back."""
        self.call("POST", "/id/logout")

    def containers(self) -> list[dict[str, Any]]:
        """The containers of all nodes, stopped ones too; each with its `name` as `/node/name`."""
        listed = self.call("GET", "/containers/json?all=1")
        return [{**entry, "name": entry["Names"][0]} for entry in listed if entry.get("Names")]

    def volumes(self) -> list[str]:
        """The volumes of all nodes, as `node/name`."""
        return [entry["Name"] for entry in self.call("GET", "/volumes").get("Volumes") or []]

    def start(self, name: str, node: str, spec: dict[str, Any], files: dict[str, bytes] | None = None) -> str:
        """Create a container on a node, put files below /tmp, start it; its id."""
        wanted = {**spec, "Env": [*spec.get("Env", []), f"constraint:node=={node}"]}
        made = str(self.call("POST", f"/containers/create?name={quote(name)}", wanted)["Id"])
        if files:
            path = f"/containers/{made}/archive?path=/tmp"
            self.raw("PUT", path, engine.tar_of(files), "application/x-tar")
        self.call("POST", f"/containers/{made}/start")
        return made

    def follow(self, container: str) -> Iterator[bytes]:
        """What a container without a terminal writes, until it ends."""
        path = f"/containers/{container}/logs?stdout=1&stderr=1&follow=1"
        answer = self._open("GET", path, None, "", 300)
        try:
            while head := answer.read(8):
                yield answer.read(int.from_bytes(head[4:], "big"))
        except (OSError, http.client.HTTPException) as error:
            raise UcpError(0, f"UCP hung up: {error}") from error

    def wait(self, container: str) -> int:
        """The exit status of a container."""
        return int(self.call("POST", f"/containers/{container}/wait", timeout=300)["StatusCode"])

    def remove(self, container: str) -> None:
        """Remove a container if it is there."""
        try:
            self.raw("DELETE", f"/containers/{container}?force=1&v=1")
        except UcpError as error:
            if error.status not in (404, 409):
                raise


def _message(data: bytes) -> str:
    try:
        value = json.loads(data)
        first = (value.get("errors") or [value])[0]
        return str(first["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return data.decode(errors="replace").strip()[:200]
