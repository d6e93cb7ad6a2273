"""How fresh the backups are: from a real catalogue to the header, the status and the snapshot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from swarmtui.backups import freshness as fresh
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.freshness import Watched, freshness, held_in, holding
from swarmtui.cli.main import main as swarmtui
from swarmtui.config import BackupsConfig, load
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.model.backups import BackupHolding
from swarmtui.model.snapshot import Reading, Snapshot
from swarmtui.opening import find
from swarmtui.session import Session
from swarmtui.ui.header import backup_words
from tests.backups import shelves
from tests.driver import driven

HOUR = 3600.0
NOW = shelves.at("2026-11-21T12:00:00")
PLAIN = BackupsConfig()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return shelves.shelf(tmp_path / "kept")


def test_only_what_is_proved_counts(catalogue: Catalogue) -> None:
    old = shelves.put(catalogue, "2026-11-19T03:30:00", "yes")
    shelves.put(catalogue, "2026-11-20T03:30:00", "no")
    newest = shelves.put(catalogue, "2026-11-21T03:30:00")
    told = freshness(catalogue.entries(shelves.CLUSTER), PLAIN, NOW)
    assert told.proved is not None and told.newest is not None
    assert (told.proved.id, told.newest.id) == (old.id, newest.id)
    assert (told.state, told.age) == ("old", 56.5 * HOUR)
    assert "is 2 d old, more than 26 h" in told.sentence and "swarmtui backups verify" in told.sentence
    shelves.verify(catalogue, newest, "yes")
    told = freshness(catalogue.entries(shelves.CLUSTER), PLAIN, NOW)
    assert (told.state, told.age, told.sentence) == (
        "ok",
        8.5 * HOUR,
        "The newest backup that is proved is 8 h old.",
    )


def test_none_and_none_proved(catalogue: Catalogue) -> None:
    assert freshness((), PLAIN, NOW).state == "none"
    assert not holding((), PLAIN, NOW).meant and holding((), BackupsConfig(daily=3), NOW).meant
    shelves.put(catalogue, "2026-11-21T03:30:00", "not proved")
    told = freshness(catalogue.entries(shelves.CLUSTER), PLAIN, NOW)
    assert (told.state, told.proved, told.age) == ("not proved", None, None)


def test_a_wrong_clock_does_not_look_fresh(catalogue: Catalogue) -> None:
    """A backup dated years ahead would hide for years that none is taken."""
    shelves.put(catalogue, "2031-01-01T00:00:00", "yes")
    shelves.put(catalogue, "2026-11-01T00:00:00", "yes")
    told = holding(catalogue.entries(shelves.CLUSTER), PLAIN, NOW)
    assert (told.state(NOW), told.proved_at, told.count) == ("old", shelves.at("2026-11-01T00:00:00"), 2)


def test_what_is_damaged_counts_and_proves_nothing(catalogue: Catalogue) -> None:
    entry = shelves.put(catalogue, "2026-11-21T03:30:00", "yes")
    entry.archive.unlink()
    told = holding(catalogue.entries(shelves.CLUSTER), PLAIN, NOW)
    assert (told.count, told.proved_at, told.state(NOW)) == (1, 0.0, "not proved")


def test_another_clusters_backups_prove_nothing(catalogue: Catalogue) -> None:
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes", cluster=shelves.OTHER)
    assert held_in(lambda: catalogue, shelves.CLUSTER, PLAIN).state(NOW) == "none"


def test_a_catalogue_that_cannot_be_trusted_says_so(catalogue: Catalogue) -> None:
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes")
    catalogue.root.chmod(0o777)
    told = held_in(lambda: catalogue, shelves.CLUSTER, PLAIN)
    assert told.state(NOW) == "unknown" and "Others may write" in told.trouble


class Counted:
    """A catalogue that counts how often it is read."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.root = catalogue.root
        self.reads = 0
        self._catalogue = catalogue

    def entries(self, cluster_id: str | None = None) -> object:
        self.reads += 1
        return self._catalogue.entries(cluster_id)


def test_it_is_only_read_again_when_something_changed(catalogue: Catalogue) -> None:
    counted = Counted(catalogue)
    settings = PLAIN
    watched = Watched(lambda: counted, lambda: settings)  # type: ignore[arg-type, return-value]
    assert watched(shelves.CLUSTER).count == 0
    entry = shelves.put(catalogue, "2026-11-21T03:30:00", "not proved")
    assert [watched(shelves.CLUSTER).proved_at for _ in range(3)] == [0.0] * 3
    assert counted.reads == 2
    shelves.verify(catalogue, entry, "yes")
    assert watched(shelves.CLUSTER).proved_at == shelves.at("2026-11-21T03:30:00")
    settings = msgspec.structs.replace(PLAIN, fresh_hours=3)
    assert watched(shelves.CLUSTER).fresh_hours == 3
    catalogue.remove(entry)
    assert watched(shelves.CLUSTER).count == 0 and counted.reads == 5


