"""What a backup holds, by version, and how it is put back."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import tarfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from standin import engine, pgp, state, store
from standin.components import SERVER_CERTS, VOLUMES, Ucp
from standin.engine import EngineError

DATABASES: tuple[int, int] = (3, 4)
"""From here on a backup has dumps of the databases and of the containers, and not the volumes."""


class BadArchive(Exception):
    """These bytes are no backup of UCP."""


def collect(ucp: Ucp) -> bytes:
    """The tar of a backup of this manager, not encrypted."""
    with engine.Mounted(ucp.image("agent"), VOLUMES) as volumes:
        files = volumes.read()
    if ucp.number < DATABASES:
        return engine.tar_of(files, "./")
    kept = {path: data for path, data in files.items() if path.startswith((state.CLIENT_ROOT, state.CLUSTER_ROOT))}
    kept = {path: data for path, data in kept.items() if path.endswith(".pem")}
    kept |= {path: data for path, data in files.items() if path.startswith(SERVER_CERTS)}
    kept[f"{SERVER_CERTS}/client_ca.pem"] = files[f"{state.CLIENT_ROOT}/cert.pem"]
    moment = str(int(time.time() * 1000))
    kept[f"ucp-backup/{moment}/auth-store.tar.gz"] = gzip.compress(
        engine.tar_of({"accounts.json": files[state.ACCOUNTS]})
    )
    kept[f"ucp-backup/{moment}/etcd.backup.db"] = files[state.SETTINGS]
    for entry in engine.containers():
        name = entry["name"].partition(".")[0]
        if name.startswith("ucp-"):
            kept[f"{name}.json"] = state.dump(engine.find("GET", f"/containers/{entry['Id']}/json"))
    for name in ("ucp-interlock", "ucp-interlock-config", "ucp-hardware-info", "ucp-sf-notifier"):
        kept.setdefault(f"{name}.json", b"{}")
    return engine.tar_of(kept, "./")


def opened(archive: bytes, passphrase: str) -> state.Files:
    """The files of a backup, as "volume/path" with the accounts and settings where `state` expects them.

    Raises:
        BadArchive: it cannot be opened, or is not whole.
    """
    if archive[257:262] == b"ustar":
        plain = archive
    else:
        try:
            plain = pgp.decrypt(archive, passphrase)
        except (pgp.WrongPassphrase, pgp.NotOpenPgp) as error:
            raise BadArchive(str(error)) from error
    files: state.Files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream:
                    files[member.name.removeprefix("./")] = stream.read()
        for path in list(files):
            if path.endswith("/auth-store.tar.gz"):
                with tarfile.open(fileobj=io.BytesIO(files[path])) as tar:
                    stream = tar.extractfile("accounts.json")
                    files[state.ACCOUNTS] = stream.read() if stream else b""
            elif path.endswith("/etcd.backup.db"):
                files[state.SETTINGS] = files[path]
        state.settings(files)
        json.loads(files[state.ACCOUNTS])
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError) as error:
        raise BadArchive(f"invalid backup: {error}") from error
    return {path: data for path, data in files.items() if path.partition("/")[0] in VOLUMES}


def stop_local(ucp: Ucp) -> list[str]:
    """Stop the component containers of this host; the names of those that ran."""
    ours = {part.name for part in ucp.parts(True)}
    running = [entry["name"] for entry in engine.containers() if entry["name"] in ours and entry["State"] == "running"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: engine.call("POST", f"/containers/{name}/stop?t=2"), reversed(running)))
    return running


def start_local(ucp: Ucp) -> None:
    """Start the component containers of this host that do not run."""
    present = {entry["name"]: entry for entry in engine.containers()}
    asleep = [p.name for p in ucp.parts(True) if p.name in present and present[p.name]["State"] != "running"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: engine.call("POST", f"/containers/{name}/start"), asleep))


# --- the API of 3.2 and later ------------------------------------------------------------------------------------


def entry(given: dict[str, Any], node: str) -> dict[str, Any]:
    """The object of a backup that has just begun.

    Raises:
        ValueError: what was asked cannot be.
    """
    secret, without = str(given.get("passphrase") or ""), bool(given.get("noPassphrase"))
    if bool(secret) == without:
        raise ValueError("one of passphrase and noPassphrase is needed")
    name = str(given.get("fileName") or "")
    if not name or "/" in name or not str(given.get("hostPath") or "").startswith("/"):
        raise ValueError("fileName and hostPath are needed")
    return {
        "id": str(uuid.uuid4()), "encrypted": not without, "fileName": name,
        "logFileName": name.rsplit(".", 1)[0] + ".log" if given.get("includeLogs") else "",
        "backupPath": given["hostPath"], "backupState": "IN_PROGRESS", "nodeLocation": node, "shortError": "",
        "created_at": _now(), "completed_at": "0001-01-01T00:00:00Z",
    }  # fmt: skip


def by_api(ucp: Ucp, begun: dict[str, Any], given: dict[str, Any]) -> None:
    """Make the backup that an API request asked for, on this manager's disk."""
    error = ""
    try:
        data = collect(ucp)
        if begun["encrypted"]:
            data = pgp.encrypt(data, str(given["passphrase"]))
        files = {begun["fileName"]: data}
        if begun["logFileName"]:
            files[begun["logFileName"]] = pgp.encrypt(b"", str(given.get("passphrase") or "none"))
        with engine.Mounted(ucp.image("agent"), [], (f"{given['hostPath']}:/backup",)) as place:
            place.write(files, "/backup")
    except EngineError as failed:
        error = str(failed)
    with store.changed(ucp.key) as held:
        known = held["backups"][begun["id"]]
        known |= {"backupState": "FAILED" if error else "SUCCESS", "shortError": error, "completed_at": _now()}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
