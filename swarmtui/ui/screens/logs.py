"""The log of a service or a task, and its keys: search it, hold it still, save it. `log_follower` follows it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.link.log_frames import Origin
from swarmtui.link.log_stream import QUEUE_LINES
from swarmtui.link.logs import Batch, Kind, LogQuery
from swarmtui.model.text import one_line
from swarmtui.ui.log_buffer import compiled
from swarmtui.ui.log_file import texts, write_private
from swarmtui.ui.log_keys import BINDINGS
from swarmtui.ui.patience import Patient, too_slow
from swarmtui.ui.screens.log_follower import LogFollower, OpenLog
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.ui.since import since

if TYPE_CHECKING:
    from swarmtui.session import Session


class LogScreen(LogFollower):
    """Shows a log, with keys to move in it, to search it, to hold it still and to save it.

    Args:
        title: first line.
        open_stream: follows the log.
        label: a short name for who wrote a line; "" shows none.
    """

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self, title: str, open_stream: OpenLog, *, label: Callable[[Origin], str] = lambda origin: "") -> None:
        super().__init__(title, open_stream, label=label)
        self._asking = ""

    # -- ways to look ----------------------------------------------------------------------------------------------

    def action_follow(self) -> None:
        if self.view.follow:
            self.view.hold()
        else:
            self.view.bottom()
        self._paint()

    def action_pause(self) -> None:
        if self._going.is_set():
            self._going.clear()
        else:
            self._going.set()
        self._paint()

    def action_timestamps(self) -> None:
        self.view.times = not self.view.times
        self._paint()

    def action_wrap(self) -> None:
        self.view.wrap = not self.view.wrap
        self._paint()

    def action_help(self) -> None:
        lines = [("plain", "Times are the nodes' own, in UTC. ! marks what was written to stderr.")]
        keys: dict[str | None, list[str]] = {}
        for _, bound, _, _ in self.active_bindings.values():  # as the configuration has them
            keys.setdefault(bound.id, []).append(self.app.get_key_display(bound))
        for binding in BINDINGS:
            assert isinstance(binding, Binding)
            lines.append(("plain", f"  {', '.join(keys.get(binding.id, ())):16} {binding.tooltip}"))
        self.app.push_screen(ReadingScreen("Keys of a log", lambda: lines))

    # -- the line at the bottom ------------------------------------------------------------------------------------

    def _ask(self, kind: str, value: str, placeholder: str) -> None:
        self._asking = kind
        line = self.query_one("#log-line", Input)
        line.value = value
        line.placeholder = placeholder
        line.add_class("asking")
        line.focus()

    def _end_asking(self) -> None:
        self._asking = ""
        self.query_one("#log-line", Input).remove_class("asking")
        self.set_focus(None)

    @on(Input.Submitted, "#log-line")
    def _submitted(self, event: Input.Submitted) -> None:
        kind, value = self._asking, event.value
        try:
            match kind:
                case "search":
                    self._begin_search(value)
                case "filter":
                    self._begin_filter(value)
                case "since":
                    self._begin_since(value.strip())
                case "save":
                    self._begin_save(value.strip())
        except UsageError as error:
            # The line stays, so that what is wrong with it can be mended.
            self._complain(error)
            return
        self._end_asking()
        self._paint()

    def action_back(self) -> None:
        if self._asking:
            self._end_asking()
        else:
            self.dismiss()

    def _complain(self, error: SwarmtuiError) -> None:
        self.app.notify(one_line(str(error)), title="Not done", severity="error", markup=False, timeout=8)

    # -- search and filter -----------------------------------------------------------------------------------------

    def action_search(self) -> None:
        self._ask("search", self._search, "search: a regular expression; n and N go on; empty ends it")

    def _patient(self, text: str) -> Patient:
        """What is typed as a pattern that gives up. Raises UsageError."""
        return Patient(compiled(text), lambda: self.call_later(self._too_slow, text))

    def _too_slow(self, text: str) -> None:
        """Takes away a pattern that would hold up everything else."""
        if self._search == text:
            self.view.pattern, self._search = None, ""
        if self.buffer.pattern is not None and self.buffer.pattern.pattern == text:
            self._begin_filter("")
        self._complain(too_slow(text))
        self._paint()

    def _begin_search(self, text: str) -> None:
        self.view.pattern = self._patient(text) if text else None
        self._search = text
        self.view.current = -1
        if text and self.view.follow:
            self._look(self.buffer.end - 1, -1)
        elif text:
            self._look(self._top_number(), 1)

    def action_again(self, step: int) -> None:
        if self.view.pattern is None:
            self.action_search()
        elif self.view.current >= 0:
            self._look(self.view.current + step, step)
        else:
            self._look(self.buffer.end - 1 if self.view.follow else self._top_number(), step)

    def _top_number(self) -> int:
        index = self.view.place[0]
        return self.buffer.at(index) if index < self.buffer.count else self.buffer.end

    def _look(self, start: int, step: int) -> None:
        self.app.run_worker(self._find(start, step), exit_on_error=False, group="log-search", exclusive=True)

    async def _find(self, start: int, step: int) -> None:
        pattern = self.view.pattern
        if pattern is None:
            return
        for found in self.buffer.search(pattern, start, step):
            if found is not None:
                self.view.show_line(found)
                self._paint()
                return
            await asyncio.sleep(0)
        where = "towards the newest: N looks at older ones" if step > 0 else "towards the oldest: n looks at newer ones"
        self.app.notify(f"No line matches /{one_line(self._search)}/ {where}.", markup=False, timeout=4)

    def action_filter(self) -> None:
        now = self.buffer.pattern.pattern if self.buffer.pattern is not None else ""
        self._ask("filter", now, "only lines that match: a regular expression; empty shows all")

    def _begin_filter(self, text: str) -> None:
        self.buffer.set_filter(self._patient(text) if text else None)
        self.app.run_worker(self._filter(), exit_on_error=False, group="log-filter", exclusive=True)

    async def _filter(self) -> None:
        await self._sift()
        self._paint()

    # -- since and save --------------------------------------------------------------------------------------------

    def action_since(self) -> None:
        self._ask("since", self._since_words, "since: 30s, 5m, 1h30m, 2d, 2026-11-21T03:00 (UTC), or all")

    def _begin_since(self, text: str) -> None:
        self._since = since(text, time.time())
        self._since_words = text or "all"
        self._start()

    def action_save(self) -> None:
        name = re.sub(r"[^\w.-]+", "-", self._words).strip("-.") or "log"
        self._ask("save", f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log", "file to write")

    def _begin_save(self, text: str) -> None:
        if not text:
            raise UsageError("No file is named.", "Type the name of a file that does not exist yet; esc leaves.")
        lines = self.buffer.shown()
        names = {line.origin.task: self._label(line.origin) for line in lines}
        path = Path(os.path.expanduser(text)).absolute()  # noqa: PTH111  # Path.expanduser raises for an unknown user
        count = sum(not line.joined for line in lines)
        self.app.run_worker(self._save(path, texts(lines, names), count), exit_on_error=False, group="log-save")

    async def _save(self, path: Path, pieces: Iterable[str], count: int) -> None:
        try:
            await asyncio.to_thread(write_private, path, pieces)
        except UsageError as error:
            self._complain(error)
        else:
            self.app.notify(f"{count:,} lines are in {one_line(str(path))}; only you can read it.", markup=False)


def log_screen(session: Session, kind: Kind, key: str) -> LogScreen:
    """A screen on the log of a service or a task of an opened cluster, by its id."""

    def open_stream(begin: float | None) -> AsyncGenerator[Batch, None]:
        query = LogQuery(kind, key) if begin is None else LogQuery(kind, key, since=begin, tail=QUEUE_LINES)
        return session.logs(query)

    def slot_and_node(origin: Origin) -> str:
        if not origin.task or kind == "tasks":
            return ""
        task, node = session.snapshot.tasks.get(origin.task), session.snapshot.nodes.get(origin.node)
        slot = (str(task.slot) if task.slot else "") if task is not None else origin.task[:12]
        return f"{slot}@{one_line(node.name) if node is not None else origin.node[:12]}"

    snapshot = session.snapshot
    task = snapshot.tasks.get(key) if kind == "tasks" else None
    service = snapshot.services.get(task.service_id if task is not None else key)
    name = service.name if service is not None else key[:12]
    what = f"service {name}"
    if task is not None:
        node = snapshot.nodes.get(task.node_id)
        what = f"task {name}.{task.slot or task.node_id}" + (f" on {node.name}" if node is not None else "")
    return LogScreen(f"Log of {what}, cluster {session.name}", open_stream, label=slot_and_node)
