"""What the documents of DTR's API say, whatever is missing from them, strange or unknown. Pure.

Shapes: ucp-dtr.md §3.2. `cluster_status` changed between versions and is 45 KB of RethinkDB's own tables: of each part
that is not as expected the rest is still read, and every text is data of a server that may be ill.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from swarmtui.model.dtr.seen import Place, Storage, Tables, Told
from swarmtui.model.text import one_line

TEXT_MAX: Final = 300
MOST: Final = 64
"""Replicas, issues and jobs that are kept: there are 7 replicas at most."""
ENDED: Final = frozenset(
    ("done", "error", "cancel", "deleted", "worker_dead", "worker_shutdown", "worker_resurrection", "waiting")
)
"""States of a job that does not run now (ucp-dtr.md §3.2)."""
_REPLICA = re.compile(r"[0-9a-f]{12}")
_SERVER = re.compile(r"dtr_rethinkdb_([0-9a-f]{12})")
NEEDED: Final = ("replica_health", "replica_timestamp", "replica_readonly", "gc_lock_holder", "rethink_system_tables")
"""What every version's `cluster_status` must have."""


def with_status(told: Told, document: object) -> Told:
    """Adds what `cluster_status` says."""
    top = _dict(document)
    system = _dict(top.get("rethink_system_tables"))
    missing = [name for name in NEEDED if name not in top]
    tables, total, unwritable = _tables(system)
    # MSR 3.1 shows the issues at the top level.
    issues = [*_list(system.get("current_issues")), *_list(top.get("current_issues"))]
    unread = (f"DTR's cluster_status lacks {', '.join(missing)}.",) if missing else ()
    return replace(
        told,
        health={key: _text(text) or "says nothing of its health" for key, text in _by_replica(top, "replica_health")},
        timestamps={key: _text(text) for key, text in _by_replica(top, "replica_timestamp")},
        readonly={key: value is True for key, value in _by_replica(top, "replica_readonly")},
        gc_holder=_text(top.get("gc_lock_holder")),
        tables=tables,
        total=total,
        unwritable=unwritable,
        servers=frozenset(_servers(_dict(one).get("name") for one in _list(system.get("server_status")))),
        issues=tuple(text for one in issues if (text := _text(_dict(one).get("description"))))[:MOST],
        unread=told.unread + unread,
    )


def with_settings(told: Told, document: object) -> Told:
    """Adds what `meta/settings` says."""
    top = _dict(document)
    places = {
        key: Place(_text(_dict(place).get("node")), _port(place, "HTTPPort"), _port(place, "HTTPSPort"))
        for key, place in _by_replica(top, "replicaSettings")
    }
    host = _text(top.get("dtrHost"))
    url = host if not host or host.startswith("https://") else f"https://{host}"
    return replace(told, url=url, places=places, storage=_storage(top), gc_mode=_text(top.get("gcMode")))


def with_jobs(told: Told, document: object) -> Told:
    """Adds which jobs run, by what `jobs` says."""
    found = _dict(document).get("jobs")
    if not isinstance(found, list):
        return replace(told, unread=(*told.unread, "DTR's list of jobs cannot be read."))
    running = [one for one in map(_dict, found) if _text(one.get("status")) not in {"", *ENDED}]
    return replace(told, jobs=tuple(_text(one.get("action")) or "a job" for one in running)[:MOST])


def _storage(settings: Mapping[str, Any]) -> Storage:
    host, path, volume = (_text(settings.get(key)) for key in ("nfsHost", "nfsPath", "storageVolume"))
    if host:
        return Storage("nfs", f"nfs://{host}/{path.lstrip('/')}")
    return Storage("volume", volume) if volume else Storage()


def _tables(system: Mapping[str, Any]) -> tuple[dict[str, Tables], int, tuple[str, ...]]:
    """By replica; how many tables there are; the names of those that nobody can write."""
    held: Counter[str] = Counter()
    led: Counter[str] = Counter()
    bad: dict[str, Counter[str]] = {}
    total, unwritable = 0, []
    for table in map(_dict, _list(system.get("table_status"))):
        total += 1
        if _dict(table.get("status")).get("ready_for_writes") is False:
            unwritable.append(f"{_text(table.get('db'))}.{_text(table.get('name'))}")
        copies: dict[str, str] = {}
        leads: set[str] = set()
        for shard in map(_dict, _list(table.get("shards"))):
            leads.update(_servers(_list(shard.get("primary_replicas"))))
            for copy in map(_dict, _list(shard.get("replicas"))):
                for replica in _servers([copy.get("server")]):
                    state = _text(copy.get("state")) or "unknown"
                    if copies.get(replica, "ready") == "ready":
                        copies[replica] = state
        held.update(copies.keys())
        led.update(leads)
        for replica, state in copies.items():
            if state != "ready":
                bad.setdefault(replica, Counter())[state] += 1
    found = {key: Tables(held[key], led[key], dict(bad.get(key, {}))) for key in sorted({*held, *led})}
    return found, total, tuple(unwritable)


def _servers(names: Any) -> Iterator[str]:
    """The replicas behind names of RethinkDB servers."""
    for name in names:
        if isinstance(name, str) and (found := _SERVER.fullmatch(name)):
            yield found[1]


def _by_replica(top: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in _dict(top.get(key)).items() if _REPLICA.fullmatch(name)][:MOST]


def _dict(value: object) -> dict[str, Any]:
    return {key: one for key, one in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return one_line(value)[:TEXT_MAX] if isinstance(value, str) else ""


def _port(place: object, key: str) -> int:
    port = _dict(place).get(key)
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 else 0
