"""`swarmtui backups unlock`: the documented restore hangs for ever on a cluster with autolock and several managers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from swarmtui import config
from swarmtui.backups.archive import ArchiveFiles, open_archive, unpack
from swarmtui.backups.catalogue import Entry
from swarmtui.backups.draft import fsync_folder, said
from swarmtui.backups.entries import is_of_a_swarm
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.keys import Keys
from swarmtui.backups.raft.beside import needless
from swarmtui.cli.backups.common import (
    SCHEMA,
    identity_of,
    in_thread,
    keys_for,
    the_entry,
    with_cluster,
    with_identity,
)
from swarmtui.cli.main import Parser
from swarmtui.errors import UsageError
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import KEY_FILE, restorable, unlocked


def main(arguments: Sequence[str]) -> int:
    """Writes an unlocked copy. Returns 0, or raises."""
    parser = Parser(
        "swarmtui backups unlock",
        description="Writes a copy of the Swarm's directory with its key file in clear, offline. What Docker "
        "makes anew is left out (docker-state.json, with which it would call the old managers, state.json, worker/). "
        "Whoever has the copy has the Swarm.",
    )
    parser.add_argument("backup", metavar="BACKUP", help="its id or latest")
    parser.add_argument(
        "--to",
        "--output",
        dest="to",
        required=True,
        metavar="FILE|FOLDER",
        help="a new folder, or a new file ….tar.gz or ….tgz, or - for standard output",
    )
    with_identity(parser)
    with_cluster(parser)
    options = parser.parse_args(arguments)
    if options.to == "-" and sys.stdout.isatty():
        raise UsageError("A tar.gz is not for a terminal.", "Pipe it on, or give --to FILE.")
    if options.to == "-" and options.json:
        raise UsageError("Standard output is the archive or JSON, not both.", "Give --to FILE.")
    return asyncio.run(_unlock(options, config.load(options.config)))


async def _unlock(options: Namespace, known: config.Config) -> int:
    _, entry = the_entry(known, options.cluster, options.backup)
    _ = entry.whole
    is_of_a_swarm(entry)
    to = options.to
    target = Path(to).expanduser()
    if to != "-" and (target.exists() or target.is_symlink()):
        raise UsageError(f"{target} is there already, and is not written over.", "Choose another name.")
    keys = await keys_for(known, entry, identity_of(options.identity))
    was_locked = await in_thread(lambda stop: _written(entry, keys, to, target))
    if to == "-":
        return 0
    if options.json:
        print(json.dumps({"schema": SCHEMA, "backup": entry.id, "to": str(target), "was_locked": was_locked}, indent=2))
        return 0
    what = "unlocked" if was_locked else "as it was: it is not locked"
    print(f"{target} holds the Swarm's directory of {entry.id}, {what}. Whoever reads it has the Swarm.")
    return 0


def _written(entry: Entry, keys: Keys, to: str, target: Path) -> bool:
    try:
        with open_archive(entry.archive, keys.identity) as files:
            if files.fatal:
                raise ArchiveError(files.fatal[0].what, "Take another backup.")
            key_file = unlocked(files, keys.unlock)
            if to == "-":
                for chunk in restorable(files, files.folders, key_file):
                    sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            elif target.name.endswith((".tar.gz", ".tgz")):
                _file(target, restorable(files, files.folders, key_file))
            else:
                _folder(files, target, key_file)
            return key_file is not None
    except BackupError as error:
        raise type(error)(f"{entry.id} was not unlocked. {error.what}", error.next_step) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BackupError(said(error, "read or written", target if to != "-" else entry.archive)) from None


def _file(target: Path, chunks: Iterator[bytes]) -> None:
    """Under another name until it is whole; never over something that is there."""
    beside = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        try:
            target.hardlink_to(beside)
        except FileExistsError:
            raise UsageError(f"{target} is there already, and is not written over.", "Choose another name.") from None
        fsync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _folder(files: ArchiveFiles, target: Path, key_file: bytes | None) -> None:
    """Under another name until the key file is in clear; the rename does not replace a folder that is not empty."""
    beside = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
    unpack(
        files,
        beside,
        instead={KEY_FILE: key_file} if key_file is not None else {},
        without=[name for name in files.names() if needless(name)],
    )
    try:
        if target.exists():
            raise UsageError(f"{target} is there already, and is not written over.", "Choose another name.")
        beside.rename(target)
        fsync_folder(target.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
