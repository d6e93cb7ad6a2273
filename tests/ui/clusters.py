"""Several simulated clusters with names, and the start page on them, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.ui.fleet import Fleet
from swarmtui.ui.screens.clusters import ClustersApp
from tests.driver import Driver

SPEED = 20


class Page(ClustersApp):
    """The start page; keeps what it told in passing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told: list[str] = []

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)
        super().notify(message, **options)


@dataclass
class Site:
    """Clusters on this machine, and the configuration that names them."""

    folder: Path
    demos: dict[str, Demo] = field(default_factory=dict)
    text: str = ""

    def name(self, cluster: str, **settings: Any) -> None:
        """Gives a cluster a name."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        self.text += "\n".join((f"[clusters.{cluster}]", *lines, ""))

    @property
    def config(self) -> config.Config:
        file = self.folder / "config.toml"
        file.write_text(self.text)
        return config.load(file)

    def fleet(self) -> Fleet:
        return Fleet(self.config, self.folder)

    def connections(self, cluster: str) -> int:
        """SSH connections that the simulated hosts of a cluster have open."""
        return sum(len(server.connections) for server in self.demos[cluster]._servers.values())

    def availability(self, cluster: str, node: str) -> str:
        """What the simulated Swarm itself says of a node."""
        swarm = self.demos[cluster].world.hosts["mgr1"].swarm
        assert swarm is not None
        return next(str(each.availability) for each in swarm.cluster.nodes.values() if each.hostname == node)


@asynccontextmanager
async def site(folder: Path, *, speed: float = SPEED, **scenarios: str) -> AsyncIterator[Site]:
    """Simulated clusters, named as given, each with its scenario; `prod` is production."""
    async with AsyncExitStack() as stack:
        made = Site(folder)
        for seed, (name, scenario) in enumerate(scenarios.items(), 1):
            demo = made.demos[name] = await stack.enter_async_context(Demo(scenario, speed=speed, seed=seed))
            managers = [f"ssh://{host['name']}" for host in demo.hosts if host["role"] == "manager"]
            marks = {"production": True} if name == "prod" else {}
            made.name(name, managers=managers, ssh_config=str(demo.ssh_config), **marks)
        yield made


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A host that takes connections and never says a word, as one behind a broken firewall."""
    over = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"ssh://root@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()


@asynccontextmanager
async def shown(fleet: Fleet, size: tuple[int, int] = (150, 30), **options: Any) -> AsyncIterator[Driver]:
    """A running start page. Its connections end with it."""
    page: Any = Page(fleet, **options)
    async with page.run_test(size=size) as pilot:
        driver = Driver(page, pilot)
        yield driver
        assert not driver.forgotten
        assert not [text for text in page.told if text.startswith("Internal error")]
    await fleet.stop()


def line(driver: Driver, cluster: str) -> str:
    """The painted row of a cluster, with single blanks."""
    found = [" ".join(each.split()) for each in driver.lines[2:] if each.split()[:1] == [cluster]]
    return found[0] if found else ""


async def reads(driver: Driver, cluster: str, *words: str) -> None:
    """Waits until the row of a cluster has these words."""
    await driver.until(f"{cluster}: {words}", lambda: all(word in line(driver, cluster) for word in words))


async def left(driver: Driver) -> Any:
    """Waits until the page is left; for which cluster, None for none."""
    await driver.until("it is left", lambda: driver.app._exit)
    return driver.app.return_value
