"""Looking at UCP beside the polls: whom it asks, through whom, what it keeps; a fake of each side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.ucp import watching
from swarmtui.link.ucp.parts import read_parts
from swarmtui.link.ucp.watching import UcpWatch
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp.status import BALANCER, Door, UcpSeen
from tests.runbooks.support import Completed
from tests.ucp import seen as s


def listed(*names: str, image: str = "docker/ucp-agent:2.2.5") -> bytes:
    made = [{"Names": [f"/{name}"], "Image": image, "State": "running", "Status": "Up 3 hours"} for name in names]
    return json.dumps(made).encode()


class World:
    """A cluster under UCP, as the watch sees it.

    Attributes:
        asked: what was asked, and of whom.
        units: node → what systemd says of its Docker.
    """

    def __init__(self, now: Snapshot, *, via: str = "forward") -> None:
        self.now = now
        self.asked: list[str] = []
        self.via = via
        self.answer: bytes | Exception = listed("ucp-proxy")
        self.named: tuple[str, Mapping[str, str]] = ("", {})
        self.slow: set[str] = set()
        self.units: dict[str, str] = {}
        self.watch = UcpWatch(
            lambda: self.now,
            lambda: (next(iter(self.now.nodes)), self.via),
            self._get,
            self._host_of,
            self._engine_of,
            lambda: self.named,
            self._found,
        )

    def _found(self, seen: UcpSeen | None) -> None:
        self.now = replace(self.now, ucp=seen)

    async def _get(self, path: str, params: Mapping[str, str]) -> bytes:
        self.asked.append(f"in use {path}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def _host_of(self, node: Node) -> Any:
        world = self

        class Host:
            async def run(self, command: str, *, timeout: float) -> Completed:
                assert command == "systemctl is-active docker.service"
                return Completed(out=f"{world.units.get(node.name, 'active')}\n")

        return Host()

    async def _engine_of(self, node: Node) -> Any:
        world = self

        class Engine:
            async def get(self, path: str, *, params: Mapping[str, str]) -> bytes:
                world.asked.append(f"{node.name} {path}")
                if node.name in world.slow:
                    await asyncio.Event().wait()
                return listed("ucp-proxy")

        return Engine()

    async def look_at(self, url: str, opener: Any, *, patience: float, before: Any = None) -> Door:
        self.asked.append(f"{url} {'direct' if opener is asyncio.open_connection else 'inside'}")
        return s.door(url.removeprefix("https://"))

    def named_by(self, name: str) -> str:
        return next(node.id for node in self.now.nodes.values() if node.name == name)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(replace(s.under_ucp(s.nodes(2, 3)), ucp=None))
    monkeypatch.setattr(watching, "look_at", made.look_at)
    return made


async def test_managers_are_looked_at_and_workers_only_when_everything_is_wanted(world: World) -> None:
    await world.watch.look(everything=False)
    assert sorted(world.asked) == [
        "https://10.0.0.1 inside",
        "https://10.0.0.2 inside",
        "in use /containers/json",
        "mgr2 /containers/json",
    ]
    assert world.now.ucp is not None and len(world.now.ucp.parts) == 2 and len(world.now.ucp.doors) == 2
    world.asked.clear()
    await world.watch.look(everything=True)
    assert {f"wrk{i} /containers/json" for i in (1, 2, 3)} <= set(world.asked)


async def test_addresses_that_somebody_named_are_asked_from_this_machine(world: World) -> None:
    world.named = ("https://ucp.example.org", {"mgr1": "https://one.example.org:8443"})
    await world.watch.look(everything=False)
    assert {
        "https://ucp.example.org direct",
        "https://one.example.org:8443 direct",
        "https://10.0.0.2 inside",
    } <= set(world.asked)
    assert world.now.ucp is not None and BALANCER in world.now.ucp.doors
    world.named = ("", {})
    await world.watch.look(everything=False)
    assert world.now.ucp is not None and BALANCER not in world.now.ucp.doors, "nobody names it any more"


async def test_ucp_itself_tells_of_all_nodes_in_one_answer(world: World) -> None:
    world.via = "tls"
    world.answer = listed("mgr1/ucp-proxy", "mgr1/ucp-kv", "wrk2/ucp-proxy", "wrk2/shop", "gone/ucp-proxy")
    await world.watch.look(everything=True)
    assert [each for each in world.asked if "containers" in each] == ["in use /containers/json"]
    assert world.now.ucp is not None
    names = {key: [part.name for part in parts.components] for key, parts in world.now.ucp.parts.items()}
    assert names[world.named_by("mgr1")] == ["ucp-kv", "ucp-proxy"] and names[world.named_by("wrk2")] == ["ucp-proxy"]
    assert names[world.named_by("wrk1")] == []
    assert not [each for each in world.asked if "https://10.0.0." in each], "the bundle's owner may not reach those"


async def test_a_plain_engine_behind_tls_tells_of_itself_only(world: World) -> None:
    world.via = "tls"
    await world.watch.look(everything=True)
    assert world.now.ucp is not None and list(world.now.ucp.parts) == [world.named_by("mgr1")]


async def test_one_that_never_answers_holds_up_no_other_and_keeps_what_was_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ASK_SECONDS", 0.1)
    await world.watch.look(everything=True)
    world.slow = {"wrk1"}
    world.answer = EngineError("The engine refused.")
    await world.watch.look(everything=True)
    assert world.now.ucp is not None
    kept, refused = (world.now.ucp.parts[world.named_by(name)] for name in ("wrk1", "mgr1"))
    assert "within 0.1 s" in kept.trouble and [part.name for part in kept.components] == ["ucp-proxy"] and kept.at
    assert refused.trouble == "The engine refused." and refused.at
    assert not world.now.ucp.parts[world.named_by("wrk2")].trouble


@pytest.mark.parametrize("state", ["inactive", "failed", "deactivating"])
async def test_a_docker_that_does_not_run_is_not_started_by_looking(world: World, state: str) -> None:
    world.units["mgr2"] = state
    await world.watch.look(everything=False)
    assert world.now.ucp is not None and not [each for each in world.asked if each.startswith("mgr2 ")]
    assert f"it is {state}" in world.now.ucp.parts[world.named_by("mgr2")].trouble
    world.units["mgr2"] = ""  # no systemd there: nothing that a socket could start
    await world.watch.look(everything=False)
    assert "mgr2 /containers/json" in world.asked


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"<html>", b'[{"Names": 3}]'])
async def test_an_answer_that_cannot_be_read_is_one_sentence(body: bytes) -> None:
    async def get(path: str, params: Mapping[str, str]) -> bytes:
        return body

    with pytest.raises(EngineError, match="The list of containers cannot be read"):
        await read_parts(get)


async def test_names_that_are_hostile_are_harmless_and_others_are_left_out() -> None:
    async def get(path: str, params: Mapping[str, str]) -> bytes:
        assert params == {"all": "1", "filters": '{"name":["ucp-"]}'}
        return listed("ucp-\x1b[31mproxy", "my-ucp-thing", "evil\u202e/ucp-kv") + b"\n"

    found = await read_parts(get)
    assert {node: [part.name for part in parts] for node, parts in found.items()} == {
        "": ["ucp-\ufffd[31mproxy"],
        "evil\ufffd": ["ucp-kv"],
    }


async def test_it_keeps_looking_forgets_nodes_that_went_and_ends_with_ucp(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_SECONDS", "LOOK_SECONDS", "DOOR_SECONDS", "PARTS_SECONDS", "WANTED_SECONDS"):
        monkeypatch.setattr(watching, name, 0.01)

    async def until(so: Any) -> None:
        for _ in range(500):
            if so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(world.asked)

    keeping = asyncio.create_task(world.watch.keep(asyncio.open_connection))
    await until(lambda: world.now.ucp is not None and len(world.now.ucp.parts) == 2)
    world.watch.want(True)
    await until(lambda: world.now.ucp is not None and len(world.now.ucp.parts) == 5)
    gone = world.named_by("wrk3")
    world.now = replace(world.now, nodes={key: node for key, node in world.now.nodes.items() if key != gone})
    await until(lambda: world.now.ucp is not None and gone not in world.now.ucp.parts)
    world.now = replace(world.now, services={})
    await until(lambda: world.now.ucp is None)
    world.asked.clear()
    await asyncio.sleep(0.05)
    assert world.asked == [], "where there is no UCP nobody is asked anything"
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_where_sshd_forwards_nothing_it_is_asked_from_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def refused(host: str, port: int) -> tuple[Any, Any]:
        tried.append(f"inside {host}:{port}")
        raise ConnectionError("opened no connection: administratively prohibited")

    async def away(host: str, port: int) -> tuple[Any, Any]:
        raise ConnectionError("connect failed: Connection refused")

    async def direct(host: str, port: int) -> tuple[Any, Any]:
        tried.append(f"direct {host}:{port}")
        return None, None

    monkeypatch.setattr(asyncio, "open_connection", direct)
    world.watch._opener = refused
    await world.watch._from_inside("10.0.0.1", 443)
    assert tried == ["inside 10.0.0.1:443", "direct 10.0.0.1:443"]
    world.watch._opener = away
    with pytest.raises(ConnectionError):
        await world.watch._from_inside("10.0.0.1", 443)
