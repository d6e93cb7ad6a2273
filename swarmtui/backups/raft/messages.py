"""Swarm's objects as protobuf messages: the fields of swarmkit's api that the engine API shows too, by number."""

from __future__ import annotations

from swarmtui.backups.raft.wire import (
    Field,
    Table,
    duration,
    flag,
    message,
    moment,
    number,
    octets,
    one_of,
    ratio,
    signed,
    text,
)

_VERSION: Table = {1: Field("index", number)}
META: Table = {
    1: Field("version", message(_VERSION)),
    2: Field("created", moment),
    3: Field("updated", moment),
}
ANNOTATIONS: Table = {1: Field("name", text), 2: Field("labels", octets, "map")}
DRIVER: Table = {1: Field("name", text), 2: Field("options", octets, "map")}
_DRIVER = message(DRIVER)

# -- service ---------------------------------------------------------------------------------------------------------
_PLATFORM: Table = {1: Field("architecture", text), 2: Field("os", text)}
_NAMED: Table = {1: Field("kind", text), 2: Field("value", text)}
_DISCRETE: Table = {1: Field("kind", text), 2: Field("value", signed)}
_GENERIC: Table = {1: Field("named", message(_NAMED)), 2: Field("discrete", message(_DISCRETE))}
_RESOURCES: Table = {
    1: Field("cpus", signed),
    2: Field("memory", signed),
    3: Field("generic", message(_GENERIC), "many"),
}
_WRAPPED: Table = {1: Field("value", signed)}
_REQUIREMENTS: Table = {
    1: Field("limits", message(_RESOURCES)),
    2: Field("reservations", message(_RESOURCES)),
    3: Field("swap", message(_WRAPPED)),
    4: Field("swappiness", message(_WRAPPED)),
}
_RESTART: Table = {
    1: Field("condition", one_of("none", "on-failure", "any")),
    2: Field("delay", duration),
    3: Field("attempts", number),
    4: Field("window", duration),
}
_SPREAD: Table = {1: Field("descriptor", text)}
_PREFERENCE: Table = {1: Field("spread", message(_SPREAD))}
_PLACEMENT: Table = {
    1: Field("constraints", text, "many"),
    2: Field("preferences", message(_PREFERENCE), "many"),
    3: Field("platforms", message(_PLATFORM), "many"),
    4: Field("max_replicas", number),
}
_ATTACHMENT: Table = {
    1: Field("target", text),
    2: Field("aliases", text, "many"),
    4: Field("options", octets, "map"),
}
_BIND: Table = {
    1: Field("propagation", one_of("rprivate", "private", "rshared", "shared", "rslave", "slave")),
    2: Field("nonrecursive", flag),
    3: Field("create", flag),
    4: Field("readonly_nonrecursive", flag),
    5: Field("readonly_force_recursive", flag),
}
_VOLUME: Table = {
    1: Field("nocopy", flag),
    2: Field("labels", octets, "map"),
    3: Field("driver", _DRIVER),
    4: Field("subpath", text),
}
_TMPFS: Table = {1: Field("size", signed), 2: Field("mode", number)}
_MOUNT: Table = {
    1: Field("type", one_of("bind", "volume", "tmpfs", "npipe", "cluster")),
    2: Field("source", text),
    3: Field("target", text),
    4: Field("readonly", flag),
    5: Field("bind", message(_BIND)),
    6: Field("volume", message(_VOLUME)),
    7: Field("tmpfs", message(_TMPFS)),
    8: Field("consistency", one_of("default", "consistent", "cached", "delegated")),
}
_FILE: Table = {1: Field("name", text), 2: Field("uid", text), 3: Field("gid", text), 4: Field("mode", number)}
_REFERENCE: Table = {
    1: Field("id", text),
    2: Field("name", text),
    3: Field("file", message(_FILE)),
    4: Field("runtime", message({})),
}
_DNS: Table = {
    1: Field("nameservers", text, "many"),
    2: Field("search", text, "many"),
    3: Field("options", text, "many"),
}
_HEALTH: Table = {
    1: Field("test", text, "many"),
    2: Field("interval", duration),
    3: Field("timeout", duration),
    4: Field("retries", signed),
    5: Field("start_period", duration),
    6: Field("start_interval", duration),
}
_CREDENTIALS: Table = {1: Field("file", text), 2: Field("registry", text), 3: Field("config", text)}
_SELINUX: Table = {
    1: Field("disable", flag),
    2: Field("user", text),
    3: Field("role", text),
    4: Field("type", text),
    5: Field("level", text),
}
_SECCOMP: Table = {1: Field("mode", one_of("default", "unconfined", "custom")), 2: Field("profile", octets)}
_APPARMOR: Table = {1: Field("mode", one_of("default", "disabled"))}
_PRIVILEGES: Table = {
    1: Field("credentials", message(_CREDENTIALS)),
    2: Field("selinux", message(_SELINUX)),
    3: Field("seccomp", message(_SECCOMP)),
    4: Field("apparmor", message(_APPARMOR)),
    5: Field("no_new_privileges", flag),
}
_ULIMIT: Table = {1: Field("name", text), 2: Field("soft", signed), 3: Field("hard", signed)}
# Without field 10: it carries a registry's password.
_CONTAINER: Table = {
    1: Field("image", text),
    2: Field("labels", octets, "map"),
    3: Field("command", text, "many"),
    4: Field("args", text, "many"),
    5: Field("env", text, "many"),
    6: Field("dir", text),
    7: Field("user", text),
    8: Field("mounts", message(_MOUNT), "many"),
    9: Field("grace", duration),
    11: Field("groups", text, "many"),
    12: Field("secrets", message(_REFERENCE), "many"),
    13: Field("tty", flag),
    14: Field("hostname", text),
    15: Field("dns", message(_DNS)),
    16: Field("health", message(_HEALTH)),
    17: Field("hosts", text, "many"),
    18: Field("open_stdin", flag),
    19: Field("readonly", flag),
    20: Field("stop_signal", text),
    21: Field("configs", message(_REFERENCE), "many"),
    22: Field("privileges", message(_PRIVILEGES)),
    23: Field("init", message({1: Field("value", flag)})),
    24: Field("isolation", one_of("default", "process", "hyperv")),
    25: Field("pids", signed),
    26: Field("sysctls", octets, "map"),
    27: Field("cap_add", text, "many"),
    28: Field("cap_drop", text, "many"),
    29: Field("ulimits", message(_ULIMIT), "many"),
    30: Field("oom_score_adj", signed),
}
_ANY: Table = {2: Field("value", octets)}
_RUNTIME: Table = {1: Field("kind", text), 2: Field("payload", message(_ANY))}
_TASK: Table = {
    1: Field("container", message(_CONTAINER)),
    2: Field("resources", message(_REQUIREMENTS)),
    4: Field("restart", message(_RESTART)),
    5: Field("placement", message(_PLACEMENT)),
    6: Field("log_driver", _DRIVER),
    7: Field("networks", message(_ATTACHMENT), "many"),
    9: Field("force_update", number),
    10: Field("generic", message(_RUNTIME)),
}
_UPDATE: Table = {
    1: Field("parallelism", number),
    2: Field("delay", duration),
    3: Field("action", one_of("pause", "continue", "rollback")),
    4: Field("monitor", duration),
    5: Field("ratio", ratio),
    6: Field("order", one_of("stop-first", "start-first")),
}
_PORT: Table = {
    1: Field("name", text),
    2: Field("protocol", one_of("tcp", "udp", "sctp")),
    3: Field("target", number),
    4: Field("published", number),
    5: Field("mode", one_of("ingress", "host")),
}
_ENDPOINT_SPEC: Table = {1: Field("mode", one_of("vip", "dnsrr")), 2: Field("ports", message(_PORT), "many")}
_SERVICE_SPEC: Table = {
    1: Field("annotations", message(ANNOTATIONS)),
    2: Field("task", message(_TASK)),
    3: Field("replicated", message({1: Field("replicas", number)})),
    4: Field("global", message({})),
    6: Field("update", message(_UPDATE)),
    7: Field("networks", message(_ATTACHMENT), "many"),
    8: Field("endpoint", message(_ENDPOINT_SPEC)),
    9: Field("rollback", message(_UPDATE)),
    10: Field("replicated_job", message({1: Field("concurrent", number), 2: Field("completions", number)})),
    11: Field("global_job", message({})),
}
_VIRTUAL_IP: Table = {1: Field("network", text), 2: Field("address", text)}
_ENDPOINT: Table = {
    1: Field("spec", message(_ENDPOINT_SPEC)),
    2: Field("ports", message(_PORT), "many"),
    3: Field("virtual_ips", message(_VIRTUAL_IP), "many"),
}
_UPDATE_STATUS: Table = {
    1: Field(
        "state",
        one_of("", "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"),
    ),
    2: Field("started", moment),
    3: Field("completed", moment),
    4: Field("message", text),
}
_JOB_STATUS: Table = {1: Field("iteration", message(_VERSION)), 2: Field("last", moment)}
SERVICE: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field("spec", message(_SERVICE_SPEC)),
    4: Field("endpoint", message(_ENDPOINT)),
    5: Field("update", message(_UPDATE_STATUS)),
    12: Field("job", message(_JOB_STATUS)),
    6: Field("previous", message(_SERVICE_SPEC)),
}
_PRIVILEGE: Table = {1: Field("name", text), 2: Field("description", text), 3: Field("value", text, "many")}
PLUGIN: Table = {
    1: Field("name", text),
    2: Field("remote", text),
    3: Field("privileges", message(_PRIVILEGE), "many"),
    4: Field("disabled", flag),
    5: Field("env", text, "many"),
}

