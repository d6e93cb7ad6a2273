"""The Docker Engine behind the mounted socket."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

SOCKET = "/var/run/docker.sock"


class EngineError(Exception):
    """The engine refused, or nothing listens."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str = SOCKET, timeout: float = 60) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def raw(
    method: str, path: str, body: bytes | None = None, kind: str = "application/json", timeout: float = 60
) -> bytes:
    """One request; the answer's body.

    Raises:
        EngineError: the engine refused, or cannot be reached.
    """
    link = UnixConnection(timeout=timeout)
    try:
        link.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = link.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(0, f"unable to get valid Docker client: {error}") from error
    finally:
        link.close()
    if answer.status >= 400:
        try:
            text = json.loads(data)["message"]
        except (ValueError, KeyError, TypeError):
            text = data.decode(errors="replace").strip()
        raise EngineError(answer.status, text)
    return data


def call(method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
    """One request with JSON both ways; None where the answer is empty."""
    data = raw(method, path, None if body is None else json.dumps(body).encode(), timeout=timeout)
    return json.loads(data) if data.strip() else None


def filtered(path: str, filters: Mapping[str, list[str]], **more: str) -> Any:
    """GET with filters."""
    words = "".join(f"&{key}={value}" for key, value in more.items())
    return call("GET", f"{path}?filters={quote(json.dumps(filters))}{words}")


def find(method: str, path: str, body: Any = None) -> Any:
    """Like `call`, but None where there is no such thing."""
    try:
        return call(method, path, body)
    except EngineError as error:
        if error.status == 404:
            return None
        raise


def info() -> dict[str, Any]:
    """What `docker info` tells."""
    return dict(call("GET", "/info"))


def containers() -> list[dict[str, Any]]:
    """All containers of this host, stopped ones too; each with its bare `name`."""
    listed = call("GET", "/containers/json?all=1")
    return [{**entry, "name": entry["Names"][0].lstrip("/")} for entry in listed if entry.get("Names")]


def remove(name: str) -> None:
    """Remove a container, running or not, if it is there."""
    try:
        call("DELETE", f"/containers/{name}?force=1&v=1")
    except EngineError as error:
        if error.status not in (404, 409):  # 409: its removal is under way
            raise


def run(name: str, spec: Mapping[str, Any]) -> str:
    """Create and start a container; its id."""
    made = call("POST", f"/containers/create?name={name}", spec)["Id"]
    call("POST", f"/containers/{made}/start")
    return str(made)


def has_image(name: str) -> bool:
    """Whether this engine has an image."""
    return find("GET", f"/images/{quote(name, safe='/:')}/json") is not None


# --- files of volumes, through a container that is never started -------------------------------------------------


class Mounted:
    """A container, made but never started, in which volumes are mounted below /vol: the way into and out of them.

    Args:
        image: an image that is on this host.
        volumes: names; those that are not there are made.
        binds: more mounts, as "/on/the/host:/inside".
    """

    def __init__(self, image: str, volumes: list[str], binds: tuple[str, ...] = ()) -> None:
        self._spec = {"Image": image, "Entrypoint": ["/bin/true"], "Labels": {"com.docker.ucp.phase": "files"}}
        self._spec["HostConfig"] = {"Binds": [*(f"{name}:/vol/{name}" for name in volumes), *binds]}
        self.id = ""

    def __enter__(self) -> Mounted:
        self.id = call("POST", "/containers/create", self._spec)["Id"]
        return self

    def __exit__(self, *_: object) -> None:
        remove(self.id)

    def read(self, path: str = "/vol") -> dict[str, bytes]:
        """The regular files below a path, by their path below it; {} where there is none."""
        try:
            data = raw("GET", f"/containers/{self.id}/archive?path={quote(path)}", timeout=120)
        except EngineError as error:
            if error.status == 404:
                return {}
            raise
        files = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if member.isfile():
                    stream = tar.extractfile(member)
                    files[member.name.partition("/")[2]] = stream.read() if stream else b""
        return files

    def write(self, files: Mapping[str, bytes], path: str = "/vol") -> None:
        """Put files below a path; keys get mode 0600."""
        raw("PUT", f"/containers/{self.id}/archive?path={quote(path)}", tar_of(files), "application/x-tar", 120)


def tar_of(files: Mapping[str, bytes], prefix: str = "") -> bytes:
    """A tar with these files and their folders."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        made: set[str] = set()
        for name, content in files.items():
            parts = name.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth])
                if folder not in made:
                    made.add(folder)
                    entry = tarfile.TarInfo(prefix + folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            if name.endswith("/"):  # an empty folder
                continue
            entry = tarfile.TarInfo(prefix + name)
            entry.size, entry.mode = len(content), 0o600 if name.endswith("key.pem") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
