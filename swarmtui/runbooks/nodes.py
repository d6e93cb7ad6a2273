"""The runbooks on nodes: procedures.md N1 (availability), N2 (role), N5 (remove), N7 (labels)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.impact import with_availability, with_labels, with_role
from swarmtui.model.quorum import after_promoting
from swarmtui.model.swarm import Availability, Node, Role
from swarmtui.runbooks import params
from swarmtui.runbooks.node_draft import Draft
from swarmtui.runbooks.node_facts import NodeFacts, gather, with_containers, with_impact
from swarmtui.runbooks.node_steps import LeaveSwarm, RemoveNode
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, binding_of
from swarmtui.session import Session

NODE = Param("node", "the nodes, by hostname or id", params.names, "NAME[,NAME…]", required=True)
WAIT = Param("wait", "how long to wait for each node, in seconds", params.seconds, "SECONDS", default=600)


class NodeRunbook(Runbook):
    """A runbook on one or more nodes, one after the other."""

    params: ClassVar[Sequence[Param]] = (NODE, WAIT)

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        """The node as it will be; None when it will be gone."""
        raise NotImplementedError

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        facts = await gather(session, params["node"])
        changed = {node.id: self.changed(node, params) for node in facts.nodes}
        facts = with_impact(facts, session.snapshot, changed)
        if self.looks_at_containers(params):
            facts = await with_containers(session, facts)
        built: Facts = msgspec.to_builtins(facts)
        return built

    def looks_at_containers(self, given: Mapping[str, Any]) -> bool:
        """Whether the plan tells which containers outside the Swarm stay on the nodes."""
        return False

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, NodeFacts)
        draft = Draft(known, params["wait"])
        for node in known.nodes:
            self.add(draft, node, params)
        if draft.quorum_change is not None:
            draft.warn_counts()
        names = tuple(known.names[node.id] for node in known.nodes)
        changed = bool(draft.steps)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"{self.verb} {', '.join(names)}",
            why=self.why,
            steps=tuple(draft.steps),
            touches=names,
            impact=known.impact if changed else None,
            quorum=draft.quorum_change,
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                [(node.id, node.spec) for node in known.nodes],
                # Which tasks move changes all the time in a busy cluster; what it means for the services is
                # what was shown.
                [(s.name, s.stuck, s.to_zero, s.blinks, s.local_data) for s in known.impact.services],
                [known.voters, known.reachable],
                [str(rule) for rule in draft.rules],
                draft.warnings,
            ),
            leaving=tuple(draft.leaving),
            nothing="" if changed else f"Nothing to do: {'; '.join(draft.idle)}.",
        )

    verb: str
    why: str

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        """Adds the steps for one node to the draft."""
        raise NotImplementedError


class SetAvailability(NodeRunbook):
    """Common to drain, pause and activate."""

    availability: Availability

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        return with_availability(node, self.availability)

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        if node.spec.availability == self.availability:
            draft.idle.append(f"{draft.name(node)} already is {self.adjective}")
            return
        if self.availability == Availability.DRAIN:
            draft.warn_drain(node)
            draft.drain(node, node.spec)
            return
        draft.set_spec(
            node,
            node.spec,
            replace(node.spec, availability=self.availability),
            what=self.availability,
            title=f"{self.verb} {draft.name(node)}",
            why=self.why,
        )

    adjective: str


class Drain(SetAvailability):
    name = "node.drain"
    summary = "empty a node: its tasks move to others, and nothing new is placed there"
    verb = "Drain"
    why = "The node gets no new tasks, and those it has are stopped and replaced elsewhere."
    availability = Availability.DRAIN
    adjective = "drained"

    def looks_at_containers(self, given: Mapping[str, Any]) -> bool:
        return True


class Pause(SetAvailability):
    name = "node.pause"
    summary = "leave a node's tasks alone, but place nothing new there"
    verb = "Pause"
    why = "The node keeps its tasks and gets no new ones."
    availability = Availability.PAUSE
    adjective = "paused"


class Activate(SetAvailability):
    name = "node.activate"
    summary = "let the scheduler place tasks on a node again"
    verb = "Activate"
    why = "The node may get tasks again. Nothing moves back by itself; global services start there at once."
    availability = Availability.ACTIVE
    adjective = "active"


class Promote(NodeRunbook):
    name = "node.promote"
    summary = "make workers managers, and wait until each is reachable"
    verb = "Promote"
    why = "The node joins the raft and can lead the Swarm."

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        return with_role(node, Role.MANAGER)

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        name = draft.name(node)
        if node.is_voter and node.spec.role == Role.MANAGER:
            draft.idle.append(f"{name} already is a manager")
            return
        if not node.is_ready:
            raise RefusedError(
                f"{name} is {node.status.state}: it cannot become a manager now.",
                "Bring it back first, or promote another node.",
            )
        if not node.is_voter:
            change = after_promoting(draft.raft, ready=node.is_ready)
            draft.judge(node, change)
            draft.raft = change.after
        draft.become_manager(
            node, "Until it is reachable it counts for quorum and helps nobody: the next one waits for it."
        )


class Demote(NodeRunbook):
    name = "node.demote"
    summary = "make managers workers, and wait until each has left the raft"
    verb = "Demote"
    why = "The node leaves the raft; it goes on as a worker with its tasks."

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        return with_role(node, Role.WORKER)

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        if not node.is_voter and node.spec.role == Role.WORKER:
            draft.idle.append(f"{draft.name(node)} already is a worker")
            return
        draft.leave_raft(node, node.spec)


class Remove(NodeRunbook):
    name = "node.remove"
    summary = "take a node out of the Swarm: demote, drain, leave, remove, as far as each is needed"
    verb = "Remove"
    why = "The node's entry goes away; to come back it must join anew."
    params: ClassVar[Sequence[Param]] = (
        NODE,
        WAIT,
        Param("force", "remove the entry although the node is not down", params.yes_or_no, "true|false", default=False),
    )

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        return None

    def looks_at_containers(self, given: Mapping[str, Any]) -> bool:
        return True

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        name, spec = draft.name(node), node.spec
        lives = node.status.state != "down"
        if node.is_voter:
            spec = draft.leave_raft(node, spec)
        if lives and not given["force"]:
            draft.warn_drain(node)
            draft.drain(node, spec)
            host, port = draft.facts.hosts[node.id]
            draft.steps.append(
                LeaveSwarm(
                    id=draft.key(node, "leave"),
                    title=f"Leave the Swarm on {name}",
                    why="A live node is not removed under its feet: it leaves first, so that its engine knows.",
                    skippable=True,
                    node_id=node.id,
                    name=name,
                    host=host,
                    port=port,
                    sudo=draft.facts.sudo,
                )
            )
            draft.wait_down(node)
        elif lives:
            draft.rules.append(
                Rule(
                    "force-remove",
                    name,
                    f"{name} is {node.status.state}: forced out, its engine goes on believing that it is in the "
                    f"Swarm, and "
                    "containers may go on running there unseen.",
                )
            )
        draft.steps.append(
            RemoveNode(
                id=draft.key(node, "remove"),
                title=f"Remove {name}",
                why="Its entry, and the history of its tasks, go away. Its id never comes back.",
                node_id=node.id,
                name=name,
                force=given["force"],
            )
        )


class Label(NodeRunbook):
    name = "node.label"
    summary = "add, change or remove labels of nodes"
    verb = "Label"
    why = "Placement constraints and preferences read these labels."
    params: ClassVar[Sequence[Param]] = (
        NODE,
        Param("label", "what to change; KEY- removes", params.labels, "KEY=VALUE|KEY-[,…]", required=True),
        WAIT,
    )

    def changed(self, node: Node, given: Mapping[str, Any]) -> Node | None:
        return with_labels(node, self._labels(node, given))

    def _labels(self, node: Node, given: Mapping[str, Any]) -> dict[str, str]:
        labels = dict(node.labels)
        for key, value in given["label"]:
            if value is None:
                labels.pop(key, None)
            else:
                labels[key] = value
        return labels

    def add(self, draft: Draft, node: Node, given: Mapping[str, Any]) -> None:
        labels = self._labels(node, given)
        if labels == dict(node.labels):
            draft.idle.append(f"{draft.name(node)} already has these labels")
            return
        draft.set_spec(
            node,
            node.spec,
            replace(node.spec, labels=labels),
            what="label",
            title=f"Change labels of {draft.name(node)}",
            why=self.why,
        )
        draft.wait_replaced(node)
