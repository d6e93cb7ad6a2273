"""The tar of a backup: `dtr-backup-vVERSION/rethink/TABLE/N`. It holds neither images nor users."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from standin import engine
from standin.dtr.names import number

ONLINE: tuple[int, int] = (2, 9)
"""From here on the folder says that the backup was made online."""


class BadArchive(Exception):
    """These bytes are no backup of this version of DTR."""


def made(state: dict[str, Any], version: str, *, offline: bool = False) -> bytes:
    """The tar with the state of DTR."""
    root = f"dtr-backup-v{version}" + ("-online" if number(version) >= ONLINE and not offline else "")
    rows = {
        "properties": [{key: value for key, value in state.items() if key not in ("members", "repositories", "tags")}],
        "repositories": state["repositories"],
        "tags": state["tags"],
        "manifests": [{"digest": tag["digest"], "repository": tag["repository"]} for tag in state["tags"]],
        "layers": [{"digest": tag["digest"]} for tag in state["tags"]],
        "crons": state["crons"],
        "events": [],
        "private_keys": [{"key_id": state["key"]}],
        "tuf_files": [],
    }
    files = {f"{root}/rethink/{table}/": b"" for table in rows}
    for table, entries in rows.items():
        for place, entry in enumerate(entries):
            files[f"{root}/rethink/{table}/{place}"] = json.dumps(entry, sort_keys=True).encode()
    return engine.tar_of(files)


def only(data: bytes) -> bytes:
    """The one file of a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        stream = tar.extractfile(tar.getmembers()[0])
        return stream.read() if stream else b""


def opened(data: bytes, version: str) -> dict[str, Any]:
    """The state in a backup.

    Raises:
        BadArchive: it is not whole, or of another version.
    """
    tables: dict[str, list[tuple[int, Any]]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream:
                    root, _, table, row = member.name.split("/")
                    if root.removeprefix("dtr-backup-v").partition("-")[0] != version:
                        raise BadArchive(f"it is {root}, this is DTR {version}")
                    tables.setdefault(table, []).append((int(row), json.loads(stream.read())))
        state = dict(tables["properties"][0][1])
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise BadArchive(str(error) or type(error).__name__) from error
    for table in ("repositories", "tags"):
        state[table] = [entry for _, entry in sorted(tables.get(table, []), key=lambda row: row[0])]
    return state
