"""Serves a simulated world on loopback: sockets, SSH servers, and the files that lead to them."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from swarmtui.demo import rundir
from swarmtui.demo.api.server import EngineServer
from swarmtui.demo.hosts.ssh import HostServer, write_client_files
from swarmtui.demo.report import as_text
from swarmtui.demo.scenarios import SCENARIOS, Scenario, Size
from swarmtui.demo.scenarios.drill import Drill
from swarmtui.demo.sshlib import asyncssh
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World
from swarmtui.errors import UsageError

if TYPE_CHECKING:
    from swarmtui.demo.platform.serve import PlatformServer

_FILES_PER_HOST = 6
_FILES_BESIDE = 256
_CLOSE_AT_ONCE = 64


class Demo:
    """A simulated world that is being served, as an async context manager.

    Args:
        scenario: its name, or one of one's own.
        seed: the same seed gives the same world.
        speed: simulated seconds in one real one.
        nodes: how many nodes; None leaves it to the scenario.
        tasks: how many tasks; None leaves it to the scenario.

    Attributes:
        world: the world, for tests that look behind the scenes.
        hosts: one entry a host: name, role, ssh, docker.
        ssh_config: a client configuration with an entry for every host.
        config: a swarmtui configuration with the cluster `demo`.

    Raises:
        UsageError: there is no such scenario, or the machine does not allow that many hosts.
    """

    def __init__(
        self,
        scenario: str | Scenario = "calm",
        *,
        seed: int = 1,
        speed: float = 1.0,
        nodes: int | None = None,
        tasks: int | None = None,
    ) -> None:
        if isinstance(scenario, Scenario):
            self.scenario = scenario
        elif scenario in SCENARIOS:
            self.scenario = SCENARIOS[scenario]
        else:
            raise UsageError(f"There is no scenario {scenario!r}.", f"Choose one of: {', '.join(SCENARIOS)}.")
        if nodes is not None:
            # Said at once, and not after a minute of building.
            _allow_files(nodes * _FILES_PER_HOST + _FILES_BESIDE)
        self.world = World(seed, speed)
        self.scenario.build(self.world, Size(nodes, tasks))
        for host in self.world.hosts.values():
            host.events.past.clear()
        self.drill = Drill(self.scenario, self.world)
        self.folder = Path()
        self.ssh_config = Path()
        self.config = Path()
        self._engines: dict[str, EngineServer] = {}
        self._servers: dict[str, HostServer] = {}
        self._platform: PlatformServer | None = None
        self._platform_lock = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    async def __aenter__(self) -> Demo:
        rundir.sweep()
        _allow_files(len(self.world.hosts) * _FILES_PER_HOST + _FILES_BESIDE)
        self.folder = rundir.make()
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _open(self) -> None:
        client = asyncssh.generate_private_key("ssh-ed25519", comment="swarmtui-demo")
        allowed = asyncssh.import_authorized_keys(client.export_public_key().decode())
        for host in self.world.hosts.values():
            engine = EngineServer(self.world, host, self.folder / f"{host.name}.sock")
            key = asyncssh.generate_private_key("ssh-ed25519")
            server = HostServer(self.world, host, engine, key, allowed)
            self._engines[host.name], self._servers[host.name] = engine, server
            self._locks[host.name] = asyncio.Lock()
            await server.start()
            await self._follow(host)
        self.ssh_config = write_client_files(self.folder, client, list(self._servers.values()))
        self.config = self.folder / "config.toml"
        names = [host["name"] for host in self.hosts if host["role"] == "manager"]
        names = self.world.configured or names or [next(iter(self.world.hosts))]
        managers = [f'"ssh://{name}"' for name in names]
        self.config.write_text(
            "[clusters.simulated]\n"
            f"managers = [{', '.join(managers)}]\n"
            f'ssh_config = "{self.ssh_config}"\n'
            'zone_label = "zone"\n'
        )
        kept = {**self.world.archives, **self.world.ucp_archives, **self.world.dtr_archives}
        if kept:
            # What is kept of a simulated Swarm goes with it.
            with self.config.open("a") as file:
                file.write(f'\n[backups]\nfolder = "{self.folder / "backups"}"\n')
        for name, data in kept.items():
            (self.folder / name).touch(0o600)
            (self.folder / name).write_bytes(data)
        if self.scenario.platform:
            await self._follow_platform()
            assert self._platform is not None
            await self._platform.start()
            with self.config.open("a") as file:
                file.write(self._platform.config())
        self.world.on_host_change = self._changed
        self.world.on_platform_change = self._platform_changed
        self.world.kernel.attach(asyncio.get_running_loop())

    async def _close(self) -> None:
        self.world.kernel.detach()
        self.world.on_host_change = lambda host: None
        self.world.on_platform_change = lambda: None
        # Not cancelled: a server that is just being started would be left behind with its socket.
        await asyncio.gather(*self._changes, return_exceptions=True)
        for run in list(self.world.runs):
            run.cancel()
        servers = list(self._servers.values())
        for begin in range(0, len(servers), _CLOSE_AT_ONCE):
            batch = servers[begin : begin + _CLOSE_AT_ONCE]
            await asyncio.gather(*(server.stop(keep_port=False) for server in batch), return_exceptions=True)
        for engine in self._engines.values():
            await engine.stop()
        if self._platform is not None:
            await self._platform.close()
        rundir.remove(self.folder)

    def _changed(self, host: Host) -> None:
        if self._platform is not None:
            self._platform_changed()
        task = asyncio.ensure_future(self._follow(host))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    def _platform_changed(self) -> None:
        task = asyncio.ensure_future(self._follow_platform())
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _follow_platform(self) -> None:
        async with self._platform_lock:
            if self._platform is None:
                from swarmtui.demo.platform.serve import PlatformServer

                self._platform = PlatformServer(self.world, self.folder)
            await self._platform.follow()

    async def _follow(self, host: Host) -> None:
        """Bring sockets and servers in line with a host: what is off does not answer."""
        async with self._locks[host.name]:
            engine, server = self._engines[host.name], self._servers[host.name]
            if host.powered and (host.docker or host.socket):
                if not host.docker:
                    await engine.drop_clients()
                await engine.start()
            else:
                await engine.stop()
            if host.powered:
                await server.start()
            else:
                await server.stop()

    @property
    def hosts(self) -> list[dict[str, str]]:
        """How to reach every host."""
        result = []
        for name, host in self.world.hosts.items():
            role = host.swarm.role if host.swarm is not None else "none"
            result.append(
                {
                    "name": name,
                    "role": role,
                    "ssh": f"ssh://root@127.0.0.1:{self._servers[name].port}",
                    "docker": f"unix://{self._engines[name].path}",
                }
            )
        return result

    @property
    def platform(self) -> dict[str, Any]:
        """How to reach UCP and DTR, if the scenario has them."""
        if self._platform is None:
            return {}
        kept = [
            str(self.folder / name)
            for name in (*self.world.archives, *self.world.ucp_archives, *self.world.dtr_archives)
        ]
        ucp = self.world.ucp
        which = {"instance": ucp.instance, "version": ucp.release.version} if ucp is not None else {}
        return {
            **self._platform.describe(),
            "admin": self.world.secrets,
            **which,
            **({"backups": kept} if kept else {}),
        }

    @property
    def backups(self) -> list[Path]:
        """Archives of managers' directories, taken before it all began."""
        return [self.folder / name for name in self.world.archives]

    def describe(self) -> dict[str, Any]:
        """What `--serve` prints."""
        platform = {"platform": self.platform} if self._platform is not None else {}
        backups = {"backups": [str(path) for path in self.backups]} if self.world.archives else {}
        return {
            "hosts": self.hosts,
            **platform,
            **backups,
            "ssh_config": str(self.ssh_config),
            "config": str(self.config),
            "scenario": self.scenario.name,
            "goal": self.scenario.goal,
        }


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files, if there is room for that many hosts.

    Raises:
        UsageError: the machine does not allow as many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UsageError(
                f"This many hosts need {wanted} open files, and the limit is {hard}.",
                "Ask for fewer with --nodes, or raise it with `ulimit -n`.",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(demo: Demo, out: TextIO, *, until_stdin_closes: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, having printed one line of JSON that says how to connect.

    Args:
        until_stdin_closes: end as well when standard input does, which is when the parent process is gone.
            The last line is then the report of the drill, `{"report": {…}}`; else it is printed for people,
            to standard error.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with demo:
        print(json.dumps(demo.describe()), file=out, flush=True)
        if until_stdin_closes:
            watch = threading.Thread(target=_until_stdin_closes, args=(loop, stop), daemon=True)
            watch.start()
        await stop.wait()
        report = demo.drill.report()
    try:
        if until_stdin_closes:
            print(json.dumps({"report": report}), file=out, flush=True)
        else:
            print(as_text(report), end="", file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass


def _until_stdin_closes(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Runs in a thread, so that standard input may be anything."""
    try:
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except (OSError, ValueError):
        pass
    try:
        loop.call_soon_threadsafe(stop.set)
    except RuntimeError:
        pass
