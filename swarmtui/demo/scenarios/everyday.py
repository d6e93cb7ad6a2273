"""Scenarios of ordinary days."""

from __future__ import annotations

from swarmtui.demo.scenarios.base import Scenario, Size
from swarmtui.demo.scenarios.fleet import fleet
from swarmtui.demo.scenarios.shop import shop
from swarmtui.demo.world.world import World


def _calm(world: World, size: Size) -> None:
    shop(world, workers=max((size.nodes or 8) - 3, 1))


def _big(world: World, size: Size) -> None:
    fleet(world, size.nodes or 1000, size.tasks or 10_000)


EVERYDAY = (
    Scenario("calm", "a healthy Swarm of a web shop: 3 managers, 5 workers, 13 services", "", _calm),
    Scenario("big", "a Swarm as big as --nodes and --tasks say (1000 and 10000)", "", _big),
)
