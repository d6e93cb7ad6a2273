"""All that is done with DTR's replicas, by keys alone: on the simulator in every run, on the lab in the full matrix."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from swarmtui.config import load, state_dir
from swarmtui.demo.serve import Demo
from swarmtui.link.dtr import watching
from swarmtui.opening import find
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.image import job as image_job
from tests.actions.dtr_stage import health, platform, push, tags
from tests.actions.ucp_stage import ADMIN, PASSPHRASE
from tests.driver import Driver, driven
from tests.faults import ucp_stage
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for

NFS = "nfs://10.0.0.9/images"


@dataclass(frozen=True)
class Scene:
    """Where it is played.

    Attributes:
        version: of DTR. cluster: what it is called.
        nothing: what the view says before there is any DTR. url: of the load balancer before it.
        nodes: three workers with nothing on them.
        behind: has the load balancer lead to the replicas on these nodes, and to no others.
        replicas: node → id of the replica on it, as DTR itself tells.
        push: makes an image in DTR that was not there.
        lose: takes these nodes away, until the Swarm knows.
        within: seconds that a run, or what the view shows, may take.
    """

    version: str
    cluster: str
    nothing: str
    url: str
    nodes: tuple[str, str, str]
    behind: Callable[..., None]
    replicas: Callable[[], dict[str, str]]
    push: Callable[[], None]
    lose: Callable[..., Awaitable[None]]
    within: float


async def story(console: Driver, scene: Scene) -> None:
    """Installed, grown to three replicas, one lost and removed, backed up, a majority lost, and brought back.

    2.4 comes back from the backup; from 2.5 on what is left of it is repaired from.
    """
    one, two, three = scene.nodes
    version, long = scene.version, scene.within
    await console.nodes().live().view("dtr").sees(scene.nothing)
    await console.here().press("I").answer(version).answer(one).answer(scene.url).answer(f"storage={NFS}")
    scene.behind(one)
    await console.here().at("confirm", long).dialog(f"Install DTR {version} on {one}", "install").confirm()
    await console.here().until_done(long)

    await console.here().press("J").answer(two)
    await console.here().at("confirm", long).dialog(f"replica of DTR {version} on {two}", "an even number").confirm()
    # Nobody but its operator can tell the load balancer.
    await console.here().until_failed(f"({two}) to the load balancer of {scene.url}", within=long)
    scene.behind(one, two)
    await console.here().press("r").until_done(long)
    scene.behind(one, two, three)
    await console.here().press("J").answer(three)
    await console.here().at("confirm", long).dialog(f"replica of DTR {version} on {three}").confirm().until_done(long)
    ids = scene.replicas()
    assert sorted(ids) == sorted(scene.nodes)
    for node, replica in ids.items():
        await console.here().shows(replica, node, "healthy", "200", version, within=long)
    await console.here().title("3/3 healthy, may lose 1")
    scene.push()

    await scene.lose(three)
    scene.behind(one, two)
    await console.here().shows(ids[three], "DOWN", within=long).select(ids[three]).press("X")
    await console.here().at("confirm", long).dialog(f"Remove replica {ids[three]}", "remove").confirm(ids[three])
    # Its host is off, with all that lies there.
    await console.here().until_done(long).shows(ids[three], "leftover", within=long).title("2/2 healthy", "EVEN")

    await console.here().press("B").at("confirm", long).dialog(f"Back up DTR {version}", "backup").confirm()
    await console.here().until_done(long)

    await scene.lose(two)
    scene.behind(one)
    await console.here().shows(ids[two], "DOWN", within=long).title("quorum LOST")
    if version.startswith("2.4"):
        await console.here().select(ids[one]).press("E").told("emergency-repair", within=long).press("R")
        await console.here().at("ask").sees("backup=latest|ID").answer(f"node={one}")
        await console.here().at("confirm", long).dialog(f"Restore DTR {version}", f"be on {two}", f"be on {three}")
        await console.here().confirm(scene.cluster)
    else:
        await console.here().select(ids[one]).press("E")
        await console.here().at("confirm", long).dialog(f"Repair DTR {version} from replica").confirm(ids[one])
    await console.here().until_done(long)
    (back,) = scene.replicas().values()
    await console.here().shows(back, one, "healthy", "200", within=long).title("1/1 healthy")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for between two looks, where the simulated hosts are quick."""
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(watching, "WANTED_SECONDS", 2.0)


async def test_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    async with Demo("no-dtr", speed=50, seed=1) as demo:
        ucp_stage.secrets(demo, tmp_path / "credentials", monkeypatch)
        world = demo.world
        world.dtr_behind = set()

        def behind(*nodes: str) -> None:
            world.dtr_behind = set(nodes)

        def replicas() -> dict[str, str]:
            assert world.dtr is not None
            return {one.host: one.id for one in world.dtr.replicas.values() if not world.dtr.ill(one)}

        def image() -> None:
            assert world.dtr is not None
            world.dtr.repositories.append("shop/app")
            world.dtr.push("shop/app:v1")

        async def lose(*nodes: str) -> None:
            for name in nodes:
                world.crash(world.hosts[name])

        scene = Scene(
            "2.4.1",
            "simulated",
            "no replica known",
            "https://dtr.shop.example",
            ("dtr1", "dtr2", "dtr3"),
            behind,
            replicas,
            image,
            lose,
            60.0,
        )
        opening = find("simulated", load(demo.config), bundles=tmp_path / "bundles")
        async with driven(opening, state_dir() / "journal") as console:
            await story(console, scene)
            assert world.dtr is not None and "shop/app" in world.dtr.repositories
            secrets = (ucp_stage.PASSPHRASE, demo.platform["admin"]["password"])
            assert not any(secret in told for secret in secrets for told in console.app.told)


@pytest.mark.lab
@pytest.mark.full
@pytest.mark.parametrize("version", ["2.4.1", "2.7.6"])
async def test_by_keys_on_the_lab(
    make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    lab, _, balancer = platform(make_lab, version, 3)
    for name, value in {"HOME": str(lab.home), "PROD_ADMIN": ADMIN, "PROD_PASSPHRASE": PASSPHRASE}.items():
        monkeypatch.setenv(name, value)
    hosts = [lab[f"wrk{number}"] for number in (1, 2, 3)]

    def replicas() -> dict[str, str]:
        listing = "docker ps --format '{{.Names}}' --filter name=dtr-rethinkdb-"
        there = {host.name: host.sh(listing).stdout.strip().rpartition("-")[2] for host in hosts if host.is_on()}
        return {name: one for name, one in there.items() if health(hosts[0]).get(one) == "OK"}

    async def lose(*nodes: str) -> None:
        for name in nodes:
            await asyncio.to_thread(lab[name].power_off)

        def down() -> bool:
            told = {node["Description"]["Hostname"]: node["Status"]["State"] for node in lab.nodes()}
            return all(told[name] == "down" for name in nodes)

        await asyncio.to_thread(wait_for, f"{nodes} are down", down, 60)

    with balancer:
        scene = Scene(
            version,
            "prod",
            "No DTR (MSR) is known on this Swarm",
            balancer.url,
            ("wrk1", "wrk2", "wrk3"),
            lambda *nodes: balancer.lead_to(*(lab[name] for name in nodes)),
            replicas,
            lambda: push(hosts[0], "v1"),
            lose,
            200.0,
        )
        opening = find("prod", load(), bundles=tmp_path / "bundles")
        async with driven(opening, state_dir() / "journal") as console:
            await story(console, scene)
            assert tags(hosts[0]) == ["v1"]
            assert not any(secret in told for secret in (ADMIN, PASSPHRASE) for told in console.app.told)
