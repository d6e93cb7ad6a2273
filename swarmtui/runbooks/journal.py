"""The journal: what was meant, done and proved, in append-only JSON lines, on disk before and after each step.

One file a run, 0600, named by the run's id. A line is flushed and fsynced before what it announces begins. A crash may
leave half a line at the end; a reader ignores it, and a resume starts on a line of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swarmtui import __version__
from swarmtui.errors import SwarmtuiError, UsageError

SCHEMA = 1
FREE_SPACE = "Free space, then resume the run."


def new_run_id(runbook: str) -> str:
    """An id that sorts by time: 20261121T090203Z-node.drain-3f9a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{runbook}-{secrets.token_hex(2)}"


@dataclass
class StepRecord:
    """What the journal knows of one step.

    Attributes:
        state: intended, done, already, failed, skipped.
        before: the facts taken before it was tried; None when it never came to that.
        started_at: when it was tried first.
        tries: how often it was begun.
    """

    state: str
    before: dict[str, Any] | None = None
    detail: str = ""
    commands: list[str] = field(default_factory=list)
    started_at: str = ""
    ended_at: str = ""
    tries: int = 0


@dataclass
class RunRecord:
    """One run as its journal tells it. `outcome` is "" while it is under way, or was cut off; `drafts`: what parts were
    planned from when their turn came (`parts.Draft`), by the id of their stage; `undrafted`: stages whose part, as it
    was planned with the whole or before, was of no use any more."""

    id: str
    runbook: str = ""
    version: int = 0
    title: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    cluster_id: str = ""
    target: str = ""
    operator: str = ""
    accepted: list[str] = field(default_factory=list)
    started_at: str = ""
    ended_at: str = ""
    outcome: str = ""
    detail: str = ""
    steps: dict[str, StepRecord] = field(default_factory=dict)
    drafts: dict[str, dict[str, Any]] = field(default_factory=dict)
    undrafted: list[str] = field(default_factory=list)


class JournalError(SwarmtuiError):
    """The journal cannot be written: nothing is done that could not be recorded."""


class Journal:
    """The journals of all runs, in one folder (0700)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def writer(self, run_id: str) -> Iterator[JournalWriter]:
        """Opens a run's journal for writing; only one process can hold it.

        Raises:
            JournalError: the folder cannot be written, or another process is at this run.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = self.path(run_id).exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.folder / f"{run_id}.jsonl", flags, 0o600)
        except OSError as error:
            raise JournalError(
                f"The journal cannot be written: {error.strerror} ({self.folder}).",
                "Free space or mend the folder; nothing was done.",
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise JournalError(
                    f"Run {run_id} is under way in another process.", "Wait for it, or stop it there first."
                ) from None
            if not known:
                self._sync_folder()
            yield JournalWriter(descriptor, run_id)
        finally:
            os.close(descriptor)

    def _sync_folder(self) -> None:
        # fsync of a file does not promise that its name is on disk (fsync(2)).
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError as error:
            raise JournalError(
                f"The journal cannot be written: {error.strerror} ({self.folder}).", FREE_SPACE
            ) from error
        finally:
            os.close(folder)

    def path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.jsonl"

    def ids(self) -> list[str]:
        """Ids of all runs, the newest first."""
        return sorted((file.stem for file in self.folder.glob("*.jsonl")), reverse=True)

    def find(self, text: str) -> str:
        """The id that is `text`, or the only one that begins or ends with it.

        Raises:
            UsageError: none is, or several are.
        """
        ids = self.ids()
        if text in ids:
            return text
        found = [run_id for run_id in ids if run_id.startswith(text) or run_id.endswith(text)] if text else []
        if len(found) != 1:
            what = "There is no run" if not found else "There are several runs"
            raise UsageError(f'{what} "{text}" in {self.folder}.', "See them with: swarmtui journal")
        return found[0]

    def read(self, run_id: str) -> RunRecord:
        """Reads one run.

        Raises:
            UsageError: there is no such run, or its first line is damaged.
        """
        try:
            lines = self.path(run_id).read_bytes().split(b"\n")
        except OSError as error:
            raise UsageError(f"The journal of {run_id} cannot be read: {error.strerror}.") from error
        record = RunRecord(run_id)
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # what a crash cut off, or the empty end
            if isinstance(entry, dict):
                _apply(record, entry)
        if not record.runbook:
            raise UsageError(f"The journal of {run_id} has no readable beginning.", f"Look at {self.path(run_id)}.")
        return record


def _apply(record: RunRecord, entry: Mapping[str, Any]) -> None:
    kind, at = entry.get("kind"), str(entry.get("at", ""))
    step_id = str(entry.get("step", ""))
    if kind == "run":
        for name in ("runbook", "version", "title", "params", "facts", "cluster_id", "target", "operator", "accepted"):
            setattr(record, name, entry.get(name, getattr(record, name)))
        record.started_at = at
    elif kind == "resume":
        record.outcome = record.ended_at = record.detail = ""
    elif kind == "intent":
        known = record.steps.get(step_id)
        first, tries = (known.started_at or at, known.tries) if known is not None else (at, 0)
        record.steps[step_id] = StepRecord(
            "intended", entry.get("before", {}), "", entry.get("commands", []), first, tries=tries + 1
        )
    elif kind in ("effect", "done", "already", "failed", "skipped"):
        step = record.steps.setdefault(step_id, StepRecord("intended", started_at=at))
        if kind != "effect":
            step.state, step.ended_at = kind, at
        step.detail = str(entry.get("detail", step.detail))
    elif kind == "drafted":
        record.steps = {key: step for key, step in record.steps.items() if not key.startswith(f"{step_id}/")}
        record.drafts[step_id] = {name: entry.get(name) for name in ("runbook", "version", "params", "facts")}
    elif kind == "undrafted":
        record.steps = {key: step for key, step in record.steps.items() if not key.startswith(f"{step_id}/")}
        record.drafts.pop(step_id, None)
        record.undrafted.append(step_id)
    elif kind == "end":
        record.outcome, record.detail, record.ended_at = str(entry.get("outcome")), str(entry.get("detail", "")), at


class JournalWriter:
    """Appends to one run's journal; every line is on disk when a method returns."""

    def __init__(self, descriptor: int, run_id: str) -> None:
        self.run_id = run_id
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size
        self._torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        if self._torn:
            self._append(b"")

    def begin(
        self,
        *,
        runbook: str,
        version: int,
        title: str,
        params: Mapping[str, Any],
        facts: Mapping[str, Any],
        cluster_id: str,
        target: str,
        accepted: list[str],
    ) -> None:
        self.write(
            "run",
            schema=SCHEMA,
            tool=__version__,
            runbook=runbook,
            version=version,
            title=title,
            params=dict(params),
            facts=dict(facts),
            cluster_id=cluster_id,
            target=target,
            operator=_operator(),
            accepted=accepted,
        )

    def write(self, kind: str, **fields: Any) -> None:
        """Appends one line and waits until it is on disk.

        Raises:
            JournalError: it is not.
        """
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, **fields}
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._append(line)

    def _append(self, data: bytes) -> None:
        # Half a line that a crash or a full disk left behind ends here: what follows it stays readable.
        data = b"\n" + data if self._torn else data
        self._torn = True
        try:
            if data and os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(f"The journal cannot be written: {error.strerror}.", FREE_SPACE) from error
        self._torn = False


def _operator() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"
