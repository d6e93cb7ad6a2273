"""`:recover` in the console: what happened, told while the Swarm itself answers nobody."""

from __future__ import annotations

from pathlib import Path

from tests.ui.test_console import opened


async def test_what_happened_is_told_from_any_view_also_without_a_leader(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        await console.here().view("services").press(":").type("recover").press("enter").at("reading")
        await (
            console.here()
            .at("reading")
            .sees("The quorum holds: 3 of 3 managers work.", "The way out: nothing to do")
            .leave()
        )
        for name in ("mgr2", "mgr3"):
            demo.world.crash(demo.world.hosts[name])
        await console.here().press(":").type("recover").press("enter").at("reading")
        await (
            console.here()
            .at("reading")
            .sees("The quorum is lost: 1 of 3 managers are there, 2 are needed.", "bring the host back")
        )
        await (
            console.here()
            .at("reading")
            .sees("Running tasks keep running.", "Nothing has been changed by looking.")
            .leave()
        )
        await console.here().title("Services")
