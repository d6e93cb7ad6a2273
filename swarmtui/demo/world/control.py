"""The control API of a Swarm: what a manager lets one change, and in which words it refuses."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from swarmtui.demo.world import errors, specs
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.nodes import Nodes
from swarmtui.demo.world.objects import Blob, Json, Network, Service, StoreObject, Task
from swarmtui.demo.world.orchestrator import Orchestrator
from swarmtui.demo.world.raft import Raft
from swarmtui.demo.world.rotation import Rotation

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

Kept = TypeVar("Kept", bound=StoreObject)


def find(table: Mapping[str, Kept], text: str, kind: str) -> Kept:
    """The object a person means: by full id, else by full name, else by the beginning of its id.

    Raises:
        ApiError: 404 for none, 400 for several.
    """
    if text in table:
        return table[text]
    found = [item for item in table.values() if _full_name(item) == text]
    if not found:
        found = [item for key, item in table.items() if key.startswith(text)]
    if not found:
        raise errors.ApiError(404, f"{kind} {text} not found")
    if len(found) > 1:
        raise errors.ApiError(400, f"{kind} {text} is ambiguous ({len(found)} matches found)")
    return found[0]


def _full_name(item: StoreObject) -> str:
    return getattr(item, "hostname", "") or item.name


class Control:
    """One cluster's leader: its store, its raft, and the loops that work on them."""

    def __init__(self, world: World, cluster: Cluster, raft: Raft) -> None:
        self.world = world
        self.cluster = cluster
        self.raft = raft
        self.orchestrator = Orchestrator(world, cluster, raft)
        self.nodes = Nodes(self)
        self.rotation: Rotation | None = None
        self._addresses: dict[str, int] = {}
        self._subnets = 0
        raft.on_leader = self._new_leader

    def _new_leader(self) -> None:
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
        self._resolve_networks(spec)
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
        self._allocate(service)
        self.cluster.commit(service)
        self.cluster.announce(service, "create")
        self.orchestrator.touch(service.id)
        return service

    def update_service(self, service: Service, version: int, spec: Json, rollback: str) -> None:
        """Give a service a new Spec, or its previous one back.

        Raises:
            ApiError: in the engine's words.
        """
        self._resolve_networks(spec)
        kept = specs.normalise(spec)
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
        self._allocate(service)
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

    def _resolve_networks(self, spec: Json) -> None:
        template = spec.get("TaskTemplate") or {}
        for holder in (template, spec):
            for network in holder.get("Networks") or []:
                target = str(network.get("Target", ""))
                try:
                    found = find(self.cluster.networks, target, "network")
                except errors.ApiError as error:
                    if error.status != 404:
                        raise
                    raise errors.ApiError(500, f"network {target} not found") from None
                if found.ingress:
                    raise errors.rpc(
                        "InvalidArgument",
                        f'Service cannot be explicitly attached to the ingress network "{found.name}"',
                    )
                network["Target"] = found.id

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

    def _allocate(self, service: Service) -> None:
        """Ports and virtual IPs."""
        endpoint = service.spec.get("EndpointSpec") or {}
        taken = {port["PublishedPort"] for other in self.cluster.services.values() for port in other.ports}
        service.ports = []
        for port in endpoint.get("Ports") or []:
            given = dict(port)
            if not given.get("PublishedPort") and given["PublishMode"] == "ingress":
                given["PublishedPort"] = next(n for n in range(30000, 32768) if n not in taken)
                taken.add(given["PublishedPort"])
            service.ports.append(given)
        if endpoint.get("Mode", "vip") != "vip":
            service.vips = []
            return
        wanted = [n.id for n in self._networks(service)]
        have = {vip["NetworkID"]: vip for vip in service.vips}
        service.vips = [
            have.get(network_id) or self._virtual_ip(self.cluster.networks[network_id]) for network_id in wanted
        ]

    def _virtual_ip(self, network: Network) -> Json:
        address = self.address(network)
        return {"NetworkID": network.id, **({"Addr": address} if address else {})}

    def _networks(self, service: Service) -> list[Network]:
        result = []
        if specs.published(service.ports, "ingress"):
            result += [n for n in self.cluster.networks.values() if n.ingress]
        attached = service.template.get("Networks") or service.spec.get("Networks") or []
        for attachment in attached:
            network = self.cluster.networks.get(attachment.get("Target", ""))
            if network is not None:
                result.append(network)
        return result

    def attachments(self, service: Service) -> list[Json]:
        """The networks a new task of a service gets, with addresses."""
        result = []
        for network in self._networks(service):
            address = self.address(network)
            result.append(network.attachment([address] if address else []))
        return result

    def address(self, network: Network) -> str:
        """The next free address of a network, with its prefix length; empty where there are none."""
        if not network.subnet:
            return ""
        subnet = ipaddress.ip_network(network.subnet)
        number = self._addresses.get(network.id, 1) + 1
        self._addresses[network.id] = number
        return f"{subnet[number % (subnet.num_addresses - 2) + 1]}/{subnet.prefixlen}"

    # -- networks, secrets, configs

    def create_network(self, request: Json) -> Network:
        """A new overlay network.

        Raises:
            ApiError: in the engine's words.
        """
        specs.check_name(str(request.get("Name") or ""))
        if any(n.name == request["Name"] for n in self.cluster.networks.values()):
            raise errors.ApiError(409, f"network with name {request['Name']} already exists")
        config = ((request.get("IPAM") or {}).get("Config") or [{}])[0]
        subnet = config.get("Subnet")
        if not subnet:
            subnet = f"10.0.{self._subnets}.0/24"
            self._subnets += 1
        first = ipaddress.ip_network(subnet, strict=False)[1]
        network = Network(
            id=self.cluster.ids.object(),
            label=request["Name"],
            driver=request.get("Driver") or "overlay",
            subnet=subnet,
            gateway=config.get("Gateway") or str(first),
            vxlan=4096 + len(self.cluster.networks),
            labels=dict(request.get("Labels") or {}),
            internal=bool(request.get("Internal")),
            attachable=bool(request.get("Attachable")),
            ingress=bool(request.get("Ingress")),
            options=dict(request.get("Options") or {}),
        )
        self.cluster.commit(network)
        self.cluster.announce(network, "create")
        return network

    def remove_network(self, network: Network) -> None:
        """Remove a network that nothing uses.

        Raises:
            ApiError: something does.
        """
        for service in self.cluster.services.values():
            if network in self._networks(service):
                raise errors.rpc("FailedPrecondition", f"network {network.id} is in use by service {service.id}")
        for task in self.cluster.tasks.values():
            for attachment in task.attachments:
                if attachment["Network"]["ID"] == network.id and not task.over:
                    raise errors.rpc("FailedPrecondition", f"network {network.id} is in use by task {task.id}")
        self.cluster.delete(network)
        self.cluster.announce(network, "remove")

    def create_blob(self, spec: Json, *, secret: bool) -> Blob:
        """A new secret or config.

        Raises:
            ApiError: in the engine's words.
        """
        kind = "secret" if secret else "config"
        specs.check_blob_name(str(spec.get("Name") or ""))
        size = len(spec.get("Data") or "") * 3 // 4
        if secret and not 0 < size < 512000:
            raise errors.rpc("InvalidArgument", "secret data must be larger than 0 and less than 512000 bytes")
        table = self.cluster.secrets if secret else self.cluster.configs
        if any(item.name == spec["Name"] for item in table.values()):
            raise errors.rpc("AlreadyExists", f"{kind} {spec['Name']} already exists")
        kept = {"Name": spec["Name"], "Labels": dict(spec.get("Labels") or {}), "Data": spec.get("Data") or ""}
        blob = Blob(id=self.cluster.ids.object(), spec=kept, secret=secret)
        self.cluster.commit(blob)
        self.cluster.announce(blob, "create")
        return blob

    def update_blob(self, blob: Blob, version: int, spec: Json) -> None:
        """Change the labels of a secret or config; nothing else may change.

        Raises:
            ApiError: in the engine's words.
        """
        if spec.get("Name") != blob.name or (spec.get("Data") and spec["Data"] != blob.spec["Data"]):
            raise errors.rpc("InvalidArgument", "only updates to Labels are allowed")
        if version != blob.index:
            raise errors.out_of_sequence()
        blob.spec = {**blob.spec, "Labels": dict(spec.get("Labels") or {})}
        self.cluster.commit(blob)
        self.cluster.announce(blob, "update")

    def remove_blob(self, blob: Blob) -> None:
        """Remove a secret or config that no service uses.

        Raises:
            ApiError: some service does.
        """
        kind = "secret" if blob.secret else "config"
        key, field = f"{kind.capitalize()}s", f"{kind.capitalize()}ID"
        users = [
            service.name
            for service in self.cluster.services.values()
            if any(r.get(field) == blob.id for r in service.template["ContainerSpec"].get(key) or [])
        ]
        if users:
            word = "service" if len(users) == 1 else "services"
            raise errors.rpc(
                "InvalidArgument",
                f"{kind} '{blob.name}' is in use by the following {word}: {', '.join(users)}",
            )
        self.cluster.delete(blob)
        self.cluster.announce(blob, "remove")

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
