"""swarm.end-split: old managers came back after a forced cluster, and two Swarms live side by side (swarm-dr.md §4)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.model.inventory import NodeItem
from swarmtui.runbooks.swarm.recovery.split import EndSplit
from swarmtui.runbooks.swarm.recovery.split_facts import Leaving, SplitFacts, as_facts
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from tests.actions.cli import Cli, Result
from tests.lab import Lab
from tests.lab.machine import wait_for

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with Demo("calm", speed=20, seed=1) as running:
        yield running


async def docker(demo: Demo, name: str, *words: str) -> str:
    socket = next(host["docker"] for host in demo.hosts if host["name"] == name)
    process = await asyncio.create_subprocess_exec("docker", "-H", socket, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, (name, words)
    return out.decode()


async def until(what: str, so: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(300):
        if await so():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what)


async def two_swarms(demo: Demo) -> None:
    """mgr1 was forced and forgot the others, and these come back: they have a majority of what they remember."""
    hosts = demo.world.hosts
    for name in ("mgr2", "mgr3"):
        demo.world.crash(hosts[name])
    await docker(demo, "mgr1", "swarm", "init", "--force-new-cluster", "--advertise-addr", "10.0.1.11")
    format_ = "{{.Hostname}} {{.Status}}"

    async def down() -> bool:
        told = await docker(demo, "mgr1", "node", "ls", "--format", format_)
        return "mgr2 Down" in told and "mgr3 Down" in told

    await until("mgr1 misses the others", down)
    await docker(demo, "mgr1", "node", "rm", "mgr2", "mgr3")
    await docker(demo, "mgr1", "service", "create", "--detach", "--name", "only-here", "alpine:latest", "sleep", "99")
    for name in ("mgr2", "mgr3"):
        demo.world.boot(hosts[name])

    async def led() -> bool:
        filter_ = ("node", "ls", "--format", "{{.ManagerStatus}}")
        try:
            return "Leader" in await docker(demo, "mgr2", *filter_)
        except AssertionError:
            return False

    await until("the others have a leader of their own", led)


@pytest.fixture
def run(demo: Demo, tmp_path: Path) -> Run:
    cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "simulated")

    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(cli, *words, "--config", str(demo.config), seconds=240)

    return typed


async def leaders(demo: Demo) -> set[str]:
    told = [await docker(demo, f"mgr{n}", "node", "ls", "--format", "{{.ID}} {{.ManagerStatus}}") for n in (1, 2, 3)]
    return {line.split()[0] for text in told for line in text.splitlines() if line.endswith(" Leader")}


async def test_two_swarms_are_told_and_the_forced_one_is_kept(demo: Demo, run: Run) -> None:
    await two_swarms(demo)
    assert len(await leaders(demo)) == 2
    told = await run("recover", "simulated")
    assert told.code == 2 and "Two Swarms with the same members live side by side." in told.out, told
    assert "$ swarmtui run swarm.end-split keep=mgr1 --target simulated" in told.out, "the workers follow mgr1"
    refused = await run("run", "swarm.end-split", "keep=mgr9", "--dry-run", "--target", "simulated")
    assert refused.code == 2 and "no manager that works" in refused.err, refused

    done = await run("run", "swarm.end-split", "--yes", "--target", "simulated")
    assert done.code == 0 and "3 of 3 managers follow the same leader." in done.out, done
    (leader,) = await leaders(demo)
    names = (await docker(demo, "mgr2", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")).split("\n")
    assert sorted(filter(None, names)) == [f"{name} Ready" for name in ("mgr1", "mgr2", "mgr3", *WORKERS)]
    assert "only-here" in await docker(demo, "mgr3", "service", "ls", "--format", "{{.Name}}")
    assert leader == (await docker(demo, "mgr1", "info", "-f", "{{.Swarm.NodeID}}")).strip()
    again = await run("run", "swarm.end-split", "--dry-run", "--target", "simulated")
    assert "there are no two Swarms" in again.out + again.err, again


async def test_old_managers_are_found_although_nobody_names_them(demo: Demo, tmp_path: Path) -> None:
    """A forced cluster has forgotten them; who saw it before has not, also after seeing it without them."""
    config = tmp_path / "one.toml"
    config.write_text(f'[clusters.mine]\nmanagers = ["ssh://mgr1"]\nssh_config = "{demo.ssh_config}"\n')
    cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "mine")

    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(cli, *words, "--config", str(config))

    assert "3/3 managers" in (await typed("status", "mine")).out
    await two_swarms(demo)
    for _ in range(2):
        told = await typed("recover", "mine")
        assert told.code == 2 and "Two Swarms with the same members" in told.out, told
        assert "1/1 managers" in (await typed("status", "mine")).out


@pytest.mark.parametrize("step", ["2/10 Fence", "7/10 Join"])
async def test_it_goes_on_where_it_was_killed(demo: Demo, tmp_path: Path, step: str) -> None:
    """Killed as a step begins: what was fenced is not fenced twice, and who has joined does not join again."""
    await two_swarms(demo)
    cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "simulated")
    config = ("--config", str(demo.config))

    def killed() -> str:
        with cli.started("swarm.end-split", "keep=mgr1", *config) as running:
            running.until(step, 60)
            os.kill(running.pid, signal.SIGKILL)
            return Result(0, running.text, "").run_id

    run_id = await asyncio.to_thread(killed)
    done = await asyncio.to_thread(cli, "run", "--resume", run_id, "--yes", *config, seconds=120)
    assert done.code == 0 and "3 of 3 managers follow the same leader." in done.out, done
    assert len(await leaders(demo)) == 1
    names = await docker(demo, "mgr1", "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}")
    assert sorted(line.split()[0] for line in names.splitlines()) == ["mgr1", "mgr2", "mgr3", *WORKERS], "each once"


WORKERS = ("wrk1", "wrk2", "wrk3", "wrk4", "wrk5")


async def test_what_only_the_other_swarm_has_is_told_before_it_ends(demo: Demo, run: Run) -> None:
    await two_swarms(demo)
    told = await run("run", "swarm.end-split", "keep=mgr2", "--dry-run", "--json", "--target", "simulated")
    plan = json.loads(told.out)
    assert [step["title"] for step in plan["steps"]][:3] == [
        "Fence mgr1",
        "Take mgr1 out of the raft",
        "Remove the old entry of mgr1",
    ]
    assert any("Only the Swarm that ends has: service only-here" in warning for warning in plan["warnings"]), plan
    workers = [step["title"] for step in plan["steps"] if "worker" in step["title"]]
    assert workers == [f"Get the worker {name} back" for name in WORKERS], "they follow mgr1 now"
    assert plan["danger"] == "destructive" and plan["rules"] == []


def test_a_manager_that_nobody_gets_to_must_be_declared_dead() -> None:
    at = Where("mgr1", "ssh://root@10.0.0.1", "root@10.0.0.1")
    old = Leaving(was=NodeItem(id="old2", name="mgr2", role="manager"), at=at, address="10.0.0.2", root="/srv/docker")
    known = SplitFacts(
        cluster="prod",
        cluster_id="c1",
        job="J",
        situation="Two.",
        two=True,
        seed=at,
        seed_id="n1",
        remote="10.0.0.1:2377",
        leaving=(old,),
        not_fenced=(("mgr4", "No route to host."),),
    )
    plan = EndSplit().plan({"wait": 120}, as_facts(known))
    assert [str(rule) for rule in plan.rules] == ["not-fenced=mgr4"] and plan.typed == "mgr4"
    assert "mv /srv/docker/swarm /srv/docker/swarm.fenced-J" in plan.steps[0].shown[1].line
    assert all(plan.if_stopped_before(step) for step in plan.steps)
    assert plan.steps == EndSplit().plan(plan.params, plan.facts).steps, "a resume makes the same plan"


async def test_one_swarm_has_nothing_to_end(run: Run) -> None:
    told = await run("run", "swarm.end-split", "--yes", "--target", "simulated")
    assert told.code == 0 and "there are no two Swarms" in told.out, told


@pytest.mark.lab
def test_two_real_swarms_become_one(lab: Lab, tmp_path: Path) -> None:
    """The old majority is kept: the forced manager leaves it, and the workers that it captured come back."""
    mgr1, mgr2, mgr3 = (lab[name] for name in ("mgr1", "mgr2", "mgr3"))
    cli = Cli(
        lab.ssh_env(XDG_STATE_HOME=str(tmp_path / "state"), XDG_CONFIG_HOME=str(tmp_path / "config")), mgr1.target
    )
    # The others are seen once: after the force mgr1 itself knows nothing of them any more.
    assert cli("status", mgr1.target).code in (0, 1)
    states = "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'"
    for host in (mgr2, mgr3):
        host.power_off()
    mgr1.docker("swarm", "init", "--force-new-cluster", "--advertise-addr", mgr1.address)
    wait_for("mgr1 misses the others", lambda: mgr1.sh(states).stdout.count(" Down") == 2, 60, 0.5)
    mgr1.docker("node", "rm", "mgr2", "mgr3")
    mgr1.docker("service", "create", "--detach", "--no-resolve-image", "--name", "only-here", "alpine", "sleep", "999")
    wait_for("workers follow mgr1", lambda: mgr1.sh(states).stdout.count(" Ready") == 3, 60, 0.5)
    for host in (mgr2, mgr3):
        host.power_on()
        host.wait_docker()

    def led() -> bool:
        told = mgr2.sh(states, check=False).stdout
        return " Leader" in told and "mgr1 Down" in told

    wait_for("the others have a leader of their own", led, 90, 0.5)

    told = cli("recover", mgr1.target)
    assert told.code == 2 and "Two Swarms with the same members live side by side." in told.out, told
    plan = json.loads(cli("run", "swarm.end-split", "keep=mgr2", "--dry-run", "--json", "--target", mgr1.target).out)
    assert any("service only-here" in warning for warning in plan["warnings"]), plan["warnings"]
    done = cli("run", "swarm.end-split", "keep=mgr2", "--yes", "--target", mgr1.target, seconds=240)
    assert done.code == 0 and "3 of 3 managers follow the same leader." in done.out, done
    for host in (mgr1, mgr2, mgr3):
        names = sorted(line.split()[:2] for line in host.sh(states).stdout.splitlines())
        assert names == [[name, "Ready"] for name in ("mgr1", "mgr2", "mgr3", "wrk1", "wrk2")], host.sh(states).stdout
        assert host.sh(states).stdout.count("Reachable") == 2 and host.sh(states).stdout.count("Leader") == 1
    assert "only-here" not in mgr3.sh("docker service ls --format '{{.Name}}'").stdout
    aside = mgr1.sh("ls -d /var/lib/docker/swarm.fenced-*").stdout.split()
    assert len(aside) == 1, "the other side's directory is kept"
    mgr1.sh("rm -rf /var/lib/docker/swarm.fenced-*")
