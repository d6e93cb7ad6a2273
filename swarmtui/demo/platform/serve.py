"""The HTTPS endpoints of UCP and DTR beside the simulated hosts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from swarmtui.demo.platform.dtr_api import DtrApi
from swarmtui.demo.platform.https import LOOPBACK, TlsServer
from swarmtui.demo.platform.ucp import ON_MANAGERS
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
        names = {c.name for c in host.containers.values() if c.state == "running"}
        up = ucp is not None and host.running and ON_MANAGERS[0] in names and host.name not in ucp.paused
        if ucp is None or not up:
            await self.ucp[host.name].stop()
            return
        names_and_addresses = [LOOPBACK, "localhost", host.name, host.ip, *ucp.sans]
        await self.ucp[host.name].start(*ucp.root.server(host.name, names_and_addresses), ucp.root.pem, self.folder)

    async def _dtr(self, host: Host) -> None:
        dtr = self.world.dtr
        replica = next((r for r in dtr.replicas.values() if r.host == host.name), None) if dtr else None
        if dtr is None or replica is None or not dtr.runs(replica):
            await self.dtr[host.name].stop()
            return
        outside = dtr.external_url.removeprefix("https://").partition(":")[0]
        names = [LOOPBACK, "localhost", host.name, host.ip, *([outside] if outside else [])]
        await self.dtr[host.name].start(*dtr.root.server(host.name, names), dtr.root.pem, self.folder)

    async def close(self) -> None:
        """Close everything."""
        for server in (*self.ucp.values(), *self.dtr.values()):
            await server.stop(keep_port=False)

    def describe(self) -> dict[str, dict[str, str]]:
        """Host → the URL of its UCP and of its DTR, whether they run or not."""
        return {
            "ucp": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.ucp.items()},
            "dtr": {name: f"https://{LOOPBACK}:{server.port}" for name, server in self.dtr.items()},
        }
