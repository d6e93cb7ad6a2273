"""The journal on a real disk: what is written when, what a crash leaves behind, and what is refused."""

from __future__ import annotations

import errno
import getpass
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.runbooks.journal import Journal, JournalError, JournalWriter, RunRecord, new_run_id
from swarmtui.runbooks.report import report

RUN = "20261121T090203Z-node.drain-3f9a"


def begin(writer: JournalWriter, **changes: Any) -> None:
    given: dict[str, Any] = {
        "runbook": "node.drain",
        "version": 1,
        "title": "Drain wrk1",
        "params": {"node": ("wrk1",), "wait": 60},
        "facts": {"voters": 3},
        "cluster_id": "h3yq2wq8uys0",
        "target": "prod",
        "accepted": [],
    }
    writer.begin(**{**given, **changes})


def lines(journal: Journal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.path(RUN).read_bytes().splitlines()]


def test_a_run_is_read_back_as_it_was_written(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer, accepted=["tolerance=mgr2"])
        writer.write("intent", step="drain", before={"version": 41}, commands=["docker node update …"])
        writer.write("effect", step="drain")
        writer.write("done", step="drain")
        writer.write("already", step="wait", detail="There is nothing left to wait for.")
        writer.write("intent", step="rm", before={}, commands=["docker node rm wrk1"])
        writer.write("failed", step="rm", detail="It is not down.")
        writer.write("end", outcome="failed", detail="It is not down.")
    record = journal.read(RUN)
    assert (record.runbook, record.version, record.title, record.target) == ("node.drain", 1, "Drain wrk1", "prod")
    assert (record.params, record.facts, record.accepted) == (
        {"node": ["wrk1"], "wait": 60},
        {"voters": 3},
        ["tolerance=mgr2"],
    )
    assert {name: step.state for name, step in record.steps.items()} == {
        "drain": "done",
        "wait": "already",
        "rm": "failed",
    }
    assert record.steps["drain"].before == {"version": 41}
    assert (record.outcome, record.detail, bool(record.started_at), bool(record.ended_at)) == (
        "failed",
        "It is not down.",
        True,
        True,
    )
    assert "@" in record.operator


