"""The items in a store: what they are called, and what is in them. JSON with the version of its schema."""

from __future__ import annotations

import json

from swarmtui.vault import history
from swarmtui.vault.history import History
from swarmtui.vault.secret import Kind, Secret, VaultError
from swarmtui.vault.store import Store, StoreError

SCHEMA = 1
LONGEST_ABOUT = 255


def item_name(kind: Kind, about: str) -> str:
    """What the item is called. Raises VaultError where what it is about cannot be written in a line."""
    if not about or len(about) > LONGEST_ABOUT or not about.isprintable():
        raise VaultError(
            f"A {kind} must be about something that can be written in one line of at most {LONGEST_ABOUT} characters.",
            "Name a cluster id, a key file, or user@host.",
        )
    return f"{kind}/{about}"


def declined_name(kind: Kind, about: str) -> str:
    """What the note is called that somebody does not want this kept."""
    return f"declined/{item_name(kind, about)}"


def text_of(secret: Secret) -> str:
    """The item for a secret."""
    return json.dumps({"v": SCHEMA, "value": secret.reveal()}, separators=(",", ":"), ensure_ascii=False)


def secret_in(text: str, kind: Kind, about: str) -> Secret:
    """The secret in an item. Raises VaultError where it cannot be read."""
    try:
        document = json.loads(text)
        if document["v"] == SCHEMA and isinstance(document["value"], str) and document["value"]:
            return Secret(document["value"])
    except (ValueError, KeyError, TypeError):
        pass
    raise VaultError(
        f"The kept {kind} of {about} cannot be read: it was written by a newer swarmtui, or is damaged.",
        f"Set it anew: swarmtui secrets set {kind} {about}",
    )


def write(store: Store, item: str, text: str, what: str) -> None:
    """Writes an item and reads it back.

    Args:
        what: what it is, for an error: "the sudo-password of ops@mgr1".

    Raises:
        VaultError: it is too long for this store.
        StoreError: the store failed, or did not keep it.
    """
    if store.most_characters is not None and len(text) > store.most_characters:
        raise VaultError(
            f"{what[:1].upper()}{what[1:]} is too long for {store.label}: {store.most_characters} characters at most.",
            "Keep a shorter one.",
        )
    store.write(item, text)
    if store.read(item) != text:
        raise StoreError(f"{store.label} did not keep what was given to it")


def history_in(store: Store, cluster_id: str) -> History:
    """The unlock keys of a cluster. Raises VaultError where they cannot be read."""
    text = store.read(item_name(Kind.UNLOCK_KEY, cluster_id))
    return History() if text is None else history.parse(text, cluster_id)


def fingerprints_in(store: Store, kind: Kind, about: str) -> tuple[str, ...]:
    """Of the unlock keys, the newest first; nothing for other kinds."""
    return tuple(key.fingerprint for key in history_in(store, about).shown()) if kind is Kind.UNLOCK_KEY else ()


_Line = tuple[str, float, str]
"""About what, unix seconds, name."""


def entries_in(store: Store, kind: Kind) -> list[_Line]:
    """What is kept of a kind: keyrings cannot be listed through the one interface that all of them have."""
    text = store.read(f"index/{kind}")
    if text is None:
        return []
    try:
        document = json.loads(text)
        return [(str(about), float(at), str(name)) for about, at, name in document["entries"]]
    except (ValueError, KeyError, TypeError):
        # Only a list of names: what is put in from now on is on it again.
        return []


def enter(store: Store, kind: Kind, about: str, at: float, name: str) -> None:
    """Puts a line on the list of what is kept, instead of the one before. `at` is unix seconds."""
    before = entries_in(store, kind)
    names = {line[0]: line[2] for line in before}
    lines = [line for line in before if line[0] != about] + [(about, float(int(at)), name or names.get(about, ""))]
    _write_entries(store, kind, lines)


def leave(store: Store, kind: Kind, about: str) -> bool:
    """Takes a line off the list; tells whether it was there."""
    before = entries_in(store, kind)
    lines = [line for line in before if line[0] != about]
    if len(lines) == len(before):
        return False
    _write_entries(store, kind, lines)
    return True


def _write_entries(store: Store, kind: Kind, lines: list[_Line]) -> None:
    text = json.dumps(
        {"v": SCHEMA, "entries": [[about, int(at), name] for about, at, name in lines]}, separators=(",", ":")
    )
    write(store, f"index/{kind}", text, f"the list of all {kind} entries")
