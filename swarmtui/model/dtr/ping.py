"""What a replica's `/_ping` means: JSON with `Healthy` and `Error`, whose case differs between versions. Pure."""

from __future__ import annotations

import json

from msgspec.structs import replace

from swarmtui.model.text import one_line
from swarmtui.model.ucp.status import Door


def judged(door: Door) -> Door:
    """The same answer with what it says of itself in words, and none of a healthy one that is no answer of DTR's.

    Source: ucp-dtr.md §3.2: `{"Error": "…", "Healthy": true}` with 200 or 503; later versions write small letters.
    """
    if not door.status:
        return door
    try:
        told = json.loads(door.text)
    except ValueError:
        told = None
    said = {key.lower(): value for key, value in told.items()} if isinstance(told, dict) else {}
    if door.ok and said.get("healthy") is not True:
        if isinstance(said.get("healthy"), bool):
            return replace(door, text=_error(said), trouble=f"it calls itself not healthy{_because(said)}.")
        return replace(door, trouble=f"what answers at {door.url} is no DTR: its /_ping does not tell how it is.")
    return replace(door, text=_error(said)) if said else door


def ping_why(door: Door | None) -> str:
    """Why a replica's web server is not well, in a few words; "" where it is, or was not asked."""
    return "" if door is None or door.ok else door.why.rstrip(".")


def _error(said: dict[str, object]) -> str:
    error = said.get("error")
    return one_line(error)[:200] if isinstance(error, str) else ""


def _because(said: dict[str, object]) -> str:
    error = _error(said)
    return f": {error}" if error else ""
