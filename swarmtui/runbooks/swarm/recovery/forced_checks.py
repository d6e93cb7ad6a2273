"""What is checked behind every forced cluster: real replicas, one leader only; and a fresh backup."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass, replace

from swarmtui import config
from swarmtui.errors import SwarmtuiError
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.node_waits import fresh_tasks, waiting
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.runner import Event, Runner
from swarmtui.runbooks.swarm.backups.backup import Backup
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, swarm_state
from swarmtui.session import Session

POLL_SECONDS = 0.5
ASK_SECONDS = 30.0
PROBE_SECONDS = 8.0
NO_PLACE = "no suitable node"
"""How the scheduler says that no node may run a task (swarmkit, manager/scheduler/scheduler.go)."""
_WHO_LEADS = "docker node ls --format '{{.ID}} {{.ManagerStatus}}'"


def live_replicas(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Service name → (tasks that really run, how many should), for services with a number of replicas. Pure.

    A task runs when it should, when it does, and when its node is ready: after a force `docker service ls` also counts
    those of dead nodes (swarm-dr.md, trap 4).
    """
    live: dict[str, int] = {}
    for task in snapshot.tasks.values():
        if snapshot.is_live(task):
            live[task.service_id] = live.get(task.service_id, 0) + 1
    return {
        service.name: (live.get(service.id, 0), service.replicas)
        for service in snapshot.services.values()
        if service.replicas is not None and not service.is_job
    }


def without_place(snapshot: Snapshot) -> dict[str, int]:
    """Service name → how many of its tasks no node that is left may run: no waiting helps those. Pure."""
    found: dict[str, int] = {}
    for task in snapshot.tasks.values():
        service = snapshot.services.get(task.service_id)
        waits = task.is_wanted and task.status.state == "pending" and NO_PLACE in task.status.err
        if service is not None and service.replicas is not None and waits:
            found[service.name] = found.get(service.name, 0) + 1
    return found


