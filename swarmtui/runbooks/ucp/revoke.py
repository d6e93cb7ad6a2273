"""The runbook ucp.revoke: a client bundle is made worthless (procedures.md U5; ucp-dtr.md §6)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.target import TcpTarget
from swarmtui.link.ucp.client import UcpClient
from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.link.ucp.shapes import BundleKey
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Runbook, Shown, Step, StepError, Voice, binding_of
from swarmtui.runbooks.ucp import by_hand, logins
from swarmtui.runbooks.ucp.access import Access, access, opened
from swarmtui.runbooks.ucp.bundle_keys import key_in, key_of, keys_of
from swarmtui.runbooks.ucp.users import user_name
from swarmtui.session import Session

ALL: Final = "all"
LEAST: Final = 6
"""Characters of an id that name a bundle, where no other begins with them."""
TELL: Final = 20
"""Bundles that one sentence lists."""


class RevokeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        url: of the manager that was asked.
        chosen: id → how it is called, of those to be revoked; empty where none of the user's is meant.
        count: how many bundles the user has.
        folder: what names it here; "" where it is named by its id or label.
    """

    known: Access
    url: str
    user: str
    chosen: dict[str, str]
    count: int
    folder: str = ""


class RevokeBundle(Runbook):
    name = "ucp.revoke"
    summary = "make a client bundle of UCP (MKE) worthless: of somebody who left, or one that was lost"
    params: ClassVar[Sequence[Param]] = (
        Param("user", "whose bundle; the one that the configuration names, usually admin", user_name, "NAME"),
        Param(
            "bundle",
            "which: its id, its label, the folder that it lies in, or all; without it they are listed",
            params.text,
            "ID|LABEL|FOLDER|all",
            default="",
        ),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session)
        user = params.get("user") or known.username
        url, bundles = await _bundles(session, known, user)
        given = params["bundle"]
        folder = ""
        if not given:
            told = listed([_called(one) for one in bundles], TELL)
            raise UsageError(
                f"{one_line(user)} has {_count(len(bundles))}{f': {told}' if told else ''}.",
                "Name the one to be revoked: bundle=ID, bundle=FOLDER for one that lies here, or bundle=all.",
            )
        if given == ALL:
            chosen = bundles
        elif "/" in given or await asyncio.to_thread(Path(given).expanduser().exists):
            folder = str(Path(given).expanduser().absolute())
            key = await asyncio.to_thread(_key_here, Path(folder))
            chosen = tuple(one for one in bundles if key in keys_of(one))
        else:
            chosen = _named(bundles, user, given)
        ours = await asyncio.to_thread(_our_keys, session)
        if any(key in ours for one in chosen for key in keys_of(one)):
            raise RefusedError(
                f"This session itself came to {known.cluster} with that bundle of {one_line(user)}.",
                "Open the cluster another way, as through SSH to a manager, then revoke it.",
            )
        facts = RevokeFacts(
            known=known,
            url=url,
            user=user,
            chosen={one.id: _called(one) for one in chosen},
            count=len(bundles),
            folder=folder,
        )
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, RevokeFacts)
        known, user = found.known, one_line(found.user)
        steps = tuple(
            Revoke(
                id=f"revoke-{number}",
                title=f"Revoke the client bundle {called} of {user}",
                why="UCP forgets its public key, and refuses whoever shows its certificate.",
                danger=Danger.DISRUPTIVE,
                known=known,
                url=found.url,
                user=found.user,
                bundle=bundle,
                called=called,
            )
            for number, (bundle, called) in enumerate(found.chosen.items(), 1)
        )
        left = found.count - len(found.chosen)
        where = f" The files in {one_line(found.folder)} stay: remove them." if found.folder else ""
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Revoke {_count(len(steps))} of {user} on the UCP of {known.cluster}",
            why="A bundle needs no password: whoever has a copy is let in until it is revoked.",
            steps=steps,
            touches=(user,),
            notes=(f"{user} keeps {_count(left)}. A new one is made with ucp.bundle.{where}",),
            warnings=(
                "Whatever uses it is refused from then on: consoles, docker CLIs, build servers. Nothing brings it "
                "back.",
            ),
            binding=binding_of(known.instance, found.user, sorted(found.chosen)),
            nothing="" if steps else _nothing(found),
        )


