"""The accounts of UCP, the same on all managers: a file in a volume, and the exchange between managers.

The newest revision wins. Managers find each other through the engine (`docker info`), never through Swarm objects.
"""

from __future__ import annotations

import base64
import fcntl
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from standin import engine, pki, state
from standin.components import Ucp

PORT = 12383
ROOT = Path("/vol")
FILE = ROOT / state.ACCOUNTS
_thread_lock = threading.RLock()


def peers() -> list[str]:
    """The addresses of the other managers."""
    try:
        swarm = engine.info()["Swarm"]
    except engine.EngineError:
        return []
    found = [entry["Addr"].rpartition(":")[0] for entry in swarm.get("RemoteManagers") or []]
    return [address for address in found if address != swarm.get("NodeAddr")]


def ask(address: str, path: str, key: str, body: bytes | None = None, timeout: float = 3) -> bytes:
    """One request to another manager's store.

    Raises:
        OSError: it does not answer, or refuses.
    """
    link = http.client.HTTPConnection(address, PORT, timeout=timeout)
    try:
        link.request("PUT" if body is not None else "GET", path, body, {"X-Key": key})
        answer = link.getresponse()
        data = answer.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        link.close()
    if answer.status != 200:
        raise OSError(f"{address}: {answer.status}")
    return data


@contextmanager
def _locked() -> Iterator[None]:
    with _thread_lock, FILE.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read() -> dict[str, Any]:
    """The accounts, sessions and keys."""
    return dict(json.loads(FILE.read_bytes()))


@contextmanager
def changed(key: str) -> Iterator[dict[str, Any]]:
    """Change them, here and on the managers that answer."""
    with _locked():
        value = read()
        yield value
        value["revision"] += 1
        data = state.dump(value)
        _replace(data)
    for address in peers():
        try:
            ask(address, "/accounts", key, data, timeout=2)
        except OSError:
            continue  # it asks for the newest itself when it is back


def _replace(data: bytes) -> None:
    fresh = FILE.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(FILE)


def take(data: bytes) -> None:
    """Take what another manager has, if it is newer."""
    with _locked():
        if json.loads(data)["revision"] > read()["revision"]:
            _replace(data)


def shared_files() -> state.Files:
    """The files of the volumes that all managers share."""
    found = {}
    for name in state.SHARED:
        for file in sorted((ROOT / name).rglob("*")):
            if file.is_file() and file.suffix != ".lock":
                found[str(file.relative_to(ROOT))] = file.read_bytes()
    return found


def seed(key: str) -> state.Files:
    """What a node gets from the managers that are there.

    Raises:
        OSError: none of them answers.
    """
    for address in peers():
        try:
            listed = json.loads(ask(address, "/seed", key))
        except OSError:
            continue
        return {path: base64.b64decode(text) for path, text in listed.items()}
    raise OSError("no UCP controller answers")


def certificate(key: str, name: str, address: str) -> state.Files:
    """What a worker gets: a certificate of its own and the roots, but no key of theirs."""
    for peer in peers():
        try:
            listed = json.loads(ask(peer, f"/node?name={quote(name)}&address={quote(address)}", key))
        except OSError:
            continue
        return {path: text.encode() for path, text in listed.items()}
    raise OSError("no UCP controller answers")


class _Handler(BaseHTTPRequestHandler):
    key = ""

    def _answer(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if self.headers.get("X-Key") != self.key:
            self._answer(b"", 403)
        elif where.path == "/seed":
            files = {path: base64.b64encode(data).decode() for path, data in shared_files().items()}
            self._answer(state.dump(files))
        elif where.path == "/node":
            asked = parse_qs(where.query)
            files, names = shared_files(), [asked["name"][0], asked["address"][0], "127.0.0.1"]
            cluster = state.authority(files, state.CLUSTER_ROOT)
            cert, node_key = pki.issue(cluster, names[0], names)
            texts = {"cert.pem": cert, "key.pem": node_key, "ca.pem": cluster["cert.pem"]}
            self._answer(state.dump({f"ucp-node-certs/{name}": data.decode() for name, data in texts.items()}))
        elif where.path == "/accounts":
            self._answer(FILE.read_bytes())
        else:
            self._answer(b"", 404)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("X-Key") != self.key:
            self._answer(b"", 403)
            return
        take(data)
        self._answer(b"")

    def log_message(self, *_: Any) -> None:
        return


def serve(ucp: Ucp) -> None:
    """Run as `ucp-auth-store`."""
    _Handler.key = ucp.key
    server = ThreadingHTTPServer(("", PORT), _Handler)
    server.daemon_threads = True
    threading.Thread(target=_follow, args=(ucp.key,), daemon=True).start()
    server.serve_forever()


def _follow(key: str) -> None:
    while True:
        for address in peers():
            try:
                take(ask(address, "/accounts", key))
            except (OSError, ValueError):
                continue
        time.sleep(5)
