"""swarm.recreate on the simulated Swarm: killed, or cut off, at each point of each kind of step; then resumed.

Whatever struck: each object is there once, as it was, with the value that it had, and nothing else was touched. The
same on real engines: tests/actions/test_recreate.py.
"""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import node_steps, params, registry, service_waits
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.runbooks.swarm.backups import backup_steps
from swarmtui.session import Session
from tests.faults.faulty import Killed
from tests.faults.strikes import Strike, cut, kill, resume, swarmtui

RUN = "20261121T090203Z-faults-0008"
VALUE = b"s3cret of the shop \xff"
KINDS = ("network", "secret", "config", "service", "wait")
KILLS = [f"{kind}/{point}" for kind in KINDS for point in ("intent", "effect", "proof")]
CUTS = ["network/proof", "service/intent", *(f"{kind}/effect" for kind in KINDS)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_steps, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(service_waits, "STEADY_SECONDS", 0.2)


def contents(demo: Demo) -> dict[str, dict[str, Any]]:
    """What the Swarm has, by kind and name, without ids; of a service what it refers to by name."""
    cluster = demo.world.clusters[0]
    names = {one.id: one.label for one in cluster.networks.values()}
    found: dict[str, dict[str, Any]] = {"network": {}, "secret": {}, "config": {}, "service": {}}
    for network in cluster.networks.values():
        found["network"][network.label] = (network.driver, network.subnet, network.labels, network.attachable)
    for kind, table in (("secret", cluster.secrets), ("config", cluster.configs)):
        for blob in table.values():
            found[kind][blob.name] = copy.deepcopy(blob.spec)
    for service in cluster.services.values():
        spec = copy.deepcopy(service.spec)
        for network in spec["TaskTemplate"].get("Networks") or []:
            network["Target"] = names[network["Target"]]
        container = spec["TaskTemplate"]["ContainerSpec"]
        for one in [*(container.get("Secrets") or []), *(container.get("Configs") or [])]:
            for key in ("SecretID", "ConfigID"):
                if key in one:
                    table = cluster.secrets if key == "SecretID" else cluster.configs
                    one[key] = table[one[key]].name
        found["service"][service.name] = spec
    return found


def furnish(demo: Demo) -> None:
    """A secret, a config, a network, and a service that uses them."""
    control = demo.world.control(demo.world.clusters[0])
    secret = control.blobs.create(
        {"Name": "pw", "Labels": {"a": "b"}, "Data": base64.b64encode(VALUE).decode()}, secret=True
    )
    conf = control.blobs.create({"Name": "conf", "Data": base64.b64encode(b"listen 80").decode()}, secret=False)
    body = {"Name": "back", "Attachable": True, "IPAM": {"Config": [{"Subnet": "10.214.0.0/24"}]}}
    network = control.networks.create({**body, "Labels": {"c": "d"}})
    file = {"UID": "0", "GID": "0", "Mode": 292}
    container = {
        "Image": "alpine:latest",
        "Command": ["sleep", "1d"],
        "Env": ["PASSWORD=hidden"],
        "Secrets": [{"File": {"Name": "pw", **file}, "SecretID": secret.id, "SecretName": "pw"}],
        "Configs": [{"File": {"Name": "/conf", **file}, "ConfigID": conf.id, "ConfigName": "conf"}],
    }
    spec = {"ContainerSpec": container, "Networks": [{"Target": network.id, "Aliases": ["db"]}]}
    control.create_service({"Name": "used", "TaskTemplate": spec, "Mode": {"Replicated": {"Replicas": 2}}})


async def back_up(demo: Demo) -> None:
    assert await swarmtui(demo, "run", "swarm.backup", "--yes", "--target", "simulated") == 0


def lose(demo: Demo) -> None:
    """Somebody deletes it all."""
    cluster, control = demo.world.clusters[0], demo.world.control(demo.world.clusters[0])
    control.remove_service(next(one for one in cluster.services.values() if one.name == "used"))
    for table in (cluster.secrets, cluster.configs):
        control.blobs.remove(next(one for one in table.values() if one.name in ("pw", "conf")))
    for task in list(cluster.tasks.values()):
        if task.service_id not in cluster.services:
            cluster.delete(task)
    control.networks.remove(next(one for one in cluster.networks.values() if one.label == "back"))


async def run(demo: Demo, folder: Path, case: str, strike: Strike) -> Outcome | None:
    """Runs it until the case strikes; None where that killed it."""
    struck: list[str] = []

    def observe(event: Event) -> None:
        kind = "wait" if event.step.startswith("wait-") else event.step.split("-")[1] if "-" in event.step else ""
        if f"{kind}/{event.point}" == case and not struck:
            struck.append(case)
            strike(demo)

    opening = find("simulated", config.load(demo.config), bundles=folder / "bundle")
    journal = Journal(config.state_dir() / "journal")
    try:
        async with Session(opening, Nobody()).opened() as session:
            await session.until_tried(30)
            runbook = registry.runbook("swarm.recreate")
            plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, {}))
            with journal.writer(RUN) as writer:
                return await Runner(session, plan, writer, observe=observe).run()
    except Killed:
        return None
    finally:
        assert struck, f"nothing struck at {case}"


def check(demo: Demo, before: dict[str, dict[str, Any]]) -> None:
    assert contents(demo) == before
    cluster = demo.world.clusters[0]
    for things in (cluster.secrets, cluster.configs, cluster.networks, cluster.services):
        names = [getattr(one, "name", "") or getattr(one, "label", "") for one in things.values()]
        assert len(names) == len(set(names))
    (service,) = [one for one in cluster.services.values() if one.name == "used"]
    assert sum(task.state == "running" for task in cluster.tasks_in(service.id)) == 2


@pytest.mark.parametrize(("strike", "cases"), [(kill, KILLS), (cut, CUTS)], ids=["killed", "cut off"])
async def test_whatever_strikes(
    strike: Strike, cases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("calm", speed=50, seed=1) as demo:
        furnish(demo)
        before = contents(demo)
        await back_up(demo)
        for case in cases:
            lose(demo)
            assert contents(demo) != before
            outcome = await run(demo, tmp_path, case, strike)
            if outcome is None or not outcome.ok:
                assert await resume(demo, RUN) == 0, capsys.readouterr()
            check(demo, before)
            (config.state_dir() / "journal" / f"{RUN}.jsonl").unlink()
        told = capsys.readouterr()
        assert "s3cret" not in told.out + told.err
