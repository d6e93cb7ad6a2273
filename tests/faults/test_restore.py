"""swarm.restore on the simulated Swarm: killed, cut off, or its host rebooted, at each point of each step.

Then `swarmtui run --resume` finishes, and the end state is right: the Swarm of the backup, its managers and workers,
one force only. SWARMTUI_FAULTS=full runs every step with every fault at every point; without it every step is struck
once, and those that matter most by everything. The same on real engines: tests/actions/test_restore.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.hosts import files
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.runbooks.swarm.backups import backup_steps
from swarmtui.session import Session
from tests.faults.faulty import Killed
from tests.faults.strikes import Strike, resume, strikes, swarmtui
from tests.lab.fixtures import FULL

RUN = "20261121T090203Z-faults-0008"
HOST, OTHER, GONE = "mgr2", "mgr1", "mgr3"
STEPS = (
    "fence-mgr1",
    "aside",
    "unpack",
    "start",
    "force",
    "compare",
    "worker",
    "remove",
    "start-mgr1",
    "join-mgr1",
    "labels-mgr1",
    "replicas",
    "one-leader",
    "rotate-key",
    "backup",
    "clear",
)
"""By what their ids begin with; ids of nodes stand for their names."""
STRUCK = tuple(step for step in STEPS if step != "worker")
"""Those that have something to do: workers are back before anybody waits for them."""
POINTS = ("intent", "effect", "proof")
UNPACKED = "The backup is unpacked on mgr2."
WORDS = {UNPACKED: "unpack/middle"}

STRIKES = strikes(HOST)
LAST = ("reboot", f"{STEPS[-1]}/{POINTS[-1]}")
"""After it there is no run any more that could be gone on with."""
EVERY = [
    (strike, f"{step}/{point}")
    for strike, step, point in product(STRIKES, STRUCK, POINTS)
    if (strike, f"{step}/{point}") != LAST
]
CHOSEN = [
    # Each step once, each fault at each point; and the steps from which there is no way back by everything.
    *((tuple(STRIKES)[at % 3], f"{step}/{POINTS[at // 3 % 3]}") for at, step in enumerate(STRUCK)),
    ("kill", "unpack/effect"),
    ("reboot", "unpack/effect"),
    ("kill", "force/intent"),
    ("cut", "force/effect"),
    ("reboot", "force/effect"),
    ("reboot", "replicas/intent"),
]
CASES = [*(EVERY if FULL else dict.fromkeys(CHOSEN)), *((strike, UNPACKED) for strike in STRIKES)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(backup_steps, "POLL_SECONDS", 0.02)
    yield


async def disaster(demo: Demo) -> None:
    """An autolocked Swarm with a backup of mgr2. Then mgr1 and mgr2 have lost their raft logs, and mgr3 is gone."""
    there = ("--yes", "--target", "simulated")
    assert (
        await swarmtui(
            demo, "run", "swarm.autolock", "enable=true", "--accept", "key-without-custody=simulated", *there
        )
        == 0
    )
    assert await swarmtui(demo, "run", "swarm.backup", f"node={HOST}", *there) == 0
    world = demo.world
    for name in (HOST, OTHER):
        host = world.hosts[name]
        world.stop_docker(host)
        assert files.remove(host, f"{files.SWARM}/raft")
    world.crash(world.hosts[GONE])


def named(demo: Demo, step: str) -> str:
    """The id of a step with a node's id in it told by its name; of workers and of entries that are removed, any."""
    kind, _, rest = step.partition("-")
    if kind in ("worker", "remove"):
        return kind
    nodes = {node_id: node.hostname for cluster in demo.world.clusters for node_id, node in cluster.nodes.items()}
    return f"{kind}-{nodes[rest]}" if rest in nodes else step


async def run(demo: Demo, folder: Path, case: str, strike: Strike) -> Outcome | None:
    """Runs it until the case strikes; None where that killed it."""
    struck: list[str] = []
    names: dict[str, str] = {}

    def observe(event: Event) -> None:
        here = event.text if event.kind == "said" else f"{names.get(event.step, '')}/{event.point}"
        if here == case and not struck:
            struck.append(here)
            strike(demo)

    opening = find("simulated", config.load(demo.config), bundles=folder / "bundle")
    journal = Journal(config.state_dir() / "journal")
    session = Session(opening, Nobody())
    try:
        runbook = registry.runbook("swarm.restore")
        given = {"host": f"ssh://{HOST}", "dead": GONE}
        plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, given))
        names.update((step.id, named(demo, step.id)) for step in plan.steps)
        assert tuple(dict.fromkeys(names.values())) == STEPS
        with journal.writer(RUN) as writer:
            return await Runner(session, plan, writer, observe=observe, settle_seconds=5.0).run()
    except Killed:
        return None
    finally:
        await session.close()
        assert struck, f"nothing struck at {case}"


def forces(demo: Demo) -> int:
    """How often the cluster was forced, by what the journal has of it."""
    journal = Journal(config.state_dir() / "journal")
    lines = [json.loads(line) for line in journal.path(RUN).read_text().splitlines()]
    return sum(line.get("step") == "force" and line["kind"] in ("done", "already") for line in lines)


def check(demo: Demo, cluster_id: str, nodes: dict[str, str]) -> None:
    """The Swarm of the backup lives once, with mgr1 and mgr2 as managers and all of its workers; nothing is left."""
    world = demo.world
    swarm = world.hosts[HOST].swarm
    assert swarm is not None and swarm.cluster.id == cluster_id and swarm.node_id == nodes[HOST]
    now = {node.hostname: node.id for node in swarm.cluster.nodes.values()}
    assert now.keys() == nodes.keys() - {GONE}
    assert len(swarm.cluster.nodes) == len(now), "a host is there twice"
    assert {name for name in now if now[name] != nodes[name]} == {OTHER}
    assert set(swarm.raft.members) == {now[HOST], now[OTHER]}
    other = world.hosts[OTHER].swarm
    assert other is not None and other.raft is swarm.raft
    for name in (HOST, OTHER):
        host = world.hosts[name]
        assert host.docker and host.socket
        assert not [path for path in host.links if path.startswith("/run/swarmtui/")]
        left = {
            path.split("/")[4] for path in (*host.files, *host.folders) if path.startswith("/var/lib/docker/swarm.")
        }
        assert not [each for each in left if not each.startswith(("swarm.fenced-", "swarm.between-"))], left
    assert forces(demo) == 1


@pytest.mark.parametrize(("strike", "case"), CASES, ids=[f"{strike}-{WORDS.get(case, case)}" for strike, case in CASES])
async def test_it_is_right_in_the_end(
    strike: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("calm", speed=50, seed=1, nodes=5) as demo:
        (cluster,) = demo.world.clusters
        nodes = {node.hostname: node.id for node in cluster.nodes.values()}
        await disaster(demo)
        outcome = await run(demo, tmp_path, case, STRIKES[strike])
        for _ in range(3):
            if outcome is not None and outcome.ok:
                break
            code = await resume(demo, RUN)
            if code == 0:
                break
        else:
            pytest.fail(capsys.readouterr().err)
        check(demo, cluster.id, nodes)
