"""A plan on nodes in the making: which steps, and what is to be said about them."""

from __future__ import annotations

from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.quorum import Quorum, QuorumChange, after_demoting
from swarmtui.model.swarm import Availability, Node, NodeSpec, Role
from swarmtui.runbooks.node_facts import NodeFacts
from swarmtui.runbooks.node_steps import MoveConnection, UpdateNode
from swarmtui.runbooks.node_waits import WaitDown, WaitEmpty, WaitLeftRaft, WaitReachable, WaitReplaced
from swarmtui.runbooks.runbook import Danger, Rule, Step


class Draft:
    """A plan in the making: steps, and what is to be said about them. Follows the raft from node to node."""

    def __init__(self, facts: NodeFacts, wait: int) -> None:
        self.facts = facts
        self.wait = wait
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.rules: list[Rule] = []
        self.idle: list[str] = []
        self.leaving: list[str] = []
        self._before = self.raft = Quorum(facts.voters, facts.reachable)
        if not self.raft.held:
            raise RefusedError(
                f"The Swarm has no quorum ({self.raft}): nothing can be changed now.",
                "Bring managers back first: start Docker there, unlock them, or mend the network.",
            )

    @property
    def quorum_change(self) -> QuorumChange | None:
        return QuorumChange(self._before, self.raft) if self._before != self.raft else None

    def name(self, node: Node) -> str:
        return self.facts.names[node.id]

    def key(self, node: Node, what: str) -> str:
        return f"{what}-{node.id}"

    def set_spec(self, node: Node, spec: NodeSpec, wanted: NodeSpec, *, what: str, title: str, why: str) -> None:
        danger = (
            Danger.DISRUPTIVE if wanted.availability == Availability.DRAIN or wanted.role != spec.role else Danger.SAFE
        )
        self.steps.append(
            UpdateNode(
                id=self.key(node, what),
                title=title,
                why=why,
                danger=danger,
                node_id=node.id,
                name=self.name(node),
                expected=spec,
                wanted=wanted,
            )
        )

    def wait_replaced(self, node: Node) -> None:
        running = {
            s.name: s.running_before - s.stuck
            for s in self.facts.impact.services
            if s.moving and s.running_before > s.stuck and not s.is_job  # a job's tasks end by themselves
        }
        if running:
            self.steps.append(
                WaitReplaced(
                    id=self.key(node, "replaced"),
                    title="Wait for the replacements",
                    why="Swarm does not wait for what a drain moved; this does: then the services are whole.",
                    skippable=True,
                    node_id=node.id,
                    name=self.name(node),
                    seconds=self.wait,
                    running=running,
                )
            )

    def drain(self, node: Node, spec: NodeSpec) -> NodeSpec:
        """Steps that empty a node; returns its Spec afterwards."""
        name = self.name(node)
        wanted = replace(spec, availability=Availability.DRAIN)
        if spec.availability != Availability.DRAIN:
            self.set_spec(
                node,
                spec,
                wanted,
                what="drain",
                title=f"Drain {name}",
                why="The scheduler stops its tasks and starts replacements elsewhere. Global services leave too.",
            )
        if node.status.state != "down":
            self.steps.append(
                WaitEmpty(
                    id=self.key(node, "empty"),
                    title=f"Wait until {name} is empty",
                    why="Tasks get their grace period to stop; only then is the node free.",
                    skippable=True,
                    node_id=node.id,
                    name=name,
                    seconds=self.wait,
                )
            )
        else:
            self.notes.append(
                f"{name} is {node.status.state}: its tasks were replaced already, there is nothing to wait for."
            )
        self.wait_replaced(node)
        return wanted

    def warn_drain(self, node: Node) -> None:
        name = self.name(node)
        if self.facts.ucp and (node.is_voter or node.spec.role == Role.MANAGER):
            self.rules.append(
                Rule(
                    "ucp-drain",
                    name,
                    f"UCP manages this Swarm: draining manager {name} evicts UCP's own agents from it.",
                )
            )
        for kept in self.facts.containers.get(node.id, ()):
            self.notes.append(f"Container {kept} on {name} is not of the Swarm: it stays and goes on running.")

    def leave_raft(self, node: Node, spec: NodeSpec) -> NodeSpec:
        """Steps that demote a manager; judges what that does to the quorum. Returns its Spec afterwards."""
        name = self.name(node)
        if not node.is_voter:
            raise RefusedError(
                f"{name} is a manager by its Spec only, and no member of the raft: there is nothing to demote.",
                "It is joining now: wait; or a forced cluster left it behind: remove it, and join it again.",
            )
        self.leaving.append(node.id)
        if self.raft.voters == 1:
            raise RefusedError(
                f"{name} is the last manager of the Swarm: demoting it would end the Swarm.",
                "Promote another node first; to give the Swarm up, use `docker swarm leave --force` on it.",
            )
        change = after_demoting(self.raft, reachable=node.is_reachable)
        self.judge(node, change)
        self.raft = change.after
        if node.id == self.facts.through:
            if not self.facts.ways:
                self.warnings.append(f"The connection runs through {name}, and no other manager is reachable.")
            self.steps.append(
                MoveConnection(
                    id=self.key(node, "move"),
                    title="Move our own connection",
                    why=f"It runs through {name}, which will answer no more questions about the Swarm as a worker.",
                    node_id=node.id,
                    name=name,
                )
            )
        wanted = replace(spec, role=Role.WORKER)
        if spec.role != Role.WORKER:
            leader = " It is the leader: the others elect a new one in a moment." if node.is_leader else ""
            self.set_spec(
                node,
                spec,
                wanted,
                what="demote",
                title=f"Demote {name}",
                why=f"It leaves the raft and goes on as a worker; its tasks stay.{leader}",
            )
        self.steps.append(
            WaitLeftRaft(
                id=self.key(node, "left-raft"),
                title=f"Wait until {name} has left the raft",
                why="Until then it counts for quorum, whatever its Spec says.",
                node_id=node.id,
                name=name,
                seconds=self.wait,
            )
        )
        return wanted

    def become_manager(self, node: Node, why: str) -> None:
        """Steps that make a node a manager, as far as its Spec does not say so already, and wait until it counts.

        Args:
            why: why that is waited for.
        """
        name = self.name(node)
        if node.spec.role != Role.MANAGER:
            self.set_spec(
                node,
                node.spec,
                replace(node.spec, role=Role.MANAGER),
                what="promote",
                title=f"Promote {name}",
                why="It gets a manager's certificate and joins the raft.",
            )
        self.steps.append(
            WaitReachable(
                id=self.key(node, "reachable"),
                title=f"Wait until {name} is reachable",
                why=why,
                node_id=node.id,
                name=name,
                seconds=self.wait,
            )
        )

    def wait_down(self, node: Node) -> None:
        """A step that waits until an entry may be removed."""
        name = self.name(node)
        self.steps.append(
            WaitDown(
                id=self.key(node, "down"),
                title=f"Wait until {name} counts as down",
                why="The Swarm removes only nodes that are down.",
                node_id=node.id,
                name=name,
                seconds=self.wait,
            )
        )

    def judge(self, node: Node, change: QuorumChange) -> None:
        """Warns of what a change of the raft costs; breaks a rule where quorum or the last tolerance would go."""
        name = self.name(node)
        if change.loses_quorum:
            self.rules.append(
                Rule(
                    "quorum",
                    name,
                    f"Without {name} only {change.after.reachable} of {change.after.voters} managers answer, and "
                    f"{change.after.needed} are needed: the Swarm would lose its quorum.",
                )
            )
        elif change.loses_tolerance:
            self.rules.append(
                Rule(
                    "tolerance",
                    name,
                    f"After this the Swarm survives no loss of a manager any more (now: {change.before.slack}).",
                )
            )
        elif change.two_to_one:
            self.warnings.append(
                f"From two managers to one: if {name} dies in the middle, the Swarm stands still until it returns or a "
                "new cluster is forced."
            )
        elif change.lowers_tolerance:
            self.warnings.append(
                f"The Swarm then survives {change.after.slack} instead of {change.before.slack} losses of managers."
            )

    def warn_counts(self) -> None:
        """Warns, once for the whole plan, of a number of managers that is even or larger than seven (B6)."""
        voters = self.raft.voters
        if voters % 2 == 0 and voters:
            self.warnings.append(f"{voters} managers: an even number survives no more losses than {voters - 1} would.")
        if voters > 7:
            self.warnings.append(f"{voters} managers: more than 7 make every write slower.")