# -- node ------------------------------------------------------------------------------------------------------------
_NODE_SPEC: Table = {
    1: Field("annotations", message(ANNOTATIONS)),
    2: Field("role", one_of("worker", "manager")),
    4: Field("availability", one_of("active", "pause", "drain")),
}
_PLUGIN: Table = {1: Field("type", text), 2: Field("name", text)}
_ENGINE: Table = {
    1: Field("version", text),
    2: Field("labels", octets, "map"),
    3: Field("plugins", message(_PLUGIN), "many"),
}
_TLS: Table = {1: Field("root", octets), 2: Field("subject", octets), 3: Field("key", octets)}
_DESCRIPTION: Table = {
    1: Field("hostname", text),
    2: Field("platform", message(_PLATFORM)),
    3: Field("resources", message(_RESOURCES)),
    4: Field("engine", message(_ENGINE)),
    5: Field("tls", message(_TLS)),
}
_STATUS: Table = {
    1: Field("state", one_of("unknown", "down", "ready", "disconnected")),
    2: Field("message", text),
    3: Field("address", text),
}
NODE: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field("spec", message(_NODE_SPEC)),
    4: Field("description", message(_DESCRIPTION)),
    5: Field("status", message(_STATUS)),
}

# -- network, secret, config, cluster --------------------------------------------------------------------------------
_IPAM_CONFIG: Table = {
    2: Field("subnet", text),
    3: Field("range", text),
    4: Field("gateway", text),
    5: Field("reserved", octets, "map"),
}
_IPAM: Table = {1: Field("driver", _DRIVER), 3: Field("configs", message(_IPAM_CONFIG), "many")}
_NETWORK_SPEC: Table = {
    1: Field("annotations", message(ANNOTATIONS)),
    2: Field("driver", _DRIVER),
    3: Field("ipv6", flag),
    4: Field("internal", flag),
    5: Field("ipam", message(_IPAM)),
    6: Field("attachable", flag),
    7: Field("ingress", flag),
    8: Field("config_from", text),
}
NETWORK: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field("spec", message(_NETWORK_SPEC)),
    4: Field("driver_state", _DRIVER),
    5: Field("ipam", message(_IPAM)),
}
# Without field 2 of its spec: that is the secret.
SECRET: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field(
        "spec",
        message(
            {
                1: Field("annotations", message(ANNOTATIONS)),
                3: Field("templating", _DRIVER),
                4: Field("driver", _DRIVER),
            }
        ),
    ),
    4: Field("internal", flag),
}
SECRET_DATA: Table = {3: Field("spec", message({2: Field("data", octets)}))}
"""Only for whoever creates a secret anew: read on its own, so that no other reader ever holds it."""
CONFIG: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field(
        "spec",
        message(
            {1: Field("annotations", message(ANNOTATIONS)), 2: Field("data", octets), 3: Field("templating", _DRIVER)}
        ),
    ),
}
_RAFT: Table = {
    1: Field("interval", number),
    2: Field("keep", number),
    3: Field("slow", number),
    4: Field("heartbeat", number),
    5: Field("election", number),
}
_EXTERNAL_CA: Table = {
    1: Field("protocol", one_of("cfssl")),
    2: Field("url", text),
    3: Field("options", octets, "map"),
    4: Field("certificate", text),
}
# Without the signing key of the CA (field 4).
_CA: Table = {
    1: Field("expiry", duration),
    2: Field("external", message(_EXTERNAL_CA), "many"),
    5: Field("force_rotate", number),
}
_CLUSTER_SPEC: Table = {
    1: Field("annotations", message(ANNOTATIONS)),
    3: Field("orchestration", message({1: Field("history", signed)})),
    4: Field("raft", message(_RAFT)),
    5: Field("dispatcher", message({1: Field("heartbeat", duration)})),
    6: Field("ca", message(_CA)),
    7: Field("defaults", message({1: Field("log_driver", _DRIVER)})),
    8: Field("encryption", message({1: Field("autolock", flag)})),
}
# Without the CA's key (1) and the join tokens (4).
_ROOT: Table = {2: Field("certificate", octets), 5: Field("rotation", message({}))}
CLUSTER: Table = {
    1: Field("id", text),
    2: Field("meta", message(META)),
    3: Field("spec", message(_CLUSTER_SPEC)),
    4: Field("root", message(_ROOT)),
    11: Field("pools", text, "many"),
    12: Field("subnet_size", number),
    13: Field("data_port", number),
}
CA_KEY: Table = {
    3: Field("spec", message({6: Field("ca", message({1: Field("expiry", duration)}))})),
    4: Field(
        "root", message({1: Field("key", octets), 2: Field("certificate", octets), 5: Field("rotation", message({}))})
    ),
}
"""Only for whoever signs certificates anew: read on its own, so that no other reader ever holds the key."""
_UNLOCK_KEY: Table = {1: Field("subsystem", text), 3: Field("key", octets)}
UNLOCK_KEYS: Table = {9: Field("keys", message(_UNLOCK_KEY), "many")}
"""The cluster's own unlock keys: only ever compared with the one that opened the key file."""
