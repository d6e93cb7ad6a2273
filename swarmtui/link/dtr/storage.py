"""Object storage as DTR's settings API takes it (reference/ucp-dtr.md §3.2): which fields each kind has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from swarmtui.link.https import Hidden

BOOLS: Final = ("secure",)


class Kind(msgspec.Struct, frozen=True):
    """A kind of object storage.

    Attributes:
        needed: fields that must be given.
        more: fields that may be, with what they are otherwise.
        secrets: fields whose values are secret; they must be given too.
        place: the field that says where images lie.
    """

    name: str
    needed: tuple[str, ...]
    more: Mapping[str, str | bool]
    secrets: tuple[str, ...]
    place: str


KINDS: Final = {
    kind.name: kind
    for kind in (
        # The field transcripts (ucp-dtr.md §3.2) have these two. What others take is documented nowhere.
        Kind(
            "s3",
            ("region", "bucket"),
            {"rootdirectory": "", "regionendpoint": "", "secure": True},
            ("accesskey", "secretkey"),
            "bucket",
        ),
        Kind("azure", ("accountname", "container"), {}, ("accountkey",), "container"),
    )
}


def body(kind: str, fields: Mapping[str, str | bool], secrets: Mapping[str, Hidden]) -> dict[str, Any]:
    """The document that makes DTR keep images there.

    Raises:
        ValueError: a kind that is not known, or fields that do not fit it; names them, never their values.
    """
    known = KINDS.get(kind)
    if known is None:
        raise ValueError(f"no storage of the kind {kind}")
    odd = set(fields) - {*known.needed, *known.more} | set(secrets) - set(known.secrets)
    missing = {name for name in known.needed if not fields.get(name)} | (set(known.secrets) - set(secrets))
    if odd or missing:
        raise ValueError(f"{kind} has no {', '.join(sorted(odd))}" if odd else f"no {', '.join(sorted(missing))}")
    told: dict[str, Any] = {**known.more, **fields}
    told |= {name: secret.reveal() for name, secret in secrets.items()}
    return {
        "storage": {
            "delete": {"enabled": True},
            "maintenance": {"readonly": {"enabled": False}},
            kind: told,
        }
    }
