"""Looking at DTR beside the polls: whom it asks, through whom, what it keeps; a fake of each side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.dtr import asking as asking_module
from swarmtui.link.dtr import behind as behind_module
from swarmtui.link.dtr import watching
from swarmtui.link.dtr.asking import Asking, At, Balancer, Login
from swarmtui.link.dtr.errors import DtrAwayError, DtrError, Trouble
from swarmtui.link.dtr.watching import DtrWatch
from swarmtui.model.dtr.behind import Behind, Turn
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held, Told
from swarmtui.model.dtr.status import cluster
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp.status import Door
from swarmtui.vault import Secret
from tests.dtr import seen as s
from tests.runbooks.support import Completed

ONE, TWO, THREE = s.IDS[:3]
NODES = {"dtr1": ONE, "dtr2": TWO, "dtr3": THREE}


def containers(replica: str, node: str = "") -> list[dict[str, Any]]:
    """What an engine lists: each component, the web server with its ports."""
    before = f"{node}/" if node else ""
    made = []
    for name in s.RUN:
        ports = [{"PrivatePort": 443, "PublicPort": 4443}, {"PrivatePort": 80, "PublicPort": 80}]
        made.append(
            {
                "Names": [f"/{before}dtr-{name}-{replica}"],
                "Image": f"docker/dtr-{name}:2.4.1",
                "State": "running",
                "Status": "Up 3 hours",
                "Ports": ports if name == "nginx" else [],
            }
        )
    return made


def volumes(replica: str, node: str = "") -> list[dict[str, Any]]:
    return [{"Name": f"{node}/dtr-{kind}-{replica}" if node else f"dtr-{kind}-{replica}"} for kind in s.LIE]


class Api:
    """In place of DTR's API.

    Attributes:
        says: what it tells, or why not. asked: of whom, and with which host in the certificate.
    """

    def __init__(self) -> None:
        self.says: Told | Exception = s.told(s.document(NODES.values()), s.settings({v: k for k, v in NODES.items()}))
        self.asked: list[tuple[list[str], str]] = []
        self.silent = False
        self.forgave = 0
        self.behind_it: Iterator[Turn] | Exception = cycle(Turn(one) for one in NODES.values())
        self.through: list[tuple[str, int, bool]] = []

    async def told(self, cluster_id: str, places: Sequence[At], external: str) -> Told:
        self.asked.append(([place.url for place in places], external))
        if self.silent:
            await asyncio.Event().wait()
        if isinstance(self.says, Exception):
            raise self.says
        return replace(self.says, at=s.NOW)

    async def behind(
        self, cluster_id: str, places: Sequence[At], balancer: Balancer, external: str, turns: int, seconds: float
    ) -> list[Turn]:
        self.through.append((balancer.url, turns, balancer.host is not None))
        if self.silent:
            await asyncio.Event().wait()
        if isinstance(self.behind_it, Exception):
            raise self.behind_it
        return list(islice(self.behind_it, turns))

    def again(self) -> None:
        self.forgave += 1


class World:
    """A cluster under UCP with DTR, as the watch sees it.

    Attributes:
        asked: what was asked, and of whom. networks: what the engine in use lists of them.
        lies: node → what its engine lists; through: what the engine in use does.
    """

    def __init__(self, now: Snapshot, folder: Path, *, via: str = "forward") -> None:
        self.now = replace(now, dtr=None)
        self.via = via
        self.asked: list[str] = []
        self.networks: list[dict[str, str]] | Exception = [{"Name": "dtr-ol"}]
        self.lies = {node: (containers(one), volumes(one)) for node, one in NODES.items()}
        self.through: tuple[list[Any], list[Any]] = ([], [])
        self.named: tuple[str, Mapping[str, str]] = ("", {})
        self.slow: set[str] = set()
        self.units: dict[str, str] = {}
        self.answers: dict[str, int] = {}
        self.api = Api()
        self.made = 0
        self.watch = DtrWatch(
            lambda: self.now,
            lambda: (next(iter(self.now.nodes)), self.via),
            self._get,
            self._host_of,
            self._engine_of,
            lambda: self.named,
            self._asking,
            self._found,
            folder,
        )

    def _asking(self) -> Any:
        self.made += 1
        return self.api

    def _found(self, seen: DtrSeen | None) -> None:
        self.now = replace(self.now, dtr=seen)

    async def _get(self, path: str, params: Mapping[str, str]) -> bytes:
        self.asked.append(f"in use {path}")
        if path != "/networks":
            return self._listed(path, self.through)
        if isinstance(self.networks, Exception):
            raise self.networks
        assert params == {"filters": '{"name":["dtr-ol"]}'}
        return json.dumps(self.networks).encode()

    @staticmethod
    def _listed(path: str, lies: tuple[list[Any], list[Any]]) -> bytes:
        return json.dumps(lies[0] if path == "/containers/json" else {"Volumes": lies[1]}).encode()

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
                return world._listed(path, world.lies.get(node.name, ([], [])))

        return Engine()

    async def look_at(self, url: str, opener: Any, *, patience: float) -> Door:
        self.asked.append(f"{url} {'direct' if opener is asyncio.open_connection else 'inside'}")
        return s.door(url.removeprefix("https://"), self.answers.get(url, 200))

    @property
    def seen(self) -> DtrSeen:
        assert self.now.dtr is not None
        return self.now.dtr

    def id(self, name: str) -> str:
        return next(node.id for node in self.now.nodes.values() if node.name == name)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    made = World(s.under_dtr(), tmp_path)
    monkeypatch.setattr(watching, "look_at", made.look_at)
    return made


async def test_replicas_are_found_on_their_nodes_and_asked_one_by_one(world: World) -> None:
    await world.watch.look(everything=True)
    assert world.seen.held[world.id("dtr2")].replicas == {TWO} and world.seen.held[world.id("wrk1")].replicas == set()
    assert set(world.seen.doors) == {ONE, TWO, THREE, BALANCER} and world.seen.told is not None
    assert {"https://10.0.2.1:4443 inside", "https://dtr.example.org inside"} <= set(world.asked)
    assert world.api.asked == [([f"https://10.0.2.{i}:4443" for i in (1, 2, 3)], "")], "nobody told its URL by then"
    await world.watch.look(everything=True)
    assert world.api.asked[-1][1] == "dtr.example.org" and world.made == 1
    assert world.api.asked[-1][0][-1] == "https://dtr.example.org"


async def test_without_the_network_and_a_word_of_it_no_node_is_asked(world: World) -> None:
    world.networks = [{"Name": "dtr-ol-of-mine"}, {"Name": "shop"}]
    await world.watch.look(everything=True)
    assert world.asked == ["in use /networks"] and world.now.dtr is None and world.made == 0
    world.networks = EngineError("it cannot be asked")
    await world.watch.look(everything=True)
    assert set(world.asked) == {"in use /networks"}
    world.named = ("https://dtr.example.org", {})
    await world.watch.look(everything=True)
    assert "https://dtr.example.org direct" in world.asked and world.seen.named and world.seen.held


async def test_addresses_that_somebody_named_are_asked_from_this_machine(world: World) -> None:
    world.named = ("https://127.0.0.1:8443", {"dtr1": "https://127.0.0.1:8001", "wrk1": "https://127.0.0.1:8009"})
    await world.watch.look(everything=True)
    doors = {each for each in world.asked if each.startswith("https://")}
    assert doors == {
        "https://127.0.0.1:8443 direct",
        "https://127.0.0.1:8001 direct",
        "https://10.0.2.2:4443 inside",
        "https://10.0.2.3:4443 inside",
    }


async def test_a_replica_that_is_well_is_asked_before_others(world: World) -> None:
    world.answers = {"https://10.0.2.1:4443": 503, "https://10.0.2.3:4443": 500}
    await world.watch.look(everything=True)
    assert world.api.asked[0][0][0] == "https://10.0.2.2:4443"


async def test_ucp_itself_tells_of_all_nodes_in_one_answer(world: World) -> None:
    world.via = "tls"
    world.through = (containers(ONE, "dtr1") + containers(TWO, "gone"), volumes(THREE, "dtr3"))
    await world.watch.look(everything=True)
    assert [each for each in world.asked if "containers" in each] == ["in use /containers/json"]
    assert {key for key, held in world.seen.held.items() if held.replicas} == {world.id("dtr1"), world.id("dtr3")}
    assert not [each for each in world.asked if "10.0.2." in each], "the bundle's owner may not reach those"


async def test_what_cannot_be_read_keeps_its_last_value_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(watching, "API_SECONDS", 0.1)
    await world.watch.look(everything=True)
    world.slow, world.units, world.api.silent = {"dtr1"}, {"dtr2": "inactive"}, True
    await world.watch.look(everything=True)
    slow, stopped, well = (world.seen.held[world.id(name)] for name in NODES)
    assert "within 0.1 s" in slow.trouble and slow.replicas == {ONE} and slow.at
    assert stopped.trouble == "Docker does not run on dtr2: it is inactive." and stopped.replicas == {TWO}
    assert not well.trouble and not [each for each in world.asked if each.startswith("dtr2 ")][2:]
    assert world.seen.trouble == "it did not answer within 0.1 s." and world.seen.told is not None, "and what it told"
    world.api.silent, world.api.says = False, DtrError(Trouble.LOGIN, "it refused.", "Mend it.")
    await world.watch.look(everything=True)
    assert world.seen.trouble == "it refused. Mend it."
    world.watch.look_now()
    assert world.api.forgave == 1


async def test_who_is_behind_the_load_balancer_is_looked_at_over_many_connections(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind() -> Behind | None:
        return world.seen.behind

    world.api.behind_it = cycle((Turn(ONE), Turn(THREE)))
    await world.watch.look(everything=True)
    assert world.api.through == [("https://dtr.example.org", 24, True)]
    assert (found := behind()) is not None and found.missed == {TWO}
    await world.watch.look(everything=True)
    assert world.api.through[-1][1] == 6, "what is known is kept, and only kept up"
    # Somebody mended it and asks: nothing of before is told any longer.
    world.watch.look_now()
    assert behind() is None
    world.api.behind_it = cycle(Turn(one) for one in NODES.values())
    await world.watch.look(everything=True)
    assert (found := behind()) is not None and not found.missed
    # Where it does not answer, and where DTR tells nothing, there is nothing to learn there.
    world.answers = {"https://dtr.example.org": 502}
    await world.watch.look(everything=True)
    assert len(world.api.through) == 3
    world.answers, world.api.says = {}, DtrError(Trouble.FAILED, "it answers 500.", "")
    await world.watch.look(everything=True)
    assert len(world.api.through) == 3 and behind() is None


async def test_a_load_balancer_that_tells_nothing_is_said_so_and_holds_up_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind_module, "WAY_SECONDS", 0.1)
    monkeypatch.setattr(behind_module, "LOOK_SECONDS", 0.1)
    world.api.behind_it = DtrError(Trouble.LOGIN, "there is no password of admin here.", "Keep it.")
    await world.watch.look(everything=True)
    assert world.seen.behind is not None and world.seen.behind.trouble == "there is no password of admin here. Keep it."
    real = world.api.told

    async def told(*arguments: Any) -> Told:
        world.api.silent = False
        found = await real(*arguments)
        world.api.silent = True
        return found

    monkeypatch.setattr(world.api, "told", told)
    before = asyncio.get_running_loop().time()
    await world.watch.look(everything=True)
    assert asyncio.get_running_loop().time() - before < 5.0
    assert world.seen.behind.trouble == "it did not answer in time." and world.seen.told is not None


async def test_a_node_that_is_down_is_not_touched(world: World) -> None:
    down = {key: replace(node, status=replace(node.status, state="down")) for key, node in world.now.nodes.items()
            if node.name == "dtr1"}  # fmt: skip
    world.now = replace(world.now, nodes={**world.now.nodes, **down})
    await world.watch.look(everything=True)
    assert not [each for each in world.asked if each.startswith(("dtr1 ", "https://10.0.2.1"))]


async def test_who_was_in_it_is_known_to_the_next_one_who_looks_when_it_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await world.watch.look(everything=True)
    later = World(s.under_dtr(), tmp_path)
    monkeypatch.setattr(watching, "look_at", later.look_at)
    later.api.says = DtrError(Trouble.FAILED, "it answers 500.", "")
    later.units = {"dtr2": "inactive", "dtr3": "inactive"}
    await later.watch.look(everything=True)
    assert {one: place.node for one, place in later.seen.remembered.items()} == {
        one: node for node, one in NODES.items()
    }
    assert len(cluster(later.now).members) == 3 and later.seen.told is None
    (kept,) = tmp_path.glob("*.json")
    for bad in (b"", b"[]", b'{"../x": {"node": "a"}}', b'{"f2277ad178f7": {"node": 3}}', b"{" * 90_000):
        kept.write_bytes(bad)
        again = World(s.under_dtr(), tmp_path)
        again.api.says = DtrError(Trouble.FAILED, "it answers 500.", "")
        await again.watch.look(everything=True)
        assert again.seen.remembered == {}


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"<html>", b'[{"Names": 3}]'])
async def test_an_answer_that_cannot_be_read_is_a_trouble_and_no_crash(
    world: World, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "_listed", staticmethod(lambda path, lies: body))
    await world.watch.look(everything=True)
    assert "cannot be read" in world.seen.held[world.id("dtr1")].trouble
    monkeypatch.setattr(World, "_get", lambda *_: asyncio.sleep(0, body))
    await world.watch.look(everything=True)


async def test_it_keeps_looking_seldom_where_nothing_is_and_ends_with_dtr(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_SECONDS", "LOOK_SECONDS", "DOOR_SECONDS", "HELD_SECONDS", "TOLD_SECONDS", "WANTED_SECONDS"):
        monkeypatch.setattr(watching, name, 0.01)

    async def until(so: Any) -> None:
        for _ in range(500):
            if so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(world.asked)

    def count(name: str) -> int:
        return world.asked.count(f"{name} /containers/json")

    keeping = asyncio.create_task(world.watch.keep(asyncio.open_connection))
    await until(lambda: world.now.dtr is not None and world.now.dtr.told is not None and count("dtr1") > 5)
    assert count("wrk1") == 1, "where nothing of it is, it is not looked for again soon"
    gone = world.id("dtr3")
    world.now = replace(world.now, nodes={key: node for key, node in world.now.nodes.items() if key != gone})
    await until(lambda: gone not in world.seen.held)
    world.lies, world.networks, world.api.says = {}, [], Told()
    await until(lambda: not any(held.replicas for held in world.seen.held.values()))
    world.watch.look_now()
    await until(lambda: world.now.dtr is None)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


# -- asking its API ----------------------------------------------------------------------------------------------------


class Client:
    """In place of `DtrClient`. told: URL → what it says; used: whom it was asked as, and by which way."""

    told_by: dict[str, Told | Exception] = {}
    used: list[tuple[str, str, Path | None, str]] = []

    def __init__(
        self, url: str, ca_pem: str, *, username: str, password: Secret, via: Path | None, external: str
    ) -> None:
        self.url, self.via = url, via
        Client.used.append((url, ca_pem, via, external))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def told(self) -> Told:
        found = Client.told_by[f"{self.url} via" if self.via else self.url]
        if isinstance(found, Exception):
            raise found
        return found

    async def jobs(self, *, running: bool) -> object:
        assert running
        return {"jobs": [{"action": "scan", "status": "running"}]}

    async def storage_kind(self) -> str:
        return "s3"


class Host:
    """A replica's host over SSH."""

    def __init__(self) -> None:
        self.forwarded = 0

    async def forward_port(self, host: str, port: int) -> Path:
        assert (host, port) == ("127.0.0.1", 4443)
        self.forwarded += 1
        return Path("/tmp/via")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asking:
    async def login() -> Login:
        return Login("admin", Secret(LOGIN["password"]) if LOGIN["password"] else None)

    async def authority(host: Host, https: int, name: str) -> str:
        return f"CA of {name}"

    LOGIN["password"] = "right"
    Client.told_by, Client.used = {}, []
    monkeypatch.setattr(asking_module, "DtrClient", Client)
    monkeypatch.setattr(asking_module, "read_authority", authority)
    return Asking(login, lambda: "", tmp_path)


