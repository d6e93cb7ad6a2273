"""What the leader does about nodes: heartbeats, promotion and demotion, removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.demo.world import errors
from swarmtui.demo.world.kernel import Timer
from swarmtui.demo.world.objects import Json, Node
from swarmtui.demo.world.raft import Member

if TYPE_CHECKING:
    from swarmtui.demo.world.control import Control

DOWN_AFTER = (11.0, 15.0)
"""Bounds of the time from the last heartbeat to `down`, in seconds."""
BACK_AFTER = 0.3
DEBOUNCE = (1.0, 10.0)
"""Bounds of the time in which nodes find a new leader, in seconds; until then they show as `unknown`."""
PROMOTION = 1.1
DEMOTION = 0.05
RENEWAL = 1.0


class Nodes:
    """The nodes of one cluster, as its leader handles them."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.world = control.world
        self.cluster = control.cluster
        self.raft = control.raft
        self._timers: dict[str, tuple[bool, Timer]] = {}

    # -- heartbeats

    def check(self, node_id: str) -> None:
        """A host changed: start the clock that leads to `down`, or to `ready` again."""
        node = self.cluster.nodes.get(node_id)
        if node is None or self.raft.leader is None:
            return
        alive = self.world.node_connected(self.cluster, node_id)
        waiting = self._timers.get(node_id)
        if waiting is not None and waiting[0] == alive:
            return
        if waiting is not None:
            waiting[1].cancel()
            del self._timers[node_id]
        if alive and node.state != "ready":
            self._wait(node_id, alive, BACK_AFTER)
        elif alive:
            self.world.sync_host(self.cluster, node_id)
        elif node.state != "down":
            self._wait(node_id, alive, self.world.ids.random.uniform(*DOWN_AFTER))

    def _wait(self, node_id: str, alive: bool, delay: float) -> None:
        self._timers[node_id] = (alive, self.world.kernel.after(delay, lambda: self._settle(node_id, alive)))

    def _settle(self, node_id: str, alive: bool) -> None:
        self._timers.pop(node_id, None)
        node = self.cluster.nodes.get(node_id)
        if node is None or self.raft.leader is None:
            return
        if self.world.node_connected(self.cluster, node_id) != alive:
            self.check(node_id)
            return
        if alive:
            self.world.describe(self.cluster, node)
            self.cluster.change_node(node, state="ready", message="")
            self.world.sync_host(self.cluster, node_id)
        else:
            self.cluster.change_node(node, state="down", message="heartbeat failure")
        self.control.orchestrator.touch_all()

    def new_leader(self) -> None:
        """After an election the leader knows no node until it has heard from it."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for node in list(self.cluster.nodes.values()):
            if node.state == "down":
                self.check(node.id)  # it may have come back while there was no leader to see it
                continue
            self.cluster.change_node(
                node,
                state="unknown",
                message='Node moved to "unknown" state due to leadership change in cluster',
            )
            alive = self.world.node_connected(self.cluster, node.id)
            bounds = DEBOUNCE if alive else (DOWN_AFTER[0] + 5, DOWN_AFTER[1] + 15)
            self._wait(node.id, alive, self.world.ids.random.uniform(*bounds))

    # -- changes by an operator

    def update(self, node_id: str, version: int, spec: Json) -> None:
        """Give a node a new Spec.

        Raises:
            ApiError: in the engine's words, when it may not be.
        """
        node = self.cluster.nodes[node_id]
        role, availability = spec["Role"], spec["Availability"]
        if node.wanted_role == "manager" and role == "worker":
            self._may_demote(node)
        if version != node.index:
            raise errors.out_of_sequence()
        self._note_update(node, role, availability)
        was = node.wanted_role
        node.label_name = spec.get("Name") or ""
        node.labels = dict(spec.get("Labels") or {})
        node.wanted_role, node.membership = role, "pending"
        self.cluster.change_node(node, availability=availability)
        if role != was:
            self._follow_role(node.id)
        self.control.orchestrator.touch_all()

    def _note_update(self, node: Node, role: str, availability: str) -> None:
        journal = self.world.journal
        if availability != node.availability:
            journal.note("node.availability", f"{node.hostname} was set to {availability}.")
        if role == "manager" and node.wanted_role != "manager":
            journal.note("node.promote", f"{node.hostname} was promoted.")
        if role == "worker" and node.wanted_role == "manager":
            left = len(self.raft.members) - 1
            journal.note(
                "node.demote",
                f"{node.hostname} was demoted, which left {left} managers"
                + (": losing one of two stops the Swarm." if left == 2 else "."),
                risky=left == 2,
            )

    def _may_demote(self, node: Node) -> None:
        managers = [other for other in self.cluster.nodes.values() if other.role == "manager"]
        if managers == [node]:
            raise errors.rpc("FailedPrecondition", "attempting to demote the last manager of the swarm")
        if node.id not in self.raft.members:
            raise errors.rpc("NotFound", "can't find manager in raft memberlist")
        if not self.raft.can_lose(node.id):
            raise errors.rpc(
                "FailedPrecondition", "can't remove member from the raft: this would result in a loss of quorum"
            )

    def _follow_role(self, node_id: str) -> None:
        node = self.cluster.nodes.get(node_id)
        if node is None or node.role == node.wanted_role:
            return
        promote = node.wanted_role == "manager"
        self.world.kernel.after(PROMOTION if promote else DEMOTION, lambda: self._change_role(node_id))

    def _change_role(self, node_id: str) -> None:
        node = self.cluster.nodes.get(node_id)
        if node is None or node.role == node.wanted_role:
            return
        host = self.world.host_of(self.cluster, node_id)
        if node.wanted_role == "manager":
            if host is None or not self.world.node_connected(self.cluster, node_id) or host.swarm is None:
                self.world.kernel.after(PROMOTION, lambda: self._change_role(node_id))
                return
            host.swarm.role = "manager"
            host.swarm.renew(self.world.kernel.now())
            host.swarm.key, host.swarm.key_version = self.cluster.unlock_key, self.cluster.version
            host.swarm.seen_leader = True
            self.cluster.change_node(node, role="manager")
            self.raft.add(Member(node_id, host.name, f"{host.swarm.address}:2377"))
        else:
            if self.raft.leader == node_id:
                self.raft.transfer(node_id)
            self.raft.remove(node_id)
            self.cluster.change_node(node, role="worker")
            if host is not None and host.swarm is not None:
                host.swarm.role = "worker"
                host.swarm.renew(self.world.kernel.now())
                host.swarm.key, host.swarm.key_version = "", 0
                host.swarm.locked = False
        self.world.update_remotes(self.cluster)
        self.world.kernel.after(RENEWAL, lambda: self._renewed(node_id))
        self.control.orchestrator.touch_all()

    def _renewed(self, node_id: str) -> None:
        """The certificate of the new role has arrived, which changes the node's version once more."""
        node = self.cluster.nodes.get(node_id)
        if node is None:
            return
        host = self.world.host_of(self.cluster, node_id)
        if host is not None and host.swarm is not None:
            host.swarm.renew(self.world.kernel.now())
        self.cluster.commit(node)
        self.cluster.announce(node, "update")

    def remove(self, node_id: str, *, force: bool) -> None:
        """Forget a node.

        Raises:
            ApiError: it is a manager, or up.
        """
        node = self.cluster.nodes[node_id]
        if node.wanted_role == "manager" and node_id in self.raft.members:
            raise errors.rpc(
                "FailedPrecondition",
                f"node {node_id} is a cluster manager and is a member of the raft cluster. "
                "It must be demoted to worker before removal",
            )
        if node.state == "ready" and not force:
            raise errors.rpc("FailedPrecondition", f"node {node_id} is not down and can't be removed")
        living = self.world.node_connected(self.cluster, node_id)
        self.world.journal.note(
            "node.remove",
            f"{node.hostname} ({node_id[:12]}) was removed" + (" by force while it was up." if living else "."),
            risky=living,
        )
        self.cluster.blocked.add(node_id)
        orphans = [task for task in self.cluster.tasks_on(node_id) if not task.over]
        for task in orphans:
            task.state, task.error = "orphaned", ""
            task.message = "Task belonged to a node that has been deleted"
            task.when = self.world.kernel.now()
        if orphans:
            self.cluster.commit(*orphans)
        self.cluster.delete(node)
        self.cluster.announce(node, "remove")
        waiting = self._timers.pop(node_id, None)
        if waiting is not None:
            waiting[1].cancel()
        for task in orphans:
            self.control.task_changed(task)
        self.world.removed(self.cluster, node_id)
        self.control.orchestrator.touch_all()
