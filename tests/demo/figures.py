"""The figures of the simulator: `python -m tests.demo.figures` prints them as JSON."""

from __future__ import annotations

import json
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path

from swarmtui.link.decode import Collection
from swarmtui.model.services import Service, Task
from swarmtui.model.swarm import Node
from tests.bench.first_table import first_table
from tests.demo.conftest import Served, start, stop

PATHS = ("/nodes", "/services?status=true", "/tasks")
"""What one full poll of the product asks for."""


def _get(path: str, sock: str) -> bytes:
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(sock.removeprefix("unix://"))
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode())
        pieces = []
        while piece := link.recv(1 << 20):
            pieces.append(piece)
    finally:
        link.close()
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return body


def poll(sock: str) -> tuple[float, float, int]:
    """One full poll, every object decoded as the product does it the first time.

    Returns:
        Seconds until all was decoded, seconds of these for the answers alone, and bytes.
    """
    decoders = (Collection("nodes", Node), Collection("services", Service), Collection("tasks", Task))
    answering = 0.0
    size = 0
    begun = time.perf_counter()
    for path, decode in zip(PATHS, decoders, strict=True):
        asked = time.perf_counter()
        body = _get(path, sock)
        answering += time.perf_counter() - asked
        assert decode(body)
        size += len(body)
    return time.perf_counter() - begun, answering, size


def memory(served: Served) -> float:
    """Resident memory of a demo in MiB."""
    text = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))) / 1024


def small(runs: int = 5) -> dict[str, float]:
    """The calm scenario: to serving, and `swarmtui demo` to the first live table, in turn; and memory."""
    serving, tables, megabytes = [], [], []
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        env = {**os.environ, "TMPDIR": folder, "HOME": folder, "LANG": "C.UTF-8"}
        for _ in range(runs):
            begun = time.perf_counter()
            served = start(folder=Path(folder))
            serving.append(time.perf_counter() - begun)
            megabytes.append(memory(served))
            stop(served)
            tables.append(first_table("demo", "wrk5", env)[0])
        _await_empty(Path(folder))
    return {
        "swarmtui demo to the first live table: median, s": statistics.median(tables),
        "the same: best, s": min(tables),
        "swarmtui demo --serve to its line of JSON: median, s": statistics.median(serving),
        "resident memory of the calm simulator, MiB": statistics.median(megabytes),
    }


def _await_empty(folder: Path) -> None:
    """The simulators of killed consoles remove what is theirs; wait for the last one."""
    end = time.monotonic() + 10
    while list(folder.glob("swarmtui-demo-*")) and time.monotonic() < end:
        time.sleep(0.05)


def big(nodes: int = 1000, tasks: int = 10_000, polls: int = 7) -> dict[str, float]:
    """A big Swarm: start, full polls, and memory before and after them."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        begun = time.perf_counter()
        served = start("--scenario", "big", "--nodes", str(nodes), "--tasks", str(tasks), folder=Path(folder))
        try:
            started = time.perf_counter() - begun
            fresh = memory(served)
            sock = served.socket("mgr1")
            first, _, size = poll(sock)
            rest = [poll(sock) for _ in range(polls)]
            return {
                "to its line of JSON, s": started,
                "the first full poll, decoded, ms": first * 1000,
                "a full poll, decoded: median, ms": statistics.median(total for total, _, _ in rest) * 1000,
                "of these for the answers: median, ms": statistics.median(answer for _, answer, _ in rest) * 1000,
                "size of a full poll, MB": size / 1e6,
                "resident memory when it begins to serve, MiB": fresh,
                "resident memory after the polls, MiB": memory(served),
            }
        finally:
            stop(served)


if __name__ == "__main__":
    print(json.dumps({"calm": small(), "big": big()}, indent=1))