LOGIN = {"password": "right"}


def place(number: int, host: Host | None = None) -> At:
    async def opened() -> Any:
        return host

    return At(f"dtr{number}", f"https://10.0.2.{number}", 4443, opened if host is not None else None)


def refused() -> DtrError:
    return DtrError(Trouble.LOGIN, "DTR refused the login of admin.", "")


async def test_the_next_one_is_asked_where_one_fails_and_jobs_and_storage_are_told_too(ask: Asking) -> None:
    Client.told_by = {"https://10.0.2.1": DtrError(Trouble.FAILED, "500", ""), "https://10.0.2.2": s.told({}, {})}
    told = await ask.told("cluster", [place(1, Host()), place(2)], "dtr.example.org")
    assert (told.jobs, told.storage is not None and told.storage.where) == (("scan",), "s3") and told.at
    assert [(used[0], used[1], used[3]) for used in Client.used] == [
        (f"https://10.0.2.{i}", "CA of dtr1", "dtr.example.org") for i in (1, 2)
    ]


async def test_one_that_is_not_reached_from_here_is_asked_by_its_own_host_over_one_way(ask: Asking) -> None:
    away = DtrAwayError(Trouble.AWAY, "It cannot be reached.", "")
    Client.told_by = {"https://10.0.2.1": away, "https://10.0.2.1 via": s.told(s.document([ONE]))}
    host = Host()
    for _ in range(3):
        assert (await ask.told("cluster", [place(1, host)], "")).health == {ONE: "OK"}
    assert host.forwarded == 1, "a way is made once for each connection"
    Client.told_by["https://10.0.2.1 via"] = away
    with pytest.raises(DtrAwayError):
        await ask.told("cluster", [place(1, host)], "")


