"""The control API of a Swarm: what a manager lets one change, and in which words it refuses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from swarmtui.demo.world import errors, specs
from swarmtui.demo.world.blobs import Blobs
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.networks import Networks
from swarmtui.demo.world.nodes import Nodes
from swarmtui.demo.world.objects import Json, Service, Task
from swarmtui.demo.world.orchestrator import Orchestrator
from swarmtui.demo.world.paths import follow_all
from swarmtui.demo.world.raft import Raft
from swarmtui.demo.world.rotation import Rotation

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World


class Control:
    """One cluster's leader: its store, its raft, and the loops that work on them."""

    def __init__(self, world: World, cluster: Cluster, raft: Raft) -> None:
        self.world = world
        self.cluster = cluster
        self.raft = raft
        self.orchestrator = Orchestrator(world, cluster, raft)
        self.nodes = Nodes(self)
        self.rotation: Rotation | None = None
        self.networks = Networks(cluster)
        self.blobs = Blobs(cluster)
        raft.on_leader = self._new_leader

    def _new_leader(self) -> None:
        follow_all(self.world)
        self.nodes.new_leader()
        self.world.update_remotes(self.cluster)
        self.orchestrator.touch_all()

    def task_changed(self, task: Task) -> None:
        """A host reported on a task."""
        self.orchestrator.task_changed(task)

    # -- services

    def create_service(self, spec: Json) -> Service:
        """A new service.

        Raises:
            ApiError: in the engine's words.
        """
        self.networks.resolve(spec)
        kept = specs.normalise(spec)
        if not kept["Name"]:
            kept["Name"] = specs.random_name(self.cluster.ids.random.choice)
        specs.check(kept)
        self._check_ports(kept, "")
        self._check_references(kept)
        if any(service.name == kept["Name"] for service in self.cluster.services.values()):
            raise errors.rpc(
                "AlreadyExists",
                f"name conflicts with an existing object: service {kept['Name']} already exists",
            )
        service = Service(id=self.cluster.ids.object(), spec=kept)
        if service.mode.endswith("Job"):
            service.job = {"JobIteration": {}, "LastExecution": stamp(self.world.kernel.now())}
        self.networks.allocate(service)
        self.cluster.commit(service)
        self.cluster.announce(service, "create")
        self.orchestrator.touch(service.id)
        return service

    def update_service(self, service: Service, version: int, spec: Json, rollback: str) -> None:
        """Give a service a new Spec, or its previous one back.

        Raises:
            ApiError: in the engine's words.
        """
        self.networks.resolve(spec)
        # A Spec without a name gets one before it is looked at, and so is taken for a renaming.
        kept = specs.normalise({**spec, "Name": spec.get("Name") or specs.random_name(self.cluster.ids.random.choice)})
        if rollback not in ("", "none", "previous"):
            raise errors.ApiError(500, f"unrecognized rollback option {rollback}")
        specs.check(kept)
        if kept.get("EndpointSpec") != service.spec.get("EndpointSpec"):
            self._check_ports(kept, service.id)
        self._check_references(kept)
        if next(iter(kept["Mode"])) != service.mode:
            raise errors.rpc("Unimplemented", "service mode change is not allowed")
        if kept["Name"] != service.name:
            raise errors.rpc("Unimplemented", "renaming services is not supported")
        if rollback == "previous" and service.previous_spec is None:
            raise errors.rpc("FailedPrecondition", f"service {service.id} does not have a previous spec")
        if version != service.index:
            raise errors.out_of_sequence()
        before = service.spec
        changes: dict[str, str] = {}
        if rollback == "previous":
            service.spec, service.previous_spec = service.previous_spec or {}, service.spec
            service.spec_version, service.previous_version = service.previous_version, service.spec_version
            service.update = {
                "State": "rollback_started",
                "StartedAt": stamp(self.world.kernel.now()),
                "Message": "manually requested rollback",
            }
            changes["updatestate.new"] = "rollback_started"
        else:
            service.previous_spec, service.previous_version = before, service.spec_version
            service.spec = kept
            service.update = None
            same = kept["TaskTemplate"] == before["TaskTemplate"] and _ports(kept) == _ports(before)
            if not same:
                service.spec_version = self.cluster.index + 1
        if service.job is not None:
            iteration = int(service.job["JobIteration"].get("Index", 0)) + 1
            service.job = {
                "JobIteration": {"Index": iteration},
                "LastExecution": stamp(self.world.kernel.now()),
            }
        for field, path in (("image", _image), ("replicas", _replicas)):
            old, new = path(before), path(service.spec)
            if old != new:
                changes |= {f"{field}.old": old, f"{field}.new": new}
        self.networks.allocate(service)
        self.cluster.commit(service)
        self.cluster.announce(service, "update", changes)
        self.orchestrator.restart_update(service)

    def remove_service(self, service: Service) -> None:
        """Remove a service and all its tasks."""
        self.cluster.delete(service)
        self.cluster.announce(service, "remove")
        self.orchestrator.service_gone(service)

    def counts(self, service: Service) -> tuple[int, int, int]:
        """RunningTasks, DesiredTasks and CompletedTasks as the engine counts them.

        The engine counts running tasks on nodes that are down as well; so does this.
        """
        running = desired = completed = 0
        iteration = service.job["JobIteration"].get("Index", 0) if service.job else None
        for task in self.cluster.tasks_in(service.id):
            if task.job_iteration != iteration:
                continue
            completed += iteration is not None and task.state == "complete"
            running += task.state == "running"
            if "Global" in service.mode:
                desired += task.desired == "running"
                desired += task.desired == "complete" and task.state != "complete"
        if service.mode == "Replicated":
            desired = service.replicas
        elif service.mode == "ReplicatedJob":
            desired = service.spec["Mode"]["ReplicatedJob"]["MaxConcurrent"]
        return running, desired, completed

    def _check_ports(self, spec: Json, service_id: str) -> None:
        wanted = (spec.get("EndpointSpec") or {}).get("Ports") or []
        ingress = specs.published(wanted, "ingress")
        host = specs.published(wanted, "host")
        for other in self.cluster.services.values():
            if other.id == service_id:
                continue
            for _, port in sorted(specs.published(other.ports, "host") & ingress):
                raise errors.rpc(
                    "InvalidArgument",
                    f"port '{port}' is already in use by service '{other.name}' ({other.id}) as a host-published port",
                )
            for _, port in sorted(specs.published(other.ports, "ingress") & (ingress | host)):
                raise errors.rpc(
                    "InvalidArgument",
                    f"port '{port}' is already in use by service '{other.name}' ({other.id}) as an ingress port",
                )

    def _check_references(self, spec: Json) -> None:
        container = spec["TaskTemplate"]["ContainerSpec"]
        for kind, key, table in (
            ("secret", "Secrets", self.cluster.secrets),
            ("config", "Configs", self.cluster.configs),
        ):
            field = kind.capitalize()
            missing = []
            for reference in container.get(key) or []:
                found = table.get(reference[f"{field}ID"])
                if found is None or found.name != reference[f"{field}Name"]:
                    missing.append(reference[f"{field}Name"])
            if missing:
                plural = kind if len(missing) == 1 else f"{kind}s"
                raise errors.rpc("InvalidArgument", f"{plural} not found: {', '.join(missing)}")

    # -- the cluster itself

    def update_cluster(self, version: int, spec: Json, rotate: Mapping[str, bool]) -> None:
        """Change the Swarm's own Spec, and rotate tokens or the unlock key.

        Raises:
            ApiError: in the engine's words.
        """
        cluster = self.cluster
        if (spec.get("Name") or "default") != "default":
            raise errors.ApiError(400, 'swarm spec must be named "default"')
        if version != cluster.version:
            raise errors.out_of_sequence()
        merged = copy.deepcopy(cluster.spec)
        forced = int(merged["CAConfig"].get("ForceRotate", 0))
        for key, value in spec.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "Labels":
                merged[key] = {**merged[key], **value}
            elif key in merged and value is not None:
                merged[key] = value
        merged["Labels"] = dict(spec.get("Labels") or {})
        lock = bool((spec.get("EncryptionConfig") or {}).get("AutoLockManagers", False))
        merged["EncryptionConfig"] = {"AutoLockManagers": lock}
        cluster.spec = merged
        if rotate.get("rotateWorkerToken"):
            cluster.worker_token = cluster.ids.token(cluster.ca_digest)
        if rotate.get("rotateManagerToken"):
            cluster.manager_token = cluster.ids.token(cluster.ca_digest)
        if not lock:
            cluster.unlock_key = ""
        elif not cluster.unlock_key or rotate.get("rotateManagerUnlockKey"):
            cluster.unlock_key = cluster.ids.unlock_key()
        cluster.commit_cluster()
        self.world.rekey(cluster)
        if merged["CAConfig"].get("ForceRotate", 0) > forced:
            self.rotation = Rotation(self)
        self.orchestrator.touch_all()


def _ports(spec: Json) -> object:
    return (spec.get("EndpointSpec") or {}).get("Ports") or []


def _image(spec: Json) -> str:
    return str(spec["TaskTemplate"]["ContainerSpec"].get("Image", ""))


def _replicas(spec: Json) -> str:
    return str(spec["Mode"].get("Replicated", {}).get("Replicas", ""))
