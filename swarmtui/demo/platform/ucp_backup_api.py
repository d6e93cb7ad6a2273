"""Backups over the API, since UCP 3.2: they are written into a folder of the manager that was asked."""

from __future__ import annotations

import posixpath
import uuid
from typing import Any

from swarmtui.demo.api.http import Response, json_response
from swarmtui.demo.hosts import files
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.ids import stamp

TAKES = 4.0
"""Seconds that one takes."""
_NEVER = "0001-01-01T00:00:00Z"


def start(ucp: Ucp, host: Host, body: dict[str, Any]) -> Response:
    """Begin one; answers with its id."""
    passphrase, bare = str(body.get("passphrase") or ""), bool(body.get("noPassphrase"))
    name, folder = posixpath.basename(str(body.get("fileName") or "")), str(body.get("hostPath") or "")
    if bool(passphrase) == bare:
        return _bad("either passphrase or noPassphrase must be set")
    if not name or not folder.startswith("/"):
        return _bad("fileName and hostPath must be set")
    if any(one["backupState"] == "IN_PROGRESS" for one in ucp.backups):
        return _bad("a backup is already in progress")
    found: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "encrypted": not bare,
        "fileName": name,
        "logFileName": f"{name.rpartition('.')[0] or name}.log" if body.get("includeLogs") else "",
        "backupPath": folder,
        "backupState": "IN_PROGRESS",
        "nodeLocation": host.name,
        "shortError": "",
        "created_at": stamp(ucp.world.kernel.now()),
        "completed_at": _NEVER,
    }
    ucp.backups.append(found)
    ucp.world.kernel.after(TAKES, lambda: _finish(ucp, host, found, passphrase))
    return json_response({"backupId": found["id"]})


def _finish(ucp: Ucp, host: Host, found: dict[str, Any], passphrase: str) -> None:
    now = ucp.world.kernel.now()
    try:
        if not host.running:
            raise OSError
        path = posixpath.join(found["backupPath"], found["fileName"])
        files.write(host, path, ucp.backup(host, passphrase), now=now, mode=0o600)
        found["backupState"] = "SUCCESS"
    except files.NoSpaceError:
        found.update(backupState="FAILED", shortError="no space left on device")
    except OSError:
        found.update(backupState="FAILED", shortError="the node went away")
    found["completed_at"] = stamp(now)


def show(ucp: Ucp, identity: str = "") -> Response:
    """One of them, or all."""
    if not identity:
        return json_response(ucp.backups)
    found = next((one for one in ucp.backups if one["id"] == identity), None)
    return _bad("no such backup", 404) if found is None else json_response(found)


def _bad(message: str, status: int = 400) -> Response:
    return json_response({"errors": [{"code": str(status), "message": message}]}, status)
