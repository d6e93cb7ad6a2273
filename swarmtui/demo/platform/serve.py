"""The HTTPS endpoints of UCP and DTR beside the simulated hosts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

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
        self._shown: dict[str, tuple[str, str]] = {}
        for host in world.hosts.values():
            self.ucp[host.name] = TlsServer(partial(UcpApi, world, host))
            self.dtr[host.name] = TlsServer(partial(DtrApi, world, host))

    async def follow(self) -> None:
        """Bring the ports in line with what runs."""
        for host in self.world.hosts.values():
            await self._ucp(host)
            await self._dtr(host)

    async def _ucp(self, host: Host) -> None:
        ucp = self.world.ucp
        if ucp is None or not ucp.up(host):
            await self.ucp[host.name].stop()
            return
        certificate = ucp.certificate(host)
        if self._shown.get(host.name, certificate) != certificate:
            await self.ucp[host.name].stop()
        self._shown[host.name] = certificate
        await self.ucp[host.name].start(*certificate, ucp.root.pem, self.folder)

    async def _dtr(self, host: Host) -> None:
        dtr = self.world.dtr
        replica = next((r for r in dtr.replicas.values() if r.host == host.name), None) if dtr else None
        if dtr is None or replica is None or not dtr.runs(replica):
            await self.dtr[host.name].stop()
            return
        outside = dtr.external_url.removeprefix("https://").partition(":")[0]
        names = [LOOPBACK, "localhost", host.name, host.ip, *([outside] if outside else [])]
        await self.dtr[host.name].start(*dtr.root.server(host.name, names), dtr.root.pem, self.folder)

    def _healthy(self) -> list[int]:
        """The ports of healthy managers, as a load balancer that asks for `_ping` knows them."""
        ucp = self.world.ucp
        if ucp is None:
            return []
        return [
            self.ucp[host.name].port for host in ucp.managers() if self.ucp[host.name].listening and not ucp.ill(host)
        ]

    def config(self) -> str:
        """Where UCP is reached, for a configuration of the product."""
        managers = ", ".join(f'{name} = "{url}"' for name, url in self.describe()["ucp"].items())
        return (
            "\n[clusters.simulated.ucp]\n"
            f'url = "https://{LOOPBACK}:{self.balancer.port}"\n'
            f"managers = {{ {managers} }}\n"
        )

    async def close(self) -> None:
        """Close everything."""
        await self.balancer.stop()
        for server in (*self.ucp.values(), *self.dtr.values()):
            await server.stop(keep_port=False)

    def describe(self) -> dict[str, Any]:
        """Host → the URL of its UCP and of its DTR, whether they run or not, and the load balancer before UCP."""
        return {
            "balancer": f"https://{LOOPBACK}:{self.balancer.port}",
            "ucp": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.ucp.items()},
            "dtr": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.dtr.items()},
        }
