"""Rotating the Swarm's root CA: every node gets a new certificate, then the new root takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.demo.world.pki import Authority

if TYPE_CHECKING:
    from swarmtui.demo.world.control import Control

_EACH = (0.5, 4.0)
"""Bounds of the time until a node has its new certificate, in seconds."""
_LOOK = 1.0


class Rotation:
    """One rotation of a cluster's root CA. It ends once every node has a certificate of the new one."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.authority = Authority(control.world.kernel.now())
        self._renewed: set[str] = set()
        control.cluster.rotating = True
        for node_id in control.cluster.nodes:
            self._later(node_id)
        self._look()

    def _later(self, node_id: str) -> None:
        world = self.control.world
        world.kernel.after(world.ids.random.uniform(*_EACH), lambda: self._renew(node_id))

    def _renew(self, node_id: str) -> None:
        control, world = self.control, self.control.world
        node = control.cluster.nodes.get(node_id)
        if node is None or control.rotation is not self:
            return
        host = world.host_of(control.cluster, node_id)
        if host is None or host.swarm is None or not world.node_connected(control.cluster, node_id):
            self._later(node_id)
            return
        host.swarm.renew(world.kernel.now())
        node.tls = self.authority.tls_info()
        self._renewed.add(node_id)
        control.cluster.commit(node)
        control.cluster.announce(node, "update")

    def _look(self) -> None:
        control = self.control
        if control.rotation is not None and control.rotation is not self:
            return
        if set(control.cluster.nodes) <= self._renewed:
            cluster = control.cluster
            cluster.authority = self.authority
            cluster.ca_digest = cluster.ids.ca_digest()
            cluster.worker_token = cluster.ids.token(cluster.ca_digest)
            cluster.manager_token = cluster.ids.token(cluster.ca_digest)
            cluster.rotating = False
            cluster.commit_cluster()
            control.rotation = None
            return
        control.world.kernel.after(_LOOK, self._look)
