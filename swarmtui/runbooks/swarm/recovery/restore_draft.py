"""A plan that restores a Swarm in the making: its steps in their order, and what a person must know."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from swarmtui.model.inventory import NodeItem
from swarmtui.runbooks.runbook import Step
from swarmtui.runbooks.swarm.key_steps import Rotate
from swarmtui.runbooks.swarm.recovery.after_force import CompareInventory, RemoveGone, join_back, led, seed_of
from swarmtui.runbooks.swarm.recovery.fence_steps import Fence
from swarmtui.runbooks.swarm.recovery.force_steps import ClearLatch, Force
from swarmtui.runbooks.swarm.recovery.forced_checks import FreshBackup, RealReplicas
from swarmtui.runbooks.swarm.recovery.restore_address import Second, address_steps, lonely_note
from swarmtui.runbooks.swarm.recovery.restore_bridge import AddressFacts, bridge_of
from swarmtui.runbooks.swarm.recovery.restore_checks import check_steps
from swarmtui.runbooks.swarm.recovery.restore_facts import OldManager, RestoreFacts, condition_words, with_port
from swarmtui.runbooks.swarm.recovery.restore_steps import AllFollow, StartOnBackup, Unpack
from swarmtui.runbooks.swarm.recovery.restore_workers import ManagerAt, worker_steps
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import counts


class Draft:
    """The steps of a restore.

    Args:
        wait: seconds, for each host that joins.
    """

    def __init__(self, facts: RestoreFacts, wait: int) -> None:
        host = facts.host.seen
        self.facts = facts
        self.wait = wait
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._fence()
        self._put()
        self._force()
        self.seed = seed_of(
            host.at,
            with_port(facts.address, facts.backup.port),
            facts.backup.cluster_id,
            [old.seen.at for old in facts.others if old.reached],
        )
        # One that has the address which raft still has of the restored manager comes last.
        self.joining = sorted(
            (old for old in facts.others if old.joins), key=lambda old: old.advertise == facts.backup.address
        )
        self._compare()
        if facts.bridge is None:
            self._workers()
            self._clean()
        else:
            self._clean()
            self._lead_over(facts.bridge)
        for old in self.joining:
            self.steps += self._back(old)
        self._finish()
        self._tell()

    @property
    def name(self) -> str:
        """The host that is restored to."""
        return self.facts.host.seen.at.name

    def _fence(self) -> None:
        for place, old in enumerate(self.facts.others):
            if not old.reached or old.inactive or old.elsewhere:
                continue
            self.steps.append(
                Fence(
                    id=f"fence-{_key(self.facts.others, place)}",
                    title=f"Fence {old.name}: Docker stopped there, its Swarm directory moved aside",
                    why=f"It is an old manager ({condition_words(old)}): if it came back it would form a second Swarm "
                    "beside the restored one.",
                    node_id=old.node_id,
                    name=old.name,
                    at=old.seen.at,
                    job=self.facts.id,
                    root=old.root,
                    if_stopped="Some old managers are fenced: nothing else is changed. Their undo brings them back.",
                )
            )

    def _put(self) -> None:
        facts, backup, host = self.facts, self.facts.backup, self.facts.host
        self.steps.append(
            Fence(
                id="aside",
                title=f"Move what lies on {self.name} aside: Docker stopped there, its Swarm directory renamed",
                why="The backup takes its place; nothing is deleted, and until a cluster is forced it can come back.",
                node_id=host.node_id,
                name=self.name,
                at=host.seen.at,
                job=facts.id,
                root=host.root,
                if_stopped="Nothing of the restore has begun; old managers may be fenced.",
            )
        )
        unpack = Unpack(
            id="unpack",
            title=f"Unpack {backup.id} on {self.name}",
            why="Beside first, and then in one move: what lies there is whole. Without docker-state.json, with which "
            "Docker would call the old managers and block"
            + (
                f"; and with its key file unlocked here with key {backup.opened_by}: Docker itself would wait for "
                "the other managers for ever."
                if backup.locked
                else "."
            ),
            node_id=backup.node_id,
            name=self.name,
            at=host.seen.at,
            root=host.root,
            certificate=backup.certificate,
            backup=backup.id,
            cluster_id=backup.cluster_id,
            job=facts.id,
            locked=backup.locked,
            if_stopped=f"Docker is stopped on {self.name}, and its old Swarm directory lies aside. Its undo brings "
            "that back.",
        )
        start = StartOnBackup(
            id="start",
            title=f"Start Docker on {self.name}",
            why="It starts in no Swarm, and calls nobody, until it is told to.",
            node_id=backup.node_id,
            name=self.name,
            at=host.seen.at,
            what=unpack,
            if_stopped=f"The backup lies on {self.name}{', its keys in clear' * backup.locked}; Docker does not run "
            "there. The undo of the steps before still brings everything back.",
        )
        self.steps += [unpack, start]

    def _force(self) -> None:
        facts, backup, host = self.facts, self.facts.backup, self.facts.host
        self.steps.append(
            Force(
                id="force",
                title=f"Force a new cluster from it on {self.name}" + ", with autolock" * backup.autolock,
                why="It makes the Swarm of the backup live again, with this host as its only manager. From here on "
                "there is no way back, only on.",
                node_id=backup.node_id,
                name=self.name,
                at=host.seen.at,
                job=facts.id,
                cluster_id=backup.cluster_id,
                advertise=facts.address,
                listen=f"0.0.0.0:{backup.port}",
                autolock=backup.autolock,
                root=host.root,
                if_stopped=f"Docker runs on {self.name}, in no Swarm. The undo of the steps before still brings "
                "everything back.",
            )
        )

    def _compare(self) -> None:
        self.steps.append(
            CompareInventory(
                id="compare",
                title="Compare what the restored Swarm has with what the backup has",
                why="Damaged files give an empty Swarm behind a success, even under the old node's name. Nothing is "
                "deleted before this is right.",
                seed=self.seed,
                expected=self.facts.backup.inventory,
                if_stopped=f"The Swarm lives again on {self.name} alone. Its workers come back to it by themselves. "
                "Let no old manager start its Docker.",
            )
        )

    def _clean(self) -> None:
        """The entries of the old managers: none of them comes back under its id. And of workers that are dead."""
        backup = self.facts.backup
        names = {node_id: name for node_id, (name, _) in backup.members.items() if node_id != backup.node_id}
        names |= {worker.node_id: worker.name for worker in self.facts.workers if worker.node_id in self.facts.gone}
        for node_id, name in names.items():
            self.steps.append(
                RemoveGone(
                    id=f"remove-{node_id}",
                    title=f"Remove the old entry of {name}",
                    why="It is fenced, or gone for good. What ran there moves to other nodes at once.",
                    seed=self.seed,
                    node_id=node_id,
                    name=name,
                    if_stopped=f"The Swarm lives on {self.name} alone, and is what the backup has. It still waits for "
                    "managers that cannot come back.",
                )
            )

    def _workers(self) -> None:
        """Workers come back by themselves, or are led back; those that nobody gets to are not waited for."""
        remote = ManagerAt(node_id=self.facts.backup.node_id, addr=self.seed.remote)
        reached = [worker for worker in self.facts.workers if not worker.trouble]
        self.steps += worker_steps(reached, seed=self.seed, remotes=(remote,))
        gone = self.facts.gone
        away = [worker.name for worker in self.facts.workers if worker.trouble and worker.node_id not in gone]
        if away:
            self.notes.append(
                f"Nobody gets to {', '.join(away)} over SSH: not waited for, and their entries stay. dead=NAME removes "
                "that of one which is gone for good."
            )

    def _lead_over(self, facts: AddressFacts) -> None:
        """The address that raft has of the restored manager is another one than it has: a second manager mends that."""
        host = self.facts.host.seen
        workers = [worker for worker in self.facts.workers if not worker.trouble]
        first = self.joining.pop(0) if self.joining else None
        start: tuple[Step, ...] = ()
        again: tuple[Step, ...] = ()
        second = None
        if first is not None:
            start_, _, *labels = self._back(first)
            start, again = (start_,), tuple(labels)
            second = Second(at=first.seen.at, advertise=first.advertise)
        elif workers:
            second = Second(at=workers[0].at, worker_id=workers[0].node_id)
        dialers = [*([second.at] if second is not None else []), *(worker.at for worker in workers)]
        bridge = bridge_of(facts, host.at, dialers)
        mending = address_steps(
            seed=self.seed,
            node_id=self.facts.backup.node_id,
            name=self.name,
            bridge=bridge,
            second=second,
            seconds=self.wait,
        )
        if second is None:
            self.warnings.append(lonely_note(bridge))
        self.steps += (*start, *mending.before, *mending.mend)
        self._workers()
        self.steps += (*mending.after, *again)

    def _back(self, old: OldManager) -> tuple[Step, ...]:
        """The steps that let an old manager join anew."""
        was = self.facts.backup.entry(old.node_id) or NodeItem(id=old.node_id or old.name, name=old.name)
        was = replace(was, role="manager")
        return join_back(self.seed, old.seen.at, was, advertise=old.advertise, seconds=self.wait)

    def _finish(self) -> None:
        facts, backup, host = self.facts, self.facts.backup, self.facts.host
        managers = tuple(old.seen.at for old in facts.others if old.joins)
        self.steps += [
            RealReplicas(
                id="replicas",
                title="Wait until every service really runs as many tasks as it should",
                why="Counted are tasks on nodes that are ready; `docker service ls` also counts those of dead nodes.",
                seed=self.seed,
                if_stopped="The Swarm lives with the managers that have joined. Services may still be starting.",
            ),
            AllFollow(
                id="one-leader",
                title="Ask every manager who leads",
                why="An old manager that came back meanwhile would have made a second Swarm.",
                seed=self.seed,
                managers=(host.seen.at, *managers),
                gone=tuple(old.seen.at for old in facts.others if old.dead),
                cluster_id=backup.cluster_id,
            ),
        ]
        if backup.autolock:
            rotate = Rotate(
                id="rotate-key",
                title="Rotate the unlock key, and take the new one into the vault",
                why="The old one was used, and whoever has an old backup may have it.",
                cluster_id=backup.cluster_id,
                cluster=backup.cluster,
                durable=bool(facts.custody.get("durable")),
                if_stopped="The Swarm is restored, and works. Its unlock key is still that of the backup.",
            )
            self.steps.append(led(self.seed, rotate))
        self.steps += [
            FreshBackup(
                id="backup",
                title="Take a fresh backup",
                why="The next restore begins from here, and not from before the disaster.",
                seed=self.seed,
                cluster_id=backup.cluster_id,
                accepts=("quorum",),
                if_stopped="The Swarm is restored, and works. It has no backup of its present state.",
            ),
            ClearLatch(
                id="clear",
                title=f"Take away what kept {self.name} from being forced twice",
                why="All is well. Directories that were moved aside stay until a person removes them.",
                node_id=backup.node_id,
                name=self.name,
                at=host.seen.at,
                job=facts.id,
                root=host.root,
                if_stopped="The Swarm is restored, and works.",
            ),
            *check_steps(facts.checks),
        ]

    def _tell(self) -> None:
        """What a person must know before and after."""
        facts, backup, host = self.facts, self.facts.backup, self.facts.host
        seen = host.seen
        self.notes.append(
            f"The backup is {backup.age} old, of {backup.node}, proved up to tier {backup.tier}: "
            f"{counts(backup.inventory)}. What was made since is lost, and its containers on workers go."
        )
        if backup.hot:
            self.warnings.append("The backup was taken while Docker ran: it may be inconsistent.")
        if backup.newer:
            self.notes.append(f"A newer one is proved: backup={backup.newer}")
        self.notes.append("Workers come back by themselves within half a minute, with their ids, labels and tasks.")
        self.notes.append(
            f"Nothing is deleted: what lay on the hosts is {host.root}/swarm.fenced-{facts.id} afterwards. Remove it "
            "when all is well."
        )
        self.notes.append("Data in volumes is not in a Swarm's backup: restore that from its own.")
        if not any(old.joins for old in facts.others):
            self.notes.append(
                "No other old manager can be reached: afterwards there is one. Join more: swarmtui run swarm.join"
            )
        for old in facts.others:
            if old.elsewhere:
                self.notes.append(f"{old.name} is in another Swarm by now ({old.elsewhere[:12]}), and is left alone.")
        if seen.version and backup.engine and seen.version != backup.engine:
            self.warnings.append(f"The Docker of {self.name} is {seen.version}, and the backup is of {backup.engine}.")
        if seen.swarm.local_node_state == "active" and not seen.swarm.control_available:
            self.warnings.append(f"{self.name} is a worker of a Swarm now: its tasks stop, and it becomes a manager.")


def _key(others: Sequence[OldManager], place: int) -> str:
    """A name of an old manager that no other has."""
    name = others[place].name
    return name if sum(old.name == name for old in others) == 1 else f"{name}-{place + 1}"