async def test_the_name_that_a_certificate_is_for_is_learnt_from_the_replicas_own_host(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[int] = []

    async def name(host: Host, https: int) -> str:
        learnt.append(https)
        Client.told_by = {"https://10.0.2.1": Told()}
        return "dtr.example.org"

    monkeypatch.setattr(asking_module, "read_name", name)
    Client.told_by = {"https://10.0.2.1": DtrError(Trouble.WRONG_NAME, "not for 10.0.2.1", "")}
    for _ in range(2):
        await ask.told("cluster", [place(1, Host())], "")
    assert [used[3] for used in Client.used] == ["", "dtr.example.org", "dtr.example.org"] and learnt == [4443]
    Client.told_by = {"https://10.0.2.1": DtrError(Trouble.WRONG_NAME, "not for that either", "")}
    with pytest.raises(DtrError, match="not for that either"):
        await ask.told("cluster", [place(1, Host())], "")
    assert learnt == [4443], "nobody asks the host again and again"


async def test_a_password_that_was_refused_is_not_tried_again_by_itself(ask: Asking) -> None:
    Client.told_by = {"https://10.0.2.1": refused(), "https://10.0.2.2": refused()}
    with pytest.raises(DtrError, match="refused the login"):
        await ask.told("cluster", [place(1, Host()), place(2)], "")
    assert len(Client.used) == 1, "nor at the next replica: an LDAP behind UCP may lock its owner out"
    with pytest.raises(DtrError, match="not tried again by itself"):
        await ask.told("cluster", [place(1, Host())], "")
    assert len(Client.used) == 1
    LOGIN["password"] = "another"
    with pytest.raises(DtrError, match="refused the login"):
        await ask.told("cluster", [place(1, Host())], "")
    ask.again()
    Client.told_by = {"https://10.0.2.1": Told()}
    assert (await ask.told("cluster", [place(1, Host())], "")).jobs == ("scan",)


async def test_without_a_password_or_an_authority_nobody_is_asked(ask: Asking) -> None:
    with pytest.raises(DtrError, match="by which authority"):
        await ask.told("cluster", [place(1)], "")
    LOGIN["password"] = ""
    with pytest.raises(DtrError, match="no password of admin") as caught:
        await ask.told("cluster", [place(1, Host())], "")
    assert "swarmtui secrets set ucp-password" in caught.value.next_step and Client.used == []


async def test_what_was_remembered_of_an_older_installation_is_read_anew(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_module.trust, "recall", lambda folder, cluster_id: "old CA")
    Client.told_by = {
        "https://10.0.2.1": DtrError(Trouble.NOT_TRUSTED, "not signed by it", ""),
        "https://10.0.2.2": Told(),
    }
    await ask.told("cluster", [place(1, Host()), place(2, Host())], "")
    assert [used[1] for used in Client.used] == ["old CA", "CA of dtr1"]


def test_what_lies_on_a_node_is_every_replica_of_which_anything_does() -> None:
    assert Held(s.parts(ONE), {"dtr-rethink-a6a628053157": "a6a628053157"}).replicas == {ONE, "a6a628053157"}