@dataclass(frozen=True, kw_only=True)
class RealReplicas(Step):
    """Waits until as many tasks of each service really run as should: on nodes that are ready.

    Attributes:
        seconds: when it gives up.
    """

    seed: Seed
    seconds: int = 180
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        # Tasks on nodes that are down count for `docker service ls`: only where none is down its figures can be meant.
        docker = "sudo -n docker" if self.seed.sudo else "docker"
        down = f"{docker} node ls --format '{{{{.Status}}}}' | grep -qv Ready"
        short = (
            f"{docker} service ls --filter mode=replicated --format '{{{{.Replicas}}}}' | cut -d' ' -f1 | "
            "awk -F/ '$1 < $2 { n = 1 } END { exit !n }'"
        )
        wait = waiting(self.title, f"! {{ {down}; }} && ! {{ {short}; }}", self.seconds)
        return (replace(wait, host=self.seed.ssh.destination, port=self.seed.ssh.port),)

    async def _short(self, session: Session) -> list[str]:
        await self.seed.lead(session)
        snapshot = await fresh_tasks(session)
        counts, homeless = live_replicas(snapshot), without_place(snapshot)
        return [
            f"{name} {live}/{wanted}"
            for name, (live, wanted) in sorted(counts.items())
            if live + homeless.get(name, 0) < wanted
        ]

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        said: list[str] = []
        while short := await self._short(session):
            if short != said:
                voice.progress(0, 1, f"Not all there yet: {', '.join(short[:6])}{' …' * (len(short) > 6)}")
                said = short
            if time.monotonic() >= end:
                raise StepError(
                    f"Services with fewer tasks than they should have, after {self.seconds} s: {', '.join(short)}.",
                    "Look why (docker service ps NAME): no room, no image, a constraint. Retry, or skip it with why.",
                )
            await asyncio.sleep(POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if short := await self._short(session):
            raise StepError(f"Services with fewer tasks than they should have: {', '.join(short)}.", "Retry.")
        counts = live_replicas(session.snapshot)
        for name, number in sorted(without_place(session.snapshot).items()):
            voice.say(f"{name}: {number} of its tasks find no suitable node among those that are left. Give them room.")
        voice.say(", ".join(f"{name} {live}/{wanted}" for name, (live, wanted) in sorted(counts.items())) or "None.")


@dataclass(frozen=True, kw_only=True)
class OneLeader(Step):
    """Asks several hosts who leads: after a force old managers that came back may have formed a second Swarm.

    Attributes:
        managers: hosts of the managers there are now.
        gone: hosts of old managers that were declared dead: they must not answer as managers of this Swarm.
    """

    seed: Seed
    managers: tuple[Where, ...]
    gone: tuple[Where, ...] = ()

    @property
    def shown(self) -> tuple[Shown, ...]:
        return tuple(Shown(at.root(_WHO_LEADS), at.host, at.port) for at in self.managers)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        return  # it only asks: see verify

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)  # one that was booted since may be locked
        told = await asyncio.gather(*(self._leader(session, at) for at in self.managers))
        leaders = {leader for leader in told if leader}
        if len(leaders) > 1:
            sides = "; ".join(
                f"{at.name} follows {leader[:12]}" for at, leader in zip(self.managers, told, strict=True)
            )
            raise StepError(
                f"There is more than one leader: {sides}.",
                "Two Swarms live side by side. Fence the managers of the one that is not to stay: swarmtui recover.",
            )
        if silent := [at.name for at, leader in zip(self.managers, told, strict=True) if not leader]:
            raise StepError(f"{', '.join(silent)} sees no leader.", "Look there: docker node ls. Then retry.")
        back = await asyncio.gather(*(self._back(session, at) for at in self.gone))
        if living := [at.name for at, lives in zip(self.gone, back, strict=True) if lives]:
            raise StepError(
                f"{', '.join(living)} was declared dead, and its Docker is back as a manager of the old Swarm.",
                "Fence it before anything else: stop docker.socket and docker there, and move /var/lib/docker/swarm "
                "aside. Then retry.",
            )
        voice.say(f"{len(self.managers)} of {len(self.managers)} managers follow the same leader.")

    async def _leader(self, session: Session, at: Where) -> str:
        end = time.monotonic() + ASK_SECONDS
        while True:
            told = await (await at.reach(session)).run(at.root(_WHO_LEADS), timeout=ASK_SECONDS)
            for line in told.out.splitlines():
                if line.endswith(" Leader"):
                    return one_line(line.split()[0])
            if time.monotonic() >= end:
                return ""
            await asyncio.sleep(POLL_SECONDS)

    @staticmethod
    async def _back(session: Session, at: Where) -> bool:
        """Whether one that was declared dead answers as a manager; where nobody gets to it, it does not."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                host = await session.reach(at.ssh, ask=False)
                runs = await host.run("systemctl is-active docker.service", timeout=PROBE_SECONDS)
                if at.systemd and runs.out.strip() != "active":
                    return False
                state = await swarm_state(host, at)
        except (SwarmtuiError, TimeoutError):
            return False
        return state.local_node_state in ("active", "pending", "locked") and state.control_available


@dataclass(frozen=True, kw_only=True)
class FreshBackup(Step):
    """Takes a backup, as a run of its own with its own journal: what was backed up before is of another time.

    Attributes:
        cluster_id: of which Swarm.
        accepts: ids of safety rules that whoever confirmed this plan accepts with it.
    """

    seed: Seed
    cluster_id: str
    accepts: tuple[str, ...] = ()
    danger: Danger = Danger.DISRUPTIVE
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"swarmtui run swarm.backup --yes --target {shlex.quote(self.seed.target)}", here=True),)

    async def _entries(self, session: Session) -> list[str]:
        entries = await asyncio.to_thread(session.backups.entries, self.cluster_id)
        good = [entry for entry in entries if not entry.broken and entry.would_restore != "no"]
        return [entry.id for entry in good if entry.kind == "swarm"]

    async def before(self, session: Session) -> Facts:
        return {"entries": await self._entries(session)}

    async def already_done(self, session: Session, before: Facts) -> str:
        new = [name for name in await self._entries(session) if name not in before["entries"]]
        return f"Backup {new[0]} was taken since." if new else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        runbook = Backup()
        plan = await runbook.prepare(session, {"hot": False, "wait": 120})
        if broken := [rule for rule in plan.rules if rule.id not in self.accepts]:
            told = " ".join(f"{rule.what} (--accept {rule})" for rule in broken)
            raise StepError(
                f"The backup needs a decision of yours: {told}",
                "Take it yourself, then retry: swarmtui run swarm.backup",
            )
        run_id = new_run_id(runbook.name)

        def tell(event: Event) -> None:
            if event.kind == "said" and event.text:
                voice.say(event.text)

        for rule in plan.rules:
            voice.say(rule.what)
        voice.say(f"The backup is run {run_id}.")
        with Journal(config.state_dir() / "journal").writer(run_id) as writer:
            accepted = [str(rule) for rule in plan.rules]
            outcome = await Runner(session, plan, writer, observe=tell, accepted=accepted).run()
        if outcome.error is not None:
            what = f"The backup (run {run_id}) failed: {outcome.error.what}"
            raise StepError(what, f"swarmtui run --resume {run_id}; then retry this step.") from outcome.error

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (done := await self.already_done(session, before)):
            raise StepError("There is no new backup of this Swarm in the catalogue.", "Retry.")
        voice.say(done)
