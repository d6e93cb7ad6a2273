"""The scenarios, by name."""

from __future__ import annotations

from swarmtui.demo.scenarios.bare import BARE
from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.busy import BUSY
from swarmtui.demo.scenarios.disasters import DISASTERS
from swarmtui.demo.scenarios.everyday import EVERYDAY
from swarmtui.demo.scenarios.platform import PLATFORMS
from swarmtui.demo.scenarios.registries import REGISTRIES
from swarmtui.demo.scenarios.restores import RESTORES
from swarmtui.demo.scenarios.troubles import TROUBLES

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (EVERYDAY[0], BUSY, *TROUBLES, *DISASTERS, *RESTORES, BARE, *PLATFORMS, *REGISTRIES, *EVERYDAY[1:])
}

__all__ = ["SCENARIOS", "Progress", "Scenario", "Size"]
