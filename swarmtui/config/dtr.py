"""The table [clusters.NAME.dtr]: where DTR (MSR) of a cluster is reached, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from swarmtui.config.tables import first_wrong, no_address, nobody


class DtrConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where DTR is; nothing of it need be said.

    Attributes:
        url: of the load balancer before its replicas; "" for its external URL, as its settings tell it.
        replicas: name of a node → the DTR there, where https://ITS-ADDRESS and the port of its container is not the one
            to use.
        username: who logs in; "" for UCP's user. DTR has no accounts of its own: the password is the vault's
            ucp-password.
        ca: a file with DTR's authority in PEM; without, it is read from a replica over SSH and remembered.
    """

    url: str = ""
    replicas: dict[str, str] = msgspec.field(default_factory=dict)
    username: str = ""
    ca: str = ""


def wrong_in_dtr(table: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first thing in a table that cannot be meant: its key, what is wrong, and what to do; None for a good one."""
    return first_wrong(table, DtrConfig, _wrong_value)


def _wrong_value(key: str, said: Any) -> tuple[str, str] | None:
    if key in ("url", "replicas"):
        return no_address(key, said, "DTR")
    return nobody(said) if key == "username" and said else None
