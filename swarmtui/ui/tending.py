"""The part of the console that looks after backups: what lies in the catalogue, and what is done with it."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.ui.base import Base
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.ui.shelf import Shelf
from swarmtui.ui.work import Work

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue, Entry
    from swarmtui.backups.keys import Keys
    from swarmtui.backups.records import Verification

VIEW = "backups"
SHOWN_SECONDS = 3.0
"""How often the catalogue's folder is looked at while its view is on the screen."""

NONE_HERE = UsageError("There is no backup to look at.", "B takes one.")

Do = Callable[[Work], Awaitable[None]]


class Tending(Base):
    """Looks after backups.

    Attributes:
        shelf: what lies in the catalogue.
        work: what is being done to backups besides runs, or was done last.
    """

    shelf: Shelf
    work: Work | None = None

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(self._catalogue)
        self._look = asyncio.Event()

    @abstractmethod
    async def _until_told(self) -> None:
        """Waits until there is something to see: nothing of backups may hold up the first table."""

    @abstractmethod
    def _shelf_changed(self) -> None:
        """Shows what lies in the catalogue now."""

    # -- the shelf ---------------------------------------------------------------------------------------------------

    def watch_shelf(self) -> None:
        """Begins to look at the catalogue."""
        self.run_worker(self._watch_shelf(), exit_on_error=False, group="shelf", exclusive=True)

    def look_at_shelf(self, *, anew: bool = False) -> None:
        """Has the catalogue looked at now, if its view is on the screen.

        Args:
            anew: something was just done to it: read all of it, be the view on the screen or not.
        """
        if anew:
            self.shelf.look_anew()
        if anew or VIEW in self.main.on_screen:
            self._look.set()

    async def _watch_shelf(self) -> None:
        await self._until_told()
        while True:
            self._look.clear()
            shown = VIEW in self.main.on_screen or self.shelf.turn
            if shown and await asyncio.to_thread(
                self.shelf.look, self._session().snapshot.cluster_id, self.opening.name
            ):
                self._shelf_changed()
            # While nobody looks nobody asks: how fresh the backups are, the header has from the session.
            wait = SHOWN_SECONDS if VIEW in self.main.on_screen else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._look.wait()

    # -- looking -----------------------------------------------------------------------------------------------------

    def look_inside(self, key: str | None) -> None:
        """Opens a backup, and shows what is in it."""
        entry = self._entry(key)
        if entry is not None:
            self.begin(
                Work(f"Inside {entry.id}", "opening a backup", cancellable=False, follows=False),
                partial(self._inside, entry),
            )

    async def _inside(self, entry: Entry, work: Work) -> None:
        from swarmtui.ui import backup_work

        keys = await self._opening_keys(entry.cluster_id, work)
        await asyncio.to_thread(backup_work.look_inside, entry, keys, work)

    def verify(self, keys: Sequence[str]) -> None:
        """Finds out whether backups would restore."""
        entries = [self.shelf.entries[key] for key in keys if key in self.shelf.entries]
        if not entries:
            self.complain(NONE_HERE)
        else:
            what = entries[0].id if len(entries) == 1 else f"{len(entries)} backups"
            self.begin(Work(f"Verify {what}", "verifying"), partial(self._verify, entries))

    async def _verify(self, entries: Sequence[Entry], work: Work) -> None:
        from swarmtui.ui import backup_work

        catalogue = self._catalogue()
        found: list[Verification | None] = []
        opened: dict[tuple[str, str | None], Keys] = {}  # no keyring is asked a hundred times
        for number, entry in enumerate(entries):
            work.progress(number, len(entries), entry.id)
            if work.stopped():
                break
            if entry.broken:
                work.tell(("heading", entry.id), ("bad", f"Damaged: {entry.broken}"))
                continue
            about = (entry.cluster_id, entry.id if entry.kind == "ucp" else None)
            keys = opened.get(about) or await self._opening_keys(entry.cluster_id, work, ucp=about[1])
            opened[about] = keys
            found.append(await asyncio.to_thread(backup_work.verify_one, catalogue, entry, keys, work))
            self.look_at_shelf(anew=True)
        work.end(backup_work.verified_words(found), style=backup_work.worst_style(found))

    def compare_backups(self, keys: Sequence[str]) -> None:
        """Shows what changed from one backup to another, or since one was taken."""
        entries = self._entries(keys)
        if foreign := next((entry for entry in entries if entry.kind != "swarm"), None):
            self.complain(UsageError(f"{foreign.id} is no backup of a Swarm.", "d says what is known of it."))
        elif len(entries) > 2:
            self.complain(UsageError("Two backups can be compared, and more are marked.", "\\ removes the marks."))
        elif entries:
            self.run_worker(self._compare(entries), exit_on_error=False, group="compare", exclusive=True)

    async def _compare(self, entries: Sequence[Entry]) -> None:
        from swarmtui.ui import backup_work

        live = await backup_work.live_inventory(self._session()) if len(entries) == 1 else None
        lines = await asyncio.to_thread(backup_work.compared, entries, live)
        self.push_screen(ReadingScreen("What changed", lambda: lines))

    def _entry(self, key: str | None) -> Entry | None:
        return next(iter(self._entries([key] if key is not None else [])), None)

    def _entries(self, keys: Sequence[str]) -> list[Entry]:
        """The backups of these rows; complains where there is none, or one that is damaged."""
        found = [self.shelf.entries[key] for key in keys if key in self.shelf.entries]
        if not found:
            self.complain(NONE_HERE)
        for entry in found:
            if entry.broken:
                self.complain(UsageError(f"{entry.id} is damaged. {entry.broken}", "d says more."))
                return []
        return found

    # -- work --------------------------------------------------------------------------------------------------------

    def work_under_way(self) -> bool:
        """Shows the work that is under way instead of beginning another; whether there is some."""
        if self.work is None or self.work.over:
            return False
        self._show_work(self.work)
        self.notify(f"{self.work.title} is under way: one at a time.", markup=False)
        return True

    def _show_work(self, work: Work) -> None:
        from swarmtui.ui.screens.working import WorkScreen

        name, production = self._acts_on()
        self.push_screen(WorkScreen(work, name, production=production))

    def begin(self, work: Work, do: Do) -> None:
        """Does work behind its screen."""
        if self.work_under_way():
            return
        self.work = work
        self._show_work(work)
        self._tell_header()
        self.run_worker(self._work(work, do), exit_on_error=False, group="work")

    async def _work(self, work: Work, do: Do) -> None:
        try:
            await do(work)
        except SwarmtuiError as error:
            work.end(error=error)
        finally:
            if not work.over:
                work.end()
            self.look_at_shelf(anew=True)
            self._tell_header()
        if not self._watches(work):
            if work.error is not None:
                self.complain(work.error)
            else:
                self.notify(f"{work.title}: {work.ended or 'done.'}", markup=False)

    def _watches(self, work: Work) -> bool:
        from swarmtui.ui.screens.working import WorkScreen

        return isinstance(self.screen, WorkScreen) and self.screen.watched is work

    def leave_unless_busy(self, leave: Callable[[], None]) -> None:
        """Leaves; asks first while something is being done to backups, or an operation is under way."""
        work = self.work
        if work is None or work.over:
            super().leave_unless_busy(leave)
            return

        def answered(answer: str | None) -> None:
            if answer is not None and answer.strip().lower() == "yes":
                super(Tending, self).leave_unless_busy(leave)

        question = f"{work.title} is under way. Leaving stops it; what is done stays done.\n\nType yes to leave."
        self.push_screen(AskScreen(question), answered)

    def stop_work(self) -> None:
        """Asks what is under way to stop: nobody is there any more to see it end."""
        if self.work is not None and not self.work.over:
            self.work.stop()

    # -- what the work needs -----------------------------------------------------------------------------------------

    def _catalogue(self) -> Catalogue:
        return self._session().backups

    async def _opening_keys(self, cluster_id: str, work: Work, *, ucp: str | None = None) -> Keys:
        """What the vault has to open a cluster's backups, or one of UCP; tells where it could not be asked."""
        from swarmtui.backups.keys import keys_of

        keys = await keys_of(self._session().vault, cluster_id, ucp=ucp)
        if keys.trouble:
            work.tell(("warn", keys.trouble))
        return keys
