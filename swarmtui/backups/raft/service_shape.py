"""A service as the engine API gives it, from the message that Swarm keeps. API fields are those of 1.41 to 1.45."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from swarmtui.backups.raft.messages import PLUGIN
from swarmtui.backups.raft.wire import WireError, decode

Message = Mapping[str, Any]
Api = dict[str, Any]


def without_empty(**said: Any) -> Api:
    """What is said, as Go's omitempty leaves it: no empty text, list or map, no zero, no false."""
    return {name: value for name, value in said.items() if value}


def driver(of: Message | None) -> Api | None:
    """A driver with its options."""
    return without_empty(Name=of.get("name"), Options=of.get("options")) if of is not None else None


def annotated(of: Message) -> Api:
    """Name and labels; labels are there even when there are none."""
    return {"Name": of.get("name", ""), "Labels": of.get("labels", {})}


def some(**said: Any) -> Api:
    """What is said and is not None: for fields that the API shows even when they are empty, if they are set."""
    return {name: value for name, value in said.items() if value is not None}


def spec(of: Message) -> Api:
    """A ServiceSpec."""
    return (
        annotated(of.get("annotations", {}))
        | {"TaskTemplate": _task(of.get("task", {})), "Mode": _mode(of)}
        | some(
            UpdateConfig=_update(of.get("update")),
            RollbackConfig=_update(of.get("rollback")),
            EndpointSpec=endpoint_spec(of.get("endpoint")),
        )
        | without_empty(Networks=_attachments(of.get("networks", ())))
    )


def endpoint(of: Message) -> Api:
    """Ports and virtual addresses that a service was given."""
    addresses = [without_empty(NetworkID=ip.get("network"), Addr=ip.get("address")) for ip in of.get("virtual_ips", ())]
    return {"Spec": endpoint_spec(of.get("spec")) or {}} | without_empty(
        Ports=[_port(port) for port in of.get("ports", ())], VirtualIPs=addresses
    )


def endpoint_spec(of: Message | None) -> Api | None:
    """How a service is reached."""
    if of is None:
        return None
    return {"Mode": of.get("mode", "vip")} | without_empty(Ports=[_port(port) for port in of.get("ports", ())])


def generic_resources(of: Sequence[Message]) -> list[Api]:
    """Resources that a node was declared to have, or that a service wants."""
    found: list[Api] = []
    for one in of:
        if (discrete := one.get("discrete")) is not None:
            kind, value = discrete.get("kind"), discrete.get("value")
            found.append({"DiscreteResourceSpec": without_empty(Kind=kind, Value=value)})
        elif (named := one.get("named")) is not None:
            found.append({"NamedResourceSpec": without_empty(Kind=named.get("kind"), Value=named.get("value"))})
    return found


def _mode(of: Message) -> Api:
    if "global" in of:
        return {"Global": {}}
    if "global_job" in of:
        return {"GlobalJob": {}}
    if (job := of.get("replicated_job")) is not None:
        return {
            "ReplicatedJob": {
                "MaxConcurrent": job.get("concurrent", 0),
                "TotalCompletions": job.get("completions", 0),
            }
        }
    return {"Replicated": {"Replicas": of.get("replicated", {}).get("replicas", 0)}}


def _task(of: Message) -> Api:
    container, generic = of.get("container"), of.get("generic")
    runtime: Api = {}
    if container is not None:
        runtime = {"ContainerSpec": _container(container), "Runtime": "container"}
    elif generic is not None:
        runtime = {"Runtime": generic.get("kind", "")} | _plugin(generic)
    return (
        runtime
        | some(
            Resources=_requirements(of.get("resources"), (container or {}).get("pids", 0)),
            RestartPolicy=_restart(of.get("restart")),
            Placement=_placement(of.get("placement")),
            LogDriver=driver(of.get("log_driver")),
        )
        | without_empty(Networks=_attachments(of.get("networks", ())))
        | {"ForceUpdate": of.get("force_update", 0)}
    )


