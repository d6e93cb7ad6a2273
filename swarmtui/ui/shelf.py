"""The catalogue of backups as the console sees it: read in a thread, then kept. No Textual here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue, Entry

_LOOKED_AT = ("manifest.json", "verifications.jsonl", "copies.json")
"""Files of a backup that change, or come later than its folder."""

State = frozenset[tuple[str, int, int]]


class Shelf:
    """What lies in the catalogue, as it was when somebody last looked.

    `look` may take as long as a disk or a network file system does: it is called in a thread, one call at a time.
    All else only tells what is in memory.

    Args:
        catalogue: gives the catalogue; called in `look`.
    """

    def __init__(self, catalogue: Callable[[], Catalogue]) -> None:
        self._catalogue = catalogue
        self._state: tuple[str, State] | None = None
        self.entries: Mapping[str, Entry] = {}
        """Row id → backup, the newest first: of the cluster, or of all clusters while it is not known which one it
        is."""
        self.cluster_id = ""
        """Whose backups they are; "" for those of all clusters."""
        self.turn = 0
        """How often something else lay there than before; 0 while nobody looked yet."""
        self.trouble = ""
        """Why the catalogue cannot be read, in a sentence; "" where it can."""

    def look(self, cluster_id: str, name: str = "") -> bool:
        """Reads what lies there, if it changed since the last look (blocking).

        Args:
            cluster_id: whose backups; "" where it is not known yet.
            name: what people call the cluster: as long as its id is not known, its backups are those that were taken
                of a cluster of that name; all there are, where none was.

        Returns:
            Whether something else is told now than before.
        """
        try:
            catalogue = self._catalogue()
            state = (cluster_id, frozenset(_state(catalogue.root / cluster_id if cluster_id else catalogue.root)))
            if state == self._state:
                return False
            entries = catalogue.entries(cluster_id or None)
            if not cluster_id:
                entries = tuple(each for each in entries if each.manifest and each.manifest.cluster == name) or entries
            found = {row_id(entry, cluster_id): entry for entry in entries}
        except (SwarmtuiError, OSError) as error:
            return self._tell({}, cluster_id, _words(error), None)
        return self._tell(found, cluster_id, "", state)

    def _tell(self, found: Mapping[str, Entry], cluster_id: str, trouble: str, state: tuple[str, State] | None) -> bool:
        same = self.turn > 0 and (found, cluster_id, trouble) == (self.entries, self.cluster_id, self.trouble)
        self._state = state
        if same:
            return False
        self.entries, self.cluster_id, self.trouble = found, cluster_id, trouble
        self.turn += 1
        return True

    def look_anew(self) -> None:
        """Has the next look read all of it, whatever the files say of themselves."""
        self._state = None


def row_id(entry: Entry, cluster_id: str) -> str:
    """The id of a backup's row: its own, which commands take too; with its cluster's where that is another one."""
    return entry.id if entry.cluster_id == cluster_id else f"{entry.cluster_id}/{entry.id}"


def _state(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What tells whether anything in a folder with backups changed: names, times and sizes."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            continue
        try:
            yield _stated(entry.path, entry.stat(follow_symlinks=False))
            inside = {each.name: each for each in os.scandir(entry.path)}
            for name in inside.keys() & set(_LOOKED_AT):
                yield _stated(inside[name].path, inside[name].stat())
        except FileNotFoundError:
            continue  # it went meanwhile
        if not inside.keys() & set(_LOOKED_AT):  # a cluster's folder, in that of all clusters
            yield from _state(Path(entry.path))


def _stated(path: str, stat: os.stat_result) -> tuple[str, int, int]:
    return path, stat.st_mtime_ns, stat.st_size


def _words(error: SwarmtuiError | OSError) -> str:
    if isinstance(error, SwarmtuiError):
        return str(error)
    return (
        f"The catalogue of backups cannot be read: {error.strerror or error}. Look at {error.filename or 'its disk'}."
    )
