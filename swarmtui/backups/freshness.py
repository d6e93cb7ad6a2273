"""How fresh the backups of a cluster are: for header, status, doctor and metrics. Imports nothing heavy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.config import BackupsConfig
from swarmtui.errors import SwarmtuiError
from swarmtui.model.backups import HOUR, BackupHolding, age_words
from swarmtui.model.backups import Freshness as State
from swarmtui.model.health import backup_findings
from swarmtui.model.snapshot import Snapshot

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue
    from swarmtui.backups.entries import Entry

FIRST_SECONDS = 1.0
"""After the nodes are known: the first table comes first."""
AGAIN_SECONDS = 30.0
WRONG_CLOCK = HOUR
"""What is dated so far ahead was not taken then: it must not look fresh until that day has come."""

Look = Callable[[str], BackupHolding]
"""Tells what there is of backups of a cluster, by its id (blocking)."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh the backups of a cluster are.

    Attributes:
        proved: the newest backup of which it is proved that it would restore.
        newest: the newest one there is.
        age: of `proved`, in seconds; None without one.
        state: ok, old, none, not proved or unknown.
        sentence: that for a person, with what to do about it.
    """

    proved: Entry | None
    newest: Entry | None
    age: float | None
    state: State
    sentence: str


def freshness(entries: Sequence[Entry], settings: BackupsConfig, now: float) -> Freshness:
    """How fresh the backups of one cluster are. Pure.

    Args:
        entries: as the catalogue gives them, the newest first.
    """
    proved, newest = _newest([entry for entry in entries if entry.kind == "swarm"], now)
    held = holding(entries, settings, now)
    age = now - held.proved_at if held.proved_at else None
    said = [f"{finding.what} {finding.advice}" for finding in backup_findings(held, now)]
    fine = f"The newest backup that is proved is {age_words(age or 0.0)} old."
    return Freshness(proved, newest, age, held.state(now), said[0] if said else fine)


def holding(entries: Sequence[Entry], settings: BackupsConfig, now: float) -> BackupHolding:
    """What a snapshot says of these backups. Pure."""
    _, of_dtr = _newest([entry for entry in entries if entry.kind == "dtr"], now)
    # Of the Swarm only: a backup of UCP does not bring a Swarm back.
    entries = [entry for entry in entries if entry.kind in ("swarm", "")]
    proved, newest = _newest(entries, now)
    return BackupHolding(
        count=len(entries),
        newest_at=_taken(newest) if newest is not None else 0.0,
        proved_at=_taken(proved) if proved is not None else 0.0,
        fresh_hours=settings.fresh_hours,
        meant=bool(entries) or settings != BackupsConfig(),
        dtr_at=_taken(of_dtr) if of_dtr is not None else 0.0,
    )


def _newest(entries: Sequence[Entry], now: float) -> tuple[Entry | None, Entry | None]:
    dated = [entry for entry in entries if entry.manifest is not None and 0.0 < _taken(entry) <= now + WRONG_CLOCK]
    dated.sort(key=_taken, reverse=True)
    proved = next((entry for entry in dated if entry.would_restore == "yes"), None)
    return proved, dated[0] if dated else None


def _taken(entry: Entry) -> float:
    return entry.manifest.taken_at if entry.manifest is not None else 0.0


def held_in(catalogue: Callable[[], Catalogue], cluster_id: str, settings: BackupsConfig) -> BackupHolding:
    """What a catalogue has of a cluster (blocking); a catalogue that cannot be read says so itself."""
    try:
        return holding(catalogue().entries(cluster_id), settings, time.time())
    except (SwarmtuiError, OSError) as error:
        trouble = error.what if isinstance(error, SwarmtuiError) else f"{error.filename}: {error.strerror}."
        return BackupHolding(fresh_hours=settings.fresh_hours, meant=True, trouble=trouble)


async def keep_looking_at(look: Look, snapshot: Callable[[], Snapshot], found: Callable[[BackupHolding], None]) -> None:
    """Looks after the first table is there, and every now and then, until it is cancelled."""
    while True:
        await asyncio.sleep(FIRST_SECONDS)
        now = snapshot()
        if now.cluster_id and now.nodes_known:
            found(await asyncio.to_thread(look, now.cluster_id))
            await asyncio.sleep(AGAIN_SECONDS)


class Watched:
    """Looks into a catalogue only where something changed there since the last look.

    Args:
        catalogue: gives the catalogue.
        settings: of the cluster.
    """

    def __init__(self, catalogue: Callable[[], Catalogue], settings: Callable[[], BackupsConfig]) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._seen: tuple[object, ...] | None = None
        self._held = BackupHolding()

    def __call__(self, cluster_id: str) -> BackupHolding:
        """What there is of backups of a cluster (blocking)."""
        settings = self._settings()
        try:
            folder = self._catalogue().root / cluster_id
            seen = (folder, settings, frozenset(_times(folder)))
        except (SwarmtuiError, OSError):
            seen = None  # whatever it is, the look itself says it
        if seen is None or seen != self._seen:
            self._held = held_in(self._catalogue, cluster_id, settings)
            self._seen = None if self._held.trouble else seen
        return self._held


def _times(folder: Path) -> Iterator[tuple[str, int]]:
    if not folder.is_dir():
        return
    for backup in os.scandir(folder):
        yield backup.name, backup.stat(follow_symlinks=False).st_mtime_ns
        try:
            # Verifications are added to a file: its folder does not change.
            yield f"{backup.name}/", (Path(backup.path) / "verifications.jsonl").stat().st_mtime_ns
        except OSError:
            continue
