"""The part of the console that changes what lies in the catalogue: copies elsewhere, pruning, importing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.tending import NONE_HERE, Tending
from swarmtui.ui.work import Work

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.offsite import Place
    from swarmtui.backups.retention import Decision
    from swarmtui.config.backups import CopyTarget
    from swarmtui.ui.keys import Action

PRUNE = "prune"
"""What is typed to delete: one of these letters by mistake is none."""
OPEN = "unencrypted"
"""What is typed to let a backup leave this machine so; the command line wants `--accept unencrypted-copy=PLACE`."""


class Upkeep(Tending):
    """Changes what lies in the catalogue. Nothing of it touches the cluster."""

    def tend(self, action: Action, keys: Sequence[str]) -> None:
        """Does what a key says to backups that lie on this machine; asks first."""
        if self.work_under_way():
            return
        entries = [self.shelf.entries[key] for key in keys if key in self.shelf.entries]
        ask: Coroutine[Any, Any, None]
        if action.called == "backups.import":
            ask = self._ask_import()
        elif action.called == "backups.prune":
            ask = self._ask_prune()
        elif entries:
            ask = self._ask_copy(entries)
        else:
            self.complain(NONE_HERE)
            return
        self.run_worker(ask, exit_on_error=False, group="tend", exclusive=True)

    # -- copies ------------------------------------------------------------------------------------------------------

    async def _ask_copy(self, entries: Sequence[Entry]) -> None:
        from swarmtui.backups.offsite import unencrypted
        from swarmtui.config.backups import SHAPES

        if damaged := next((entry for entry in entries if entry.broken), None):
            raise UsageError(f"{damaged.id} is damaged. {damaged.broken}", "Take its mark away.")
        configured = self.opening.backups.copies
        what = entries[0].id if len(entries) == 1 else f"these {len(entries)} backups"
        lines = [f"Copy {what} to where? Several places are parted by blanks."]
        lines.append("The line has those of the configuration." if configured else SHAPES)
        if bare := sum(unencrypted(entry) for entry in entries):
            which = "It is" if len(entries) == 1 else f"{bare} of them are"
            lines.append(f"\n{which} NOT ENCRYPTED: whoever reads a copy has the CA key and every secret of the Swarm.")
        screen = AskScreen("\n".join(lines), value=" ".join(configured), check=_wrong_places)
        answer = await self.push_screen_wait(screen)
        if answer is not None and bare:
            question = f"{which} not encrypted, and would leave this machine so. Type {OPEN!r} to copy all the same."
            if await self.push_screen_wait(AskScreen(question, check=_not_the_word)) is None:
                return
        if answer is not None:
            self.begin(Work(f"Copy {what}", "copying"), partial(self._copy, entries, _places(answer)))

    async def _copy(self, entries: Sequence[Entry], targets: Sequence[CopyTarget], work: Work) -> None:
        from swarmtui.backups.copying import known_at
        from swarmtui.backups.offsite import opened

        session, made, total = self._session(), 0, len(entries) * len(targets)
        for turn, target in enumerate(targets):
            known = known_at(list(self.shelf.entries.values()), str(target))
            work.tell(("heading", str(target)))
            try:
                async with opened(target, self.opening.ssh, session.person, known=known) as place:
                    for number, entry in enumerate(entries, turn * len(entries)):
                        work.progress(number, total, f"{entry.id} to {target}")
                        if work.stopped():
                            break
                        made += await self._copy_one(entry, place, work)
            except SwarmtuiError as error:
                work.tell(("bad", f"  {error}"))
        if work.stopped():
            work.end(f"{made} of {total} were made.")
        elif made < total:
            raise UsageError(f"{total - made} of {total} copies were not made.", "What was wrong stands above.")
        else:
            work.end(f"{made} made, and their digests compared at the far end.")

    async def _copy_one(self, entry: Entry, place: Place, work: Work) -> bool:
        """Copies one backup; tells how it went, and returns whether there is a copy now."""
        from swarmtui.backups.copying import copy_to

        done, total = work.done, work.total

        def progress(sent: int, size: int) -> None:
            percent = 100 * sent // size if size else 100
            work.progress(done, total, f"{entry.id} to {place.where}, {percent} %")

        catalogue = self._catalogue()
        newest = await asyncio.to_thread(catalogue.entry, entry.cluster_id, entry.id)
        task = asyncio.create_task(copy_to(catalogue, newest, place, progress))
        with work.stopping(task.cancel):
            try:
                made = await task
            except asyncio.CancelledError:
                if not work.stopped():
                    raise
                return False
        if made.error is not None:
            work.tell(("bad", f"  {entry.id}: {made.error}"))
            return False
        said = "copied" if made.sent else "was there already"
        work.tell(("good", f"  {entry.id}: {said}, and its digest compared there"))
        return True

    # -- pruning -----------------------------------------------------------------------------------------------------

    async def _ask_prune(self) -> None:
        from swarmtui.backups.retention import Kept, Rules, decide
        from swarmtui.ui.screens.deciding import DecideScreen

        if not self.shelf.cluster_id:
            raise UsageError("Whose backups these are is not known yet.", "Wait for a manager to answer.")
        rules = Rules.of(self.opening.backups)
        entries = dict(self.shelf.entries)
        decisions = decide([Kept.of(entry) for entry in entries.values()], rules)
        going = [entries[each.backup.id] for each in decisions if not each.keep]
        if not going:
            self.notify(f"Nothing is to go by the rules ({rules}): {len(entries)} stay.", markup=False, timeout=8)
            return
        cluster, production = self._acts_on()
        lines = [
            ("title", f"Delete {len(going)} of {len(entries)} backups on this machine"),
            ("plain", f"The rules keep {rules}. Copies elsewhere stay."),
            *(_decided(each) for each in sorted(decisions, key=lambda each: each.keep)),
        ]
        if await self.push_screen_wait(DecideScreen(f"Prune · {cluster}", lines, PRUNE, production=production)):
            self.begin(Work(f"Prune {len(going)} backups", "pruning"), partial(self._delete, going))

    async def _delete(self, going: Sequence[Entry], work: Work) -> None:
        catalogue = self._catalogue()
        for number, entry in enumerate(going):
            work.progress(number, len(going), entry.id)
            if work.stopped():
                break
            await asyncio.to_thread(catalogue.remove, entry)
            work.tell(("plain", f"{entry.id} is deleted."))
        work.end(f"{len(work.lines)} deleted.")

    # -- importing ---------------------------------------------------------------------------------------------------

    async def _ask_import(self) -> None:
        from swarmtui.ui.questions import path_completed

        question = (
            "Which archive shall be taken in? A tar or tar.gz of /var/lib/docker/swarm, also encrypted with age; or\n"
            "what UCP's backup command wrote. It is copied into the catalogue; the file stays as it is."
        )
        answer = await self.push_screen_wait(AskScreen(question, check=_wrong_file, suggest=path_completed))
        if answer is not None:
            path = Path(answer.strip()).expanduser().absolute()
            self.begin(Work(f"Import {path.name}", "importing", cancellable=False), partial(self._import, path))

    async def _import(self, path: Path, work: Work) -> None:
        from swarmtui.backups.imports import cluster_in, import_file
        from swarmtui.backups.keys import encryption_of
        from swarmtui.backups.ucp.imports import is_one

        cluster_id = self._session().snapshot.cluster_id
        if await asyncio.to_thread(is_one, path):
            await self._import_ucp(path, cluster_id, work)
            return
        keys = await self._opening_keys(cluster_id, work) if cluster_id else None
        identity = keys.identity if keys is not None else None
        work.progress(0, 0, f"looking into {path}")
        of = await asyncio.to_thread(cluster_in, path, identity)
        encryption = await encryption_of(self.opening.backups.recipients, self._session().vault, of)
        entry = await asyncio.to_thread(
            import_file,
            self._catalogue(),
            path,
            keys.unlock if keys is not None else (),
            identity,
            encryption=encryption,
        )
        if cluster_id and entry.cluster_id != cluster_id:
            work.tell(("warn", f"It is of another cluster, {entry.cluster_id}, and not shown among these."))
        if not entry.whole.encrypted:
            work.tell(("warn", "It is kept without encryption: name recipients in the configuration, [backups]."))
        work.end(f"It is in the catalogue as {entry.id}. p finds out whether it would restore.")

    async def _import_ucp(self, path: Path, cluster_id: str, work: Work) -> None:
        """Takes in what UCP's own backup command wrote, with the passphrase of this cluster's vault."""
        from swarmtui.backups.keys import encryption_of
        from swarmtui.backups.ucp.imports import import_file, look
        from swarmtui.model.ucp import status

        keys = await self._opening_keys(cluster_id, work, ucp="") if cluster_id else None
        work.progress(0, 0, f"looking into {path}")
        contents = await asyncio.to_thread(look, path, *(keys.ucp if keys is not None else ()))
        snapshot = self._session().snapshot
        encryption = await encryption_of(self.opening.backups.recipients, self._session().vault, cluster_id)
        entry = await asyncio.to_thread(
            import_file,
            self._catalogue(),
            path,
            contents,
            # What the archive does not tell is taken from the cluster that it is imported for.
            instance="" if contents.instance_id else cluster_id,
            version="" if contents.version else str(status.version_of(snapshot) or ""),
            encryption=encryption,
            cluster=self.opening.name,
        )
        if cluster_id and entry.cluster_id != cluster_id:
            work.tell(("warn", f"It is of another cluster, {entry.cluster_id}, and not shown among these."))
        if not entry.whole.protected:
            work.tell(("warn", "It is kept without encryption: name recipients in the configuration, [backups]."))
        work.end(f"It is in the catalogue as {entry.id}. p opens it and looks inside.")


def _decided(decision: Decision) -> tuple[str, str]:
    because = ", ".join(decision.because)
    style, word = ("plain", "keep  ") if decision.keep else ("bad", "DELETE")
    return style, one_line(f"  {word} {decision.backup.id}  {because}")


def _places(text: str) -> list[CopyTarget]:
    """The places in a line. Raises ValueError where one is none."""
    from swarmtui.config.backups import copy_target

    return [copy_target(word) for word in text.split()]


def _not_the_word(text: str) -> str:
    return "" if text.strip() == OPEN else f"That is not {OPEN!r}; esc leaves it."


def _wrong_places(text: str) -> str:
    try:
        return "" if _places(text) else "Name a place."
    except ValueError as error:
        words = str(error)
        return f"{words[:1].upper()}{words[1:]}."


def _wrong_file(text: str) -> str:
    path = Path(text.strip()).expanduser()
    with contextlib.suppress(OSError, RuntimeError):
        if path.is_file():
            return ""
    return "There is no such file."
