"""What UCP keeps in its volumes on a manager, by "volume/path"."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from typing import Any

from standin import pki
from standin.components import SERVER_CERTS, Ucp

ACCOUNTS = "ucp-auth-store-data/rethinkdb_data/accounts.json"
SETTINGS = "ucp-kv/member/settings.json"
CLIENT_ROOT = "ucp-client-root-ca"
CLUSTER_ROOT = "ucp-cluster-root-ca"
SHARED = (CLIENT_ROOT, CLUSTER_ROOT, "ucp-kv", "ucp-auth-store-data", "ucp-metrics-data")
"""Volumes whose content is the same on all managers."""

Files = dict[str, bytes]


def volume(files: Files, name: str) -> Files:
    """The files of one volume."""
    return {path.partition("/")[2]: data for path, data in files.items() if path.startswith(name + "/")}


def settings(files: Files) -> dict[str, Any]:
    """UCP's own configuration."""
    return dict(json.loads(files[SETTINGS]))


def dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def new(ucp: Ucp, admin: str, password: str, sans: list[str], licence: str, external: Files | None) -> Files:
    """The content of the volumes of a new UCP, without what is a node's own."""
    files: Files = {}
    for name, title in ((CLIENT_ROOT, "UCP Client Root CA"), (CLUSTER_ROOT, "UCP Cluster Root CA")):
        files |= {f"{name}/{file}": data for file, data in pki.root(title).items()}
    kept = {"version": ucp.version, "cluster": ucp.instance, "sans": sans, "license": licence}
    kept["controller_port"], kept["swarm_port"] = ucp.controller_port, ucp.swarm_port
    kept["external"] = {name: data.decode() for name, data in (external or {}).items()}
    files[SETTINGS] = dump(kept)
    first = account(admin, password, admin=True)
    files[ACCOUNTS] = dump({"revision": 1, "accounts": {admin: first}, "sessions": {}, "keys": {}, "backups": {}})
    for chunk in range(90):
        files[f"ucp-metrics-data/data/{chunk:06d}.chunk"] = hashlib.sha256(f"{ucp.key}{chunk}".encode()).digest()
    return files


def account(name: str, password: str, *, admin: bool = False, full_name: str = "", org: bool = False) -> dict[str, Any]:
    """A new account."""
    salt = secrets.token_hex(8)
    return {
        "name": name, "id": str(uuid.uuid4()), "fullName": full_name, "isOrg": org, "isAdmin": admin,
        "isActive": True, "isImported": False, "membersCount": 0, "salt": salt, "hash": hashed(password, salt),
        "made": time.time(),
    }  # fmt: skip


def hashed(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=1024, r=8, p=1).hex()


def authority(files: Files, name: str) -> Files:
    """cert.pem and key.pem of a root."""
    return volume(files, name)


def node_files(files: Files, hostname: str, names: list[str], required: list[str] | None = None) -> Files:
    """What is one manager's own: its server certificate and those between components.

    Args:
        files: the shared files, and the node's own as far as they are there.
        names: the names a new server certificate gets.
        required: a certificate of this UCP that lacks one of these is made anew (all names, if not given).
    """
    root, cluster = authority(files, CLIENT_ROOT), authority(files, CLUSTER_ROOT)
    made: Files = {}
    external = {name: text.encode() for name, text in settings(files)["external"].items()}
    server = volume(files, SERVER_CERTS)
    if external:
        made |= {f"{SERVER_CERTS}/{name}": data for name, data in external.items()}
    elif (
        not server.get("cert.pem")
        or not pki.signed_by(server["cert.pem"], root["cert.pem"])
        or not set(names if required is None else required) <= pki.names_in(server["cert.pem"])
    ):
        cert, key = pki.issue(root, hostname, names)
        made |= _triple(SERVER_CERTS, root["cert.pem"], cert, key)
    inside = volume(files, "ucp-node-certs")
    if not inside.get("cert.pem") or not pki.signed_by(inside["cert.pem"], cluster["cert.pem"]):
        cert, key = pki.issue(cluster, hostname, names)
        for name in ("node", "auth-api", "auth-store", "auth-worker", "kv", "controller-client"):
            made |= _triple(f"ucp-{name}-certs", cluster["cert.pem"], cert, key)
    made["ucp-metrics-inventory/inventory.json"] = dump({"node": hostname})
    made["ucp-auth-worker-data/worker.json"] = dump({"node": hostname})
    return made


def _triple(name: str, ca: bytes, cert: bytes, key: bytes) -> Files:
    return {f"{name}/ca.pem": ca, f"{name}/cert.pem": cert, f"{name}/key.pem": key}
