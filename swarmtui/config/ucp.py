"""The table [clusters.NAME.ucp]: where UCP (MKE) of a cluster is reached, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from swarmtui.config.tables import first_wrong, no_address, nobody


class UcpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where UCP is; nothing of it need be said.

    Attributes:
        url: of the load balancer before its managers; "" where there is none.
        managers: name of a node → its UCP, where https://ITS-ADDRESS:443 is not the one to use.
        username: who logs in; the password is the vault's ucp-password of this cluster.
        ca: a file with UCP's authority in PEM; without, it is read from a manager over SSH and remembered.
    """

    url: str = ""
    managers: dict[str, str] = msgspec.field(default_factory=dict)
    username: str = "admin"
    ca: str = ""


def wrong_in_ucp(table: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first thing in a table that cannot be meant: its key, what is wrong, and what to do; None for a good one."""
    return first_wrong(table, UcpConfig, _wrong_value)


def _wrong_value(key: str, said: Any) -> tuple[str, str] | None:
    if key in ("url", "managers"):
        return no_address(key, said, "UCP")
    return nobody(said) if key == "username" else None
