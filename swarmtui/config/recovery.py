"""The table [clusters.NAME.recovery]: what its operator asks after a disaster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from swarmtui.config.tables import first_wrong


class RecoveryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs to the recovery of a cluster.

    Attributes:
        checks: commands that must succeed when a restore is done, run with sh on the operator's own machine.
        check_seconds: how long each of them may take.
    """

    checks: tuple[str, ...] = ()
    check_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60


def wrong_in_recovery(table: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first thing in a table that cannot be meant: its key, what is wrong, and what to do; None for a good one."""
    return first_wrong(table, RecoveryConfig, _wrong_value)


def _wrong_value(key: str, said: Any) -> tuple[str, str] | None:
    if key == "checks" and not all(line.strip() and "\n" not in line for line in said):
        return '"checks": a check is one line of sh', 'For instance "curl -fsS https://HOST/health".'
    return None
