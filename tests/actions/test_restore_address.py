"""A restore at a new address on the lab: a Swarm forced by hand on another host, mended by the steps, and grown.

What is done by hand here is what `swarm.restore` does before these steps (tests/actions/test_restore.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.link.person import Nobody
from swarmtui.link.target import parse_target
from swarmtui.opening import Opening
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Step
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.recovery.after_force import seed_of
from swarmtui.runbooks.swarm.recovery.restore_address import Second, address_steps
from swarmtui.runbooks.swarm.recovery.restore_bridge import ALIAS, DNAT, AddressFacts, bridge_of, look_at_address
from swarmtui.runbooks.swarm.recovery.restore_workers import ManagerAt, look_at_workers, worker_steps
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session
from swarmtui.vault import Secret, Vault
from tests.faults.faulty import Killed
from tests.lab import Host, Lab
from tests.lab.machine import run, wait_for
from tests.runbooks.small_steps import RUN, plan

NODE = "{{.ID}} {{.Spec.Role}} {{.Status.State}} {{with .ManagerStatus}}{{.Addr}} {{.Reachability}}{{end}}"


@dataclass(frozen=True)
class Forced:
    """mgr1's Swarm, living on mgr2 alone, at mgr2's address.

    Attributes:
        workers: name → id.
        running: ids of the containers that ran on workers when mgr1 was lost.
    """

    lab: Lab
    cluster_id: str
    node_id: str
    workers: dict[str, str]
    running: dict[str, set[str]]

    @property
    def here(self) -> Host:
        return self.lab["mgr2"]

    @property
    def old(self) -> str:
        return f"{self.lab['mgr1'].address}:2377"

    @property
    def new(self) -> str:
        return f"{self.here.address}:2377"

    def nodes(self, by: str = "mgr2") -> dict[str, list[str]]:
        """Node id → role, state, and of a manager its address in raft and reachability: as the docker CLI tells."""
        told = self.lab[by].sh(f"docker node ls -q | xargs docker node inspect -f '{NODE}'", timeout=90).stdout
        return {line.split()[0]: line.split()[1:] for line in told.splitlines()}

    def seed(self, session: Session) -> Seed:
        at = self.where(session, "mgr2")
        others = [self.where(session, name) for name in ("mgr3", "wrk1", "wrk2")]
        return seed_of(at, self.new, self.cluster_id, others)

    def where(self, session: Session, name: str) -> Where:
        return where(session, name, parse_target(self.lab[name].target))  # type: ignore[arg-type]


def containers(host: Host) -> set[str]:
    """Those of services that run, by the names that they have from their tasks."""
    return set(host.docker("ps", "-q", "--no-trunc", "--filter", "label=com.docker.swarm.task.id").stdout.split())


def known(host: Host) -> list[str]:
    """The addresses of managers that a worker would dial after a restart of its Docker."""
    return [one["addr"] for one in json.loads((host.docker_folder / "swarm/state.json").read_text())]


def demote(by: Host, name: str) -> None:
    """As patient as Docker wants it: two demotions at a time it may refuse."""
    line = f"docker node demote {name} >/dev/null; docker node inspect -f '{{{{.ManagerStatus}}}}' {name}"
    wait_for(f"{name} is out of the raft", lambda: by.sh(line, check=False).stdout.strip() == "<nil>", 30)


def forced(lab: Lab, *, autolock: bool = False, cut: bool) -> Forced:
    """Loses the only manager, mgr1, and forces a cluster from an archive of it on mgr2, as the recipe says.

    Workers know no other manager: with the addresses of old ones that are restored they would find their way.

    Args:
        cut: mgr1 is off the network; else its address still answers, though nothing runs there.
    """
    old, here, other = lab["mgr1"], lab["mgr2"], lab["mgr3"]
    usual = ("service", "create", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--mode", "global")
    old.docker(*usual, "--name", "agent", "alpine", "sleep", "1d")
    key = ""
    if autolock:
        key = old.sh("docker swarm update --autolock=true >/dev/null; docker swarm unlock-key -q").stdout.strip()
    workers = {name: old.docker("node", "inspect", "-f", "{{.ID}}", name).stdout.strip() for name in ("wrk1", "wrk2")}
    cluster_id = old.docker("info", "-f", "{{.Swarm.Cluster.ID}}").stdout.strip()
    node_id = old.docker("info", "-f", "{{.Swarm.NodeID}}").stdout.strip()
    for name in ("mgr2", "mgr3"):
        demote(old, name)
    alone = [f"{old.address}:2377"]
    wait_for("workers know mgr1 alone", lambda: all(known(lab[name]) == alone for name in workers), 30)
    old.stop_docker()
    made = lab.home / "by-hand.tar"
    run(["tar", "--sparse", "-C", str(old.docker_folder), "-cf", str(made), "swarm"])
    old.power_off()
    if cut:
        old.cut()
    for host in (here, other):
        host.stop_docker()
        host.sh("mv /var/lib/docker/swarm /var/lib/docker/swarm.old")
    here.sh("tar -C /var/lib/docker -xf -; rm /var/lib/docker/swarm/docker-state.json", data=made.read_bytes())
    made.unlink()
    if key:
        file = here.docker_folder / "swarm/certificates/swarm-node.key"
        file.write_bytes(unlocked_key(file.read_bytes(), Secret(key)))
    for host in (here, other):
        host.start_docker()
    locking = ("--autolock",) if autolock else ()
    here.docker("swarm", "init", "--force-new-cluster", *locking, "--advertise-addr", here.address)
    running = {name: containers(lab[name]) for name in workers}
    assert all(running.values())
    made_so = Forced(lab, cluster_id, node_id, workers, running)
    assert here.docker("info", "-f", "{{.Swarm.Cluster.ID}} {{.Swarm.NodeID}}").stdout.split() == [cluster_id, node_id]
    assert made_so.nodes()[node_id][2] == made_so.old  # what this is all about
    return made_so


class Operator:
    """Runs steps as one plan; dies at points of it, and comes back."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal")
        self.died: list[str] = []
        self.said: list[str] = []

    async def go(
        self,
        steps: Callable[[Session], Awaitable[Sequence[Step]]],
        *,
        deaths: Sequence[str] = (),
        at_death: Callable[[str], None] = lambda point: None,
    ) -> Outcome:
        """Runs to the end, with another session after each death.

        Args:
            deaths: "STEP/POINT" where it dies, each once.
        """
        while True:
            session = Session(Opening("lab"), Nobody(), vault=Vault.in_memory())
            try:
                made = plan(*await steps(session))
                record = self.journal.read(RUN) if self.died else None
                with self.journal.writer(RUN) as writer:
                    runner = Runner(session, made, writer, observe=self._observer(deaths), record=record)
                    return await runner.run()
            except Killed:
                await asyncio.to_thread(at_death, self.died[-1])
            finally:
                await session.close()

    def _observer(self, deaths: Sequence[str]) -> Callable[[Event], None]:
        def observe(event: Event) -> None:
            if event.kind == "said":
                self.said.append(event.text)
            point = f"{event.step}/{event.point}"
            if event.point and point in deaths and point not in self.died:
                self.died.append(point)
                raise Killed

        return observe


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def reached(case: Forced, *names: str) -> None:
    """All of these are managers that both see, and raft knows mgr2 at its new address."""
    for by in names:
        nodes = case.nodes(by)
        assert nodes[case.node_id] == ["manager", "ready", case.new, "reachable"]
        assert sum(node[-1] == "reachable" for node in nodes.values()) == len(names), nodes


