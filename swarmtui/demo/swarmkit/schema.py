"""SwarmKit's messages by number (api/types.proto, specs.proto, objects.proto), read from the Engine API's JSON."""

from __future__ import annotations

from swarmtui.demo.swarmkit.wire import (
    Message,
    blob,
    choice,
    duration,
    mapping,
    message,
    moment,
    number,
    real,
    text,
    texts,
    wrapped,
)

ROLE = choice("worker", "manager")
AVAILABILITY = choice("active", "pause", "drain")
MEMBERSHIP = choice("pending", "accepted")
NODE_STATE = choice("unknown", "down", "ready", "disconnected")
TASK_STATE = choice(
    new=0, allocated=64, pending=64, assigned=192, accepted=256, preparing=320, ready=384, starting=448, running=512,
    complete=576, shutdown=640, failed=704, rejected=768, remove=800, orphaned=832,
)  # fmt: skip

VERSION = message(("Index", 1, number))
ANNOTATIONS = message(("Name", 1, text), ("Labels", 2, mapping))
DRIVER = message(("Name", 1, text), ("Options", 2, mapping))

_CREDENTIAL = message(("File", 1, text), ("Registry", 2, text), ("Config", 3, text))
_SELINUX = message(("Disable", 1, number), ("User", 2, text), ("Role", 3, text), ("Type", 4, text), ("Level", 5, text))
_SECCOMP = message(("Mode", 1, choice("default", "unconfined", "custom")), ("Profile", 2, blob))
_APPARMOR = message(("Mode", 1, choice("default", "disabled")))
_PRIVILEGES = message(
    ("CredentialSpec", 1, _CREDENTIAL),
    ("SELinuxContext", 2, _SELINUX),
    ("Seccomp", 3, _SECCOMP),
    ("AppArmor", 4, _APPARMOR),
    ("NoNewPrivileges", 5, number),
)
_PROPAGATION = choice("rprivate", "private", "rshared", "shared", "rslave", "slave")
_BIND = message(
    ("Propagation", 1, _PROPAGATION),
    ("NonRecursive", 2, number),
    ("CreateMountpoint", 3, number),
    ("ReadOnlyNonRecursive", 4, number),
    ("ReadOnlyForceRecursive", 5, number),
)
_VOLUME = message(("NoCopy", 1, number), ("Labels", 2, mapping), ("DriverConfig", 3, DRIVER), ("Subpath", 4, text))
_TMPFS = message(("SizeBytes", 1, number), ("Mode", 2, number))
_MOUNT = message(
    ("Type", 1, choice("bind", "volume", "tmpfs", "npipe", "cluster")),
    ("Source", 2, text),
    ("Target", 3, text),
    ("ReadOnly", 4, number),
    ("BindOptions", 5, _BIND),
    ("VolumeOptions", 6, _VOLUME),
    ("TmpfsOptions", 7, _TMPFS),
    ("Consistency", 8, choice("default", "consistent", "cached", "delegated")),
)
_FILE = message(("Name", 1, text), ("UID", 2, text), ("GID", 3, text), ("Mode", 4, number))
_SECRET_USE = message(("SecretID", 1, text), ("SecretName", 2, text), ("File", 3, _FILE))
_CONFIG_USE = message(("ConfigID", 1, text), ("ConfigName", 2, text), ("File", 3, _FILE), ("Runtime", 4, message()))
_DNS = message(("Nameservers", 1, texts), ("Search", 2, texts), ("Options", 3, texts))
_HEALTH = message(
    ("Test", 1, texts),
    ("Interval", 2, duration),
    ("Timeout", 3, duration),
    ("Retries", 4, number),
    ("StartPeriod", 5, duration),
    ("StartInterval", 6, duration),
)
_ULIMIT = message(("Name", 1, text), ("Soft", 2, number), ("Hard", 3, number))
CONTAINER = message(
    ("Image", 1, text),
    ("Labels", 2, mapping),
    ("Command", 3, texts),
    ("Args", 4, texts),
    ("Env", 5, texts),
    ("Dir", 6, text),
    ("User", 7, text),
    ("Mounts", 8, _MOUNT.many),
    ("StopGracePeriod", 9, duration),
    ("Groups", 11, texts),
    ("Secrets", 12, _SECRET_USE.many),
    ("TTY", 13, number),
    ("Hostname", 14, text),
    ("DNSConfig", 15, _DNS),
    ("Healthcheck", 16, _HEALTH),
    ("Hosts", 17, texts),
    ("OpenStdin", 18, number),
    ("ReadOnly", 19, number),
    ("StopSignal", 20, text),
    ("Configs", 21, _CONFIG_USE.many),
    ("Privileges", 22, _PRIVILEGES),
    ("Init", 23, wrapped),
    ("Isolation", 24, choice("default", "process", "hyperv")),
    ("PidsLimit", 25, number),
    ("Sysctls", 26, mapping),
    ("CapabilityAdd", 27, texts),
    ("CapabilityDrop", 28, texts),
    ("Ulimits", 29, _ULIMIT.many),
    ("OomScoreAdj", 30, number),
)
_NAMED = message(("Kind", 1, text), ("Value", 2, text))
_DISCRETE = message(("Kind", 1, text), ("Value", 2, number))
_GENERIC = message(("NamedResourceSpec", 1, _NAMED), ("DiscreteResourceSpec", 2, _DISCRETE))
RESOURCES = message(("NanoCPUs", 1, number), ("MemoryBytes", 2, number), ("GenericResources", 3, _GENERIC.many))
_LIMITS = message(("NanoCPUs", 1, number), ("MemoryBytes", 2, number))
# Pids of Limits is the PidsLimit of the container (daemon/cluster/convert/service.go); objects.py moves it there.
_NEEDS = message(("Limits", 1, _LIMITS), ("Reservations", 2, RESOURCES))
_RESTART = message(
    ("Condition", 1, choice(**{"none": 0, "on-failure": 1, "any": 2})),
    ("Delay", 2, duration),
    ("MaxAttempts", 3, number),
    ("Window", 4, duration),
)
_PREFERENCE = message(("Spread", 1, message(("SpreadDescriptor", 1, text))))
PLATFORM = message(("Architecture", 1, text), ("OS", 2, text))
_PLACEMENT = message(
    ("Constraints", 1, texts),
    ("Preferences", 2, _PREFERENCE.many),
    ("Platforms", 3, PLATFORM.many),
    ("MaxReplicas", 4, number),
)
_ATTACH = message(("Target", 1, text), ("Aliases", 2, texts), ("DriverOpts", 4, mapping))
TASK_SPEC = message(
    ("ContainerSpec", 1, CONTAINER),
    ("Resources", 2, _NEEDS),
    ("RestartPolicy", 4, _RESTART),
    ("Placement", 5, _PLACEMENT),
    ("LogDriver", 6, DRIVER),
    ("Networks", 7, _ATTACH.many),
    ("ForceUpdate", 9, number),
)
_UPDATE = message(
    ("Parallelism", 1, number),
    ("Delay", 2, duration),
    ("FailureAction", 3, choice("pause", "continue", "rollback")),
    ("Monitor", 4, duration),
    ("MaxFailureRatio", 5, real),
    ("Order", 6, choice(**{"stop-first": 0, "start-first": 1})),
)
PORT = message(
    ("Name", 1, text),
    ("Protocol", 2, choice("tcp", "udp", "sctp")),
    ("TargetPort", 3, number),
    ("PublishedPort", 4, number),
    ("PublishMode", 5, choice("ingress", "host")),
)
ENDPOINT_SPEC = message(("Mode", 1, choice("vip", "dnsrr")), ("Ports", 2, PORT.many))
_ADDRESS = message(("NetworkID", 1, text), ("Addr", 2, text))
ENDPOINT = message(("Spec", 1, ENDPOINT_SPEC), ("Ports", 2, PORT.many), ("VirtualIPs", 3, _ADDRESS.many))
_JOB = message(("MaxConcurrent", 1, number), ("TotalCompletions", 2, number))
SERVICE_SPEC = message(
    ("Annotations", 1, ANNOTATIONS),
    ("TaskTemplate", 2, TASK_SPEC),
    ("Replicated", 3, message(("Replicas", 1, number))),
    ("Global", 4, message()),
    ("UpdateConfig", 6, _UPDATE),
    ("Networks", 7, _ATTACH.many),
    ("EndpointSpec", 8, ENDPOINT_SPEC),
    ("RollbackConfig", 9, _UPDATE),
    ("ReplicatedJob", 10, _JOB),
    ("GlobalJob", 11, message()),
)
UPDATE_STATUS = message(
    (
        "State",
        1,
        choice(
            "unknown", "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"
        ),
    ),
    ("StartedAt", 2, moment),
    ("CompletedAt", 3, moment),
    ("Message", 4, text),
)
JOB_STATUS = message(("JobIteration", 1, VERSION), ("LastExecution", 2, moment))