def _plugin(of: Message) -> Api:
    try:
        found = decode(of.get("payload", {}).get("value", b""), PLUGIN)
    except WireError:
        return {}
    rights = [
        without_empty(name=one.get("name"), description=one.get("description"), value=one.get("value"))
        for one in found.get("privileges", ())
    ]
    return {
        "PluginSpec": without_empty(
            name=found.get("name"),
            remote=found.get("remote"),
            privileges=rights,
            disabled=found.get("disabled"),
            env=found.get("env"),
        )
    }


def _container(of: Message) -> Api:
    return without_empty(
        Image=of.get("image"),
        Labels=of.get("labels"),
        Command=of.get("command"),
        Args=of.get("args"),
        Hostname=of.get("hostname"),
        Env=of.get("env"),
        Dir=of.get("dir"),
        User=of.get("user"),
        Groups=of.get("groups"),
        StopSignal=of.get("stop_signal"),
        TTY=of.get("tty"),
        OpenStdin=of.get("open_stdin"),
        ReadOnly=of.get("readonly"),
        Mounts=[_mount(one) for one in of.get("mounts", ())],
        Hosts=of.get("hosts"),
        Secrets=[_secret(one) for one in of.get("secrets", ()) if "file" in one],
        Configs=[_config(one) for one in of.get("configs", ()) if "file" in one or "runtime" in one],
        Isolation=of.get("isolation", "default"),
        Sysctls=of.get("sysctls"),
        CapabilityAdd=of.get("cap_add"),
        CapabilityDrop=of.get("cap_drop"),
        Ulimits=[
            {"Name": one.get("name", ""), "Hard": one.get("hard", 0), "Soft": one.get("soft", 0)}
            for one in of.get("ulimits", ())
        ],
        OomScoreAdj=of.get("oom_score_adj"),
    ) | some(
        Privileges=_privileges(of.get("privileges")),
        Init=of["init"].get("value", False) if "init" in of else None,
        StopGracePeriod=of.get("grace"),
        Healthcheck=_health(of.get("health")),
        DNSConfig=_dns(of.get("dns")),
    )


def _mount(of: Message) -> Api:
    bind, volume, tmpfs = of.get("bind"), of.get("volume"), of.get("tmpfs")
    consistency = of.get("consistency", "default")
    return (
        {"Type": of.get("type", "bind")}
        | without_empty(
            Source=of.get("source"),
            Target=of.get("target"),
            ReadOnly=of.get("readonly"),
            Consistency=consistency if consistency != "default" else "",
        )
        | some(
            BindOptions=None
            if bind is None
            else {"Propagation": bind.get("propagation", "rprivate")}
            | without_empty(
                NonRecursive=bind.get("nonrecursive"),
                CreateMountpoint=bind.get("create"),
                ReadOnlyNonRecursive=bind.get("readonly_nonrecursive"),
                ReadOnlyForceRecursive=bind.get("readonly_force_recursive"),
            ),
            VolumeOptions=None
            if volume is None
            else without_empty(NoCopy=volume.get("nocopy"), Labels=volume.get("labels"), Subpath=volume.get("subpath"))
            | some(DriverConfig=driver(volume.get("driver"))),
            TmpfsOptions=None if tmpfs is None else without_empty(SizeBytes=tmpfs.get("size"), Mode=tmpfs.get("mode")),
            ClusterOptions={} if of.get("type") == "cluster" else None,
        )
    )


def _file(of: Message) -> Api:
    return {
        "Name": of.get("name", ""),
        "UID": of.get("uid", ""),
        "GID": of.get("gid", ""),
        "Mode": of.get("mode", 0),
    }


def _secret(of: Message) -> Api:
    return {"File": _file(of["file"]), "SecretID": of.get("id", ""), "SecretName": of.get("name", "")}


def _config(of: Message) -> Api:
    target: Api = {"Runtime": {}} if "runtime" in of else {"File": _file(of["file"])}
    return target | {"ConfigID": of.get("id", ""), "ConfigName": of.get("name", "")}


