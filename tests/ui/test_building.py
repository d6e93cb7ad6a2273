"""A Swarm is built from the start page, by keys: six simulated hosts without one, and a configuration that is empty."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmtui import config
from swarmtui.cli.clusters import give_name
from swarmtui.cli.main import main
from swarmtui.config import ClusterConfig, Config
from swarmtui.demo.serve import Demo
from swarmtui.model.preflight import HostFacts, Measured
from swarmtui.opening import Opening
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.swarm.building import build_steps, preflight
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts
from swarmtui.runbooks.swarm.building.build_spec import HostSpec, SwarmSpec
from swarmtui.ui.building import built, newest_cut_off
from swarmtui.ui.fleet import Fleet
from swarmtui.ui.screens.building import PreflightScreen
from tests.driver import Driver, Recorded
from tests.ui.clusters import Site, left, shown

NAMES = ["mgr1", "mgr2", "mgr3", "wrk1", "wrk2", "wrk3"]


@pytest.fixture
async def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Demo]:
    """Six bare hosts, which the person's own ssh configuration knows."""
    monkeypatch.setattr(preflight, "ARRIVE_SECONDS", 0.05)
    monkeypatch.setattr(build_steps, "POLL_SECONDS", 0.04)
    async with Demo("bare", speed=20, seed=1) as made:
        home = tmp_path / "home"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "config").write_text(made.ssh_config.read_text())
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(tmp_path)
        yield made


def spec(folder: Path, *, head: str = "", hosts: list[str] = NAMES) -> str:
    """A file that names these hosts, the managers in zones a, b and c; its name."""
    lines = [head]
    for name in hosts:
        lines += ["[[hosts]]", f'ssh = "ssh://{name}"']
        if name.startswith("mgr"):
            lines += ['role = "manager"', f'zone = "{"abc"[int(name[-1]) - 1]}"']
    (folder / "hosts.toml").write_text("\n".join(lines) + "\n")
    return "hosts.toml"


@asynccontextmanager
async def page(folder: Path, **options: object) -> AsyncIterator[Driver]:
    """The start page of somebody who has named no cluster yet."""
    file = folder / "swarmtui" / "config.toml"
    fleet = Fleet(Config(file), folder)
    async with shown(
        fleet, size=(110, 40), journal=folder / "journal", naming=partial(give_name, file), **options
    ) as driver:
        yield driver


