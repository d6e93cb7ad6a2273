"""One Swarm: what its raft log holds, with versions and the events that changes cause.

After a forced new cluster two of these may live side by side, as two real ones would.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from swarmtui.demo.world.ids import Ids, stamp
from swarmtui.demo.world.kernel import Kernel
from swarmtui.demo.world.objects import Json, Node, Service, StoreObject, Task
from swarmtui.demo.world.pki import Authority
from swarmtui.demo.world.resources import Blob, Network

NINETY_DAYS = 90 * 24 * 3600


def default_spec() -> Json:
    """The Spec of a new Swarm."""
    return {
        "Name": "default",
        "Labels": {},
        "Orchestration": {"TaskHistoryRetentionLimit": 5},
        "Raft": {
            "SnapshotInterval": 10000,
            "KeepOldSnapshots": 0,
            "LogEntriesForSlowFollowers": 500,
            "ElectionTick": 10,
            "HeartbeatTick": 1,
        },
        "Dispatcher": {"HeartbeatPeriod": 5 * 10**9},
        "CAConfig": {"NodeCertExpiry": NINETY_DAYS * 10**9},
        "TaskDefaults": {},
        "EncryptionConfig": {"AutoLockManagers": False},
    }


class Cluster:
    """The replicated state of a Swarm.

    Attributes:
        index: the raft index; every commit takes the next one, and what it touches gets it as Version.Index.
        rotating: is the root CA being rotated?
        unlock_key: the key of autolock; empty while it is off.
        blocked: joined nodes that were removed and may not come back with their old certificate.
        closed: nobody can join: its CA came from a UCP that was removed.
    """

    def __init__(self, kernel: Kernel, ids: Ids) -> None:
        self.kernel = kernel
        self.ids = ids
        self.id = ids.object()
        self.index = 9
        self.version = 0
        self.created = self.updated = kernel.now()
        self.spec = default_spec()
        self.authority = Authority(kernel.now())
        self.ca_digest = ids.ca_digest()
        self.worker_token = ids.token(self.ca_digest)
        self.manager_token = ids.token(self.ca_digest)
        self.unlock_key = ""
        self.data_path_port = 4789
        self.rotating = False
        self.nodes: dict[str, Node] = {}
        self.services: dict[str, Service] = {}
        self.tasks: dict[str, Task] = {}
        self.networks: dict[str, Network] = {}
        self.secrets: dict[str, Blob] = {}
        self.configs: dict[str, Blob] = {}
        self.tasks_of_service: dict[str, dict[str, Task]] = defaultdict(dict)
        self.tasks_of_node: dict[str, dict[str, Task]] = defaultdict(dict)
        self.blocked: set[str] = set()
        self.closed = False
        self.publish: Callable[[Json], None] = lambda message: None

    def table(self, kind: str) -> dict[str, StoreObject]:
        """All objects of a kind ("node", "service", …) by id."""
        tables: dict[str, dict[str, StoreObject]] = {
            "node": self.nodes,  # type: ignore[dict-item]
            "service": self.services,  # type: ignore[dict-item]
            "task": self.tasks,  # type: ignore[dict-item]
            "network": self.networks,  # type: ignore[dict-item]
            "secret": self.secrets,  # type: ignore[dict-item]
            "config": self.configs,  # type: ignore[dict-item]
        }
        return tables[kind]

    def commit(self, *objects: StoreObject) -> None:
        """Write new or changed objects in one transaction. Says nothing to anybody (see `announce`)."""
        self.index += 1
        now = self.kernel.now()
        for item in objects:
            item.index = self.index
            item.updated = now
            if not item.created:
                item.created = now
            item.forget()
            kind = _kind(item)
            self.table(kind)[item.id] = item
            if isinstance(item, Task):
                self.tasks_of_service[item.service_id][item.id] = item
                if item.node_id:
                    self.tasks_of_node[item.node_id][item.id] = item

    def commit_cluster(self) -> None:
        """The cluster object itself changed."""
        self.index += 1
        self.version = self.index
        self.updated = self.kernel.now()

    def twin(self) -> Cluster:
        """The same Swarm once more: same ids, same CA, but what changes in one no longer changes in the other."""
        twin = copy.copy(self)
        twin.spec, twin.blocked = copy.deepcopy(self.spec), set(self.blocked)
        twin.publish = lambda message: None
        # Of an object only what is changed in place is copied; the rest is replaced when it changes.
        twin.nodes = {key: replace(node, labels=dict(node.labels)) for key, node in self.nodes.items()}
        twin.services = {key: replace(item, ended=set(item.ended)) for key, item in self.services.items()}
        twin.tasks = {key: replace(task) for key, task in self.tasks.items()}
        twin.networks = {key: replace(network) for key, network in self.networks.items()}
        twin.secrets = {key: replace(blob) for key, blob in self.secrets.items()}
        twin.configs = {key: replace(blob) for key, blob in self.configs.items()}
        twin.tasks_of_service = defaultdict(dict)
        twin.tasks_of_node = defaultdict(dict)
        for task in twin.tasks.values():
            twin.tasks_of_service[task.service_id][task.id] = task
            if task.node_id:
                twin.tasks_of_node[task.node_id][task.id] = task
        return twin

    def delete(self, *objects: StoreObject) -> None:
        """Remove objects in one transaction."""
        self.index += 1
        for item in objects:
            self.table(_kind(item)).pop(item.id, None)
            if isinstance(item, Task):
                self.tasks_of_service[item.service_id].pop(item.id, None)
                self.tasks_of_node[item.node_id].pop(item.id, None)

    def announce(self, item: StoreObject, action: str, changes: dict[str, str] | None = None) -> None:
        """Tell the managers' event streams; tasks and the cluster itself have no events."""
        seconds = {"create": item.created, "update": item.updated}.get(action, self.kernel.now())
        self.publish(
            {
                "Type": _kind(item),
                "Action": action,
                "Actor": {
                    "ID": item.id,
                    "Attributes": dict(sorted({"name": item.name, **(changes or {})}.items())),
                },
                "scope": "swarm",
                "time": int(seconds),
                "timeNano": int(seconds * 1e9),
            }
        )

    def change_node(
        self,
        node: Node,
        *,
        state: str | None = None,
        message: str | None = None,
        role: str | None = None,
        availability: str | None = None,
    ) -> None:
        """Change what an event shows of a node, and announce it."""
        changes: dict[str, str] = {}
        for field, value in (("state", state), ("role", role), ("availability", availability)):
            old = getattr(node, field)
            if value is not None and value != old:
                changes |= {f"{field}.old": old, f"{field}.new": value}
                setattr(node, field, value)
        if message is not None:
            node.message = message
        self.commit(node)
        self.announce(node, "update", changes)

    def change_update_state(self, service: Service, update: Json) -> None:
        """Set a service's UpdateStatus, and announce it."""
        changes = {"updatestate.new": update["State"]}
        if service.update is not None and service.update["State"] != update["State"]:
            changes["updatestate.old"] = service.update["State"]
        service.update = update
        self.commit(service)
        self.announce(service, "update", changes)

    def tasks_in(self, service_id: str) -> Iterable[Task]:
        """The tasks of a service, oldest history included."""
        return self.tasks_of_service.get(service_id, {}).values()

    def tasks_on(self, node_id: str) -> Iterable[Task]:
        """The tasks assigned to a node, oldest history included."""
        return self.tasks_of_node.get(node_id, {}).values()

    @property
    def autolock(self) -> bool:
        """Do managers lock when they restart?"""
        return bool(self.spec["EncryptionConfig"].get("AutoLockManagers", False))

    def doc(self) -> Json:
        """`Cluster` of /info, which is /swarm without the join tokens."""
        return {
            "ID": self.id,
            "Version": {"Index": self.version},
            "CreatedAt": stamp(self.created),
            "UpdatedAt": stamp(self.updated),
            "Spec": self.spec,
            "TLSInfo": self.authority.tls_info(),
            "RootRotationInProgress": self.rotating,
            "DefaultAddrPool": ["10.0.0.0/8"],
            "SubnetSize": 24,
            "DataPathPort": self.data_path_port,
        }


def _kind(item: StoreObject) -> str:
    if isinstance(item, Blob):
        return "secret" if item.secret else "config"
    return item.kind
