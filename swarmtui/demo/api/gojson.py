"""Request bodies as Go reads them: the case of a field's name does not matter. The stock SDK relies on it."""

from __future__ import annotations

from typing import Any

_FIELDS = """
AdvertiseAddr Aliases Annotations Architecture Args Attachable AutoLockManagers Availability CAConfig CPUSet
CapabilityAdd CapabilityDrop CheckDuplicate Cmd Command Condition Config ConfigID ConfigName Configs Constraints
ContainerSpec Data DataPathAddr DataPathPort DefaultAddrPool Delay Dir Dispatcher Driver DriverConfig DriverOpts
ElectionTick EnableIPv6 EncryptionConfig EndpointSpec Env ExternalCAs FailureAction File ForceNewCluster ForceRotate
ForceUpdate GID Gateway Generic GenericResources Global GlobalJob Groups Healthcheck HeartbeatPeriod HeartbeatTick
Hostname Hosts IPAM IPRange Image Ingress Init Internal Interval Isolation JoinToken KeepOldSnapshots Labels Limits
ListenAddr LogDriver LogEntriesForSlowFollowers MaxAttempts MaxConcurrent MaxFailureRatio MaxReplicas MemoryBytes
Mode Monitor Mounts Name NanoCPUs Nameservers Networks NodeCertExpiry OS OpenStdin Options Orchestration Order
Parallelism Pids Placement Platforms Ports Preferences Privileges Propagation Protocol PublishMode PublishedPort Raft
ReadOnly RemoteAddrs Replicas Replicated ReplicatedJob Reservations Resources RestartPolicy Retries Role
RollbackConfig Runtime Scope Search SecretID SecretName Secrets SigningCACert SigningCAKey SnapshotInterval Source Spec
Spread SpreadDescriptor StartPeriod StopGracePeriod StopSignal Subnet SubnetSize Sysctls TTY Target TargetPort
TaskDefaults TaskHistoryRetentionLimit TaskTemplate Templating Test Timeout TotalCompletions Type UID Ulimits
UnlockKey UpdateConfig User Value VolumeOptions Window
"""

_BY_LOWER = {name.lower(): name for name in _FIELDS.split()}
_MAPS = {"Labels", "Options", "DriverOpts", "Sysctls"}
"""Objects whose keys are data and stay as they are."""


def canonical(value: Any, name: str = "") -> Any:
    """A decoded body with the names of its fields in the engine's own spelling."""
    if isinstance(value, dict):
        if name in _MAPS:
            return value
        result = {}
        for key, item in value.items():
            known = _BY_LOWER.get(str(key).lower(), str(key))
            result[known] = canonical(item, known)
        return result
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return value
