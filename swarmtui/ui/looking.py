"""What can be looked at besides the tables: descriptions, raw objects, logs, alarms, the connection, the keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.ui import describe, views
from swarmtui.ui.base import Base
from swarmtui.ui.cells import Column, Row
from swarmtui.ui.describe import Lines
from swarmtui.ui.header import coarse_age
from swarmtui.ui.keys import ACTIONS, CHANGE, LOOK, works_in
from swarmtui.ui.panes.nodes import THROUGH
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.screens.reading import ReadingScreen

if TYPE_CHECKING:
    from swarmtui.ui.main import MainScreen


class Looking(Base):
    """The part of the console that opens something to read."""

    def describe(self, name: str, key: str | None) -> None:
        """Shows everything known about a row; stays up to date while it is read."""
        derived = self.derived
        if key is None or derived is None:
            return
        view = views.view(name)
        called = self._called(name, key)

        def lines() -> Lines:
            return view.describe(self.derived or derived, key)

        def closed(_: None) -> None:
            self._details = ()
            self._want()

        self._details = view.details
        self._want()
        self.push_screen(ReadingScreen(f"{view.one[:1].upper()}{view.one[1:]} {called}", lines), closed)

    def _called(self, name: str, key: str) -> str:
        """What people call a row; its id where it is gone."""
        row = self.derived.rows.get(name, {}).get(key) if self.derived is not None else None
        return row[0].text.removesuffix(THROUGH) if row is not None else key

    def raw(self, name: str, key: str | None) -> None:
        """Shows an object as the engine gives it."""
        if key is None or self.derived is None:
            return
        view = views.view(name)
        path = view.path(self.derived.snapshot, key)
        if path:
            title = f"{view.one[:1].upper()}{view.one[1:]} {self._called(name, key)}"
            self.run_worker(self._raw(title, path), exit_on_error=False)
        else:
            self.complain(UsageError(f"No engine has a {view.one} as an object of its own.", "d describes it."))

    async def _raw(self, title: str, path: str) -> None:
        body = await self._session().get(path)
        from swarmtui.ui.screens.raw import RawScreen

        self.push_screen(RawScreen(title, await asyncio.to_thread(json.loads, body)))

    def export(self, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Asks for a file, and writes these rows there."""
        from swarmtui.ui import export

        def write(path: str | None) -> None:
            if path is None:
                return
            try:
                file = export.write(path, columns, rows)
            except UsageError as error:
                self.complain(error)
                return
            self.notify(f"{len(rows)} rows of {views.TITLES[name].lower()} are in {file}.", markup=False)

        question = f"Write {len(rows)} rows of {views.TITLES[name].lower()} to which file (.csv or .json)?"
        suggested = str(Path.cwd() / f"{name}.csv")
        self.push_screen(AskScreen(question, value=suggested, check=export.wrong_with), write)

    def show_logs(self, view: str, key: str) -> None:
        """Follows the log of a service or a task."""
        from swarmtui.ui.screens.logs import log_screen

        if self.session is not None:
            self.push_screen(log_screen(self.session, "tasks" if view == "tasks" else "services", key))

    def peek(self, key: str) -> None:
        """Shows a join token or the unlock key for a while, where the row under the cursor is one."""
        from swarmtui.ui.panes.swarm import KEY, TOKENS

        if key != KEY and key not in TOKENS:
            self.complain(UsageError("Only the join tokens and the unlock key can be shown.", "Go to one of them."))
        elif self.session is not None and self.derived is not None:
            self.run_worker(self._peek(TOKENS.get(key, "")), exit_on_error=False)

    async def _peek(self, role: str) -> None:
        from swarmtui.runbooks.swarm.cluster_steps import read_key, read_swarm
        from swarmtui.ui.screens.token import key_screen, manager_address, token_screen

        session = self._session()
        if role:
            swarm = await read_swarm(session)
            self.push_screen(token_screen(role, swarm.tokens[role], manager_address(session.snapshot)))
        elif (secret := await read_key(session)) is not None:
            self.push_screen(key_screen(secret))

    def show_alarms(self) -> None:
        if self.derived is None or not self.derived.snapshot.seq:
            self.complain(UsageError("Nothing is known of the cluster yet.", "Press i for how the connection stands."))
        else:
            self.push_screen(ReadingScreen("Alarms and advice", self._alarm_lines))

    def _alarm_lines(self) -> Lines:
        assert self.derived is not None
        readings = self.derived.snapshot.readings
        unread = {name: reading.trouble for name, reading in readings.items() if reading.trouble}
        return describe.finding_lines(self.derived.findings, unread)

    def show_connection(self) -> None:
        self.push_screen(ReadingScreen(f"The connection to {self.opening.name}", self._connection_lines))

    def _connection_lines(self) -> list[tuple[str, str]]:
        if self.session is None:
            return [("plain", "Starting.")]
        connection = self.session.connection
        lines = [("title", f"{connection.phase}" + (f" through {connection.through}" if connection.through else ""))]
        if connection.via:
            lines.append(("plain", f"way: {connection.via}"))
        if connection.note:
            lines.append(("warn", one_line(connection.note)))
        for attempt in connection.attempts:
            lines.append(
                ("bad", f"{attempt.target}, {coarse_age(time.time() - attempt.at)} ago: {one_line(attempt.what)}")
            )
            lines.append(("plain", f"    {one_line(attempt.next_step)}"))
        targets = ", ".join(str(target) for target in self.opening.targets)
        return [*lines, ("dim", f"named managers: {targets}")]

    def show_help(self, screen: MainScreen) -> None:
        here = screen.current
        lines: list[tuple[str, str]] = [("plain", "Lowercase looks, uppercase changes.")]
        groups: list[tuple[str, list[BindingType]]] = [
            ("Look", [each for each in LOOK if isinstance(each, Binding) and works_in(each.action, (), here)])
        ]
        if not self.read_only:
            mine = [each for each, action in zip(CHANGE, ACTIONS, strict=True) if action.view == here]
            if mine:
                groups.append((f"Change the {views.view(here).one} under the cursor, or all marked ones", mine))
        table = screen.table()
        if table is not None:
            groups.append(("Move, mark, sort", list(table.BINDINGS)))
        for title, bindings in groups:
            lines.append(("heading", title))
            for binding in bindings:
                assert isinstance(binding, Binding)
                key = self._keys.get(binding.id or "", "") or binding.key_display or binding.key
                lines.append(("plain", f"  {key:16} {binding.tooltip or binding.description}"))
        lines.append(("heading", "Views"))
        lines += [("plain", f"  {':' + entry.name:16} {', '.join(entry.aliases)}") for entry in views.ENTRIES]
        self.push_screen(ReadingScreen(f"Keys of {views.TITLES[here].lower()}", lambda: lines))
