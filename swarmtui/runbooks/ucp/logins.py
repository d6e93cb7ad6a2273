"""Passwords of UCP's users: from the vault, an environment variable, standard input, or a person who is asked.

Never an argument, and never in a plan or a journal: a step asks here again when it runs.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import Final
from weakref import WeakKeyDictionary

from swarmtui.errors import UsageError
from swarmtui.link.person import SecretPerson
from swarmtui.model.text import one_line
from swarmtui.runbooks.files import read_stdin
from swarmtui.runbooks.ucp.access import Access
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret, VaultError

VAULT: Final = "vault"
STDIN: Final = "-"
SHAPE: Final = "vault|env:NAME|-"
LONGEST: Final = 1024
_VARIABLE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_TYPED: WeakKeyDictionary[Session, dict[str, Secret]] = WeakKeyDictionary()
"""What was typed for a session: asked for once, and gone with it."""


def source(value: str) -> str:
    """Where a password comes from; the kind of a parameter.

    Raises:
        UsageError: it is nothing of the kind. Never tells the value: somebody may have written the password itself.
    """
    if value not in (VAULT, STDIN) and not _VARIABLE.fullmatch(value):
        raise UsageError(
            "What was given is no place that a password comes from, and a password itself is never an argument.",
            "Write vault, env:NAME for an environment variable, or - for standard input.",
        )
    return value


def about(known: Access, user: str) -> str:
    """What the vault calls a user's password: the administrator's belongs to the cluster."""
    return known.cluster_id if user == known.username else f"{user}@{known.cluster_id}"


async def password_of(session: Session, known: Access, user: str, place: str = VAULT) -> Secret:
    """The password of a user of UCP.

    Args:
        place: vault (and whoever can be asked, where it has none), env:NAME, or - for standard input.

    Raises:
        UsageError: it is nowhere.
        VaultError: the configuration names where it is, and it is not there.
    """
    if place == STDIN:
        given = await asyncio.to_thread(read_stdin, LONGEST, f"The password of {one_line(user)}:")
        return _usable(given.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r"), user)
    if place.startswith("env:"):
        return _usable(os.environ.get(place[4:], ""), user, f" in the environment variable {place[4:]}")
    return await kept(session, known, user) or await _asked(session, known, user)


async def kept(session: Session, known: Access, user: str) -> Secret | None:
    """What the vault has; also where it was put under the cluster's name. Raises VaultError."""
    name = about(known, user)
    suffix = name.removesuffix(known.cluster_id)
    missing: VaultError | None = None
    for called in dict.fromkeys((name, f"{suffix}{known.cluster}")):
        try:
            if (found := await session.vault.get(Kind.UCP_PASSWORD, called)) is not None:
                return found
        except VaultError as error:
            missing = error
    if missing is not None:
        raise missing
    return _TYPED.get(session, {}).get(name)


async def _asked(session: Session, known: Access, user: str) -> Secret:
    person = session.person
    what = f"Password of {one_line(user)} on the UCP of {known.cluster}"
    typed = await person.secret(what) if isinstance(person, SecretPerson) else None
    if not typed:
        name = about(known, user).replace(known.cluster_id, known.cluster)
        raise UsageError(
            f"There is no password of {one_line(user)} on the UCP of {known.cluster}.",
            f"Keep it in the vault: swarmtui secrets set ucp-password {one_line(name)}; or name env:VARIABLE for it.",
        )
    secret = _usable(typed, user)
    _TYPED.setdefault(session, {})[about(known, user)] = secret
    return secret


def forget_typed(session: Session, known: Access, user: str) -> None:
    """What was typed is wrong: the next one who needs it asks again."""
    _TYPED.get(session, {}).pop(about(known, user), None)


async def keep(session: Session, known: Access, user: str, secret: Secret) -> bool:
    """Keeps a password in the vault; tells whether it outlives this program. Raises VaultError."""
    name = known.cluster if user == known.username else f"{one_line(user)} on {known.cluster}"
    return await session.vault.put(Kind.UCP_PASSWORD, about(known, user), secret, name=name)


def _usable(text: str, user: str, where: str = "") -> Secret:
    if not text or not text.isprintable():
        raise UsageError(
            f"There is no password of {one_line(user)}{where}: it is empty, or not one line.", "Give it there."
        )
    return Secret(text)
