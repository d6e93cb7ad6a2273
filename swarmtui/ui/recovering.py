"""From "what happened?" to the run that mends it: looks, has managers declared dead by name, begins the way out, and
goes on with what was cut off."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.recovery import Advice, Condition, Way
from swarmtui.model.text import one_line
from swarmtui.ui import questions
from swarmtui.ui.base import Base
from swarmtui.ui.describe import Lines
from swarmtui.ui.screens.asking import AskScreen, UiPerson
from swarmtui.ui.screens.recovering import RecoverScreen, Start

if TYPE_CHECKING:
    from swarmtui.model.recovery import Diagnosis
    from swarmtui.runbooks.journal import RunRecord
    from swarmtui.runbooks.params import Param
    from swarmtui.runbooks.runbook import Plan, Runbook
    from swarmtui.session import Session
    from swarmtui.ui.shelf import Shelf

_SWARMS = ("swarm.restore", " host=ssh://HOST")
PLATFORM = "platform.recover"
WALKTHROUGHS = (
    "swarm.recover-quorum",
    "swarm.restore",
    "swarm.recreate",
    "swarm.end-split",
    "ucp.restore",
    "dtr.restore",
    PLATFORM,
)
"""Runbooks whose runs, where one was cut off, are gone on with first of all."""


@dataclass
class Looked:
    """What one screen of it knows.

    Attributes:
        lines: what is shown.
        dead: managers that a person declared dead, by name.
        away: managers that nobody gets to.
        there: managers that somebody gets to.
    """

    lines: Lines
    dead: frozenset[str] = frozenset()
    away: tuple[str, ...] = ()
    there: frozenset[str] = frozenset()


class Recovering(Base):
    """The part of the console that leads out of a disaster."""

    shelf: Shelf

    def show_recovery(self) -> None:
        """Looks at every manager over SSH, and tells what happened and the least destructive way out."""
        looked = Looked(
            [
                ("title", "Looking at every manager over SSH…"),
                ("plain", "Nothing is changed by that. A host that does not answer takes up to half a minute."),
            ]
        )
        screen = RecoverScreen(
            f"What happened to {self.opening.name}",
            lambda: list(looked.lines),
            again=lambda: look(),  # bound below: it tells this very screen
            declare=lambda: self._declare(looked, look),
            read_only=self.read_only,
        )

        def look() -> None:
            screen.looking()
            self.run_worker(self._recovery(screen, looked, look), exit_on_error=False, group="recovery", exclusive=True)

        self.push_screen(screen)
        look()

    async def _recovery(self, screen: RecoverScreen, looked: Looked, look: Callable[[], None]) -> None:
        from swarmtui.runbooks.platform import lead
        from swarmtui.runbooks.swarm.recovery.recover import happened
        from swarmtui.runbooks.swarm.recovery.recover_words import told

        session = await self._begun()
        starts: list[Start] = []
        otherwise = "Nothing begins at a key here: do what is said above. r looks again."
        try:
            around, found = await happened(session, looked.dead, products=True)
        except SwarmtuiError as error:
            looked.lines = [("bad", error.what), ("plain", error.next_step)]
        else:
            way = await lead.platform_way(session, around.cluster_id, found)
            looked.lines = [*told(session.name, around, found, looked.dead), *lead.told(way)]
            looked.away = tuple(m.name for m in around.members if m.condition is Condition.UNREACHABLE)
            looked.there = frozenset(
                m.name for m in around.members if m.condition not in (Condition.UNREACHABLE, Condition.DEAD)
            )
            runbooks = await asyncio.to_thread(importlib.import_module, "swarmtui.runbooks.registry")
            await asyncio.to_thread(runbooks.load_all)
            whole = [self._start(f"the whole platform: {', '.join(way.about)}", way, look)] if way is not None else []
            starts = [*await self._cut_off(around.cluster_id, look), *whole, *self._starts(found, look)]
            if found.best.way is Way.NOTHING:
                otherwise = "Nothing is to be done. r looks again."
        screen.tell(starts, looked.away, otherwise)

    def _start(self, words: str, advice: Advice, look: Callable[[], None], *, first: bool = True) -> Start:
        from swarmtui.runbooks import registry

        more = bool(_more(advice, registry.runbook(advice.runbook)))
        return Start(words, partial(self._begin, advice, look), first=first, more=more)

    def _starts(self, found: Diagnosis, look: Callable[[], None]) -> list[Start]:
        """What our runbooks can do about it, the way out first."""
        from swarmtui.runbooks import registry
        from swarmtui.runbooks.swarm.recovery.recover_words import WAYS

        first = (found.best, *found.then)
        return [
            self._start(
                WAYS[advice.way] + (f" ({', '.join(advice.about)})" if advice.about else ""),
                advice,
                look,
                first=advice in first,
            )
            for advice in (*first, *found.others)
            if advice.runbook in registry.RUNBOOKS
        ]

    # -- dead by name ------------------------------------------------------------------------------------------------

    def _declare(self, looked: Looked, look: Callable[[], None]) -> None:
        """Asks which managers are lost for good; looks again with that."""
        names = [*looked.away, *sorted(looked.dead)]

        def wrong(text: str) -> str:
            given = _words(text)
            if answers := sorted(given & looked.there):
                return f"{answers[0]} answers: it is not lost."
            unknown = sorted(given - {*names})
            return f"{unknown[0]} is none of {', '.join(names)}." if unknown else ""

        def answered(text: str | None) -> None:
            if text is not None:
                looked.dead = frozenset(_words(text))
                look()

        question = (
            f"Which of these managers are lost for good: {', '.join(names)}? Name them, with commas.\n\n"
            "Only what can never start again is lost: destroyed, wiped, or switched off and kept off. An old manager "
            "that comes back after a new cluster was forced forms a second Swarm beside it."
        )
        self.push_screen(AskScreen(question, check=wrong, suggest=partial(_one_more, names=names)), answered)

    # -- to begin ------------------------------------------------------------------------------------------------------

    def restore(self, backup: str) -> None:
        """Restores a backup that a person chose; asks on which host."""
        entry = self.shelf.entries.get(backup)
        product = entry.kind if entry is not None and entry.kind in ("ucp", "dtr") else ""
        runbook, host = (f"{product}.restore", "") if product else _SWARMS
        command = f"swarmtui run {runbook} backup={shlex.quote(backup)}{host}"
        chosen = Advice(Way.RESTORE, "It was chosen.", (backup,), command, runbook, {"backup": backup})
        self._begin(chosen, self.look_now)

    def _begin(self, advice: Advice, look: Callable[[], None], more: bool = False) -> None:
        if not self.busy():
            self.run_worker(self._lead(advice, look, more), exit_on_error=False, group="operate", exclusive=True)

    async def _lead(self, advice: Advice, look: Callable[[], None], more: bool) -> None:
        """Asks for what only a person knows, shows the plan, and runs it; then it is looked again."""
        from swarmtui.runbooks import params, registry

        runbook = registry.runbook(advice.runbook)
        given = dict(advice.params)
        for name in left_open(advice, runbook):
            answer = await questions.ask_one(self, runbook, name)
            if answer is None:
                return
            given[name] = answer

        async def options() -> bool:
            said = await questions.ask_more(self, runbook, _more(advice, runbook), given)
            given.update(said or {})
            return said is not None

        if more and not await options():
            return
        async with self._leading(runbook) as session:
            plan = await self.looked_at(
                session,
                f"Looking at the hosts of {self.opening.name}",
                lambda: runbook.prepare(session, params.parse(runbook.name, runbook.params, given)),
                options if _more(advice, runbook) else None,
            )
            if plan is None:
                return
            try:
                await self.execute(session, plan)
            finally:
                look()
        self.look_now()

    @asynccontextmanager
    async def _leading(self, runbook: Runbook) -> AsyncIterator[Session]:
        """The session of a runbook: our own; or one that only is a way to hosts, where no Swarm need answer.

        Raises:
            UsageError: a manager must answer, and none does.
        """
        own = self._session()
        if not runbook.on_hosts:
            if runbook.needs_manager and not own.live:
                raise UsageError("There is no connection to the cluster now.", "Press i for what was tried.")
            yield own
            return
        from swarmtui.session import Session

        # Not begun: to find a manager, a session touches the Docker socket of each, and docker.socket starts Docker.
        session = Session(self.opening, UiPerson(self), own.vault)
        try:
            yield session
        finally:
            await session.close()

    # -- to go on ------------------------------------------------------------------------------------------------------

    async def _cut_off(self, cluster_id: str, look: Callable[[], None]) -> list[Start]:
        """Walkthroughs of this cluster that did not come to their end, the newest first."""
        records = await asyncio.to_thread(self._unfinished, cluster_id)
        return [
            Start(
                f"go on with: {one_line(record.title)} ({one_line(record.outcome) or 'cut off'}, "
                f"{record.started_at[:16].replace('T', ' ')} UTC)",
                partial(self._continue, record.id, look),
                first=True,
            )
            for record in records
        ]

    def _unfinished(self, cluster_id: str) -> list[RunRecord]:
        """The newest walkthrough of this cluster, if it did not come to its end (blocking)."""
        from swarmtui.runbooks.journal import Journal
        from swarmtui.runbooks.report import going_on

        journal, passed = Journal(self._journal_folder), False
        for run_id in journal.ids():
            if not any(f"-{name}-" in run_id for name in ((PLATFORM,) if passed else WALKTHROUGHS)):
                continue
            try:
                record = journal.read(run_id)
                if record.target != self.opening.name and (not cluster_id or record.cluster_id != cluster_id):
                    continue
                if record.outcome == "done" and record.runbook != PLATFORM and not passed:
                    passed = True  # perhaps a part that the walkthrough through all products said to run alone
                    continue
                going_on(record, cluster_id=cluster_id)
            except SwarmtuiError:
                return []  # the newest one is done, or of another version: an older one is not what is wanted
            return [record]
        return []

    def _continue(self, run_id: str, look: Callable[[], None], more: bool) -> None:
        """Begins as the screen has it begun; more is not to be said, it was when the run began."""
        self.go_on(run_id, look)

    def go_on(self, run_id: str, after: Callable[[], None] = lambda: None) -> None:
        """Goes on with a run that did not come to its end, also one of another machine with the same journal.

        Args:
            after: called when it went on, however that ended.
        """
        if not self.busy():
            self.run_worker(self._go_on(run_id, after), exit_on_error=False, group="operate", exclusive=True)

    async def _go_on(self, run_id: str, after: Callable[[], None]) -> None:
        from swarmtui.runbooks import registry
        from swarmtui.runbooks.journal import Journal
        from swarmtui.runbooks.report import going_on
        from swarmtui.runbooks.runner import FINISHED

        record = await asyncio.to_thread(Journal(self._journal_folder).read, run_id)
        runbook = registry.runbook(record.runbook)
        async with self._leading(runbook) as session:
            known = session.snapshot.cluster_id or self._session().snapshot.cluster_id
            plan = going_on(record, cluster_id=known)
            if record.target != self.opening.name and (not known or record.cluster_id != known):
                of = one_line(record.target) or "no cluster yet"
                raise UsageError(
                    f"Run {record.id} is of {of}, and this is {self.opening.name}.",
                    "Open that cluster (ctrl+o), and go on with it there.",
                )

            done = sum(step.state in FINISHED for step in record.steps.values())
            told = (
                f"Going on with run {record.id} of {one_line(record.operator)}: {done} of {len(plan.steps)} steps are "
                "done, and are not done again."
            )
            shown = dataclasses.replace(plan, notes=(told, *plan.notes))

            async def same() -> Plan:
                return shown

            confirmed = await self._confirmed(same)
            if confirmed is None:
                return
            try:
                await self.execute(session, confirmed, record)
            finally:
                after()
        self.look_now()


def left_open(advice: Advice, runbook: Runbook) -> list[str]:
    """The parameters that only a person can name: those that are needed, or that the command leaves open."""
    told = {word.partition("=")[0] for word in shlex.split(advice.command) if "=" in word}
    return [p.name for p in runbook.params if p.name not in advice.params and (p.required or p.name in told)]


def _more(advice: Advice, runbook: Runbook) -> list[Param]:
    """What may be said besides."""
    needed = left_open(advice, runbook)
    return [param for param in runbook.params if param.name not in needed and not param.required]


def _words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}


def _one_more(text: str, names: Sequence[str]) -> str:
    """A list of names with its last one completed, by one that is not in it yet; "" for nothing to add."""
    before, comma, word = text.rpartition(",")
    named = _words(before)
    blank = word[: len(word) - len(word.lstrip())]
    found = next((name for name in names if name not in named and name.startswith(word.strip())), "")
    whole = f"{before}{comma}{blank}{found}"
    return whole if len(whole) > len(text) else ""
