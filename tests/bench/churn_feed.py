"""The other side of the churn bench, in a process of its own: a synthetic engine behind an SSH server on loopback.

`python -m tests.bench.churn_feed FOLDER NODES SERVICES TASKS` makes FOLDER a home with keys, prints one line of JSON
when it serves, and takes a word a line: "churn" and "rest" begin and end a tick a second, any word is answered with how
many polls there were. It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh

from tests.feed import Feed, encoded
from tests.link.support import Events, FakeEngine, FakeHost, Handler

PATHS = ("/info", "/nodes", "/services", "/tasks")


class Churn:
    """A feed with a heart that beats while it is told to."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.events = Events()
        self.polls = 0
        self._beating: asyncio.Task[None] | None = None

    def answer(self, path: str) -> Handler:
        """What the engine answers to a GET of this path."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.polls += path == "/nodes"
            body = self.feed.body(path)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()

        return handler

    def begin(self) -> None:
        self._beating = asyncio.create_task(self._beat())

    async def end(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat(self) -> None:
        due = time.monotonic()
        while True:
            self.feed.tick_all()
            for number in range(20):
                self.events.send(_node_event(number))
            due += 1.0
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _node_event(number: int) -> dict[str, Any]:
    now = time.time()
    attributes = {"name": f"node{number}", "state.new": "ready", "state.old": "down"}
    actor = {"ID": f"n{number}", "Attributes": attributes}
    return {
        "Type": "node",
        "Action": "update",
        "Actor": actor,
        "scope": "swarm",
        "time": int(now),
        "timeNano": int(now * 1e9),
    }


def on_loopback(feed: Feed) -> None:
    """Nobody is ever led off this machine: all managers say that they are here."""
    for number in range(5):
        body = feed._nodes[number]
        body["Status"]["Addr"] = "127.0.0.1"
        body["ManagerStatus"]["Addr"] = "127.0.0.1:1"
        feed._encoded[number] = encoded(body)


async def serve(folder: Path, nodes: int, services: int, tasks: int) -> None:
    """Serves until stdin ends."""
    feed = Feed(nodes, services, tasks)
    on_loopback(feed)
    churn = Churn(feed)
    socket = folder / "docker.sock"
    routes: dict[Any, Any] = {("GET", path): churn.answer(path) for path in PATHS}
    engine = await FakeEngine({**routes, ("GET", "/events"): churn.events}).on(socket)
    key, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    host = await FakeHost(key, folder, {"op": [user]}, socket=socket, tcp=False).start()
    ssh = folder / ".ssh"
    ssh.mkdir(mode=0o700)
    user.write_private_key(ssh / "id_ed25519")
    (ssh / "id_ed25519").chmod(0o600)
    (ssh / "known_hosts").write_text(host.known())
    print(json.dumps({"target": f"ssh://op@127.0.0.1:{host.port}"}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while word := (await lines.readline()).decode().strip():
        if word == "churn":
            churn.begin()
        elif word == "rest":
            await churn.end()
        print(json.dumps({"polls": churn.polls}), flush=True)
    await churn.end()
    await host.stop()
    await engine.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
