"""What recreating is planned from: what the cluster has now, and what the backup has. No Spec of a service is in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.backups.errors import BackupError
from swarmtui.backups.keys import Keys, keys_of
from swarmtui.errors import UsageError
from swarmtui.model.backups import age_words
from swarmtui.model.objects import Network
from swarmtui.model.services import Service
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import StepError
from swarmtui.runbooks.swarm.backups.backup_objects import read_contents
from swarmtui.runbooks.swarm.recovery.recreate_objects import KINDS, Json, Objects, Otherwise, Wanted, id_of, judge
from swarmtui.session import Session
from swarmtui.vault import Secret

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry

OLDER = 20
"""Among how many older backups one is looked for that has what the named one has not."""


class RecreateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts.

    Attributes:
        cluster_id, cluster: the Swarm, and what people call it.
        backup: its id; age: how old it is, in words.
        digest: of the archive and of the saved objects, as the manifest tells them: the plan is of these and no others.
        verdict, because: whether it would restore, as its newest verification found.
        everything: nothing was named.
        wanted: what is to be created, in order.
        otherwise: what both have, and not alike.
        unreadable: why the secrets that are wanted cannot be created, and what to do; ("", "") where they can.
        warnings: sentences.
    """

    cluster_id: str
    cluster: str
    backup: str
    age: str
    digest: str
    verdict: str
    because: str
    everything: bool
    wanted: tuple[Wanted, ...]
    otherwise: tuple[Otherwise, ...]
    unreadable: tuple[str, str] = ("", "")
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The backup that a plan creates from. Opened when the first step needs it, and once.

    Attributes:
        digest: what it must have, or it is another than the plan was made of.
        target: what the Swarm is called on a command line.
        secrets: ids of the secrets whose data the plan needs.
    """

    cluster_id: str
    backup: str
    digest: str
    target: str = ""
    secrets: tuple[str, ...] = ()
    _objects: list[Objects] = field(default_factory=list, compare=False, repr=False)
    _data: dict[str, Secret] = field(default_factory=dict, compare=False, repr=False)

    async def thing(self, session: Session, kind: str, id_: str) -> Json:
        """One of its objects. Raises BackupError, StepError or VaultError."""
        objects = await self.objects(session)
        for one in objects[f"{kind}s"]:
            if id_of(one) == id_:
                return one
        raise StepError(f"The backup {self.backup} has no such {kind} any more.", "Make a new plan.")

    async def objects(self, session: Session) -> Objects:
        """All its objects. Raises as `thing` does."""
        if not self._objects:
            entry, keys = await self._opened(session)
            self._objects.append(await asyncio.to_thread(objects_of, entry, keys))
        return self._objects[0]

    async def data(self, session: Session, id_: str) -> Secret:
        """The data of one of `secrets`, in base64. Raises as `thing` does."""
        if not self._data:
            entry, keys = await self._opened(session)
            self._data.update(await asyncio.to_thread(data_of, entry, self.secrets, keys))
        if id_ not in self._data:
            raise StepError(f"The backup {self.backup} does not have the data of this secret.", "Create it by hand.")
        return self._data[id_]

    async def _opened(self, session: Session) -> tuple[Entry, Keys]:
        entry = await asyncio.to_thread(session.backups.entry, self.cluster_id, self.backup)
        if digest_of(entry) != self.digest:
            raise StepError(f"The backup {self.backup} is not the one that you confirmed.", "Make a new plan.")
        return entry, await keys_of(session.vault, self.cluster_id)


async def survey(session: Session, backup: str, named: Mapping[str, tuple[str, ...]]) -> RecreateFacts:
    """Gathers the facts.

    Args:
        backup: its id, or latest.
        named: kind → names or ids; empty for everything that is missing.

    Raises:
        UsageError: there is no such backup, or it does not have what is named.
        BackupError: it cannot be opened.
        LinkError, EngineError, StepError: the cluster cannot be asked.
    """
    await session.refresh()
    live = await read_contents(session)
    cluster_id = live.inventory.cluster_id
    entry = await asyncio.to_thread(_entry, session, cluster_id, backup)
    keys = await keys_of(session.vault, cluster_id)
    saved = await asyncio.to_thread(objects_of, entry, keys)
    try:
        judged = judge(saved, live.objects, named)
    except UsageError as error:
        raise UsageError(error.what, await asyncio.to_thread(_elsewhere, session, entry, named, error)) from None
    secrets = [one for one in judged.wanted if one.kind == "secret" and not one.outside]
    return RecreateFacts(
        cluster_id=cluster_id,
        cluster=session.name,
        backup=entry.id,
        age=age_words(max(0.0, time.time() - entry.whole.taken_at)),
        digest=digest_of(entry),
        verdict=entry.would_restore,
        because=one_line(entry.because),
        everything=not any(named.values()),
        wanted=judged.wanted,
        otherwise=judged.otherwise,
        unreadable=await asyncio.to_thread(_unreadable, entry, secrets, keys),
        warnings=judged.warnings,
    )


def digest_of(entry: Entry) -> str:
    """What tells a backup from any other. Raises BackupError where it is broken."""
    manifest = entry.whole
    return f"{manifest.digest} {manifest.objects_digest}"


def objects_of(entry: Entry, keys: Keys) -> Objects:
    """The API objects of a backup (blocks). Raises BackupError where they cannot be read, or are none."""
    from swarmtui.backups.saved import saved_objects

    found = saved_objects(entry, keys.unlock, keys.identity)
    try:
        # What is read later on has the types that an engine gives.
        msgspec.convert(found["services"], list[Service])
        msgspec.convert(found["networks"], list[Network])
    except msgspec.ValidationError:
        raise BackupError(
            f"The API objects of {one_line(entry.id)} are none of an engine.", "Name another: swarmtui backups list"
        ) from None
    return found


def data_of(entry: Entry, ids: Sequence[str], keys: Keys) -> dict[str, Secret]:
    """The data of secrets (blocks). Raises BackupError."""
    from swarmtui.backups.saved import saved_secrets

    return saved_secrets(entry, ids, keys.unlock, keys.identity)


def _entry(session: Session, cluster_id: str, name: str) -> Entry:
    entry = session.backups.entry(cluster_id, name, "swarm")
    if entry.broken:
        raise UsageError(f"The backup {one_line(entry.id)} cannot be used: {entry.broken}", "Name another one.")
    return entry


def _unreadable(entry: Entry, secrets: Sequence[Wanted], keys: Keys) -> tuple[str, str]:
    """Why these secrets cannot be created (blocks)."""
    if not secrets:
        return "", ""
    try:
        found = data_of(entry, [one.id for one in secrets], keys)
    except BackupError as error:
        return error.what, keys.trouble or error.next_step.replace("CLUSTER_ID", entry.cluster_id)
    if lost := [one.name for one in secrets if one.id not in found]:
        return (
            f"The archive of {entry.id} does not have the data of the secret {', '.join(lost)}: it was made later.",
            "Name what else is to be created, and create that by hand: swarmtui run secret.create",
        )
    return "", ""


def _elsewhere(session: Session, entry: Entry, named: Mapping[str, tuple[str, ...]], error: UsageError) -> str:
    """What to do where the backup does not have what is named: another one that has it (blocks)."""
    for other in session.backups.entries(entry.cluster_id)[:OLDER]:
        inventory: Any = other.manifest.inventory if other.manifest is not None and not other.broken else None
        if inventory is not None and all(
            any(text in (item.id, item.name) for item in inventory.of(kind))
            for kind in KINDS
            for text in named.get(kind, ())
        ):
            return f"{other.id} has it: backup={other.id}"
    return error.next_step
