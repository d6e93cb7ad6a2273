"""What a rehearsal sends, and what it makes of what came back. Pure."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from swarmtui.backups.errors import ArchiveError, RaftError
from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft.beside import needless
from swarmtui.model.inventory import KINDS, Inventory
from swarmtui.model.inventory_diff import compare
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

KEY_FILE = "certificates/swarm-node.key"

Objects = Mapping[str, list[dict[str, Any]]]


def is_locked(files: SwarmFiles) -> bool:
    """Whether the key file is locked. False where there is none."""
    try:
        return b"ENCRYPTED PRIVATE KEY" in files.read(KEY_FILE)
    except KeyError:
        return False


def unlocked(files: SwarmFiles, keys: Sequence[Secret]) -> bytes | None:
    """The key file in clear; None where it is not locked.

    Raises:
        RaftError: no key opens it.
    """
    from swarmtui.backups.raft.unlock import unlocked_key

    if not is_locked(files):
        return None
    for key in keys:
        try:
            return unlocked_key(files.read(KEY_FILE), key)
        except RaftError:
            continue
    told = "the only key there is" if len(keys) == 1 else f"none of the {len(keys)} keys" if keys else "no key is known"
    raise RaftError(f"The archive is locked, and {told}{' opens it' if keys else ''}.")


def restorable(files: SwarmFiles, folders: Iterable[str], key_file: bytes | None) -> Iterator[bytes]:
    """The Swarm's directory as it is restored, a tar.gz, made anew from regular files: nothing in it can lead outside.

    Args:
        folders: those that the archive has, also the empty ones.
        key_file: the key file in clear, in place of the archive's; None to keep that.

    Raises:
        ArchiveError: the archive cannot be read, or has a name that leads outside.
    """
    names = sorted(name for name in files.names() if not needless(name))
    above = {"/".join(name.split("/")[:depth]) for name in names for depth in range(1, name.count("/") + 1)}
    out = _Taken()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for folder in sorted(above.union(name.strip("/") for name in folders if name.strip("/"))):
            entry = tarfile.TarInfo(_inside(folder))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(entry)
        for name in names:
            content = key_file if name == KEY_FILE and key_file is not None else _read(files, name)
            entry = tarfile.TarInfo(_inside(name))
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
            yield from out.taken()
    yield from out.taken()


def _inside(name: str) -> str:
    """A name that cannot lead out of the folder it is unpacked in. Raises ArchiveError."""
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ArchiveError(
            f'The archive has a file whose name leads outside: "{one_line(name)[:80]}".', "Do not use it."
        )
    return name


def _read(files: SwarmFiles, name: str) -> bytes:
    try:
        return files.read(name)
    except OSError as error:
        raise ArchiveError(
            f"{one_line(name)} cannot be read from the archive: {error}.", "Take another backup."
        ) from error


class _Taken(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> Iterator[bytes]:
        parts, self._parts = self._parts, []
        if parts:
            yield b"".join(parts)


def counts(inventory: Inventory) -> str:
    """How much a Swarm has, in words."""
    numbers = [(len(inventory.of(kind)), kind) for kind in KINDS]
    return ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for number, kind in numbers)


def inventory_of(objects: Objects, tasks: int = 0) -> Inventory:
    """The inventory of what an API gave."""
    return Inventory.from_api(
        objects["swarm"][0],
        objects["nodes"],
        objects["services"],
        objects["networks"],
        objects["secrets"],
        objects["configs"],
        tasks,
    )


def judge(
    restored: Inventory,
    node_id: str,
    *,
    expected_node: str,
    cluster_id: str,
    before: Inventory | None,
    after: Inventory | None,
) -> tuple[bool, tuple[str, ...]]:
    """Whether the restored Swarm is the one that was backed up: (so, sentences; the first one says it all).

    Args:
        node_id: of the manager it was restored on.
        expected_node: the one in the archive's certificate; "" where it could not be read.
        before, after: what the manifest says that the Swarm had; None where it says nothing.
    """
    if restored.cluster_id != cluster_id:
        return False, (
            f"The restore made another Swarm, {one_line(restored.cluster_id) or 'without an id'} instead of "
            f"{cluster_id}, with {counts(restored)}. Docker said that it succeeded.",
        )
    if expected_node and node_id != expected_node:
        return False, (
            f"The restored manager is {one_line(node_id)}, and the archive's certificate is of "
            f"{one_line(expected_node)}.",
        )
    had = f"Restored in an isolated place: the Swarm {cluster_id[:12]}, with {counts(restored)}."
    if before is None:
        return True, (had, "The manifest has no inventory to compare that with.")
    last = after or before
    comparison = compare(_as_it_was(restored, node_id, last), before, last)
    wrong = (*comparison.missing, *comparison.extra, *comparison.different)
    if wrong:
        points = "1 point" if len(wrong) == 1 else f"{len(wrong)} points"
        return False, (
            f"It was restored, but differs from the manifest in {points}: {wrong[0]}.",
            *(f"{text[:1].upper()}{text[1:]}." for text in wrong),
        )
    return True, (had, *(f"{text[:1].upper()}{text[1:]}." for text in comparison.moved))


def _as_it_was(restored: Inventory, node_id: str, was: Inventory) -> Inventory:
    """The restored inventory without what a restore itself changes (swarm-dr.md §3).

    The restored manager has another address and its host's name, all nodes have new versions (they are taken for down),
    autolock is off, and the Swarm's own settings were written anew.
    """
    known = {node.id: node for node in was.nodes}
    nodes = tuple(
        replace(
            node,
            version=known[node.id].version,
            **({"name": known[node.id].name, "address": known[node.id].address} if node.id == node_id else {}),
        )
        if node.id in known
        else node
        for node in restored.nodes
    )
    return replace(restored, nodes=nodes, autolock=was.autolock, cluster_version=was.cluster_version)
