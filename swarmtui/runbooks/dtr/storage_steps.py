"""The steps that give DTR's images another place (procedures.md T2, ucp-dtr.md §2.4, §3.2)."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from swarmtui.errors import UsageError
from swarmtui.link.dtr import storage
from swarmtui.link.dtr.client import SIMPLE
from swarmtui.link.person import SecretPerson
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.seen import Storage
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr import by_hand
from swarmtui.runbooks.dtr.access import access, opened, password_of
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.by_hand import asked
from swarmtui.session import Session
from swarmtui.vault import Secret

ASK: Final = "ask"
_PLACE: Final = "env:"


def key_place(value: str) -> str:
    """Where a key of a storage comes from; the kind of a parameter.

    Raises:
        UsageError: it is nothing of the kind. Never tells the value: somebody may have written the key itself.
    """
    name = value.removeprefix(_PLACE)
    if value == ASK or (value.startswith(_PLACE) and name.isidentifier() and name.isascii()):
        return value
    raise UsageError(
        "What was given is no place that a key comes from, and a key itself is never an argument.",
        "Write env:NAME for an environment variable, or ask.",
    )


async def key_of(session: Session, name: str, place: str) -> Secret:
    """A key of a storage, from where the operator said. Raises UsageError where it is not there."""
    if place.startswith(_PLACE):
        text, where = os.environ.get(place.removeprefix(_PLACE), ""), f" in the environment variable {place[4:]}"
    else:
        person = session.person
        typed = await person.secret(f"{name} of the storage") if isinstance(person, SecretPerson) else None
        text, where = typed or "", ""
    if not text or not text.isprintable():
        raise UsageError(
            f"There is no {name}{where}: it is empty, or not one line.", f"Name env:VARIABLE for it: {name}-from="
        )
    return Secret(text)


@dataclass(frozen=True, kw_only=True)
class Reconfigure(RunDtr):
    """Runs `reconfigure` with another place for images.

    Attributes:
        wanted: that place.
    """

    wanted: Storage

    async def made(self, session: Session) -> str:
        known = await access(session, again=True)
        if known.told is None or known.told.storage != self.wanted:
            return ""
        return f"By its settings DTR keeps images in {one_line(str(self.wanted))}."

    async def left(self, session: Session) -> str:
        known = await access(session, again=True)
        now = known.told.storage if known.told is not None else None
        told = f"By its settings DTR keeps images in {one_line(str(now))} now. " if now is not None else ""
        return f"{told}Can every node of a replica mount it? Mend what it names, then retry."


@dataclass(frozen=True, kw_only=True)
class SetObjectStorage(Step):
    """Has DTR keep images in object storage, through its settings API; DTR writes there first to see whether it can.

    Attributes:
        url: of DTR, for the command as it is shown. username: as whom it is asked.
        kind: one of `storage.KINDS`.
        fields: what is no secret.
        places: key → where it comes from.
        at: host of a replica, which tells DTR's authority in the commands as they are shown; https: its port there.
    """

    url: str
    username: str
    kind: str
    fields: Mapping[str, str | bool]
    places: Mapping[str, str]
    at: Where | None = None
    https: int = facts.HTTPS_PORT
    danger: Danger = field(default=Danger.DISRUPTIVE)

    @property
    def shown(self) -> tuple[Shown, ...]:
        template = _format(json.dumps(storage.body(self.kind, self.fields, dict.fromkeys(self.places, _Blank()))))
        values = " ".join(f'"${name.upper()}"' for name in self.places)
        put = f"{by_hand.call(self.url, SIMPLE)} -X PUT -H 'Content-Type: application/json' -d @-"
        return (
            *by_hand.opened(self.at, self.https, self.username),
            *(asked(name.upper(), f"{name} of the storage") for name in self.places),
            # printf is the shell's own: nobody sees its arguments.
            Shown(f"printf {shlex.quote(template)} {values} | {put}", here=True),
            by_hand.logout(),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""  # DTR does not tell which bucket it uses; to be told twice changes nothing

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        keys = {name: await key_of(session, name, place) for name, place in self.places.items()}
        known = await access(session, again=True)
        async with await opened(session, known, password=await password_of(session, known)) as client:
            await client.set_storage(self.kind, self.fields, keys)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        known = await access(session, ask=True)
        if known.told is None:
            raise StepError(f"DTR does not answer any more: {known.trouble}", "Look why, then retry.")
        now = known.told.storage
        if now is not None and now.kind != "unnamed":
            raise StepError(
                f"DTR took the new storage, and by its settings it keeps images in {one_line(str(now))}.", "Retry."
            )
        async with await opened(session, known, password=await password_of(session, known)) as client:
            told = await client.storage_kind()
        if told not in ("", self.kind):
            raise StepError(f"DTR took the new storage, and says that it uses {told}.", "Retry.")
        place = self.fields.get(storage.KINDS[self.kind].place, "")
        voice.say(f"DTR wrote into {self.kind} {one_line(str(place))}, and keeps images there now.")


class _Blank:
    """In the place of a secret, in the line as it is shown."""

    def reveal(self) -> str:
        return "\0"


def _format(document: str) -> str:
    """A JSON document as printf's format, with %s for each blank."""
    blank = json.dumps("\0").strip('"')
    return "%s".join(part.replace("\\", "\\\\").replace("%", "%%") for part in document.split(blank))