_PLUGIN = message(("Type", 1, text), ("Name", 2, text))
_ENGINE = message(("EngineVersion", 1, text), ("Labels", 2, mapping), ("Plugins", 3, _PLUGIN.many))


def _pem(field: int, value: str | None) -> bytes:
    return text(field, value)


_TLS = message(("TrustRoot", 1, _pem), ("CertIssuerSubject", 2, blob), ("CertIssuerPublicKey", 3, blob))
DESCRIPTION = message(
    ("Hostname", 1, text), ("Platform", 2, PLATFORM), ("Resources", 3, RESOURCES), ("Engine", 4, _ENGINE),
    ("TLSInfo", 5, _TLS),
)  # fmt: skip
NODE_SPEC = message(
    ("Annotations", 1, ANNOTATIONS), ("Role", 2, ROLE), ("Membership", 3, MEMBERSHIP), ("Availability", 4, AVAILABILITY)
)
NODE_STATUS = message(("State", 1, NODE_STATE), ("Message", 2, text), ("Addr", 3, text))
CERTIFICATE = message(
    ("Role", 1, ROLE), ("Status", 3, message(("State", 1, number))), ("Certificate", 4, text), ("CN", 5, text)
)

IPAM_CONFIG = message(("Family", 1, number), ("Subnet", 2, text), ("Range", 3, text), ("Gateway", 4, text))
IPAM = message(("Driver", 1, DRIVER), ("Configs", 3, IPAM_CONFIG.many))
NETWORK_SPEC = message(
    ("Annotations", 1, ANNOTATIONS),
    ("DriverConfiguration", 2, DRIVER),
    ("EnableIPv6", 3, number),
    ("Internal", 4, number),
    ("IPAM", 5, IPAM),
    ("Attachable", 6, number),
    ("Ingress", 7, number),
)
CONTAINER_STATUS = message(("ContainerID", 1, text), ("PID", 2, number), ("ExitCode", 3, number))
TASK_STATUS = message(
    ("Timestamp", 1, moment),
    ("State", 2, TASK_STATE),
    ("Message", 3, text),
    ("Err", 4, text),
    ("ContainerStatus", 5, CONTAINER_STATUS),
    ("PortStatus", 6, message(("Ports", 1, PORT.many))),
)