def _nothing(found: RevokeFacts) -> str:
    user = one_line(found.user)
    if found.folder:
        return (
            f"The bundle in {one_line(found.folder)} is none of the {_count(found.count)} that UCP has of {user}: it "
            "is worthless already, or somebody else's."
        )
    return f"{user} has no client bundle."


def _count(number: int) -> str:
    return "1 client bundle" if number == 1 else f"{number or 'no'} client bundles"


def _called(one: BundleKey) -> str:
    """How a bundle is called, for a person: the beginning of its id, and its label."""
    labels = dict.fromkeys(filter(None, (one.label, *(made.label for made in one.certificates or ()))))
    told = one_line(", ".join(labels))[:60]
    return f"{one_line(one.id)[:16]}{f' ({told})' if told else ''}"


def _named(bundles: Sequence[BundleKey], user: str, given: str) -> tuple[BundleKey, ...]:
    """The one that an id, the beginning of one, or a label names. Raises UsageError."""
    found = tuple(one for one in bundles if given == one.id)
    found = found or tuple(one for one in bundles if len(given) >= LEAST and one.id.startswith(given))
    found = found or tuple(one for one in bundles if given == one.label)
    if len(found) == 1:
        return found
    kind = "more than one bundle" if found else "no bundle"
    told = listed([_called(one) for one in found or bundles], TELL)
    raise UsageError(
        f"{one_line(user)} has {kind} {one_line(given)}. There are: {told or 'none'}.",
        f"Name it by its id, or by at least {LEAST} characters of it.",
    )


def _key_here(folder: Path) -> bytes:
    """The public key of the bundle in a folder. Raises UsageError."""
    try:
        return key_in(folder)
    except StepError as error:
        raise UsageError(error.what, "Name a folder with an unpacked bundle, or the bundle's id.") from error


def _our_keys(session: Session) -> set[bytes]:
    """The public keys of the bundles that this session connects with; those that cannot be read are none."""
    found = set()
    for target in session.opening.targets:
        if isinstance(target, TcpTarget) and target.tls.cert is not None:
            with contextlib.suppress(ValueError, OSError):
                found.add(key_of(target.tls.cert))
    return found


async def _bundles(session: Session, known: Access, user: str) -> tuple[str, tuple[BundleKey, ...]]:
    """Who answered, and the bundles of a user, asked as the administrator. Raises UcpError, UsageError, VaultError."""
    async with await _client(session, known) as client:
        try:
            return client.url, await client.bundles(user)
        except UcpError as error:
            if error.trouble is Trouble.LOGIN:
                logins.forget_typed(session, known, known.username)
            raise


async def _client(session: Session, known: Access) -> UcpClient:
    secret = await logins.password_of(session, known, known.username)
    return await opened(session, known, username=known.username, password=secret)


@dataclass(frozen=True, kw_only=True)
class Revoke(Step):
    """Revokes one bundle.

    Attributes:
        url: of the manager that was asked when the plan was made, for what is shown.
        bundle: its id. called: how people know it.
    """

    known: Access
    url: str
    user: str
    bundle: str
    called: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        path = f"/accounts/{quote(self.user, safe='')}/publicKeys"
        return (
            by_hand.authority(self.known, self.known.managers[0]),
            *by_hand.login(self.url, self.known.username),
            by_hand.call(self.url, f"{path}/{quote(self.bundle, safe='')}", method="DELETE"),
            by_hand.call(self.url, path),
            by_hand.logout(self.url),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        _, bundles = await _bundles(session, self.known, self.user)
        there = any(one.id == self.bundle for one in bundles)
        return "" if there else f"UCP has no bundle {self.called} of {one_line(self.user)} any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        async with await _client(session, self.known) as client:
            await client.revoke(self.user, self.bundle)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (told := await self.already_done(session, before)):
            raise StepError(f"UCP still lists the bundle {self.called}.", "Retry, or revoke it in the web UI.")
        voice.say(told)