async def test_it_looks_after_the_nodes_are_there_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "FIRST_SECONDS", 0.01)
    now = Snapshot()
    asked: list[str] = []
    found = asyncio.Event()

    def look(cluster_id: str) -> BackupHolding:
        asked.append(cluster_id)
        return BackupHolding(count=1)

    task = asyncio.create_task(fresh.keep_looking_at(look, lambda: now, lambda held: found.set()))
    await asyncio.sleep(0.05)
    assert asked == []
    now = Snapshot(cluster_id="abc", readings={"nodes": Reading(at=time.time())})
    async with asyncio.timeout(5.0):
        await found.wait()
    assert asked == ["abc"]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (BackupHolding(count=1, newest_at=NOW, proved_at=NOW - 5 * HOUR), "backup 5 h"),
        (BackupHolding(count=1, newest_at=NOW, proved_at=NOW - 80 * HOUR), "backup OLD, 3 d"),
        (BackupHolding(), "no backup"),
        (BackupHolding(count=1, newest_at=NOW), "backup NOT PROVED"),
        (BackupHolding(trouble="x"), "backup not known"),
    ],
)
def test_what_the_header_says(held: BackupHolding, words: str) -> None:
    assert backup_words(held, NOW)[0] == words


# -- on a simulated Swarm ----------------------------------------------------------------------------------------------


async def test_status_doctor_and_session_tell_it(
    private_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = private_folders / "data" / "swarmtui"
    root.mkdir(mode=0o700)
    catalogue = Catalogue(root / "backups")
    async with Demo("calm", speed=20, seed=1) as demo:

        async def command(*words: str) -> tuple[int, str]:
            code = await asyncio.to_thread(swarmtui, [*words, "simulated", "--config", str(demo.config)])
            return code, capsys.readouterr().out

        # Nobody means to keep backups here yet: advice, and nothing that wakes somebody.
        code, out = await command("status")
        assert code == 0 and "ADVICE: There is no backup" in out and "[backup-none]" in out

        opening = find("simulated", load(demo.config), bundles=tmp_path / "bundle")
        async with Session(opening, Nobody()).opened() as session:
            cluster_id = (await session.until_live(60.0)).cluster_id
            entry = shelves.put(catalogue, time.time() - 30 * HOUR, "yes", cluster=cluster_id)
            await session.look_at_backups()
            held = session.snapshot.backups
            assert held is not None and held.state(time.time()) == "old"

        code, out = await command("status")
        assert code == 1 and "WARNING: The newest backup that is proved is 30 h old" in out and "[backup-old]" in out
        code, out = await command("doctor", "--json")
        status = json.loads(out)["status"]
        assert code == 1 and status["backups"]["state"] == "old" and status["backups"]["count"] == 1
        assert [finding["rule"] for finding in status["findings"]].count("backup-old") == 1

        catalogue.remove(entry)
        shelves.put(catalogue, time.time() - 5 * HOUR - 60, "yes", cluster=cluster_id)
        code, out = await command("status")
        assert code == 0 and "The newest backup that is proved is 5 h old." in out


async def test_the_snapshot_learns_it_by_itself_and_polls_do_not_forget_it(
    private_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(fresh, "AGAIN_SECONDS", 0.2)
    root = private_folders / "data" / "swarmtui"
    root.mkdir(mode=0o700)
    async with Demo("calm", speed=20, seed=1) as demo:
        opening = find("simulated", load(demo.config), bundles=tmp_path / "bundle")
        async with Session(opening, Nobody()).opened() as session:
            cluster_id = (await session.until_live(60.0)).cluster_id
            await until(session, lambda: session.snapshot.backups is not None)
            assert session.snapshot.backups == BackupHolding()
            shelves.put(Catalogue(root / "backups"), time.time() - HOUR, "yes", cluster=cluster_id)
            await until(
                session, lambda: session.snapshot.backups is not None and session.snapshot.backups.proved_at > 0
            )
            before = session.snapshot.seq
            await session.refresh()
            assert session.snapshot.seq > before and session.snapshot.backups is not None


async def until(session: Session, true: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    session.subscribe(changed.set)
    async with asyncio.timeout(30.0):
        while not true():
            changed.clear()
            await changed.wait()


async def test_the_header_tells_it(private_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(fresh, "AGAIN_SECONDS", 0.2)
    root = private_folders / "data" / "swarmtui"
    root.mkdir(mode=0o700)
    async with Demo("calm", speed=20, seed=1) as demo:
        opening = find("simulated", load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal", size=(140, 40)) as console:
            await console.nodes().live().header("no backup").header("no alarms")
            assert console.app.session is not None
            cluster_id = console.app.session.snapshot.cluster_id
            catalogue = Catalogue(root / "backups")
            entry = shelves.put(catalogue, time.time() - 5 * HOUR - 60, cluster=cluster_id)
            await console.here().header("backup NOT PROVED").header("1 alarm")
            shelves.verify(catalogue, entry, "yes")
            await console.here().header("backup 5 h").header("no alarms")
