"""The jobs of DTR: garbage collection is the one that somebody begins."""

from __future__ import annotations

import uuid

from swarmtui.demo.platform.dtr import Dtr, Replica
from swarmtui.demo.world.ids import stamp

TAKES = 6.0
"""Seconds that a garbage collection takes."""
GC = "registryGC"


def start(dtr: Dtr, replica: Replica) -> dict[str, object]:
    """Begin a garbage collection; images that no tag names go, and pushing waits meanwhile."""
    now = dtr.world.kernel.now()
    job: dict[str, object] = {
        "id": str(uuid.uuid4()),
        "retryFromID": "",
        "workerID": replica.id,
        "status": "running",
        "scheduledAt": stamp(now),
        "lastUpdated": stamp(now),
        "action": GC,
        "retriesLeft": 0,
        "retriesTotal": 0,
    }
    dtr.jobs.append(job)
    dtr.gc_lock = replica.id
    dtr.world.kernel.after(TAKES, lambda: _finish(dtr, replica, job))
    return job


def _finish(dtr: Dtr, replica: Replica, job: dict[str, object]) -> None:
    job["status"] = "worker_dead" if dtr.ill(replica) else "done"
    job["lastUpdated"] = stamp(dtr.world.kernel.now())
    dtr.gc_lock = ""


def shown(dtr: Dtr, query: dict[str, str]) -> list[dict[str, object]]:
    """The jobs that a question is about, newest first."""
    found = list(reversed(dtr.jobs))
    for name, key in (("action", "action"), ("worker", "workerID")):
        wanted = query.get(name, "any")
        found = [job for job in found if wanted in ("any", "", job[key])]
    if query.get("running", "any") not in ("any", ""):
        found = [job for job in found if (job["status"] == "running") is (query["running"] == "true")]
    start = query.get("start", "0")
    return found[int(start) if start.isdigit() else 0 :]


def workers(dtr: Dtr) -> list[dict[str, object]]:
    """Each replica that runs is one."""
    end = stamp(dtr.world.kernel.now() + 60)
    capacity = {"scan": 1, "scanCheck": 1}
    return [
        {"id": one.id, "status": "running", "capacityMap": capacity, "heartbeatExpiration": end}
        for one in dtr.replicas.values()
        if dtr.runs(one)
    ]