def gate(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> asyncio.Event:
    """Everybody who calls this method waits until the event is set."""
    is_open, original = asyncio.Event(), getattr(owner, name)

    async def waits(*args: Any) -> Any:
        await is_open.wait()
        return await original(*args)

    monkeypatch.setattr(owner, name, waits)
    return is_open


def roles(demo: Demo) -> dict[str, str]:
    """What the simulated Swarm itself says; empty where there is none."""
    swarm = demo.world.hosts["mgr1"].swarm
    return {} if swarm is None else {node.hostname: str(node.role) for node in swarm.cluster.nodes.values()}


BUILT = {name: "manager" if name.startswith("mgr") else "worker" for name in NAMES}


async def test_six_bare_hosts_become_a_swarm_with_a_name_that_the_console_opens(demo: Demo, tmp_path: Path) -> None:
    async with page(tmp_path) as driver:
        await driver.here().sees("no cluster yet", "N builds a new Swarm", "swarmtui clusters add NAME ssh://USER@HOST")
        await driver.here().press("N").at("ask").sees("managers=ssh://HOST").answer(spec(tmp_path))
        await driver.here().dialog(
            "Build a Swarm: 3 managers, 3 workers", "The ports of the Swarm are open between the hosts (30 ways)."
        )
        assert demo.world.clusters == {} or not roles(demo)
        await driver.here().press("end").sees("docker swarm join").confirm()
        await driver.here().at("run").sees("Done and verified.", within=60)
        assert roles(demo) == BUILT
        await driver.here().press("escape").at("ask").sees("Under which name", "swarmtui clusters add NAME ssh://mgr1")
        await driver.here().type("run").press("enter").sees('"run" is a subcommand of swarmtui')
        await driver.here().press("ctrl+u").type("lagoon").press("enter")
        await left(driver)
    assert driver.app.return_value == "lagoon"
    written = config.load(tmp_path / "swarmtui" / "config.toml")
    assert written.clusters["lagoon"].managers == ("ssh://mgr1", "ssh://mgr2", "ssh://mgr3")
    assert not written.clusters["lagoon"].addresses
    fleet = Fleet(written, tmp_path)
    app = Recorded(await fleet.opening("lagoon"), journal=tmp_path / "journal", session=driver.app.session)
    async with app.run_test(size=(140, 40)) as pilot:
        console = Driver(app, pilot)
        await console.nodes().live().header("lagoon", "3/3 managers").contains(*NAMES).shows("mgr1", "Leader")
        await console.nodes().shows("mgr2", "b")


async def test_words_do_as_well_and_esc_leaves_it_without_a_name(demo: Demo, tmp_path: Path) -> None:
    async with page(tmp_path) as driver:
        await driver.here().press("N").answer("managers=ssh://mgr1 workers=ssh://wrk1")
        await driver.here().dialog("1 manager, 1 worker").confirm().at("run").sees("Done and verified.", within=60)
        await driver.here().press("escape").at("ask").press("escape").at("main")
        await driver.here().sees("1 cluster", "ssh://mgr1", "1/1", "2/2")
        assert not (tmp_path / "swarmtui" / "config.toml").exists()
        await driver.here().press("N").answer("managers=ssh://mgr1 workers=ssh://wrk1").told("Nothing to do")
        await driver.here().at("main").press("enter")
        await left(driver)
    assert driver.app.return_value == "ssh://mgr1" and driver.app.session is not None
    await driver.app.session.close()


async def test_a_blocked_port_is_named_and_must_be_accepted_by_name(demo: Demo, tmp_path: Path) -> None:
    demo.world.hosts["mgr2"].blocked.add("udp 7946")
    async with page(tmp_path) as driver:
        await driver.here().press("N").answer(spec(tmp_path)).at("confirm")
        await driver.here().sees("mgr1, mgr3, wrk1, wrk2 and wrk3 cannot reach mgr2 at 10.0.1.12 port 7946/udp.")
        await driver.here().sees('Type "mgr2" and press enter').press("escape").at("main").sees("no cluster yet")
    assert not roles(demo)


async def test_a_mistake_in_the_file_is_one_sentence_where_it_can_be_mended(demo: Demo, tmp_path: Path) -> None:
    async with page(tmp_path) as driver:
        file = spec(tmp_path, head='role = "king"')
        await (
            driver.here()
            .press("N")
            .answer(file)
            .sees("hosts.toml is no specification of a Swarm: ", "unknown field `role`")
        )
        spec(tmp_path, hosts=["wrk1"])
        await driver.here().press("enter").sees("hosts.toml names no manager.")
        await (
            driver.here()
            .press("ctrl+u")
            .answer("managers=ssh://mgr1 workers=ssh://mgr1")
            .sees("names ssh://mgr1 twice")
        )
        await driver.here().press("ctrl+u").answer("nosuch.toml").sees("The specification nosuch.toml cannot be read")
        assert driver.screen == "ask"
        await driver.here().press("escape").at("main")


async def test_the_look_is_watched_and_hosts_that_do_not_answer_are_looked_at_again(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = demo.world
    looked = gate(monkeypatch, preflight.Preflight, "_ways")
    world.crash(world.hosts["wrk2"])
    async with page(tmp_path) as driver:
        await driver.here().press("N").answer(spec(tmp_path)).sees("Looking at 6 hosts", "mgr1$ ", "This only looks")
        assert isinstance(driver.app.screen, PreflightScreen)
        looked.set()
        await driver.here().sees("wrk2: ", "Nothing was changed.", "r looks again", within=30)
        world.boot(world.hosts["wrk2"])
        await driver.until("wrk2 is up", lambda: world.hosts["wrk2"].docker)
        await driver.here().press("r").dialog("3 managers, 3 workers").press("n").at("main")
        await driver.here().press("N").answer(spec(tmp_path)).at("confirm")
        looked.clear()
        await driver.here().press("y").sees("Looking again", "it begins if this last look finds nothing changed")
        await driver.here().press("escape").sees("no cluster yet")
        await driver.here().press("N").answer(spec(tmp_path)).sees("This only looks", "getent hosts")
        await driver.here().press("escape").sees("no cluster yet")
        await driver.until("the way is closed", lambda: driver.app._way is None)
    assert not roles(demo)


async def test_the_run_is_left_and_come_back_to_and_nothing_leaves_it_behind_by_accident(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = gate(monkeypatch, build_steps.JoinHost, "run")
    async with page(tmp_path) as driver:
        await driver.here().press("N").answer(spec(tmp_path)).confirm().at("run").press("escape").at("main")
        await driver.here().sees("no cluster yet Build a Swarm: 3 managers, 3 workers 1/")
        await driver.here().press("N").told("is under way", "Press v")
        await driver.here().press("q").at("ask").sees("swarmtui run --resume").press("escape").at("main")
        await driver.here().press("v").at("run").sees("Join mgr2 as a manager").press("escape").at("main")
        joining.set()
        await driver.here().told("done and verified; press v to give it a name.", within=60)
        assert roles(demo) == BUILT
        await driver.here().sees("a new Swarm has no name yet (v)").press("v").at("run").press("escape")
        await driver.here().answer("lagoon")
        await left(driver)
    assert driver.app.return_value == "lagoon"


async def test_what_was_stopped_is_offered_again_and_goes_on(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = gate(monkeypatch, build_steps.JoinHost, "run")
    async with page(tmp_path) as driver:
        await driver.here().press("N").answer(spec(tmp_path, hosts=["mgr1", "wrk1"])).confirm()
        await driver.here().at("run").sees("Join wrk1 as a worker").press("s")
        joining.set()
        await driver.here().sees("Go on later: swarmtui run --resume", within=60)
        await driver.here().press("escape").at("main").press("N").sees("did not come to its end")
        await driver.here().answer("resume").dialog("Build a Swarm: 1 manager, 1 worker").confirm()
        await driver.here().at("run").sees("Done and verified.", within=60).press("escape").press("escape").at("main")
        await driver.here().press("N").at("ask")
        assert "resume" not in driver.words
        await driver.here().press("escape").at("main")
    assert roles(demo) == {"mgr1": "manager", "wrk1": "worker"}
    journal = Journal(tmp_path / "journal")
    assert [journal.read(run_id).outcome for run_id in journal.ids()] == ["done"]


async def test_the_settings_of_another_cluster_hold_where_it_is_named(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh" / "config").unlink()
    here = Site(tmp_path, {"bare": demo})
    here.name("prod", managers=["ssh://mgr3"], ssh_config=str(demo.ssh_config), production=True)
    here.name("locked", managers=["ssh://mgr3"], read_only=True)
    fleet = here.fleet()
    naming = partial(give_name, fleet.config.path)
    async with shown(fleet, journal=tmp_path / "journal", naming=naming) as driver:
        ask = "managers=ssh://mgr1 workers=ssh://wrk1"
        await driver.here().press("N").answer(f"{ask} like=nosuch").sees('no cluster "nosuch" here')
        await driver.here().press("ctrl+u").answer(f"{ask} like=locked").told("locked is read-only")
        await driver.here().at("main").press("N").answer(f"{ask} like=prod").confirm()
        await driver.here().at("run").sees("Done and verified.", within=60).press("escape").answer("lagoon")
        await left(driver)
    lagoon = fleet.config.clusters["lagoon"]
    assert (lagoon.managers, lagoon.ssh_config) == (("ssh://mgr1",), str(demo.ssh_config))
    assert not lagoon.production


async def test_read_only_binds_no_key_that_builds(demo: Demo, tmp_path: Path) -> None:
    async with page(tmp_path, read_only=True) as driver:
        await driver.here().sees("no cluster yet").press("N", "question_mark").sees("Keys of the clusters")
        assert "Build" not in driver.text


def test_a_build_whose_beginning_is_not_on_disk_is_not_offered(tmp_path: Path) -> None:
    (tmp_path / "20261121T000000Z-swarm.build-0000.jsonl").write_text("{")
    begun = {"kind": "run", "runbook": "swarm.build", "version": 1, "title": "Build"}
    (tmp_path / "20261120T000000Z-swarm.build-0000.jsonl").write_text(json.dumps(begun) + "\n")
    found = newest_cut_off(Journal(tmp_path), 1)
    assert found is not None and found.title == "Build"
    assert newest_cut_off(Journal(tmp_path), 2) is None


def test_hosts_that_are_reached_in_their_own_way_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = {"mgr1": "ssh://ops@10.0.1.11", "mgr2": "ssh://ops@gate:2202", "wrk1": "ssh://root@10.0.1.21"}
    measured = [
        HostFacts(target=way, name=name, role="manager", advertise=f"10.0.1.{at}", listen="0.0.0.0:2377")
        for at, (name, way) in zip((11, 12, 21), ways.items(), strict=True)
    ]
    spec = SwarmSpec(tuple(HostSpec(way, "worker" if name == "wrk1" else "manager") for name, way in ways.items()))
    facts = BuildFacts(spec=spec, measured=Measured(tuple(measured)), seed=ways["mgr1"])
    base = Opening("", cluster=ClusterConfig(sudo=True, production=True, zone_label="rack"))
    found = built(msgspec.to_builtins(facts), base)
    # The first is where anybody would look for it, with the user of the first manager.
    others = {name: ways[name] for name in ("mgr2", "wrk1")}
    assert found.opening.cluster.addresses == others
    cluster = give_name(tmp_path / "config.toml", "lagoon", found.settings).clusters["lagoon"]
    assert cluster == found.opening.cluster
    assert (cluster.addresses, cluster.sudo, cluster.production, cluster.zone_label) == (others, True, False, "rack")
    assert cluster.managers == (ways["mgr1"], ways["mgr2"])


def test_without_a_target_or_a_name_the_page_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; without one it stays wrong usage (tests/actions/test_usage.py)."""
    shown_with: list[tuple[str | None, Config]] = []

    def record(target: str | None, known: Config, *, read_only: bool) -> int:
        shown_with.append((target, known))
        return 0

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("swarmtui.cli.console.open_console", record)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)
    assert main([]) == 0
    [(target, known)] = shown_with
    assert target is None and not known.clusters
