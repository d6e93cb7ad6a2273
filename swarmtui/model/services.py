"""Services and their tasks as the engine API gives them, frozen; spelled and decoded as the objects in model/swarm."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from swarmtui.model.swarm import ApiStruct, Platform, Resources, Version


class DriverConfig(ApiStruct, frozen=True):
    name: str = ""


class VolumeOptions(ApiStruct, frozen=True):
    driver_config: DriverConfig | None = None


class Mount(ApiStruct, frozen=True):
    type: str = ""
    source: str = ""
    target: str = ""
    volume_options: VolumeOptions | None = None


class SecretReference(ApiStruct, frozen=True):
    secret_id: str = ""
    secret_name: str = ""


class ConfigReference(ApiStruct, frozen=True):
    config_id: str = ""
    config_name: str = ""


class ContainerSpec(ApiStruct, frozen=True):
    image: str = ""
    mounts: list[Mount] | None = None
    secrets: list[SecretReference] | None = None
    configs: list[ConfigReference] | None = None


class ResourceNeeds(ApiStruct, frozen=True):
    limits: Resources | None = None
    reservations: Resources | None = None


class SpreadOver(ApiStruct, frozen=True):
    """spread_descriptor: node.labels.KEY or engine.labels.KEY."""

    spread_descriptor: str = ""


class PlacementPreference(ApiStruct, frozen=True):
    spread: SpreadOver | None = None


class Placement(ApiStruct, frozen=True):
    """preferences: the outermost first."""

    constraints: list[str] | None = None
    preferences: list[PlacementPreference] | None = None
    max_replicas: int = 0
    platforms: list[Platform] | None = None


class NetworkAttachment(ApiStruct, frozen=True):
    """target: id of the network."""

    target: str = ""
    aliases: list[str] | None = None


class TaskSpec(ApiStruct, frozen=True):
    container_spec: ContainerSpec | None = None
    resources: ResourceNeeds | None = None
    placement: Placement | None = None
    networks: list[NetworkAttachment] | None = None
    force_update: int = 0


class Replicated(ApiStruct, frozen=True):
    replicas: int = 0


class ReplicatedJob(ApiStruct, frozen=True):
    max_concurrent: int = 0
    total_completions: int = 0


class Empty(ApiStruct, frozen=True):
    pass


class ServiceMode(ApiStruct, frozen=True):
    replicated: Replicated | None = None
    global_: Empty | None = field(default=None, name="Global")
    replicated_job: ReplicatedJob | None = None
    global_job: Empty | None = None


class Port(ApiStruct, frozen=True):
    protocol: str = "tcp"
    target_port: int = 0
    published_port: int = 0
    publish_mode: str = "ingress"


class EndpointSpec(ApiStruct, frozen=True):
    mode: str = ""
    ports: list[Port] | None = None


class UpdateConfig(ApiStruct, frozen=True):
    """How tasks are replaced. The defaults are those of a service that has none (swarmkit, api/defaults).

    Attributes:
        parallelism: how many at a time, 0 for all.
        delay, monitor: nanoseconds; monitor 0 stands for the engine's own 5 s.
    """

    parallelism: int = 0
    delay: int = 0
    failure_action: str = "pause"
    monitor: int = 0
    max_failure_ratio: float = 0.0
    order: str = "stop-first"


class ServiceSpec(ApiStruct, frozen=True):
    """networks: where clients before API 1.25 put what the task template holds since."""

    name: str = ""
    labels: dict[str, str] | None = None
    task_template: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: list[NetworkAttachment] | None = None
    endpoint_spec: EndpointSpec | None = None


class UpdateStatus(ApiStruct, frozen=True):
    """state: updating, paused, completed, rollback_started, rollback_paused, rollback_completed."""

    state: str = ""
    started_at: str = ""
    completed_at: str = ""
    message: str = ""


class Service(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: ServiceSpec = ServiceSpec()
    update_status: UpdateStatus | None = None

    @property
    def name(self) -> str:
        return self.spec.name or self.id[:12]

    @property
    def is_global(self) -> bool:
        return self.spec.mode.global_ is not None or self.spec.mode.global_job is not None

    @property
    def is_job(self) -> bool:
        return self.spec.mode.replicated_job is not None or self.spec.mode.global_job is not None

    @property
    def replicas(self) -> int | None:
        """Replicas asked for; None for a global service."""
        if self.spec.mode.replicated is not None:
            return self.spec.mode.replicated.replicas
        if self.spec.mode.replicated_job is not None:
            return self.spec.mode.replicated_job.total_completions
        return None


class ContainerStatus(ApiStruct, frozen=True):
    container_id: str = ""
    exit_code: int = 0


class TaskStatus(ApiStruct, frozen=True):
    timestamp: str = ""
    state: str = ""
    message: str = ""
    err: str = ""
    container_status: ContainerStatus | None = None


class Task(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: TaskSpec = TaskSpec()
    service_id: str = ""
    slot: int = 0
    node_id: str = ""
    status: TaskStatus = TaskStatus()
    desired_state: str = ""

    TERMINAL: ClassVar[frozenset[str]] = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})

    @property
    def is_terminal(self) -> bool:
        """Its container has ended, or never will be: this task uses nothing any more."""
        return self.status.state in self.TERMINAL

    @property
    def is_wanted(self) -> bool:
        """The orchestrator wants it to run, or a job's to run to its end; "ready" waits for its predecessor."""
        return self.desired_state in ("running", "ready", "complete") and not self.is_terminal

    @property
    def runs(self) -> bool:
        """Wanted and running. Says nothing of its node: a task on a node that is down still reads "running"."""
        return self.desired_state in ("running", "complete") and self.status.state == "running"