CLUSTER_SPEC = message(
    ("Annotations", 1, ANNOTATIONS),
    ("Orchestration", 3, message(("TaskHistoryRetentionLimit", 1, number))),
    (
        "Raft",
        4,
        message(
            ("SnapshotInterval", 1, number),
            ("KeepOldSnapshots", 2, number),
            ("LogEntriesForSlowFollowers", 3, number),
            ("HeartbeatTick", 4, number),
            ("ElectionTick", 5, number),
        ),
    ),
    ("Dispatcher", 5, message(("HeartbeatPeriod", 1, duration))),
    ("CAConfig", 6, message(("NodeCertExpiry", 1, duration), ("ForceRotate", 5, number))),
    ("TaskDefaults", 7, message(("LogDriver", 1, DRIVER))),
    ("EncryptionConfig", 8, message(("AutoLockManagers", 1, number))),
)
ROOT_CA = message(
    ("CAKey", 1, text),
    ("CACert", 2, text),
    ("CACertHash", 3, text),
    ("JoinTokens", 4, message(("Worker", 1, text), ("Manager", 2, text))),
)
ENCRYPTION_KEY = message(("Subsystem", 1, text), ("Key", 3, blob), ("LamportTime", 4, number))
RAFT_MEMBER: Message = message(("RaftID", 1, number), ("NodeID", 2, text), ("Addr", 3, text))
