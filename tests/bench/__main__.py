"""`make bench`: every figure the product promises, as medians and ratios of one run. It judges nothing by itself."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.bench.backup import backup_figures
from tests.bench.churn import churn_figures
from tests.bench.feed_figures import feed_figures
from tests.bench.first_table import compare
from tests.bench.log_figures import log_figures
from tests.bench.raft import raft_figures
from tests.bench.recover import recover_figures
from tests.bench.verify_figures import verify_figures
from tests.demo import figures as demo

PROMISES = {
    "ratio, median of pairs": "at most 1.0",
    "event loop, longest gap of all ticks, ms": "at most 10",
    "key to repaint under churn: p95, ms": "at most 30",
    "bytes to the terminal, idle for 10 s (with polls)": "0",
    "swarmtui demo to the first live table: median, s": "at most 1.5",
    "a full poll, decoded: median, ms": "at most 300",
    "bytes for one changed cell (an address)": "at most 1024",
    "start of :tasks: median of the next four, ms": "at most 300",
    "filter on 10,000 rows, to its repaint: median of 4, ms": "at most 50",
    "under churn: share of a core, %": "at most 15",
    "under churn: longest gap of a tenth of a second: p99, ms": "at most 16",
    "under churn: longest gap of all, ms": "at most 50",
    "under churn: key to repaint: p95, ms": "at most 30",
    "memory after the churn, MiB": "at most 200",
    "Docker down: ratio of medians": "at most 1.15",
    "recovery, ratio of medians": "at most 1.2",
    "transfer, ratio of medians": "at least 0.9",
}


def show(title: str, figures: dict[str, float]) -> None:
    """Prints figures under a title."""
    print(f"\n{title}")
    for name, value in figures.items():
        promise = f"   (promised: {PROMISES[name]})" if name in PROMISES else ""
        print(f"  {value:10.2f}  {name}{promise}", flush=True)


def lab_figures() -> dict[str, float] | str:
    """From the command to the first table on a real Swarm; or why that cannot be measured here."""
    from tests.lab import Lab
    from tests.lab.why import why_no_lab

    if reason := why_no_lab():
        return reason
    with Lab(managers=3, workers=2) as lab:
        lab.swarm()
        for number in range(3):
            options = ["-d", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--replicas", "3"]
            lab["mgr1"].docker(
                "service", "create", *options, "--name", f"web{number}", "alpine:latest", "sleep", "86400"
            )
        ours = {**os.environ, "HOME": str(lab.home), "LANG": "C.UTF-8"}
        return compare(lab["mgr1"].target, "wrk2", ours, lab.ssh_env())


def main() -> int:
    """Runs all of them."""
    figures = lab_figures()
    if isinstance(figures, str):
        print(f"Left out: the first table on a real Swarm: {figures}")
    else:
        show("First table on a real Swarm of 5 nodes over SSH (pairs in turn)", figures)
    taken = backup_figures()
    if isinstance(taken, str):
        print(f"Left out: taking a backup of a real Swarm: {taken}")
    else:
        show("Taking a backup of a real Swarm of 3 managers, against plain commands (in turn)", taken)
    recovered = recover_figures()
    if isinstance(recovered, str):
        print(f"Left out: restoring a real Swarm: {recovered}")
    else:
        show("A real Swarm whose managers are gone, restored, against plain commands (in turn)", recovered)
    show("A synthetic feed: 1,000 nodes, a tick a second, 10 % changing", asyncio.run(feed_figures()))
    show("1,000 nodes, 500 services, 10,000 tasks over SSH, 10 % of each changing every second", churn_figures())
    show("A log of 50,000 lines a second, for 10 s", asyncio.run(log_figures()))
    show("A Swarm's archive of 128 MB, looked into", raft_figures())
    show("100 backups, verified in a terminal", verify_figures())
    show("The demo: calm, 8 nodes", demo.small())
    show("The demo: big, 1,000 nodes and 10,000 tasks", demo.big())
    return 0


if __name__ == "__main__":
    sys.exit(main())
