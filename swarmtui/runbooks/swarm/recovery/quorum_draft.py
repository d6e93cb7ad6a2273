"""The plan that forces a new cluster on a survivor, in the making. Pure (procedures.md K3, swarm-dr.md §3 and §4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.inventory import NodeItem
from swarmtui.model.quorum import Quorum, QuorumChange, quorum_of
from swarmtui.model.swarm import NodeSpec, Role, host_of
from swarmtui.runbooks.node_steps import UpdateNode
from swarmtui.runbooks.node_waits import WaitReachable
from swarmtui.runbooks.runbook import Rule, Step
from swarmtui.runbooks.swarm.key_steps import KeepKey, Rotate
from swarmtui.runbooks.swarm.recovery.after_force import CompareInventory, RemoveGone, join_back, led, seed_of
from swarmtui.runbooks.swarm.recovery.fence_steps import Fence, StopDocker, not_fenced
from swarmtui.runbooks.swarm.recovery.force_steps import ClearLatch, Force
from swarmtui.runbooks.swarm.recovery.forced_checks import FreshBackup, OneLeader, RealReplicas
from swarmtui.runbooks.swarm.recovery.key_file import SetStateAside, UnlockKeyFile
from swarmtui.runbooks.swarm.recovery.quorum_facts import Old, QuorumFacts
from swarmtui.runbooks.swarm.recovery.quorum_steps import LastLook
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where

SAME = "The Swarm stands still as before; running tasks keep running. Nothing was changed."
FENCED = (
    "The Swarm stands still; running tasks keep running, but not on fenced managers. To go back, undo the fences: "
    "nothing is lost."
)
STOPPED = "Docker is stopped on the survivor, and nothing is forced yet. To go back, undo these steps and start Docker."
ALONE = (
    "The Swarm works again, with one manager only: if that one is lost, everything is. Old managers must stay fenced. "
    "Go on soon."
)
WORKS = "The Swarm works, with its managers. Only what is left here is not done."


class QuorumDraft:
    """A plan in the making.

    Args:
        wait: seconds, for each manager that joins.
        promote: workers that become managers, by hostname or id.

    Raises:
        RefusedError: one of those is no worker, or two are meant.
    """

    def __init__(self, facts: QuorumFacts, wait: int, promote: Sequence[str] = ()) -> None:
        self.facts = facts
        self.wait = wait
        self.promoted = [self._worker(name) for name in promote]
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        survivor = facts.survivor
        self.advertise = survivor.addresses.advertise
        port = self.advertise.removeprefix(host_of(self.advertise)).rpartition(":")[2]
        self.remote = self.advertise if port.isdigit() else f"{self.advertise}:2377"
        reached = [old.at for old in facts.others if old.fenced and old.at is not None]
        self.seed = seed_of(survivor.at, self.remote, facts.cluster_id, reached)
        self.fenced = [old for old in facts.others if old.fenced]
        self.gone = [old for old in facts.others if not old.fenced and (old.dead or old.elsewhere)]
        self.loose = [old for old in facts.others if not old.fenced and not (old.dead or old.elsewhere)]
        self._before()
        self._force()
        self._after()
        self._say()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The safety rules that it breaks."""
        survivor, others = self.facts.survivor, self.facts.others
        rules = list(self.facts.rules)
        rules += [not_fenced(old.name, old.why or "it cannot be reached") for old in self.loose]
        newest = max(others, key=lambda old: old.index, default=None)
        if newest is not None and newest.fenced and newest.index > survivor.index >= 0:
            rules.append(
                Rule(
                    "older-log",
                    survivor.name,
                    f"The log of {newest.name} is further on (index {newest.index}, and {survivor.index} on "
                    f"{survivor.name}): what was written since is lost. Better: survivor={newest.name}",
                )
            )
        for latch in survivor.latches:
            rules.append(
                Rule(
                    "forced-before",
                    survivor.name,
                    f"A recovery has begun to force a cluster here and did not complete ({survivor.root}/{latch}): go "
                    "on with that run (swarmtui journal), else it may be forced twice.",
                )
            )
        return tuple(rules)

    @property
    def custody(self) -> bool:
        """A new unlock key has a place that outlives this program."""
        return bool(self.facts.custody.get("durable", False))

    @property
    def quorum(self) -> QuorumChange:
        """The raft now, and when all is done."""
        voters = 1 + len(self.facts.others)
        after = 1 + len(self.fenced) + len(self.promoted)
        alive = voters if self.facts.held else min(1 + len(self.fenced), quorum_of(voters) - 1)
        return QuorumChange(Quorum(voters, alive), Quorum(after, after))

    def _worker(self, name: str) -> NodeItem:
        nodes = self.facts.inventory.nodes
        found = [node for node in nodes if name in (node.name, node.id) and node.role == Role.WORKER]
        if len(found) != 1:
            workers = ", ".join(sorted(node.name for node in nodes if node.role == Role.WORKER)) or "none"
            what = "is the name of several workers" if found else "is no worker of this Swarm"
            raise RefusedError(f'"{name}" {what}.', f"Its workers are: {workers}. Of two that are alike, name the id.")
        return found[0]

    def _on(self, old: Old) -> tuple[Where, str]:
        assert old.at is not None
        return old.at, old.was.id

    # -- before ----------------------------------------------------------------------------------------------------

    def _before(self) -> None:
        facts, survivor = self.facts, self.facts.survivor
        if not facts.held and survivor.runs:
            self.steps.append(
                LastLook(
                    id="last-look",
                    title=f"Look once more whether {survivor.name} sees a leader",
                    why="A manager that came back meanwhile brings the quorum back by itself, and nothing is lost.",
                    if_stopped=SAME,
                    node_id=survivor.id,
                    name=survivor.name,
                    at=survivor.at,
                )
            )
        for place, old in enumerate(self.fenced):
            at, node_id = self._on(old)
            self.steps.append(
                Fence(
                    id=f"fence-{node_id}",
                    title=f"Fence {old.name}",
                    why="An old manager that comes back after the force makes a second Swarm, and takes workers away.",
                    if_stopped=FENCED if place else SAME,
                    node_id=node_id,
                    name=old.name,
                    at=at,
                    job=facts.job,
                    root=old.root,
                )
            )
        if survivor.direct:
            return
        told = FENCED if self.fenced else SAME
        self.steps.append(
            StopDocker(
                id="stop",
                title=f"Stop Docker on {survivor.name}",
                why="With autolock on, a manager that runs cannot be forced: its files are made ready first."
                if facts.autolock
                else "It is in no state to be forced as it is: that is done from its files, by a Docker started anew.",
                if_stopped=told,
                node_id=survivor.id,
                name=survivor.name,
                at=survivor.at,
            )
        )
        self.steps.append(
            SetStateAside(
                id="state-aside",
                title=f"Set docker-state.json aside on {survivor.name}",
                why="Docker then starts in no Swarm at once, and calls none of the old managers.",
                if_stopped=STOPPED,
                node_id=survivor.id,
                name=survivor.name,
                at=survivor.at,
                job=facts.job,
                root=survivor.root,
            )
        )
        if survivor.opened_by:
            self.steps.append(
                UnlockKeyFile(
                    id="unlock-key-file",
                    title=f"Unlock the key file of {survivor.name}, here",
                    why="Docker itself would wait for the other managers for ever. The vault's key "
                    f"{survivor.opened_by} opens it; it never leaves this machine.",
                    if_stopped=STOPPED,
                    node_id=survivor.id,
                    name=survivor.name,
                    at=survivor.at,
                    job=facts.job,
                    root=survivor.root,
                    cluster_id=facts.cluster_id,
                )
            )

    def _force(self) -> None:
        facts, survivor = self.facts, self.facts.survivor
        told = STOPPED if not survivor.direct else FENCED if self.fenced else SAME
        self.steps.append(
            Force(
                id="force",
                title=f"Force a new cluster on {survivor.name}",
                why="It keeps services, networks, secrets, configs and tokens, and becomes the only manager.",
                if_stopped=told,
                node_id=survivor.id,
                name=survivor.name,
                at=survivor.at,
                job=facts.job,
                root=survivor.root,
                cluster_id=facts.cluster_id,
                advertise=self.advertise,
                listen=survivor.addresses.listen,
                data_path=survivor.addresses.data_path,
                autolock=facts.autolock,
            )
        )

    # -- after -----------------------------------------------------------------------------------------------------

    def _after(self) -> None:
        facts, seed = self.facts, self.seed
        self.steps.append(
            CompareInventory(
                id="compare",
                title="Compare the Swarm with what it had",
                why="A success that is told is none yet: damaged files give an empty Swarm.",
                if_stopped=ALONE,
                seed=seed,
                expected=facts.inventory,
            )
        )
        if facts.autolock and not facts.kept and self.custody:
            self.steps.append(led(seed, self._keep()))
        for old in (*self.gone, *self.fenced):
            self.steps.append(
                RemoveGone(
                    id=f"remove-{old.was.id}",
                    title=f"Remove the entry of {old.name}",
                    why="It cannot come back as what it was. Tasks that it had are started elsewhere at once.",
                    seed=seed,
                    node_id=old.was.id,
                    name=old.name,
                )
            )
        for old in self.fenced:
            at, _ = self._on(old)
            advertise, listen = old.addresses.advertise, old.addresses.listen
            was = NodeItem(
                id=old.was.id,
                name=old.name,
                role=Role.MANAGER,
                availability=old.was.availability,
                labels=old.was.labels,
            )
            self.steps += join_back(seed, at, was, advertise=advertise, listen=listen, seconds=self.wait)
        for node in self.promoted:
            self._promote(node)
        self._checks()

    def _promote(self, node: NodeItem) -> None:
        spec = NodeSpec(role=Role.WORKER, availability=node.availability, labels=node.labels)
        promote = UpdateNode(
            id=f"promote-{node.id}",
            title=f"Promote {node.name}",
            why="It takes the place of a manager that is gone: one at a time, until the old count.",
            node_id=node.id,
            name=node.id,
            expected=spec,
            wanted=msgspec.structs.replace(spec, role=Role.MANAGER),
        )
        wait = WaitReachable(
            id=f"reachable-{node.id}",
            title=f"Wait until {node.name} is reachable",
            why="Until then it counts for quorum and helps nobody.",
            node_id=node.id,
            name=node.id,
            seconds=self.wait,
        )
        self.steps += [led(self.seed, promote), led(self.seed, wait)]

    def _keep(self) -> KeepKey:
        facts = self.facts
        return KeepKey(
            id="keep-key",
            title="Take the Swarm's unlock key into the vault as its current one",
            why="Without it nobody can unlock a manager once it has restarted.",
            cluster_id=facts.cluster_id,
            cluster=facts.cluster,
            durable=True,
        )

    def _checks(self) -> None:
        facts, seed, survivor = self.facts, self.seed, self.facts.survivor
        managers = (survivor.at, *(self._on(old)[0] for old in self.fenced))
        self.steps.append(
            OneLeader(
                id="one-leader",
                title="Ask every manager who leads",
                why="Were there two leaders, two Swarms would live side by side.",
                if_stopped=WORKS if self.fenced or self.promoted else ALONE,
                seed=seed,
                managers=managers,
                gone=tuple(old.at for old in self.gone if old.at is not None and not old.elsewhere),
            )
        )
        self.steps.append(
            RealReplicas(
                id="replicas",
                title="Wait until every service really has its replicas",
                why="`docker service ls` also counts tasks of dead nodes: only those on ready nodes run.",
                seed=seed,
            )
        )
        if facts.autolock and self.custody:
            rotate = Rotate(
                id="rotate-key",
                title="Rotate the unlock key, and take the new one into the vault",
                why="Its key file was opened during the recovery, and fenced directories are locked with the old key.",
                cluster_id=facts.cluster_id,
                cluster=facts.cluster,
                durable=True,
            )
            self.steps.append(led(seed, rotate))
        count = len(managers) + len(self.promoted)
        if count <= 2:
            which = "one manager" if count == 1 else "two managers"
            self.warnings.append(
                f"There will be {which}: while the fresh backup is taken of one, the Swarm stands still, for half a "
                "minute at most. Running tasks keep running."
            )
        self.steps.append(
            FreshBackup(
                id="backup",
                title="Take a fresh backup",
                why="What was backed up before has other managers in it, and another unlock key.",
                seed=seed,
                cluster_id=facts.cluster_id,
                accepts=("quorum",) if count == 2 else (),
            )
        )
        self.steps.append(
            ClearLatch(
                id="clear",
                title=f"Clear what this recovery left on {survivor.name}",
                why="The latch that kept it from forcing twice has done its work.",
                node_id=survivor.id,
                name=survivor.name,
                at=survivor.at,
                job=facts.job,
                root=survivor.root,
            )
        )

    # -- what is to be said ----------------------------------------------------------------------------------------

    def _say(self) -> None:
        facts, survivor = self.facts, self.facts.survivor
        if survivor.index >= 0:
            self.notes.append(f"The log of {survivor.name} ends with index {survivor.index}; what it has is kept.")
        inventory = facts.inventory
        counts = ", ".join(f"{len(inventory.of(kind))} {kind}s" for kind in ("service", "network", "secret", "config"))
        self.notes.append(f"It has {counts}, by its own log.")
        if not survivor.direct:
            self.warnings.append(f"Docker is stopped on {survivor.name} meanwhile: its containers stop with it.")
        if self.fenced:
            names = _names(self.fenced)
            self.warnings.append(f"Docker is stopped on {names} too, and its containers with it, until they join anew.")
            self.notes.append(
                f"Their Swarm directories stay as swarm.fenced-{facts.job} beside the new ones. Remove them when all "
                "is well; nobody else does."
            )
        for old in self.gone:
            self.notes.append(
                f"{old.name} must never start its Docker again as it is: move its /var/lib/docker/swarm away first."
                if not old.elsewhere
                else f"{old.name}: {old.why} It is left alone there."
            )
        for old in self.loose:
            self.warnings.append(f"The entry of {old.name} stays: it is neither fenced nor declared dead.")
        if facts.autolock and not self.custody:
            self.warnings.append(
                f"The unlock key stays as it is: a new one would be lost with this program. {facts.custody['words']} "
                "Rotate it when there is a place for it: swarmtui run swarm.rotate-key"
            )
        missing = len(facts.others) - len(self.fenced) - len(self.promoted)
        if missing > 0:
            self.warnings.append(
                f"There will be {missing} manager{'s' * (missing != 1)} fewer than before. Let workers take "
                "their places (promote=NAME,…), or join hosts afterwards: swarmtui run swarm.join"
            )
        self.notes.append("Not touched: volumes, and data of applications. Workers reattach by themselves.")


def _names(olds: Sequence[Old]) -> str:
    return ", ".join(old.name for old in olds)
