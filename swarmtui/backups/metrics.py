"""What a monitoring system is told: a file for node_exporter's textfile collector.

Times are of events, never ages: whoever reads them subtracts them from now. The format is Prometheus's text exposition
format 0.0.4.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from msgspec import Struct

from swarmtui.backups.errors import BackupError
from swarmtui.backups.freshness import freshness
from swarmtui.backups.records import Verdict
from swarmtui.backups.sets import sets_in, whole
from swarmtui.config import BackupsConfig
from swarmtui.config.backups import copy_target

if TYPE_CHECKING:
    from swarmtui.backups.entries import Entry


class Night(Struct, frozen=True):
    """How the last scheduled run of a cluster ended.

    Attributes:
        at: when it ended, unix seconds.
        seconds: how long it took.
        code: its exit code.
        stages: stage → exit code, of those that were begun.
        success_at: when one last ended well, unix seconds; 0.0 for never.
    """

    cluster: str
    at: float
    seconds: float
    code: int
    stages: dict[str, int]
    success_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to tell of one cluster.

    Attributes:
        entries: its backups, the newest first.
        night: None where none was scheduled, or none ran yet.
    """

    cluster_id: str
    name: str
    settings: BackupsConfig
    entries: Sequence[Entry]
    night: Night | None


_HELP = {
    "count": "Backups in the catalogue.",
    "last_taken_timestamp_seconds": "When the newest backup was taken.",
    "last_proved_timestamp_seconds": "When the newest backup was taken of which it is proved that it would restore.",
    "last_verified_timestamp_seconds": "When the newest backup was last verified.",
    "last_size_bytes": "Size of the newest backup as it is stored.",
    "last_downtime_seconds": "How long Docker was down on one manager for the newest backup.",
    "last_tier": "Tier that the newest backup's last verification reached, 0 to 5.",
    "last_would_restore": "Whether the newest backup would restore: 1 at the verdict that holds.",
    "last_copies": "Good copies of the newest backup in other places.",
    "last_whole_set_timestamp_seconds": "When the newest set was taken that has a backup of Swarm, UCP and DTR.",
    "copies": "Backups that have a good copy in a place.",
    "fresh_limit_seconds": "How old the newest proved backup may be.",
    "run_timestamp_seconds": "When the last scheduled run ended.",
    "run_duration_seconds": "How long the last scheduled run took.",
    "run_exit_code": "Exit code of the last scheduled run.",
    "run_stage_exit_code": "Exit code of each stage of the last scheduled run.",
    "run_success_timestamp_seconds": "When a scheduled run last ended well.",
}
"""Metric → what it is, without the prefix; all are gauges."""

PREFIX = "swarmtui_backup_"


def render(clusters: Iterable[Seen], now: float) -> str:
    """The file's text. Pure."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for seen in clusters:
        common = {"cluster": seen.name, "cluster_id": seen.cluster_id}
        for name, labels, value in _samples(seen, now):
            samples[name].append(f"{PREFIX}{name}{{{_labels({**common, **labels})}}} {_number(value)}\n")
    return "".join(
        f"# HELP {PREFIX}{name} {_HELP[name]}\n# TYPE {PREFIX}{name} gauge\n{''.join(lines)}"
        for name, lines in samples.items()
        if lines
    )


def _samples(seen: Seen, now: float) -> Iterator[tuple[str, Mapping[str, str], float]]:
    fresh = freshness(seen.entries, seen.settings, now)
    yield "count", {}, len(seen.entries)
    yield "fresh_limit_seconds", {}, seen.settings.fresh_hours * 3600
    if fresh.age is not None:
        yield "last_proved_timestamp_seconds", {}, now - fresh.age
    newest = fresh.newest
    if newest is not None and newest.manifest is not None:
        yield "last_taken_timestamp_seconds", {}, newest.manifest.taken_at
        yield "last_size_bytes", {}, newest.manifest.stored_size
        yield "last_downtime_seconds", {}, newest.manifest.downtime_seconds
        yield "last_tier", {}, newest.tier
        yield "last_copies", {}, sum(not copy.trouble for copy in newest.copies)
        for verdict in get_args(Verdict):
            yield "last_would_restore", {"verdict": verdict}, newest.would_restore == verdict
        if newest.last_verified is not None:
            yield "last_verified_timestamp_seconds", {}, newest.last_verified.at
    if (complete := next((kinds for kinds in sets_in(seen.entries).values() if whole(kinds)), None)) is not None:
        # The Swarm's is taken first: the others are of a moment after it.
        yield "last_whole_set_timestamp_seconds", {}, complete["swarm"].whole.taken_at
    named = [str(copy_target(place)) for place in seen.settings.copies]
    places = dict.fromkeys([*named, *(c.where for entry in seen.entries for c in entry.copies)])
    for where in places:
        good = sum(any(c.where == where and not c.trouble for c in entry.copies) for entry in seen.entries)
        yield "copies", {"where": where}, good
    if seen.night is not None:
        yield "run_timestamp_seconds", {}, seen.night.at
        yield "run_duration_seconds", {}, seen.night.seconds
        yield "run_exit_code", {}, seen.night.code
        yield "run_success_timestamp_seconds", {}, seen.night.success_at
        for stage, code in seen.night.stages.items():
            yield "run_stage_exit_code", {"stage": stage}, code


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def write(path: Path, text: str) -> None:
    """Puts the file in its place, whole or not at all; everybody may read it.

    Raises:
        BackupError: it cannot be written.
    """
    # The collector reads every *.prom: what is not whole yet has another name.
    beside: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        beside = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, 0o644)
            stream.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except OSError as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                beside.unlink()
        raise BackupError(
            f"The metrics cannot be written to {path}: {error.strerror}.", "Look at its folder and its permissions."
        ) from error
