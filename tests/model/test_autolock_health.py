"""What is said about the unlock key, and with which id."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from swarmtui.model.health import Severity, alarms, findings
from swarmtui.model.snapshot import KeyHolding
from tests import builders as b

RING = {"where": "the OS keyring (Secret Service)", "durable": True}


@pytest.mark.parametrize(
    ("holding", "rule"),
    [
        (None, ""),
        (KeyHolding(state="off"), ""),
        (KeyHolding(state="held", fingerprint="0a1b2c3d", **RING), ""),  # type: ignore[arg-type]
        (KeyHolding(state="held", where="this session's memory only"), "unlock-key-not-durable"),
        (KeyHolding(state="missing", **RING), "unlock-key-missing"),  # type: ignore[arg-type]
        (KeyHolding(state="differs", **RING), "unlock-key-differs"),  # type: ignore[arg-type]
        (KeyHolding(state="unknown", trouble="The keyring is locked.", **RING), "unlock-key-unknown"),  # type: ignore[arg-type]
    ],
)
def test_the_key_is_an_alarm_unless_it_is_in_custody(holding: KeyHolding | None, rule: str) -> None:
    managers = [b.node(f"mgr{n}", manager="leader" if n == 1 else "reachable") for n in (1, 2, 3)]
    found = findings(replace(b.snapshot(managers), unlock_key=holding), now=0.0)
    mine = [finding for finding in found if finding.rule.startswith("unlock-key")]
    assert [finding.rule for finding in mine] == ([rule] if rule else [])
    assert [finding.severity for finding in mine] == [Severity.WARNING] * len(mine)
    assert alarms(mine) == mine
