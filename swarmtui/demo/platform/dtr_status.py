"""What `cluster_status` of DTR says: the health of its replicas, and the tables of its database about itself."""

from __future__ import annotations

from typing import Any

from swarmtui.demo.platform.dtr import Dtr, Replica, seconds
from swarmtui.demo.world.ids import stamp

_DATABASES = ("dtr2", "jobrunner", "notaryserver", "notarysigner")
_TABLES = ("repositories", "tags")


def cluster_status(dtr: Dtr) -> dict[str, Any]:
    """`GET /api/v0/meta/cluster_status`."""
    health = {replica.id: dtr.ill(replica) for replica in dtr.replicas.values()}
    gone = [one.id for one in dtr.replicas.values() if not dtr.runs(one)]
    return {
        "rethink_system_tables": {
            "cluster_config": [{"heartbeat_timeout_secs": 10, "id": "heartbeat"}],
            "current_issues": [_issue(replica_id) for replica_id in gone],
            "db_config": [
                {"id": f"{n:08x}-0000-4000-8000-000000000000", "name": name} for n, name in enumerate(_DATABASES)
            ],
            "server_status": [_server(dtr, one) for one in dtr.replicas.values() if one.id not in gone],
            "stats": [],
            "table_config": [],
            "table_status": [_table(dtr, gone, n, name) for n, name in enumerate(_TABLES)],
        },
        "replica_health": {replica_id: text or "OK" for replica_id, text in health.items()},
        "replica_timestamp": {one.id: seconds(one.seen) for one in dtr.replicas.values()},
        "replica_readonly": dict.fromkeys(dtr.replicas, dtr.readonly),
        "gc_lock_holder": dtr.gc_lock,
    }


def _server(dtr: Dtr, replica: Replica) -> dict[str, Any]:
    others = [one.id for one in dtr.replicas.values() if one.id != replica.id and dtr.runs(one)]
    return {
        "id": f"{replica.id}-0000-4000",
        "name": f"dtr_rethinkdb_{replica.id}",
        "network": {
            "canonical_addresses": [{"host": f"dtr-rethinkdb-{replica.id}.dtr-ol", "port": 29015}],
            "cluster_port": 29015,
            "connected_to": {f"dtr_rethinkdb_{other}": True for other in others},
            "hostname": replica.id,
            "http_admin_port": "<no http admin>",
            "reql_port": 28015,
            "time_connected": stamp(replica.seen),
        },
        "process": {
            "argv": [],
            "cache_size_mb": 512,
            "pid": 1,
            "time_started": stamp(replica.seen),
            "version": "rethinkdb 2.3.6",
        },
    }


def _issue(replica_id: str) -> dict[str, Any]:
    return {
        "critical": False,
        "description": "The table has some replicas that are not ready. The following servers are not "
        f"reachable: dtr_rethinkdb_{replica_id}",
        "type": "table_availability",
    }


def _table(dtr: Dtr, gone: list[str], number: int, name: str) -> dict[str, Any]:
    states = [{"server": f"dtr_rethinkdb_{r}", "state": "disconnected" if r in gone else "ready"} for r in dtr.replicas]
    ready = [state["server"] for state in states if state["state"] == "ready"]
    return {
        "db": "dtr2",
        "id": f"00000000-0000-4000-8000-{number:012x}",
        "name": name,
        "raft_leader": ready[0] if ready else "",
        "shards": [{"primary_replicas": ready[:1], "replicas": states}],
        "status": {
            "all_replicas_ready": not gone,
            "ready_for_outdated_reads": True,
            "ready_for_reads": dtr.quorum,
            "ready_for_writes": dtr.quorum,
        },
    }
