"""The metrics file: read back by a parser of its own, written after the format's document."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import msgspec
import pytest

from swarmtui.backups.errors import BackupError
from swarmtui.backups.metrics import Night, Seen, render, write
from swarmtui.backups.records import Copy
from swarmtui.config import BackupsConfig
from tests.backups import shelves

NOW = shelves.at("2026-11-21T12:00:00")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """Prometheus's text format 0.0.4: HELP and TYPE once before the samples, labels with escapes, a float."""
    found: Samples = {}
    typed: set[str] = set()
    helped: set[str] = set()
    last = ""
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        if told := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line):
            names = helped if told[1] == "HELP" else typed
            assert told[2] not in names and (told[1] == "HELP" or told[3] == "gauge")
            names.add(told[2])
            last = told[2]
            continue
        sample = re.fullmatch(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (-?[0-9.e+]+)', line)
        assert sample is not None, line
        assert sample[1] == last and sample[1] in typed & helped
        labels = {
            name: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value)
            for name, value in re.findall(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"', sample[2])
        }
        key = (sample[1].removeprefix("swarmtui_backup_"), frozenset(labels.items()))
        assert key not in found
        found[key] = float(sample[3])
    return found


def test_what_is_told_of_a_cluster(tmp_path: Path) -> None:
    catalogue = shelves.shelf(tmp_path / "kept")
    proved = shelves.put(catalogue, "2026-11-20T03:30:00", "yes")
    newest = shelves.put(catalogue, "2026-11-21T03:30:00", "no", downtime=7.25, verified=NOW - 60.0)
    good, bad = Copy(where="/nas", at=1.0, digest="x"), Copy(where="s3://night", at=1.0, digest="x", trouble="gone")
    for entry in (proved, newest):
        catalogue.set_copies(entry, [good, bad])
    night = Night("prod", NOW - 30.0, 91.5, 1, {"backup": 0, "verify": 2}, NOW - 86_430.0)
    seen = Seen(
        shelves.CLUSTER,
        'pr"o\\d\n',
        BackupsConfig(copies=("sftp://far/x/", "/nas/")),
        catalogue.entries(shelves.CLUSTER),
        night,
    )
    told = parsed(render([seen], NOW))
    common = {("cluster", 'pr"o\\d\n'), ("cluster_id", shelves.CLUSTER)}

    def value(name: str, **labels: str) -> float:
        return told.pop((name, frozenset(common | set(labels.items()))))

    assert value("count") == 2
    assert value("last_taken_timestamp_seconds") == shelves.at("2026-11-21T03:30:00")
    assert value("last_proved_timestamp_seconds") == shelves.at("2026-11-20T03:30:00")
    assert value("last_verified_timestamp_seconds") == NOW - 60.0
    assert value("last_size_bytes") == len(shelves.CONTENT)
    assert value("last_downtime_seconds") == 7.25
    assert value("last_tier") == 3
    assert [value("last_would_restore", verdict=verdict) for verdict in ("yes", "no", "not proved")] == [0, 1, 0]
    assert value("last_copies") == 1
    assert [value("copies", where=where) for where in ("sftp://far/x", "/nas", "s3://night")] == [0, 2, 0]
    assert value("fresh_limit_seconds") == 26 * 3600
    assert value("run_timestamp_seconds") == NOW - 30.0
    assert value("run_duration_seconds") == 91.5
    assert value("run_exit_code") == 1
    assert [value("run_stage_exit_code", stage=stage) for stage in ("backup", "verify")] == [0, 2]
    assert value("run_success_timestamp_seconds") == NOW - 86_430.0
    assert told == {}


def test_several_clusters_share_their_heads_and_one_without_backups_is_told_too(tmp_path: Path) -> None:
    catalogue = shelves.shelf(tmp_path / "kept")
    shelves.put(catalogue, "2026-11-20T03:30:00", "yes")
    one = Seen(shelves.CLUSTER, "a", BackupsConfig(), catalogue.entries(), None)
    other = Seen("", "b", BackupsConfig(), (), Night("b", NOW, 3.0, 3, {"backup": 3}))
    told = parsed(render([one, other], NOW))
    assert told["count", frozenset({("cluster", "b"), ("cluster_id", "")})] == 0
    assert told["run_exit_code", frozenset({("cluster", "b"), ("cluster_id", "")})] == 3
    assert told["count", frozenset({("cluster", "a"), ("cluster_id", shelves.CLUSTER)})] == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "collector"
    made.mkdir()
    return made


def test_the_file_is_whole_and_for_everybody(folder: Path) -> None:
    path = folder / "swarmtui.prom"
    write(path, "a\n")
    write(path, "b\n")
    assert path.read_text() == "b\n" and stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(folder.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told_and_nothing_is_left(folder: Path) -> None:
    with pytest.raises(BackupError, match="cannot be written to"):
        write(folder / "none" / "swarmtui.prom", "x\n")
    (folder / "swarmtui.prom").mkdir()
    with pytest.raises(BackupError, match=r"swarmtui\.prom"):
        write(folder / "swarmtui.prom", "x\n")
    assert [path.name for path in folder.iterdir()] == ["swarmtui.prom"]


def test_a_night_is_kept_as_json() -> None:
    night = Night("b", NOW, 3.0, 3, {"backup": 3})
    assert msgspec.json.decode(msgspec.json.encode(night), type=Night) == night
