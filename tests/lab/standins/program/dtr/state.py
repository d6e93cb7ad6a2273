"""What DTR keeps in its database."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from standin import pki
from standin.dtr.names import Replica
from standin.dtr.rethink import State


def new(own: Replica, task: dict[str, Any]) -> State:
    """The state of a DTR that was never there."""
    authority = pki.root("DTR CA")
    return {
        "revision": 1,
        "key": own.key,
        "version": own.version,
        "members": {},
        "settings": {
            "sso": False, "httpProxy": "", "httpsProxy": "", "noProxy": "", "disableUpgrades": False,
            "reportAnalytics": True, "anonymizeAnalytics": True, "disableBackupWarning": False,
            "logProtocol": "internal",
            "logHost": "", "logLevel": "INFO", "gcMode": "offline", "scanningEnabled": False,
            "scanningSyncOnline": False, "scanningEnableAutoRecheck": False, "jobHistoryToKeep": 100,
        },
        "external": "",
        "ca_key": authority["key.pem"].decode(),
        "ca_cert": authority["cert.pem"].decode(),
        "tls": {},
        "storage": {"kind": "default"},
        "readonly": False,
        "ucp": task["ucp"],
        "repositories": [],
        "tags": [],
        "jobs": [],
        "crons": [{"id": secrets.token_hex(8), "action": "gc", "schedule": "0 0 * * 6"}],
    }  # fmt: skip


_FLAGS = {
    "http-proxy": "httpProxy", "https-proxy": "httpsProxy", "no-proxy": "noProxy", "log-protocol": "logProtocol",
    "log-host": "logHost", "log-level": "logLevel",
}  # fmt: skip


def apply(held: State, flags: dict[str, str], address: str) -> None:
    """Take settings from a command line; the certificate of all replicas is made for the external URL alone.

    Args:
        address: what a certificate names where there is no external URL.
    """
    held["settings"] |= {_FLAGS[name]: text for name, text in flags.items() if name in _FLAGS}
    before = held["external"]
    if flags.get("dtr-external-url"):
        held["external"] = flags["dtr-external-url"].removeprefix("https://").rstrip("/")
        held["settings"]["sso"] = True
    if flags.get("dtr-cert"):
        own = {"cert": flags["dtr-cert"], "key": flags.get("dtr-key", ""), "ca": flags.get("dtr-ca", "")}
        held["tls"], held["own_tls"] = own, True
    elif not held.get("own_tls") and (not held["tls"] or held["external"] != before):
        authority = {"cert.pem": held["ca_cert"].encode(), "key.pem": held["ca_key"].encode()}
        name = urlsplit(f"https://{held['external']}").hostname or address
        cert, key = pki.issue(authority, name, [name])
        held["tls"] = {"cert": cert.decode(), "key": key.decode(), "ca": held["ca_cert"]}


def settings(held: State, own: str) -> dict[str, Any]:
    """As `/api/v0/meta/settings` shows them."""
    storage = held["storage"]
    nfs = urlsplit(storage["url"]) if storage["kind"] == "nfs" else None
    return {
        **held["settings"],
        "dtrHost": held["external"],
        "replicaID": own,
        "replicaSettings": {
            name: {key: member[key] for key in ("HTTPPort", "HTTPSPort", "node")}
            for name, member in held["members"].items()
        },
        "webTLSCert": held["tls"]["cert"],
        "webTLSCA": held["tls"]["ca"],
        "storageVolume": storage.get("volume", ""),
        "nfsHost": nfs.hostname if nfs else "",
        "nfsPath": nfs.path if nfs else "",
    }


def _table(name: str, database: str, held: State, alive: list[str]) -> dict[str, Any]:
    members = sorted(held["members"])
    return {
        "db": database, "id": name, "name": name, "raft_leader": f"dtr_rethinkdb_{alive[0]}",
        "shards": [{
            "primary_replicas": [f"dtr_rethinkdb_{alive[0]}"],
            "replicas": [
                {"server": f"dtr_rethinkdb_{m}", "state": "ready" if m in alive else "disconnected"} for m in members
            ],
        }],
        "status": {
            "all_replicas_ready": len(alive) == len(members), "ready_for_outdated_reads": True,
            "ready_for_reads": True, "ready_for_writes": True,
        },
    }  # fmt: skip


def status(told: dict[str, Any]) -> dict[str, Any]:
    """As `/api/v0/meta/cluster_status` shows it.

    Args:
        told: what a replica's database tells of the cluster.
    """
    held, alive = told["state"], told["alive"]
    lost = sorted(set(held["members"]) - set(alive))
    away = ", ".join(f"dtr_rethinkdb_{name}" for name in lost)
    tables = {"dtr2": ("properties", "repositories", "tags"), "jobrunner": ("jobs", "crons"), "notaryserver": ("tuf",)}
    return {
        "rethink_system_tables": {
            "cluster_config": [{"heartbeat_timeout_secs": 10, "id": "heartbeat"}],
            "current_issues": [{
                "critical": False, "id": "table_availability", "type": "table_availability",
                "description": "Table `dtr2.tags` is available for all operations, but some replicas are not ready."
                f" The following servers are not reachable: {away}",
            }] if lost else [],
            "db_config": [{"id": name, "name": name} for name in tables],
            "server_status": [
                {
                    "id": name, "name": f"dtr_rethinkdb_{name}",
                    "network": {
                        "canonical_addresses": [{"host": f"dtr-rethinkdb-{name}.dtr-ol", "port": 29015}],
                        "cluster_port": 29015, "hostname": name, "reql_port": 28015,
                        "connected_to": {f"dtr_rethinkdb_{other}": True for other in alive if other != name},
                    },
                }
                for name in alive
            ],
            "stats": [], "table_config": [],
            "table_status": [_table(name, db, held, alive) for db, names in tables.items() for name in names],
        },
        "replica_health": told["health"],
        "replica_timestamp": told["timestamps"],
        "replica_readonly": dict.fromkeys(held["members"], held["readonly"]),
        "gc_lock_holder": next((job["workerID"] for job in held["jobs"] if job["status"] == "running"), ""),
    }  # fmt: skip
