"""swarm.recover-quorum on real engines: managers lost for good, a new cluster forced; read back with the docker CLI."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.demo.serve import Demo
from swarmtui.link.host_lock import Owner
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.session import Session
from swarmtui.vault import Secret, Vault
from tests.actions.backups import some_content, taken
from tests.actions.cli import Cli, Result
from tests.actions.struck import cut, kill, reboot, struck
from tests.actions.truth import Truth
from tests.lab import Host, Lab
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for
from tests.runbooks.locked import durable_vault

NAME = "swarm.recover-quorum"
KINDS = ("service", "network", "secret", "config")


def content(truth: Truth) -> dict[str, list[str]]:
    """Ids and names of what the Swarm has, as `docker ... ls` tells them."""
    found = {}
    for kind in KINDS:
        scope = ("--filter", "scope=swarm") if kind == "network" else ()
        found[kind] = sorted(truth.docker(kind, "ls", *scope, "--format", "{{.ID}} {{.Name}}").splitlines())
    return found


def left_behind(host: Host) -> list[str]:
    """What a recovery left beside the Swarm directory."""
    names = host.sh("ls /var/lib/docker").stdout.split()
    return [name for name in names if name.startswith("swarm.")]


async def recovered(lab: Lab, vault: Vault, through: str, folder: Path, **given: str) -> list[str]:
    """Runs it in this process, with a vault; returns what it said."""
    opening = find(lab[through].target, load(), bundles=folder / "bundle")
    session = Session(opening, Nobody(), vault)
    runbook = registry.runbook(NAME)
    said: list[str] = []

    def observe(event: Event) -> None:
        if event.text:
            said.append(f"{event.step}: {event.text}")

    try:
        plan = await runbook.prepare(session, params.parse(NAME, runbook.params, given))
        assert not plan.rules, plan.rules
        with Journal(folder / "journal").writer(new_run_id(NAME)) as writer:
            outcome = await Runner(session, plan, writer, observe=observe).run()
        assert outcome.ok, (outcome, said)
        return said
    finally:
        await session.close()


async def test_what_is_refused_and_that_nothing_is_changed_by_it(tmp_path: Path) -> None:
    """On the simulated Swarm: while the quorum holds, while a manager may come back, and a name that is nobody's."""
    async with Demo("calm", speed=20, seed=1) as demo:
        cli = Cli({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, "simulated")

        async def refused(*given: str) -> Result:
            words = ("run", NAME, *given, "--config", str(demo.config))
            return await asyncio.to_thread(cli, *words, "--target", "simulated")

        holds = await refused("--yes")
        assert holds.code == 4 and "--accept gentler=quorum" in holds.err, holds
        for name in ("mgr2", "mgr3"):
            demo.world.crash(demo.world.hosts[name])
        away = await refused("--yes")
        assert away.code == 4 and "A gentler way is left: Bring back" in away.err, away
        one = await refused("dead=mgr2", "--yes")
        assert one.code == 4 and "mgr3" in one.err, one
        nobody = await refused("dead=mgr2,mgr9", "--yes")
        assert nobody.code == 2 and 'Nobody knows a manager "mgr9".' in nobody.err, nobody
        assert "The managers are: mgr1, mgr2, mgr3." in nobody.err
        worker = await refused("dead=mgr2,mgr3", "promote=mgr2", "--yes")
        assert worker.code == 4 and '"mgr2" is no worker of this Swarm.' in worker.err, worker
        plan = await refused("dead=mgr2,mgr3", "promote=wrk1", "--dry-run")
        assert plan.code == 0 and "Force a new cluster on mgr1" in plan.out, plan
        script = await refused("dead=mgr2,mgr3", "--script")
        assert "docker swarm init --force-new-cluster --advertise-addr 10.0.1.11:2377" in script.out, script
        owner = Owner(run="20261121T080000Z-swarm.restore-0002", since=time.time(), user="ana", host="desk", what="it")
        lock = f"/run/swarmtui/{demo.world.clusters[0].id}/exclusive"
        demo.world.hosts["mgr1"].links[lock] = owner.text
        other = await refused("dead=mgr2,mgr3", "--yes")
        assert other.code == 4 and "of ana on desk" in other.err, other
        assert "is under way on this cluster" in other.err and lock in other.err
        untold = await asyncio.to_thread(cli, "run", NAME, "--yes", "--config", str(demo.config))
        assert untold.code == 2 and "Say which cluster." in untold.err, untold
        assert not demo.world.journal.kinds("swarm.force")
        assert demo.world.hosts["mgr1"].docker


STORIES = {
    # Each strike meets each part: before the force, the force, cleaning out, the end. All three in `make faults`.
    "a": ("cut", "kill", "reboot", "kill"),
    "b": ("kill", "reboot", "cut", "reboot"),
    "c": ("reboot", "cut", "kill", "cut"),
}


@pytest.mark.full("lab26", "b", "c")
@pytest.mark.parametrize("story", STORIES)
def test_two_of_three_are_lost_and_the_leader_goes_on(swarm: Lab, cli: Cli, truth: Truth, story: str) -> None:
    """Whatever strikes it on its way: the cluster is forced once, and has all that it had."""
    some_content(truth)
    before, leader = content(truth), truth.leader()
    truth.by = leader
    lost = sorted({"mgr1", "mgr2", "mgr3"} - {leader})
    for name in lost:
        swarm[name].power_off()
    cli = Cli(cli.environment, swarm[leader].target)
    refused = cli.run(NAME, "--yes", seconds=200)
    assert refused.code == 4, refused
    assert "gentler" in refused.err or "not-fenced" in refused.err, refused
    began = time.monotonic()
    places = (
        f"Look once more whether {leader} sees a leader",
        f"Force a new cluster on {leader}\n",
        f"Remove the entry of {lost[0]}",
        "Take a fresh backup",
    )
    strikes = {"kill": kill, "cut": cut(swarm[leader]), "reboot": reboot(swarm[leader])}
    line = (NAME, f"dead={','.join(lost)}")
    done = struck(cli, line, [(place, strikes[each]) for place, each in zip(places, STORIES[story], strict=True)])
    print(done, f"{time.monotonic() - began:.1f} s")
    assert content(truth) == before
    assert truth.names() == sorted([leader, "wrk1", "wrk2"]) and truth.managers() == [leader]
    assert left_behind(swarm[leader]) == []
    assert taken()[-1].verdicts[-1] == "yes"
    # One that was declared dead comes back alone: it stands still, and the new Swarm does not change.
    swarm[lost[0]].power_on()
    wait_for("it is back, without a leader", lambda: swarm[lost[0]].swarm_state() == "pending", 60)
    assert truth.managers() == [leader] and content(truth) == before


@pytest.mark.full("20.10")
@pytest.mark.parametrize(
    "engine", [pytest.param("20.10", marks=pytest.mark.lab), pytest.param("26.1", marks=pytest.mark.lab26)]
)
async def test_three_of_five_are_lost_with_autolock_and_a_follower_goes_on(
    make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    lab = make_lab(managers=5, workers=1, autolock=True, engine=engine)
    monkeypatch.setenv("HOME", str(lab.home))
    truth = Truth(lab)
    some_content(truth)
    before, leader, key = content(truth), truth.leader(), lab.unlock_key
    names = [f"mgr{n}" for n in range(1, 6) if f"mgr{n}" != leader]
    survivor, fenced, *lost = names
    truth.by = survivor
    cluster = truth.docker("info", "-f", "{{.Swarm.Cluster.ID}}")
    vault = durable_vault()
    await vault.store_unlock_key(cluster, Secret(key), "current", time.time())
    for name in (*lost, leader):
        lab[name].power_off()
    began = time.monotonic()
    said = await recovered(lab, vault, survivor, tmp_path, survivor=survivor, dead=",".join(sorted((*lost, leader))))
    print("\n".join(said), f"{time.monotonic() - began:.1f} s")
    assert content(truth) == before
    assert truth.managers() == sorted([survivor, fenced]) and len(truth.names()) == 3
    assert left_behind(lab[survivor]) == []
    (aside,) = left_behind(lab[fenced])
    assert aside.startswith("swarm.fenced-")
    assert lab[fenced].sh(f"ls /var/lib/docker/{aside}/raft").stdout
    # Autolock is on, with a new key that the vault has; the survivor's key file is locked again.
    rotated = truth.docker("swarm", "unlock-key", "-q")
    assert rotated.startswith("SWMKEY-1-") and rotated != key
    kept = [one.secret.reveal() for one in await vault.unlock_keys(cluster) if one.state == "current"]
    assert kept == [rotated]
    assert "ENCRYPTED" in lab[survivor].sh("head -n1 /var/lib/docker/swarm/certificates/swarm-node.key").stdout
    # One that was given up comes back alone: it stands still, and the Swarm does not change.
    back = lab[lost[0]]
    back.power_on()
    await asyncio.to_thread(wait_for, "it is back, and locked", lambda: back.swarm_state() == "locked", 60)
    assert truth.managers() == sorted([survivor, fenced])
