"""The figures of the simulator: `python -m tests.demo.figures` prints them as JSON."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.demo.conftest import Served, start, stop

PATHS = ("/nodes", "/services?status=true", "/tasks", "/networks")
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


def poll(sock: str) -> tuple[float, int]:
    """One full poll, decoded: seconds and bytes."""
    begun = time.perf_counter()
    size = 0
    for path in PATHS:
        body = _get(path, sock)
        msgspec.json.decode(body)
        size += len(body)
    return time.perf_counter() - begun, size


def processor_time(served: Served) -> float:
    """Seconds of processor time that a demo has used so far."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_poll(served: Served) -> float:
    """Seconds of processor time, of both sides, that a full poll takes: a busy machine does not change it much."""
    mine, theirs = time.process_time(), processor_time(served)
    poll(served.socket("mgr1"))
    return time.process_time() - mine + processor_time(served) - theirs


def memory(served: Served) -> float:
    """Resident memory of a demo in MB."""
    text = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))) / 1024


def small() -> dict[str, Any]:
    """The calm scenario: from the start of the process to serving (median of five), and memory."""
    seconds = []
    megabytes = 0.0
    for _ in range(5):
        begun = time.perf_counter()
        served = start()
        seconds.append(time.perf_counter() - begun)
        megabytes = memory(served)
        stop(served)
    return {"start_s": round(statistics.median(seconds), 3), "memory_mb": round(megabytes)}


def big(nodes: int = 1000, tasks: int = 10_000) -> dict[str, Any]:
    """A big Swarm: start, first and median full poll, and memory."""
    begun = time.perf_counter()
    served = start("--scenario", "big", "--nodes", str(nodes), "--tasks", str(tasks))
    try:
        started = time.perf_counter() - begun
        first, size = poll(served.socket("mgr1"))
        rest = [poll(served.socket("mgr1"))[0] for _ in range(7)]
        return {
            "start_s": round(started, 2),
            "poll_first_ms": round(first * 1000),
            "poll_ms": round(statistics.median(rest) * 1000),
            "poll_mb": round(size / 1e6, 1),
            "memory_mb": round(memory(served)),
        }
    finally:
        stop(served)


if __name__ == "__main__":
    print(json.dumps({"small": small(), "big": big()}, indent=1))
