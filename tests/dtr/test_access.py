"""Where DTR is, by whose authority it is believed, and as whom: from what lies on the nodes, and with its API down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui import config
from swarmtui.config import DtrConfig, state_dir
from swarmtui.demo.serve import Demo
from swarmtui.errors import EngineError, RefusedError, UsageError
from swarmtui.link import trust
from swarmtui.link.dtr import memory
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.dtr.parts import read_held
from swarmtui.link.listed import Get
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SshTarget, TcpTarget, TlsFiles
from swarmtui.model.dtr.seen import Told
from swarmtui.runbooks.dtr.access import access, opened, pings
from swarmtui.runbooks.dtr.found import DtrAccess, Replica, found, with_told
from swarmtui.runbooks.dtr.hosts import Looked, look_at_all, looked, on
from swarmtui.session import Session
from swarmtui.vault import Secret
from tests.dtr.plans import place
from tests.dtr.seen import ONE, TWO, held
from tests.ucp.test_opened import looking
from tests.ucp.tls import Authority

ID = "47f20fb864cf"


def loaded(tmp_path: Path, text: str) -> DtrConfig:
    file = tmp_path / "config.toml"
    file.write_text(f'[clusters.prod]\nmanagers = ["ssh://m1"]\n[clusters.prod.dtr]\n{text}')
    return config.load(file).clusters["prod"].dtr


def test_the_table_of_a_cluster_says_where_its_dtr_is(tmp_path: Path) -> None:
    said = 'url = "https://lb"\nreplicas = { w1 = "https://10.0.0.9:4443" }\nusername = "root"\nca = "~/dtr.pem"\n'
    assert loaded(tmp_path, said) == DtrConfig("https://lb", {"w1": "https://10.0.0.9:4443"}, "root", "~/dtr.pem")
    assert loaded(tmp_path, "") == DtrConfig()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('url = "https://admin:pw-secret@lb"', "no address of DTR"),
        ('replicas = { w1 = "10.0.0.9" }', 'what stands at "w1"'),
        ('username = " "', "nobody is called so"),
        ('pasword = "x"', 'unknown key "pasword"'),
    ],
)
def test_a_wrong_table_names_its_key(tmp_path: Path, said: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, said)
    assert words in str(caught.value) and "line 4" in str(caught.value) and "pw-secret" not in str(caught.value)


# -- what an engine has ------------------------------------------------------------------------------------------------


def engine(containers: object, volumes: object) -> Get:
    async def get(path: str, params: Mapping[str, str]) -> bytes:
        assert params["filters"] == '{"name":["dtr-"]}'
        assert path == "/volumes" or params["all"] == "1", "also those that have ended"
        return json.dumps(volumes if path == "/volumes" else containers).encode()

    return get


def container(name: str, **more: object) -> dict[str, object]:
    return {"Names": [f"/{name}"], "Image": "docker/dtr-nginx:2.4.1", "State": "running", "Status": "Up", **more}


async def test_replicas_are_known_by_their_names_whatever_else_is_there() -> None:
    ports = [{"PrivatePort": 443, "PublicPort": 4443}, {"PrivatePort": 80, "PublicPort": 8080}, {"PrivatePort": 443}]
    containers = [
        container(f"dtr-nginx-{ID}", Ports=ports),
        container(f"dtr-rethinkdb-{ID}", State="exited", Status="Exited (137) 2 hours ago", Ports=None),
        container("dtr-phase2"),
        container("dtr-nginx-mine"),
        {"Names": None},
    ]
    volumes = {"Volumes": [{"Name": f"dtr-rethink-{ID}"}, {"Name": "dtr-backups"}, {"Name": "dtr-ca-daa7b23c3a61"}]}
    held = (await read_held(engine(containers, volumes)))[""]
    assert [(part.component, part.replica, part.version) for part in held.parts] == [
        ("nginx", ID, "2.4.1"),
        ("rethinkdb", ID, "2.4.1"),
    ]
    assert (held.parts[0].http, held.parts[0].https, held.parts[1].https) == (8080, 4443, 0)
    assert held.volumes == {"dtr-ca-daa7b23c3a61": "daa7b23c3a61", f"dtr-rethink-{ID}": ID}


async def test_ucps_list_of_all_nodes_is_read_by_node_and_labels_tell_the_version() -> None:
    project = {"com.docker.compose.project": f"Docker Trusted Registry 2.5.3 - (Replica {ID})"}
    containers = [
        container(f"w1/dtr-api-{ID}", Image="sha256:abc", Labels={"com.docker.dtr.version": "2.7.8"}),
        container(f"w2/dtr-api-{ID}", Image="sha256:abc", Labels=project),
        container(f"w3/dtr-api-{ID}", Image="sha256:abc", Labels={"com.docker.dtr.version": "nonsense"}),
    ]
    held = await read_held(engine(containers, {"Volumes": None}))
    assert {node: [part.version for part in one.parts] for node, one in held.items()} == {
        "": [],
        "w1": ["2.7.8"],
        "w2": ["2.5.3"],
        "w3": [""],
    }


async def test_what_is_no_list_is_told() -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        await read_held(engine({"message": "proxy"}, {}))


async def test_with_a_client_bundle_ucp_tells_of_all_nodes_and_no_host_is_asked() -> None:
    class Bundle:
        opening = SimpleNamespace(targets=(TcpTarget("ucp.example.com", 443, TlsFiles(None, None, None), "bundle"),))
        reached: list[str] = []
        get = staticmethod(engine([container(f"w1/dtr-api-{ID}")], {"Volumes": [{"Name": f"w1/dtr-rethink-{ID}"}]}))

        async def engine_of(self, target: SshTarget) -> None:
            self.reached.append(target.host)
            raise LinkError(Reason.UNREACHABLE, "w3", what="nobody answers.")

    session: Any = Bundle()
    nodes = [place(1), place(2), replace(place(3), down=True)]
    found = await look_at_all(session, nodes)
    assert [(one.node.name, one.id, one.data) for one in found.found] == [("w1", ID, True)]
    assert found.silent == {"node3": "nobody answers."} and session.reached == ["10.0.0.3"]


# -- on a simulated platform -------------------------------------------------------------------------------------------


async def test_replicas_their_authority_and_their_state_are_found(tmp_path: Path) -> None:
    async with Demo("platform", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        assert demo.world.dtr is not None
        password = Secret(demo.platform["admin"]["password"])
        known = await access(session, password=password)
        assert (known.product, known.external, known.trouble) == ("DTR 2.4.1", "https://dtr.shop.example", "")
        assert [(one.node, one.member, one.health, one.https) for one in known.members] == [
            (f"dtr{number}", True, "OK", 443) for number in (1, 2, 3)
        ]
        assert known.ca_from == "dtr1" and trust.recall(state_dir() / "dtr", known.cluster_id) == known.ca
        assert known.ucp_url == "https://10.0.1.11:443", "as hosts of the cluster reach it, with its port"
        assert known.replica("dtr2") is known.replica(known.members[1].id)
        with pytest.raises(UsageError, match='"mgr1" is no replica'):
            known.replica("mgr1")

        nodes = {one.id: one.node for one in known.members}
        assert memory.noted(state_dir() / "dtr", known.cluster_id).nodes == nodes

        nameless = with_told(session, known, Told())
        assert "names no replica" in nameless.trouble, "an answer that names nobody makes no leftovers of all"
        fresh = with_told(session, replace(known, told=None), Told())
        assert fresh.told is None and len(fresh.members) == 3 and not fresh.leftovers

        nobody = await access(session)
        assert nobody.works and nobody.counted().total == 3, "by its /_ping, and what it told before"
        assert nobody.ca_from == "remembered" and nobody.told is None and "no password" in nobody.trouble
        assert [one.well for one in nobody.replicas] == [True] * 3, "by what runs there"
        wrong = await access(session, password=Secret("not-hers"))
        assert wrong.told is None and "does not know admin" in wrong.trouble and "not-hers" not in wrong.trouble

        # What was remembered is of another DTR: the replicas know better, and only over SSH.
        trust.remember(state_dir() / "dtr", known.cluster_id, Authority().pem)
        assert (await access(session, password=password)).told is not None
        assert trust.recall(state_dir() / "dtr", known.cluster_id) == known.ca

        # Straight nothing answers, the load balancer does not either: over SSH it does.
        nowhere = replace(
            known, balancer="", replicas=tuple(replace(one, url="https://127.0.0.1:1") for one in known.replicas)
        )
        async with await opened(session, nowhere, password=password) as client:
            assert (await client.told()).health

        demo.world.dtr.replicas[known.members[0].id].sick = "the disk is full"
        async with await opened(session, known, password=password) as client:
            assert client.url == known.members[1].url, "a healthy one is asked"
        ill = await access(session, password=password)
        assert [one.well for one in ill.members] == [False, True, True]
        assert ill.members[0].health == "the disk is full"
        with pytest.raises(DtrError, match="the disk is full"):
            await opened(session, known, password=password, replica="dtr1")


async def _answering(session: Session, password: Secret) -> DtrAccess:
    """DTR as soon as its web servers have started with another certificate."""
    known = await access(session, password=password)
    for _ in range(100):
        if known.told is not None:
            break
        await asyncio.sleep(0.05)
        known = await access(session, password=password)
    return known


async def test_a_certificate_for_the_external_url_alone_is_believed_by_the_word_of_a_replicas_host(
    tmp_path: Path,
) -> None:
    """As DTR makes its own: no replica's address is in it, and the external URL is told only by who is asked."""
    async with Demo("platform", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        dtr = demo.world.dtr
        assert dtr is not None
        for name in ("*.shop.example", "dtr.shop.example"):  # a cached name may be outdated
            certificate, key = dtr.root.server("dtr", [name])
            dtr.own = {"cert.pem": certificate, "key.pem": key, "ca.pem": dtr.root.pem}
            demo.world.on_platform_change()
            known = await _answering(session, Secret(demo.platform["admin"]["password"]))
            assert known.name == "dtr.shop.example" and known.trouble == ""
        assert all(answer.ok for answer in (await pings(known)).values())
        wrong = replace(known, name="other.example", external="https://other.example")
        assert {answer.trouble for answer in (await pings(wrong)).values()} == {Trouble.WRONG_NAME}


async def test_without_a_quorum_what_lies_on_the_nodes_is_still_told(tmp_path: Path) -> None:
    async with Demo("platform", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        before = await access(session, password=Secret(demo.platform["admin"]["password"]))
        for name in ("dtr2", "dtr3"):
            demo.world.crash(demo.world.hosts[name])
        async with asyncio.timeout(60):
            while not {node.id for node in session.snapshot.nodes.values() if node.status.state == "down"}:
                await session.refresh()
                await asyncio.sleep(0.05)
        known = await access(session, password=Secret(demo.platform["admin"]["password"]))
        assert known.told is None and "503" in known.trouble and "\n" not in known.trouble
        assert [one.node for one in known.members] == ["dtr1"] and known.members[0].up
        assert {session.snapshot.nodes[node].name for node in known.silent} == {"dtr2", "dtr3"}
        counted = known.counted()
        assert (counted.total, counted.needed, counted.lost) == (3, 2, {}), "as it told when all was well"
        assert counted.away == {one.id: one.node for one in before.members[1:]} and not known.works
        assert [one.words for one in await looked(session)] == [f"9 containers and 6 volumes of replica {ID} on dtr1"]
        assert not (await pings(known))[ID].ok


async def test_a_cluster_without_dtr_and_one_whose_ucp_is_gone_are_told(tmp_path: Path) -> None:
    async with Demo("no-ucp", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        assert (await look_at_all(session)).found == ()
        with pytest.raises(RefusedError, match="No DTR is on simulated"):
            await access(session)


@pytest.mark.parametrize(
    ("there", "version", "versions"),
    [((1, 2), "2.5.15", {"2.5.15": (TWO,)}), ((1,), "", {}), ((2,), "2.5.15", {"2.5.15": (TWO,)})],
    ids=["both", "only-what-is-left-over", "only-the-member"],
)
def test_what_is_left_over_has_no_say_in_the_version(
    there: tuple[int, ...], version: str, versions: dict[str, tuple[str, ...]]
) -> None:
    """DTR was upgraded on w2, or restored there, and then the host of w1 came back with what it had."""
    lies = {1: held(ONE, version="2.4.1"), 2: held(TWO, version="2.5.15")}
    left = tuple(one for number in there for one in on(place(number), lies[number]))
    session: Any = SimpleNamespace(
        name="prod",
        opening=SimpleNamespace(cluster=SimpleNamespace(dtr=DtrConfig(), ucp=SimpleNamespace(username=""))),
        snapshot=SimpleNamespace(cluster_id="c", nodes={}),
    )
    before = found(session, Looked(left))
    assert len(before.versions) == len(there), "while DTR does not tell, nobody knows which is the one"
    known = with_told(session, before, Told(health={TWO: "OK"}))
    assert (known.version, dict(known.versions)) == (version, versions)
    assert [one.id for one in known.members] == [TWO]


def test_a_replica_that_nobody_can_place_has_no_address() -> None:
    known = DtrAccess(cluster="prod", cluster_id="c", replicas=(Replica(id=ID),))
    with pytest.raises(UsageError, match="is reached is not known"):
        known.client(ID)
    with pytest.raises(UsageError, match="load balancer"):
        known.client()
    with pytest.raises(RefusedError, match="no container tells it"):
        _ = known.release
    assert known.replicas[0].behind == "" and known.replicas[0].shown == ID
