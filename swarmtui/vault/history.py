"""The unlock keys of one cluster, with the past. Pure.

A manager that was down during a rotation still needs the key from before, so keys are not replaced but become
previous. Each key carries when its state was set: of two copies of a history the later word about each key counts, so
that merging is the same in any order and loses no key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from swarmtui.vault.secret import KeyState, Secret, UnlockKey, VaultError, fingerprint

SCHEMA = 1
MOST_KEYS = 12
"""Of one cluster: with 80 characters for each it fits into the smallest keyring (Windows: 1,280 characters an item)."""

_RANK: dict[KeyState, int] = {"pending": 0, "current": 1, "previous": 2}


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One key as it is kept. Times are unix seconds."""

    key: str
    state: KeyState
    stored_at: int
    changed_at: int
    kek_version: int | None = None

    def __repr__(self) -> str:
        return f"Kept(hidden, {self.state}, {self.stored_at})"


class History(msgspec.Struct, frozen=True):
    """The keys of a cluster, in no order that matters.

    Attributes:
        name: what people call the cluster; may be empty.
    """

    keys: tuple[Kept, ...] = ()
    name: str = ""

    def shown(self) -> tuple[UnlockKey, ...]:
        """All keys, the newest first; at most one is current."""
        newest = max((kept for kept in self.keys if kept.state == "current"), key=_lateness, default=None)
        return tuple(
            _unlock_key(kept, "previous" if kept.state == "current" and kept is not newest else kept.state)
            for kept in sorted(self.keys, key=lambda kept: (kept.stored_at, kept.changed_at, kept.key), reverse=True)
        )


def _lateness(kept: Kept) -> tuple[int, str]:
    return kept.changed_at, kept.key


def _unlock_key(kept: Kept, state: KeyState) -> UnlockKey:
    secret = Secret(kept.key)
    return UnlockKey(secret, float(kept.stored_at), state, kept.kek_version, fingerprint(secret))


def parse(text: str, about: str) -> History:
    """Reads a kept history.

    Raises:
        VaultError: it was written by a newer version, or is damaged.
    """
    trouble = f"The kept unlock keys of cluster {about} cannot be read:"
    try:
        document: dict[str, Any] = json.loads(text)
        if document["v"] != SCHEMA:
            raise VaultError(f"{trouble} they were written by a newer swarmtui.", "Use that version.")
        return msgspec.convert({"keys": document["keys"], "name": document.get("name", "")}, History)
    except (ValueError, KeyError, TypeError):
        # Not the cause: its text may hold what was read.
        raise VaultError(
            f"{trouble} the item in the keyring is damaged.", "Look at it with the keyring's own tool."
        ) from None


def encode(history: History) -> str:
    """What is kept: compact JSON."""
    document = {"v": SCHEMA, "keys": msgspec.to_builtins(history.keys)}
    if history.name:
        document["name"] = history.name
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def merge(one: History, other: History) -> History:
    """Every key of both; of each the later word, and since when it is kept at the earliest. Loses none."""
    keys: dict[str, Kept] = {}
    for kept in (*one.keys, *other.keys):
        there = keys.get(kept.key)
        keys[kept.key] = kept if there is None else _later(there, kept)
    return History(tuple(keys[key] for key in sorted(keys)), max(one.name, other.name))


def _later(one: Kept, other: Kept) -> Kept:
    winner = max(one, other, key=lambda kept: (kept.changed_at, _RANK[kept.state]))
    versions = [kept.kek_version for kept in (one, other) if kept.kek_version is not None]
    return msgspec.structs.replace(
        winner, stored_at=min(one.stored_at, other.stored_at), kek_version=max(versions, default=None)
    )


def bounded(history: History, most: int = MOST_KEYS) -> History:
    """At most so many keys: the oldest previous ones go first, the current one never."""
    if len(history.keys) <= most:
        return history
    order = {key.secret.reveal(): place for place, key in enumerate(history.shown())}
    state = {key.secret.reveal(): key.state for key in history.shown()}
    worth: Callable[[Kept], tuple[int, int]] = lambda kept: (  # noqa: E731
        ("current", "pending", "previous").index(state[kept.key]),
        order[kept.key],
    )
    best = sorted(history.keys, key=worth)[:most]
    return History(tuple(sorted(best, key=lambda kept: kept.key)), history.name)


def with_key(
    history: History, secret: Secret, state: KeyState, at: float, *, kek_version: int | None = None, name: str = ""
) -> History:
    """The history with one key more, or with a new state of one that it has. A new current key makes the one before
    previous."""
    added = Kept(secret.reveal(), state, int(at), int(at), kek_version)
    before = {kept.key: kept for kept in history.keys}.get(added.key)
    if before is not None:
        # What is said now counts, also within the same second and with a clock that went back.
        at = max(int(at), before.changed_at)
        added = Kept(
            added.key,
            state,
            before.stored_at,
            int(at),
            kek_version if kek_version is not None else before.kek_version,
        )
    others: Iterable[Kept] = (kept for kept in history.keys if kept.key != added.key)
    if state == "current":
        latest = max((kept.changed_at for kept in history.keys if kept.state == "current"), default=0)
        added = msgspec.structs.replace(added, changed_at=max(added.changed_at, latest))
        others = (
            msgspec.structs.replace(kept, state="previous", changed_at=added.changed_at)
            if kept.state == "current"
            else kept
            for kept in others
        )
    keys = tuple(sorted((added, *others), key=lambda kept: kept.key))
    return bounded(History(keys, name or history.name))


def with_current(history: History, print_of_key: str, about: str, at: float) -> History:
    """The history with the key of that fingerprint as the cluster's.

    Raises:
        VaultError: no key has it.
    """
    for kept in history.keys:
        if fingerprint(Secret(kept.key)) == print_of_key:
            return with_key(history, Secret(kept.key), "current", at)
    raise VaultError(
        f"No unlock key {print_of_key} of cluster {about} is kept.", "See what is kept: swarmtui secrets list"
    )
