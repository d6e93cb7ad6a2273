"""ucp.revoke on the simulator, struck between two bundles: gone on with, those that were meant are gone, no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.faults import ucp_stage as u
from tests.faults.strikes import cut, kill, to_the_end

RUN = "20261122T082204Z-faults-0001"
STRIKES = {"kill": kill, "cut": cut}


@pytest.mark.full("kill/intent", "cut/effect")
@pytest.mark.parametrize("case", ["kill/effect", "kill/intent", "cut/intent", "cut/effect"])
async def test_what_was_meant_is_revoked(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strike, _, point = case.partition("/")
    async with Demo("ucp-accounts-deleted", speed=40, seed=1, nodes=6) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert demo.world.ucp is not None
        known = demo.world.ucp.accounts.by_name
        other = known["admin"]
        lost = demo.world.ucp.accounts.create("lost", "a password of lost")
        lost.keys |= {"a1a1a1a1": "no key", "b2b2b2b2": "no key either"}
        other.keys["c3c3c3c3"] = "another"
        outcome = await u.run(
            demo, tmp_path, RUN, "ucp.revoke", f"revoke-1/{point}", STRIKES[strike], user="lost", bundle="all"
        )
        assert await to_the_end(demo, outcome, RUN) == 0, capsys.readouterr().err
        assert lost.keys == {} and list(other.keys) == ["c3c3c3c3"]