def test_every_line_is_json_with_a_time_and_a_kind_and_the_first_has_the_schema(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
        writer.write("said", text="größe\nzwei \u2028 lines")
    first, second = lines(journal)
    assert first["kind"] == "run" and first["schema"] == 1 and first["tool"]
    assert second["kind"] == "said" and second["text"] == "größe\nzwei \u2028 lines" and second["at"].endswith("+00:00")


def test_files_and_folder_are_private(journal: Journal) -> None:
    old = os.umask(0o022)
    try:
        with journal.writer(RUN) as writer:
            begin(writer)
    finally:
        os.umask(old)
    assert journal.path(RUN).stat().st_mode & 0o777 == 0o600
    assert journal.folder.stat().st_mode & 0o777 == 0o700


def test_a_line_is_on_disk_before_write_returns(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    with journal.writer(RUN) as writer:
        begin(writer)
        sizes = [journal.path(RUN).stat().st_size]
        writer.write("intent", step="a")
        sizes.append(journal.path(RUN).stat().st_size)
        assert synced[-2:] == sizes


def test_the_new_file_itself_survives_a_crash_of_the_machine(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync of a file does not promise that its name is on disk: the folder has to be synced as well (fsync(2))."""
    folders: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        folders.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    with journal.writer(RUN) as writer:
        begin(writer)
        assert journal.folder.stat().st_ino in folders


# -- what a crash leaves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_line_at_the_end_is_ignored_and_a_resume_begins_on_its_own(journal: Journal, cut: int) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
        writer.write("intent", step="a", before={"x": 1})
        writer.write("done", step="a")
    whole = journal.path(RUN).read_bytes()
    journal.path(RUN).write_bytes(whole[:-cut])
    # Without its line end alone, the last line is whole: it counts.
    assert journal.read(RUN).steps["a"].state == ("done" if cut == 1 else "intended")
    with journal.writer(RUN) as writer:
        writer.write("resume")
        writer.write("done", step="a")
    assert journal.read(RUN).steps["a"].state == "done"
    assert journal.path(RUN).read_bytes().startswith(whole[:-cut] + b"\n")


def test_bytes_that_are_no_text_are_ignored(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
    with journal.path(RUN).open("ab") as file:
        file.write(b'\xff\xfe{"kind"\n[1]\n"text"\nnull\n')
    assert journal.read(RUN).title == "Drain wrk1"


def test_a_journal_without_a_readable_beginning_is_refused(journal: Journal) -> None:
    journal.folder.mkdir(parents=True)
    journal.path(RUN).write_text('{"kind":"intent","step":"a"}\n')
    with pytest.raises(UsageError, match="no readable beginning"):
        journal.read(RUN)
    with pytest.raises(UsageError, match="cannot be read"):
        journal.read("nobody")


def test_a_resumed_run_is_under_way_again(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
        writer.write("end", outcome="failed", detail="It is not down.")
        writer.write("resume")
    record = journal.read(RUN)
    assert (record.outcome, record.ended_at) == ("", "")
    assert "It is not down" not in report(record).split("cut off")[1]


# -- who may write ---------------------------------------------------------------------------------------------------


def test_two_at_one_run_are_refused_and_the_lock_goes_with_the_writer(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
        with pytest.raises(JournalError, match="another process"), journal.writer(RUN):
            pass
        with journal.writer("20261121T090204Z-node.pause-0000"):
            pass
    with journal.writer(RUN) as writer:
        writer.write("resume")


def test_another_process_at_one_run_is_refused_until_it_is_dead(journal: Journal) -> None:
    journal.folder.mkdir(parents=True)
    script = (
        "import sys, time; from pathlib import Path; from swarmtui.runbooks.journal import Journal\n"
        f"with Journal(Path({str(journal.folder)!r})).writer({RUN!r}): print('mine', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        with pytest.raises(JournalError, match="another process"), journal.writer(RUN):
            pass
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    with journal.writer(RUN) as writer:
        begin(writer)


def test_a_folder_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as caught, Journal(tmp_path / "file").writer(RUN):
        pass
    assert str(tmp_path / "file") in str(caught.value) and "nothing was done" in str(caught.value)


def test_a_folder_that_must_not_be_written_is_told(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(JournalError, match="Permission denied"), journal.writer(RUN):
        pass


# -- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size (bytes): what a full disk does, without one.

    Only for as long as the journal is written to: pytest's own output may be a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 7])
def test_a_full_disk_is_an_error_before_anything_is_done(journal: Journal, room: int) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
        size = journal.path(RUN).stat().st_size
        with pytest.raises(JournalError, match="cannot be written"), room_for(size + room):
            writer.write("intent", step="a")


def test_after_a_full_disk_the_next_line_is_readable(journal: Journal) -> None:
    """Half a line went out; what is written once there is room again must not be glued to it."""
    with journal.writer(RUN) as writer:
        begin(writer)
        size = journal.path(RUN).stat().st_size
        with pytest.raises(JournalError), room_for(size + 7):
            writer.write("intent", step="a")
        writer.write("failed", step="a", detail="the journal could not be written")
    assert journal.read(RUN).steps["a"].state == "failed"


def test_a_full_disk_at_a_resume_is_the_same_error(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer)
    torn = journal.path(RUN).read_bytes()[:-9]
    journal.path(RUN).write_bytes(torn)
    with pytest.raises(JournalError), room_for(len(torn)), journal.writer(RUN):
        pass


def test_a_disk_that_fails_to_sync_is_an_error(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with journal.writer(RUN) as writer:
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(JournalError, match="Input/output error"):
            begin(writer)


# -- finding and reporting -------------------------------------------------------------------------------------------


def test_ids_sort_by_time_and_differ() -> None:
    ids = {new_run_id("node.drain") for _ in range(50)}
    assert len(ids) > 40
    assert all(run_id.split("-")[1] == "node.drain" and run_id[8] == "T" for run_id in ids)


def test_runs_are_found_by_their_beginning_or_end(journal: Journal) -> None:
    others = ["20261121T090203Z-node.pause-aaaa", "20261122T000000Z-node.drain-3f9a"]
    assert journal.ids() == []
    for run_id in (RUN, *others):
        with journal.writer(run_id) as writer:
            begin(writer)
    assert journal.ids() == sorted([RUN, *others], reverse=True)
    assert journal.find(RUN) == journal.find("20261121T090203Z-node.d") == RUN
    assert journal.find("aaaa") == others[0]
    with pytest.raises(UsageError, match="several runs"):
        journal.find("3f9a")
    for text in ("nothing", ""):
        with pytest.raises(UsageError, match="no run"):
            journal.find(text)


def test_the_report_tells_the_run(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        begin(writer, accepted=["tolerance=mgr2"])
        writer.write("intent", step="demote-n2", before={}, commands=["docker node demote mgr2"])
        writer.write("done", step="demote-n2")
        writer.write("skipped", step="empty-n2", detail="known to be slow")
    told = report(journal.read(RUN))
    for part in (
        "# Drain wrk1",
        RUN,
        "node.drain on prod",
        "**cut off**",
        "tolerance=mgr2",
        "## 1. demote-n2: done",
        "docker node demote mgr2",
        "## 2. empty-n2: skipped",
        "known to be slow",
    ):
        assert part in told
    assert "not ended" in told


def test_an_empty_record_still_reports() -> None:
    assert RUN in report(RunRecord(RUN, runbook="node.drain"))


def test_an_operator_without_a_name_is_told_by_number(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with journal.writer(RUN) as writer:
        begin(writer)
    assert journal.read(RUN).operator.startswith(f"uid {os.getuid()}@")