def untouched(case: Forced, name: str) -> bool:
    """Whether the containers of a worker ran on all the time."""
    return case.running[name] <= containers(case.lab[name])


@pytest.mark.full
@pytest.mark.lab
async def test_an_alias_then_demote_and_promote_give_raft_the_new_address(
    lab: Lab, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before and after each effect; and the restored host is rebooted while the quorum rests on the alias."""
    monkeypatch.setenv("HOME", str(lab.home))
    case = await asyncio.to_thread(forced, lab, cut=True)
    looked: list[AddressFacts] = []

    async def steps(session: Session) -> Sequence[Step]:
        here = case.where(session, "mgr2")
        if not looked:  # facts are of before, as in a journal
            looked.append(await look_at_address(session, here, case.old, case.new))
        bridge = bridge_of(looked[0], here, [case.where(session, "mgr3")])
        assert bridge.kind == ALIAS
        seed = case.seed(session)
        second = Second(at=case.where(session, "mgr3"), advertise=lab["mgr3"].address)
        parts = address_steps(seed=seed, node_id=case.node_id, name="mgr2", bridge=bridge, second=second)
        about = [(case.workers[name], name, case.where(session, name).ssh) for name in case.workers]
        workers = worker_steps(
            await look_at_workers(session, about), seed=seed, remotes=[ManagerAt(node_id=case.node_id, addr=case.new)]
        )
        return (*parts.before, *parts.mend, *workers, *parts.after)

    steps_of_address = ("old-address", "second-manager", "mend-down", "mend-up", "drop-old-address")
    deaths = [f"{step}/{point}" for step in steps_of_address for point in ("intent", "effect")]

    def at_death(point: str) -> None:
        if point == "mend-down/intent":
            # A host of the lab keeps its addresses over a reboot; a real one does not. With the alias the quorum goes.
            case.here.sh(f"ip addr del {lab['mgr1'].address}/32 dev eth0")
            case.here.reboot()

    outcome = await operator.go(steps, deaths=deaths, at_death=at_death)

    assert outcome.ok, outcome
    assert operator.died == deaths
    await asyncio.to_thread(reached, case, "mgr2", "mgr3")
    assert not alias(case)
    for name, node_id in case.workers.items():
        assert case.nodes()[node_id][:2] == ["worker", "ready"]
        assert untouched(case, name)
        assert case.new in known(lab[name])
    # It survives a restart of Docker, and so do workers, on their own.
    await asyncio.to_thread(case.here.restart_docker)
    await asyncio.to_thread(lab["wrk1"].restart_docker)
    wait_for("all are back", lambda: stands(case), 60)


def alias(case: Forced) -> str:
    return str(case.here.sh(f"ip -o addr show to {case.old.removesuffix(':2377')}/32").stdout)


def stands(case: Forced) -> bool:
    nodes = case.nodes("mgr3")
    managers = sum(node[-1] == "reachable" for node in nodes.values())
    return managers == 2 and all(nodes[node_id][1] == "ready" for node_id in case.workers.values())


@pytest.mark.full
@pytest.mark.lab26
async def test_where_the_old_address_is_taken_rules_on_the_others_lead_to_the_new_one(
    lab26: Lab, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With autolock. One worker comes back by itself over such a rule; the other one is told where the manager is."""
    lab = lab26
    monkeypatch.setenv("HOME", str(lab.home))
    case = await asyncio.to_thread(forced, lab, autolock=True, cut=False)

    async def steps(session: Session) -> Sequence[Step]:
        here = case.where(session, "mgr2")
        facts = await look_at_address(session, here, case.old, case.new)
        assert facts.near and facts.taken
        bridge = bridge_of(facts, here, [case.where(session, name) for name in ("mgr3", "wrk1")])
        assert bridge.kind == DNAT
        seed = case.seed(session)
        second = Second(at=case.where(session, "mgr3"), advertise=lab["mgr3"].address)
        parts = address_steps(seed=seed, node_id=case.node_id, name="mgr2", bridge=bridge, second=second)
        about = [(case.workers[name], name, case.where(session, name).ssh) for name in case.workers]
        workers = worker_steps(
            await look_at_workers(session, about),
            seed=seed,
            remotes=[ManagerAt(node_id=case.node_id, addr=case.new)],
            patience=15,
        )
        return (*parts.before, *parts.mend, *workers, *parts.after)

    told = f"worker-{case.workers['wrk2']}"
    deaths = [f"{step}/{point}" for step in ("second-manager", "mend-down", "mend-up") for point in ("intent", "proof")]
    outcome = await operator.go(steps, deaths=[*deaths, f"{told}/effect"])

    assert outcome.ok, outcome
    assert operator.died == [*deaths, f"{told}/effect"]
    await asyncio.to_thread(reached, case, "mgr2", "mgr3")
    assert "DNAT" not in lab["mgr3"].sh("iptables -t nat -S OUTPUT").stdout
    assert untouched(case, "wrk1") and not untouched(case, "wrk2")
    assert any(line.startswith("wrk2 does not come back by itself") for line in operator.said)
    assert not any(line.startswith("wrk1 does not come back") for line in operator.said)
    for node_id in case.workers.values():
        assert case.nodes()[node_id][:2] == ["worker", "ready"]
    swarm: dict[str, Any] = lab["mgr3"].api("GET", "/swarm")
    assert swarm["Spec"]["EncryptionConfig"]["AutoLockManagers"]
    key = (case.here.docker_folder / "swarm/certificates/swarm-node.key").read_text()
    assert "ENCRYPTED" in key  # it was a worker for a moment, and is a locked manager again
    await asyncio.to_thread(lab["wrk2"].restart_docker)
    wait_for("wrk2 is back", lambda: stands(case), 60)
