"""`dtr-rethinkdb`: the state of DTR, the same on all replicas; it needs a majority of them.

One replica (the first by id of those that answer) takes all changes and hands them to the others; a change counts when
a majority has it. The newest revision wins.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standin.dtr import rethink
from standin.dtr.names import IDLE_PORT, IMAGES, NETWORK, STORE_PORT, Replica
from standin.dtr.rethink import Changed, NoQuorum, State

FILE = Path("/vol/data/state.json")
ALIVE = 4.0
"""Seconds after which a replica that was not heard counts as away."""


class Store:
    """The database of one replica."""

    def __init__(self, own: Replica) -> None:
        self.own = own
        self.sick: list[str] = []
        self._heard: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.RLock()

    def read(self) -> State:
        return dict(json.loads(FILE.read_bytes()))

    def take(self, state: State) -> None:
        """Take what another replica has, if it is newer."""
        with self._lock:
            if state["revision"] > self.read()["revision"]:
                fresh = FILE.with_suffix(".new")
                fresh.write_text(json.dumps(state))
                fresh.replace(FILE)

    def alive(self, state: State) -> list[str]:
        """The members that were heard just now."""
        limit = time.monotonic() - ALIVE
        heard = {name for name, (at, _) in self._heard.items() if at > limit} | {self.own.id}
        return sorted(heard & set(state["members"]))

    def state(self) -> State:
        """The state, where a majority is there.

        Raises:
            NoQuorum: it is not.
        """
        state = self.read()
        if self.own.id not in state["members"]:
            raise NoQuorum(f"rethinkdb: replica {self.own.id} is not part of this cluster")
        if 2 * len(self.alive(state)) <= len(state["members"]):
            raise NoQuorum("rethinkdb: Cannot perform read: primary replica for shard not available")
        return state

    def put(self, wanted: State) -> State:
        """Change the state.

        Raises:
            NoQuorum: no majority took it.
            Changed: it builds on an old one.
        """
        first = self.alive(self.state())[0]
        if first != self.own.id:
            return dict(rethink.ask(first, self.own.key, "/state", wanted, 8))
        with self._lock:
            state = self.state()
            if state["revision"] != wanted["revision"]:
                raise Changed("rethinkdb: the state was changed meanwhile")
            fresh = {**wanted, "revision": wanted["revision"] + 1}
            new = set(fresh["members"]) - set(state["members"])
            others = sorted({*self.alive(state), *new} - {self.own.id})  # those that are away ask when they are back
            with ThreadPoolExecutor(8) as pool:
                took = {self.own.id, *filter(None, pool.map(lambda name: self._hand(name, fresh), others))}
            if 2 * len(took & set(fresh["members"])) <= len(fresh["members"]):
                raise NoQuorum("rethinkdb: Cannot perform write: lost contact with primary replica")
            self.take(fresh)
            return fresh

    def _hand(self, name: str, state: State) -> str:
        """The name of the replica if it took a state, else ""."""
        try:
            rethink.ask(name, self.own.key, "/take", state)
        except NoQuorum:
            return ""
        return name

    def status(self) -> dict[str, Any]:
        return {"revision": self.read()["revision"], "sick": self.sick, "time": _now()}

    def cluster(self) -> dict[str, Any]:
        """State and health of all members.

        Raises:
            NoQuorum: there is no majority.
        """
        state = self.state()
        alive = self.alive(state)
        health, stamps = {}, {}
        for name, member in state["members"].items():
            told = self.status() if name == self.own.id else self._heard.get(name, (0, {}))[1]
            stamps[name] = told.get("time", member["joined"])
            health[name] = f"Replica reported health too long ago: {stamps[name]}"
            if name in alive:
                health[name] = "; ".join(f"{part} is not healthy" for part in told["sick"]) or "OK"
        return {"state": state, "alive": alive, "health": health, "timestamps": stamps}

    def follow(self) -> None:
        """Ask the others how they are, all the time; who does not answer holds up nobody."""
        asked: dict[str, threading.Thread] = {}
        while True:
            for name in set(self.read()["members"]) - {self.own.id}:
                if name not in asked or not asked[name].is_alive():
                    asked[name] = threading.Thread(target=self._hear, args=(name,), daemon=True)
                    asked[name].start()
            time.sleep(1)

    def look(self) -> None:
        """See which components of this replica listen, all the time."""
        parts = [part for part in IMAGES if part not in ("rethinkdb", "nginx")]
        with ThreadPoolExecutor(len(parts)) as pool:
            while True:
                well = pool.map(lambda part: _listens(self.own.container(part)), parts)
                self.sick = [part for part, up in zip(parts, well, strict=True) if not up]
                time.sleep(0.5 if self.sick else 2)

    def _hear(self, name: str) -> None:
        try:
            told = rethink.ask(name, self.own.key, "/status", timeout=2)
            self._heard[name] = (time.monotonic(), told)
            if told["revision"] > self.read()["revision"]:
                self.take(rethink.ask(name, self.own.key, "/local", timeout=2))
        except NoQuorum:
            return


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _listens(name: str) -> bool:
    try:
        socket.create_connection((f"{name}.{NETWORK}", IDLE_PORT), timeout=2).close()
    except OSError:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    store: Store

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, value = 200, None
        try:
            if self.headers.get("X-Key") != self.store.own.key:
                raise NoQuorum("rethinkdb: Wrong password")
            value = self._route(json.loads(body) if body else None)
        except NoQuorum as error:
            status, value = 503, str(error)
        except Changed as error:
            status, value = 409, str(error)
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = _any

    def _route(self, given: Any) -> Any:
        if self.path == "/take":
            self.store.take(given)
            return {}
        if self.path == "/state":
            return self.store.state() if given is None else self.store.put(given)
        read = {"/status": self.store.status, "/local": self.store.read, "/cluster": self.store.cluster}
        return read[self.path]()

    def log_message(self, *_: Any) -> None:
        return


def serve(own: Replica) -> None:
    """Run as `dtr-rethinkdb`."""
    _Handler.store = Store(own)
    for work in (_Handler.store.follow, _Handler.store.look):
        threading.Thread(target=work, daemon=True).start()
    server = ThreadingHTTPServer(("", STORE_PORT), _Handler)
    server.daemon_threads = True
    server.serve_forever()
