"""A session on the simulated cluster: what it reads on demand and hears, across the loss of a manager."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from docker.types import EndpointSpec

from swarmtui import config
from swarmtui.contact import line
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError
from swarmtui.link.watch import Watch
from swarmtui.model.objects import network_users, secret_users, volume_users
from swarmtui.model.snapshot import ON_DEMAND, Reading
from swarmtui.opening import find
from swarmtui.session import Session
from tests.link.watching import until

WAIT_SECONDS = 30.0


class Simulated:
    """A simulated cluster, our session on it, and somebody else with the stock SDK."""

    def __init__(self, demo: Demo, session: Session) -> None:
        self.demo = demo
        self.session = session

    async def sdk(self, work: Callable[[APIClient], Any], on: str = "mgr2") -> Any:
        socket = next(host["docker"] for host in self.demo.hosts if host["name"] == on)

        def ask() -> Any:
            client = APIClient(base_url=socket, version="1.41")
            try:
                return work(client)
            finally:
                client.close()

        return await asyncio.to_thread(ask)

    async def until(self, so: Callable[[], bool]) -> None:
        await until(so, WAIT_SECONDS)

    @property
    def used(self) -> str:
        """Name of the host whose manager is in use."""
        node = self.session.snapshot.nodes[self.session.connection.node_id]
        return node.hostname


@asynccontextmanager
async def simulated(tmp_path: Path, **options: Any) -> AsyncIterator[Simulated]:
    async with Demo("calm", speed=20, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with Session(opening, Nobody()).opened() as session:
            await session.until_live(WAIT_SECONDS)
            yield Simulated(demo, session)


async def test_what_others_make_is_seen_while_it_is_wanted(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        session = world.session

        def create(client: APIClient) -> tuple[str, str]:
            secret = client.create_secret("password", b"hunter2", labels={"com.docker.stack.namespace": "shop"})
            network = client.create_network("back", driver="overlay", attachable=True)
            client.create_config("nginx", b"daemon off;")
            spec = {"File": {"Name": "p", "UID": "0", "GID": "0", "Mode": 292}, "SecretName": "password"}
            template = {
                "ContainerSpec": {
                    "Image": "registry/app:1",
                    "Secrets": [{**spec, "SecretID": secret["ID"]}],
                    "Mounts": [{"Type": "volume", "Source": "files", "Target": "/f"}],
                },
                "Networks": [{"Target": "back"}],
            }
            client.create_service(
                template, name="app", mode={"Global": {}}, endpoint_spec=EndpointSpec(ports={18080: 80})
            )
            return secret["ID"], network["Id"]

        secret_id, network_id = await world.sdk(create)
        await session.refresh()
        assert not session.snapshot.readings.keys() & set(ON_DEMAND)
        session.want(ON_DEMAND)
        await world.until(lambda: session.snapshot.readings.keys() >= set(ON_DEMAND))
        await world.until(lambda: "files" in session.snapshot.volumes)
        now = session.snapshot
        assert not any(reading.trouble for reading in now.readings.values())
        assert now.secrets[secret_id].name == "password" and "nginx" in {config.name for config in now.configs.values()}
        assert now.networks[network_id].attachable and any(network.ingress for network in now.networks.values())
        assert "hunter2" not in repr(now) and base64.b64encode(b"hunter2").decode() not in repr(now)
        assert base64.b64encode(b"daemon off;").decode() not in repr(now)
        services = list(now.services.values())
        assert [user.name for user in secret_users(services)[secret_id]] == ["app"]
        assert [user.name for user in volume_users(services)["files"]] == ["app"]
        users = network_users(services, now.networks)
        ingress = next(network.id for network in now.networks.values() if network.ingress)
        assert [user.name for user in users[network_id]] == ["app"]
        assert "app" in {user.name for user in users[ingress]}

        session.want([])
        await world.sdk(lambda client: client.create_secret("later", b"x"))
        await session.refresh()
        assert "later" not in {secret.name for secret in session.snapshot.secrets.values()}
        session.want(["secrets", "nodes"])
        await world.until(lambda: "later" in {secret.name for secret in session.snapshot.secrets.values()})


async def test_a_collection_there_is_not_is_a_mistake_of_ours(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        with pytest.raises(ValueError, match="plugins"):
            world.session.want(["secrets", "plugins"])


async def test_it_goes_on_through_the_next_manager_which_has_other_volumes(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        session, hosts = world.session, world.demo.world.hosts
        first = world.used
        for name, host in hosts.items():
            world.demo.world.remember_volume(host, f"of-{name}")
        session.want(ON_DEMAND)
        await world.until(lambda: session.snapshot.readings.keys() >= set(ON_DEMAND))
        assert f"of-{first}" in session.snapshot.volumes
        networks = {key for key, network in session.snapshot.networks.items() if not network.is_local}
        volumes: set[str] = set()
        session.subscribe(lambda: volumes.update(session.snapshot.volumes) if world.used != first else None)
        world.demo.world.crash(hosts[first])
        await world.until(lambda: session.live and world.used != first)
        await world.until(lambda: f"of-{world.used}" in session.snapshot.volumes)
        assert f"of-{first}" not in volumes  # nothing ever took it for one of the new manager's
        assert networks <= session.snapshot.networks.keys()
        read = session.snapshot.readings["secrets"]
        await world.until(lambda: session.snapshot.readings["secrets"].at > read.at)


async def test_the_next_manager_is_not_taken_for_the_host_of_the_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the new connection and its first poll: a command for the lost host would be run on another one."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Late(Watch):
        async def run(self) -> None:
            begun.set()
            await go_on.wait()
            await super().run()

    async with simulated(tmp_path) as world:
        session = world.session
        lost = session.snapshot.nodes[session.connection.node_id]
        others = [node for node in session.snapshot.nodes.values() if node.is_voter and node.id != lost.id]
        monkeypatch.setattr(line, "Watch", Late)
        world.demo.world.crash(world.demo.world.hosts[lost.hostname])
        async with asyncio.timeout(WAIT_SECONDS):
            await begun.wait()
        assert not session.live
        with pytest.raises(LinkError):
            await session.host(lost, ask=False)
        for node in others:
            assert (await (await session.host(node, ask=False)).run("hostname", timeout=10)).out == f"{node.hostname}\n"
        go_on.set()
        await world.until(lambda: session.live and world.used != lost.hostname)


async def test_the_same_manager_coming_back_keeps_what_was_known_of_it(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        session = world.session
        first = world.used
        world.demo.world.remember_volume(world.demo.world.hosts[first], "mine")
        session.want(["volumes"])
        await world.until(lambda: "mine" in session.snapshot.volumes)
        seen: list[bool] = []
        others = [name for name in ("mgr1", "mgr2", "mgr3") if name != first]
        for name in others:
            world.demo.world.hosts[name].forwarding = False
            world.demo.world.crash(world.demo.world.hosts[name])
        session.subscribe(lambda: seen.append("mine" in session.snapshot.volumes))
        for server in world.demo._servers.values():
            for connection in list(server.connections):
                connection.abort()
        await world.until(lambda: not session.live)
        await world.until(lambda: session.live and world.used == first)
        assert seen and all(seen)


async def test_events_are_heard_from_whichever_manager_and_a_gap_is_marked(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        session, told = world.session, []
        session.subscribe(lambda: told.append(len(session.events)))
        await session.refresh()
        secret = await world.sdk(lambda client: client.create_secret("password", b"x", labels={"a": "b"}))
        await world.until(lambda: bool(session.events))
        await world.until(lambda: bool(told) and told[-1] > 0)
        event = session.events[-1]
        assert (event.type, event.action, event.name, event.id) == ("secret", "create", "password", secret["ID"])
        assert event.through == session.connection.through
        first = world.used
        world.demo.world.crash(world.demo.world.hosts[first])
        await world.until(lambda: session.live and world.used != first)
        await session.refresh()
        by = next(name for name in ("mgr1", "mgr2", "mgr3") if name != first)
        await world.sdk(lambda client: client.remove_secret("password"), by)
        await world.until(lambda: any(heard.action == "remove" for heard in session.events))
        kinds = ["gap" if heard.gap else f"{heard.type} {heard.action}" for heard in session.events]
        assert kinds[0] == "secret create" and "gap" in kinds
        assert kinds.index("gap") < kinds.index("secret remove")
        removed = next(heard for heard in session.events if heard.action == "remove")
        assert removed.through == session.connection.through != event.through
        down = [heard for heard in session.events if heard.attributes.get("state.new") == "down"]
        assert all(heard.type == "node" for heard in down)


async def test_containers_of_the_manager_are_no_events_of_the_swarm(tmp_path: Path) -> None:
    async with simulated(tmp_path) as world:
        host = world.demo.world.hosts[world.used]
        await world.session.refresh()
        host.events.publish(
            {"Type": "container", "Action": "start", "Actor": {"ID": "c", "Attributes": {}}, "scope": "local"}
            | {"time": 1, "timeNano": 10**9}
        )
        await world.sdk(lambda client: client.create_config("marker", b"x"))
        await world.until(lambda: any(event.name == "marker" for event in world.session.events))
        assert "container" not in {event.type for event in world.session.events}


def test_a_session_that_never_began_has_nothing(tmp_path: Path) -> None:
    session = Session(find("ssh://root@127.0.0.1:1", config.load(), bundles=tmp_path), Nobody())
    session.want(["secrets"])
    assert session.events == () and session.snapshot.secrets == {}
    assert session.snapshot.readings.get("secrets", Reading()) == Reading()
