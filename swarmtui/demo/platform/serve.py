"""The HTTPS endpoints of UCP and DTR beside the simulated hosts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from swarmtui.demo.platform import dtr
from swarmtui.demo.platform.balancer import Balancer
from swarmtui.demo.platform.dtr_api import DtrApi
from swarmtui.demo.platform.https import LOOPBACK, TlsServer
from swarmtui.demo.platform.ucp_api import UcpApi
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World


class PlatformServer:
    """Two ports for each host: UCP's, and DTR's. Each accepts connections only while its product runs there."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.ucp: dict[str, TlsServer] = {}
        self.dtr: dict[str, TlsServer] = {}
        self.balancer = Balancer(self._healthy)
        self.dtr_balancer = Balancer(self._healthy_dtr)
        self._shown: dict[TlsServer, tuple[str, str]] = {}
        for host in world.hosts.values():
            self.ucp[host.name] = TlsServer(partial(UcpApi, world, host))
            self.dtr[host.name] = TlsServer(partial(DtrApi, world, host))

    async def start(self) -> None:
        """Bring up what runs, and the load balancers."""
        await self.follow()
        await self.balancer.start()
        await self.dtr_balancer.start()

    async def follow(self) -> None:
        """Bring the ports in line with what runs."""
        self.world.published.clear()
        # A replica that was restored has the id of one of the registry before: the one of now has the last word.
        for registry in reversed(list(dtr.all_of(self.world))):
            registry.mark()
        for host in self.world.hosts.values():
            await self._ucp(host)
            await self._dtr(host)

    async def _ucp(self, host: Host) -> None:
        ucp = self.world.ucp
        if ucp is None or not ucp.up(host):
            await self.ucp[host.name].stop()
            return
        await self._serve(self.ucp[host.name], ucp.certificate(host), ucp.root.pem)
        self.world.published[host.name, 443] = self.ucp[host.name].port

    async def _dtr(self, host: Host) -> None:
        found = dtr.serving(self.world, host)
        if found is None:
            await self.dtr[host.name].stop()
            return
        registry, replica = found
        await self._serve(self.dtr[host.name], registry.certificate(host), registry.root.pem)
        self.world.published[host.name, replica.https] = self.dtr[host.name].port

    async def _serve(self, server: TlsServer, certificate: tuple[str, str], client_ca: str) -> None:
        """Answer with this certificate, also where it was another one before."""
        if self._shown.get(server, certificate) != certificate:
            await server.stop()
        self._shown[server] = certificate
        await server.start(*certificate, client_ca, self.folder)

    def _healthy(self) -> list[int]:
        """The ports of healthy managers, as a load balancer that asks for `_ping` knows them."""
        ucp = self.world.ucp
        if ucp is None:
            return []
        return [
            self.ucp[host.name].port for host in ucp.managers() if self.ucp[host.name].listening and not ucp.ill(host)
        ]

    def _healthy_dtr(self) -> list[int]:
        """The same of the replicas of DTR, among those that its load balancer was told of."""
        found = []
        for host in self.world.hosts.values():
            known = self.world.dtr_behind is None or host.name in self.world.dtr_behind
            here = dtr.serving(self.world, host) if known and self.dtr[host.name].listening else None
            if here is not None and not here[0].ill(here[1]) and not here[0].answers.get(host.name):
                found.append(self.dtr[host.name].port)
        return found

    def config(self) -> str:
        """Where UCP and DTR are reached, for a configuration of the product."""
        found = self.describe()
        managers, replicas = (
            ", ".join(f'{name} = "{url}"' for name, url in found[product].items()) for product in ("ucp", "dtr")
        )
        return (
            "\n[clusters.simulated.ucp]\n"
            f'url = "{found["balancer"]}"\n'
            f"managers = {{ {managers} }}\n"
            "\n[clusters.simulated.dtr]\n"
            f'url = "{found["dtr_balancer"]}"\n'
            f"replicas = {{ {replicas} }}\n"
        )

    async def close(self) -> None:
        """Close everything."""
        await self.balancer.stop()
        await self.dtr_balancer.stop()
        for server in (*self.ucp.values(), *self.dtr.values()):
            await server.stop(keep_port=False)

    def describe(self) -> dict[str, Any]:
        """Host → the URL of its UCP and of its DTR, whether they run or not, and the load balancers before them."""
        return {
            "balancer": f"https://{LOOPBACK}:{self.balancer.port}",
            "dtr_balancer": f"https://{LOOPBACK}:{self.dtr_balancer.port}",
            "ucp": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.ucp.items()},
            "dtr": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.dtr.items()},
        }