def _privileges(of: Message | None) -> Api | None:
    if of is None:
        return None
    credentials, selinux, seccomp = of.get("credentials"), of.get("selinux"), of.get("seccomp")
    return {
        "CredentialSpec": None
        if credentials is None
        else {"Config": credentials.get("config", "")}
        | without_empty(File=credentials.get("file"), Registry=credentials.get("registry")),
        "SELinuxContext": None
        if selinux is None
        else {
            "Disable": selinux.get("disable", False),
            "User": selinux.get("user", ""),
            "Role": selinux.get("role", ""),
            "Type": selinux.get("type", ""),
            "Level": selinux.get("level", ""),
        },
    } | some(
        Seccomp=None
        if seccomp is None
        else {"Mode": seccomp.get("mode", "default")}
        | without_empty(Profile=base64.b64encode(seccomp.get("profile", b"")).decode("ascii")),
        AppArmor={"Mode": of["apparmor"].get("mode", "default")} if "apparmor" in of else None,
        NoNewPrivileges=of.get("no_new_privileges"),
    )


def _health(of: Message | None) -> Api | None:
    if of is None:
        return None
    return without_empty(
        Test=of.get("test"),
        Interval=of.get("interval"),
        Timeout=of.get("timeout"),
        StartPeriod=of.get("start_period"),
        StartInterval=of.get("start_interval"),
        Retries=of.get("retries"),
    )


def _dns(of: Message | None) -> Api | None:
    if of is None:
        return None
    return without_empty(Nameservers=of.get("nameservers"), Search=of.get("search"), Options=of.get("options"))


def _requirements(of: Message | None, pids: int) -> Api | None:
    if of is None and not pids:
        return None
    limits, reserved = (of or {}).get("limits"), (of or {}).get("reservations")
    found: Api = {}
    if limits is not None or pids:
        limits = limits or {}
        found["Limits"] = without_empty(NanoCPUs=limits.get("cpus"), MemoryBytes=limits.get("memory"), Pids=pids)
    if reserved is not None:
        found["Reservations"] = without_empty(
            NanoCPUs=reserved.get("cpus"),
            MemoryBytes=reserved.get("memory"),
            GenericResources=generic_resources(reserved.get("generic", ())),
        )
    for name, key in (("SwapBytes", "swap"), ("MemorySwappiness", "swappiness")):
        if of is not None and key in of:
            found[name] = of[key].get("value", 0)
    return found


def _restart(of: Message | None) -> Api | None:
    if of is None:
        return None
    return {"Condition": of.get("condition", "none"), "MaxAttempts": of.get("attempts", 0)} | some(
        Delay=of.get("delay"), Window=of.get("window")
    )


def _placement(of: Message | None) -> Api | None:
    if of is None:
        return None
    return without_empty(
        Constraints=of.get("constraints"),
        Preferences=[
            {"Spread": {"SpreadDescriptor": one["spread"].get("descriptor", "")}}
            for one in of.get("preferences", ())
            if "spread" in one
        ],
        MaxReplicas=of.get("max_replicas"),
        Platforms=[
            without_empty(Architecture=one.get("architecture"), OS=one.get("os")) for one in of.get("platforms", ())
        ],
    )


def _update(of: Message | None) -> Api | None:
    if of is None:
        return None
    return {
        "Parallelism": of.get("parallelism", 0),
        "FailureAction": of.get("action", "pause"),
        "MaxFailureRatio": of.get("ratio", 0),
        "Order": of.get("order", "stop-first"),
    } | without_empty(Delay=of.get("delay"), Monitor=of.get("monitor"))


def _port(of: Message) -> Api:
    return {"Protocol": of.get("protocol", "tcp"), "PublishMode": of.get("mode", "ingress")} | without_empty(
        Name=of.get("name"), TargetPort=of.get("target"), PublishedPort=of.get("published")
    )


def _attachments(of: Sequence[Message]) -> list[Api]:
    return [
        without_empty(Target=one.get("target"), Aliases=one.get("aliases"), DriverOpts=one.get("options")) for one in of
    ]
