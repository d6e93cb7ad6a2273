"""What platform.backup is made of: the backup of one product as a part, and the look whether the set is whole."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from swarmtui.backups import sets
from swarmtui.backups.manifest import Manifest
from swarmtui.runbooks.parts import Stage
from swarmtui.runbooks.runbook import Facts, Plan, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.fetch import Fetch
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry

PRODUCTS: Final = sets.PRODUCTS
"""What a platform is made of, in the order in which it is backed up and brought back."""


def member_of(session: Session, cluster_id: str, name: str, kind: str) -> Entry | None:
    """The newest backup of a product in a set that is of use; blocks. Raises BackupError."""
    return next(
        (
            entry
            for entry in session.backups.entries(cluster_id)
            if not entry.broken and entry.kind == kind and entry.whole.set == name and entry.would_restore != "no"
        ),
        None,
    )


def _told(entry: Entry) -> str:
    size = entry.whole.stored_size / 1e6
    return f"{PRODUCTS[entry.kind]}: {entry.id}, {size:.1f} MB, would restore: {entry.would_restore}."


@dataclass(frozen=True, kw_only=True)
class BackUp(Stage):
    """The backup of one product, as a part of a set.

    Attributes:
        kind: of the product's backups.
        set: the name of the set.
    """

    cluster_id: str
    kind: str
    set: str

    async def already_done(self, session: Session, before: Facts) -> str:
        entry = await asyncio.to_thread(member_of, session, self.cluster_id, self.set, self.kind)
        return f"{_told(entry)} It is in this set already." if entry is not None else ""

    async def stale(self, session: Session, part: Plan, done: Set[str], begun: Set[str]) -> str:
        def taken() -> Entry | None:
            ours = (one for one in session.backups.entries(self.cluster_id) if one.kind == self.kind)
            return next((one for one in ours if not one.broken and one.whole.set == self.set), None)

        entry = await asyncio.to_thread(taken)
        if entry is not None:
            return f"{entry.id} would not restore: another one is taken." if entry.would_restore == "no" else ""
        if (fetch := next((step for step in part.steps if step.id not in done), None)) is None:
            return ""
        # What was no archive was removed when it was fetched; and another backup cleans up what this one left.
        if isinstance(fetch, Fetch) and not (await (await fetch.job(session)).state()).done:
            return f"There is no whole archive on {fetch.name} any more: another one is made."
        return ""

    def fit(self, plan: Plan) -> Plan:
        """The same with the name of the set in the manifest that its step of fetching writes."""
        steps = tuple(_of_set(step, self.set) for step in plan.steps)
        return Stage.fit(self, dataclasses.replace(plan, steps=steps))


def _of_set(step: Step, name: str) -> Step:
    about = getattr(step, "about", None)
    if not isinstance(about, Manifest):
        return step
    return dataclasses.replace(step, about=msgspec.structs.replace(about, set=name))  # type: ignore[call-arg]


@dataclass(frozen=True, kw_only=True)
class CompareSet(Step):
    """Looks whether every product has its backup in the set, and says what each is worth.

    Attributes:
        kinds: those that belong to it.
    """

    cluster_id: str
    set: str
    kinds: tuple[str, ...]

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown("swarmtui backups list", here=True),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        return  # it only looks: see verify

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        def look() -> dict[str, Entry | None]:
            return {kind: member_of(session, self.cluster_id, self.set, kind) for kind in self.kinds}

        found = await asyncio.to_thread(look)
        for entry in found.values():
            if entry is not None:
                voice.say(_told(entry))
                if entry.whole.dtr is not None:
                    voice.say(f"The images are in none of them: they live {entry.whole.dtr.images}. Back those up too.")
        missing = [PRODUCTS[kind] for kind, entry in found.items() if entry is None]
        if missing:
            there = [PRODUCTS[kind] for kind, entry in found.items() if entry is not None]
            raise StepError(
                f"The set {self.set} is not whole: {_and(missing)} {'is' if len(missing) == 1 else 'are'} not in it"
                f"{f', {_and(there)} {_is(there)}' if there else ''}.",
                "What is there stays, and is of use. Mend what failed above, then go on with this run: it takes only "
                "what is missing.",
            )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
