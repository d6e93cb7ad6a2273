"""Secrets, configs, networks and stacks: the program killed, or cut off, at each point of a step.

Killed: `swarmtui run --resume` must finish. Cut off: the same run must go on by itself. Either way the Swarm is as it
would be after an undisturbed run, nothing was made twice, and no value is anywhere but in the engine.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from swarmtui import config
from swarmtui.cli.main import main as command_line
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry, service_waits
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.session import Session
from tests.faults.faulty import Killed

RUN = "20261121T090203Z-faults-0002"
VALUE = "s3cret-value"


@dataclass(frozen=True)
class Scene:
    """before, after: what of names in the Swarm changes."""

    runbook: str
    given: dict[str, str]
    gained: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.runbook


SCENES = (
    Scene("secret.create", {"name": "new", "file": "FILE"}, gained=frozenset({"secret new"})),
    Scene("config.create", {"name": "new", "file": "FILE"}, gained=frozenset({"config new"})),
    Scene("network.create", {"name": "new"}, gained=frozenset({"network new"})),
    Scene("secret.remove", {"secret": "unused"}, lost=frozenset({"secret unused"})),
    Scene("config.remove", {"config": "unused"}, lost=frozenset({"config unused"})),
    Scene("network.remove", {"network": "unused"}, lost=frozenset({"network unused"})),
    Scene(
        "stack.remove",
        {"stack": "edge"},
        lost=frozenset({"service edge_traefik", "service edge_certs", "network edge_net", "secret edge_tls-cert"}),
    ),
)


def there(demo: Demo) -> set[str]:
    """What the simulated Swarm itself has."""
    cluster = demo.world.clusters[0]
    found = {f"network {network.name}" for network in cluster.networks.values()}
    found |= {f"secret {blob.spec['Name']}" for blob in cluster.secrets.values()}
    found |= {f"config {blob.spec['Name']}" for blob in cluster.configs.values()}
    return found | {f"service {service.spec['Name']}" for service in cluster.services.values()}


def things_to_remove(demo: Demo) -> None:
    control = demo.world.control(demo.world.clusters[0])
    data = base64.b64encode(b"x").decode()
    for secret in (True, False):
        control.blobs.create({"Name": "unused", "Labels": {}, "Data": data}, secret=secret)
    control.networks.create({"Name": "unused", "Driver": "overlay", "Labels": {}})


@pytest.mark.parametrize("kind", ["kill", "cut"])
@pytest.mark.parametrize("point", ["intent", "effect", "proof"])
@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_it_ends_as_an_undisturbed_run_does(
    scene: Scene, point: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "value").write_text(VALUE)
    journal = Journal(config.state_dir() / "journal")
    async with Demo("calm", speed=50, seed=1) as demo:
        things_to_remove(demo)
        before = there(demo)
        struck: list[Event] = []
        strike: Callable[[], None] = _kill if kind == "kill" else lambda: _cut(demo)

        def observe(event: Event) -> None:
            if event.point == point and not struck:
                struck.append(event)
                strike()

        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with Session(opening, Nobody()).opened() as session:
            await session.until_tried(30)
            runbook = registry.runbook(scene.runbook)
            given = {key: str(tmp_path / "value") if text == "FILE" else text for key, text in scene.given.items()}
            plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, given))
            with journal.writer(RUN) as writer:
                runner = Runner(session, plan, writer, observe=observe)
                if kind == "kill":
                    with pytest.raises(Killed):
                        await runner.run()
                else:
                    outcome = await runner.run()
                    assert outcome.ok, outcome
        assert struck
        if kind == "kill":
            resume = ["run", "--resume", RUN, "--yes", "--config", str(demo.config)]
            assert await asyncio.to_thread(command_line, resume) == 0
            assert capsys.readouterr().out.endswith("Done and verified.\n")
        assert there(demo) == (before | scene.gained) - scene.lost
    record = journal.read(RUN)
    assert record.outcome == "done"
    text = journal.path(RUN).read_text()
    assert VALUE not in text and base64.b64encode(VALUE.encode()).decode() not in text


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command here")
@pytest.mark.parametrize("point", ["intent", "effect"])
@pytest.mark.parametrize("step", ["secret-new_pw", "deploy", "converged-new_web"])
async def test_a_deploy_that_was_killed_is_finished_by_a_resume(
    step: str, point: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a local socket, with the stock docker command of this machine."""
    monkeypatch.setattr(service_waits, "STEADY_SECONDS", 0.0)
    (tmp_path / "pw").write_text(VALUE)
    file = tmp_path / "new.yml"
    file.write_text(
        "version: '3.8'\nservices: {web: {image: nginx, environment: [PW], secrets: [pw], deploy: {replicas: 2}}}\n"
        "secrets: {pw: {file: pw}}\n"
    )
    monkeypatch.setenv("PW", VALUE)
    journal = Journal(config.state_dir() / "journal")
    async with Demo("calm", speed=50, seed=1) as demo:
        before = there(demo)

        def observe(event: Event) -> None:
            if event.point == point and event.step == step:
                raise Killed

        socket = next(str(host["docker"]) for host in demo.hosts if host["name"] == "mgr1")
        async with Session(find(socket, config.load(None), bundles=tmp_path / "bundle"), Nobody()).opened() as session:
            await session.until_tried(30)
            runbook = registry.runbook("stack.deploy")
            given = {"stack": "new", "file": str(file)}
            plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, given))
            with journal.writer(RUN) as writer, pytest.raises(Killed):
                await Runner(session, plan, writer, observe=observe).run()
        assert await asyncio.to_thread(command_line, ["run", "--resume", RUN, "--yes"]) == 0
        assert capsys.readouterr().out.endswith("Done and verified.\n")
        assert there(demo) == before | {"secret new_pw", "service new_web", "network new_default"}
    assert journal.read(RUN).outcome == "done"
    text = journal.path(RUN).read_text()
    assert VALUE not in text and base64.b64encode(VALUE.encode()).decode() not in text


def _kill() -> None:
    raise Killed


def _cut(demo: Demo) -> None:
    for server in demo._servers.values():
        for connection in list[Any](server.connections):
            connection.abort()


def test_no_runbook_on_objects_is_left_out() -> None:
    """A new one needs a scene of its own."""
    kinds = ("secret.", "config.", "network.")
    assert {name for name in registry.RUNBOOKS if name.startswith(kinds)} | {"stack.remove"} == {
        scene.runbook for scene in SCENES
    }
