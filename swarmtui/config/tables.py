"""What is wrong in a table of the configuration, key by key, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from swarmtui.model.text import one_line

ADDRESS_SHAPE: Final = 'Write "https://HOST" or "https://HOST:PORT".'


def first_wrong(
    table: Mapping[str, Any], kind: type[msgspec.Struct], wrong_value: Callable[[str, Any], tuple[str, str] | None]
) -> tuple[str, str, str] | None:
    """The first thing in a table that cannot be meant: its key, what is wrong, and what to do; None for a good one.

    Args:
        kind: what the table is read as; its fields are the keys.
        wrong_value: judges a key whose value has the right type: what is wrong, and what to do.
    """
    for key, value in table.items():
        if wrong := unknown(key, kind) or mistyped(key, value, kind):
            return (key, *wrong)
        if wrong := wrong_value(key, getattr(msgspec.convert({key: value}, kind), key)):
            return (key, *wrong)
    return None


def unknown(key: str, kind: type[msgspec.Struct]) -> tuple[str, str] | None:
    """That there is no such key, and which there are; None where there is."""
    known = kind.__struct_fields__
    return None if key in known else (f'unknown key "{one_line(key)}"', f"Known keys: {', '.join(known)}.")


def mistyped(key: str, value: Any, kind: type[msgspec.Struct]) -> tuple[str, str] | None:
    """That a value is not of its key's type or bounds, and what to do; None where it is."""
    try:
        msgspec.convert({key: value}, kind)
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at")[0].rstrip(".")
        return f'"{key}": {reason[:1].lower()}{reason[1:]}', "Mend the value."
    return None


def is_url(text: str) -> bool:
    """Whether it is https://HOST or https://HOST:PORT, and nothing more."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme == "https" and bool(parts.hostname) and port != 0 and bare and text.isprintable()


def no_address(key: str, said: str | Mapping[str, str], product: str) -> tuple[str, str] | None:
    """That a product cannot be at an address, and what to do; None for one that can be, or is not given.

    Args:
        said: the address, or name of a node → the address there.
    """
    if isinstance(said, str):
        return (f'"{key}": that is no address of {product}', ADDRESS_SHAPE) if said and not is_url(said) else None
    odd = next((name for name, url in said.items() if not is_url(url)), "")
    return (f'"{key}": what stands at "{odd}" is no address of {product}', ADDRESS_SHAPE) if odd else None


def nobody(username: str) -> tuple[str, str] | None:
    """That nobody is called so, and what to do; None where somebody may be."""
    if username.strip() and username.isprintable():
        return None
    return '"username": nobody is called so', 'For instance "admin".'
