"""From the command to the first painted table of live nodes, against the docker CLI asked twice for as much."""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.feed_figures import resident_mib

SWARMTUI = str(Path(sys.executable).parent / "swarmtui")


def first_table(
    target: str, last_node: str, env: Mapping[str, str], *, rest_seconds: float = 0.0
) -> tuple[float, float]:
    """Opens the console in a terminal of its own; returns seconds until that node is painted, and MiB at rest."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.clear()
        os.environ.update({**env, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
        os.execv(SWARMTUI, [SWARMTUI, target])
    memory = 0.0
    try:
        seen = b""
        while last_node.encode() not in seen:
            readable, _, _ = select.select([terminal], [], [], 30)
            if not readable:
                raise TimeoutError(f"no table within 30 s: {seen[-500:]!r}")
            seen += os.read(terminal, 65_536)
        elapsed = time.perf_counter() - started
        end = time.monotonic() + rest_seconds
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 65_536)
        if rest_seconds:
            memory = resident_mib(pid)
        return elapsed, memory
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def docker_twice(target: str, env: Mapping[str, str]) -> float:
    """Seconds for `docker node ls` and `docker service ls`, one after the other."""
    started = time.perf_counter()
    for command in (["node", "ls"], ["service", "ls"]):
        subprocess.run(["docker", "-H", target, *command], env=dict(env), check=True, capture_output=True, timeout=60)
    return time.perf_counter() - started


def compare(
    target: str, last_node: str, ours: Mapping[str, str], theirs: Mapping[str, str], runs: int = 9
) -> dict[str, float]:
    """Measures both in turn; returns medians in seconds and the median of the ratios pair by pair."""
    first_table(target, last_node, ours)
    docker_twice(target, theirs)
    tables, lists = [], []
    for _ in range(runs):
        tables.append(first_table(target, last_node, ours)[0])
        lists.append(docker_twice(target, theirs))
    _, memory = first_table(target, last_node, ours, rest_seconds=8)
    return {
        "swarmtui to the first table of live nodes: median, s": statistics.median(tables),
        "docker node ls + docker service ls: median, s": statistics.median(lists),
        "ratio, median of pairs": statistics.median(a / b for a, b in zip(tables, lists, strict=True)),
        "resident memory at rest on this cluster, MiB": memory,
    }
