"""A Swarm's objects as the engine API gives them, from the messages that Swarm keeps.

What only a running Swarm knows (who leads, who is reachable, tasks) is not in here; neither are the data of secrets,
join tokens, unlock keys and the CA's key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swarmtui.backups.raft import messages, service_shape
from swarmtui.backups.raft.contents import Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.backups.raft.service_shape import Api, Message, annotated, driver, generic_resources, some, without_empty
from swarmtui.backups.raft.store import Store, shown
from swarmtui.backups.raft.wire import Table, WireError, decode

_PREDEFINED = "com.docker.swarm.predefined"
_OLD_INGRESS = "com.docker.swarm.internal"
_NO_TIME = "0001-01-01T00:00:00Z"


def objects(store: Store) -> tuple[dict[str, list[Api]], list[Problem]]:
    """Every object of the store by its place in the engine API, and those that could not be understood."""
    problems: list[Problem] = []
    made: dict[str, list[Api]] = {}
    for place, kind, table, shape in _PLACES:
        made[place] = [one for one in _read(kind, store.objects[kind], table, shape, problems) if one is not None]
    return made, problems


def _read(
    kind: str,
    kept: Mapping[bytes, bytes],
    table: Table,
    shape: Callable[[Message], Api | None],
    problems: list[Problem],
) -> Iterable[Api | None]:
    for id_, raw in kept.items():
        try:
            yield shape(decode(raw, table))
        except WireError:
            problems.append(problem("object", kind=kind, id=shown(id_)))


def _heading(of: Message) -> Api:
    meta = of.get("meta", {})
    return {
        "ID": of.get("id", ""),
        "Version": {"Index": meta.get("version", {}).get("index", 0)},
        "CreatedAt": meta.get("created", _NO_TIME),
        "UpdatedAt": meta.get("updated", _NO_TIME),
    }


def _service(of: Message) -> Api:
    return (
        _heading(of)
        | {
            "Spec": service_shape.spec(of.get("spec", {})),
            "Endpoint": service_shape.endpoint(of.get("endpoint", {})),
        }
        | some(
            PreviousSpec=service_shape.spec(of["previous"]) if "previous" in of else None,
            UpdateStatus=_update(of.get("update")),
            JobStatus=_job(of.get("job")),
        )
    )


def _update(of: Message | None) -> Api | None:
    if of is None:
        return None
    return without_empty(
        State=of.get("state"),
        StartedAt=of.get("started"),
        CompletedAt=of.get("completed"),
        Message=of.get("message"),
    )


def _job(of: Message | None) -> Api | None:
    if of is None:
        return None
    index = of.get("iteration", {}).get("index", 0)
    return {"JobIteration": {"Index": index}, "LastExecution": of.get("last", _NO_TIME)}


def _node(of: Message) -> Api:
    spec, described, status = of.get("spec", {}), of.get("description", {}), of.get("status", {})
    noted, platform = spec.get("annotations", {}), described.get("platform", {})
    resources, engine, tls = described.get("resources", {}), described.get("engine", {}), described.get("tls", {})
    plugins = [without_empty(Type=one.get("type"), Name=one.get("name")) for one in engine.get("plugins", ())]
    return _heading(of) | {
        "Spec": {
            "Labels": noted.get("labels", {}),
            "Role": spec.get("role", "worker"),
            "Availability": spec.get("availability", "active"),
        }
        | without_empty(Name=noted.get("name")),
        "Description": {
            "Hostname": described.get("hostname", ""),
            "Platform": without_empty(Architecture=platform.get("architecture"), OS=platform.get("os")),
            "Resources": without_empty(
                NanoCPUs=resources.get("cpus"),
                MemoryBytes=resources.get("memory"),
                GenericResources=generic_resources(resources.get("generic", ())),
            ),
            "Engine": without_empty(EngineVersion=engine.get("version"), Labels=engine.get("labels"), Plugins=plugins),
            "TLSInfo": without_empty(
                TrustRoot=tls.get("root", b"").decode("utf-8", "replace"),
                CertIssuerSubject=_base64(tls.get("subject", b"")),
                CertIssuerPublicKey=_base64(tls.get("key", b"")),
            ),
        },
        "Status": {"State": status.get("state", "unknown")}
        | without_empty(Message=status.get("message"), Addr=status.get("address")),
    }


def _network(of: Message) -> Api | None:
    spec, state, ipam = of.get("spec", {}), of.get("driver_state", {}), of.get("ipam", {})
    noted = spec.get("annotations", {})
    labels = noted.get("labels", {})
    if labels.get(_PREDEFINED) == "true":
        return None  # the engine's own "bridge" and "host", which the API does not list as the Swarm's
    name = noted.get("name", "")
    return {
        "Name": name,
        "Id": of.get("id", ""),
        "Created": of.get("meta", {}).get("created", _NO_TIME),
        "Scope": "swarm",
        "Driver": state.get("name", ""),
        "EnableIPv6": spec.get("ipv6", False),
        "IPAM": {
            "Driver": ipam.get("driver", {}).get("name", ""),
            "Options": ipam.get("driver", {}).get("options"),
            "Config": [
                without_empty(
                    Subnet=one.get("subnet"),
                    IPRange=one.get("range"),
                    Gateway=one.get("gateway"),
                    AuxiliaryAddresses=one.get("reserved"),
                )
                for one in ipam.get("configs", ())
            ],
        },
        "Internal": spec.get("internal", False),
        "Attachable": spec.get("attachable", False),
        "Ingress": spec.get("ingress", False) or (name == "ingress" and _OLD_INGRESS in labels),
        "ConfigFrom": {"Network": spec.get("config_from", "")},
        "ConfigOnly": False,
        "Containers": None,
        "Options": state.get("options"),
        "Labels": labels or None,
    }


def _secret(of: Message) -> Api | None:
    if of.get("internal"):
        return None  # the API does not list what Swarm keeps for itself
    spec = of.get("spec", {})
    return _heading(of) | {
        "Spec": annotated(spec.get("annotations", {}))
        | some(Driver=driver(spec.get("driver")), Templating=driver(spec.get("templating")))
    }


def _config(of: Message) -> Api:
    spec = of.get("spec", {})
    return _heading(of) | {
        "Spec": annotated(spec.get("annotations", {}))
        | without_empty(Data=_base64(spec.get("data", b"")))
        | some(Templating=driver(spec.get("templating")))
    }


def _swarm(of: Message) -> Api:
    spec, root = of.get("spec", {}), of.get("root", {})
    raft, ca = spec.get("raft", {}), spec.get("ca", {})
    external = [
        {"Protocol": one.get("protocol", "cfssl"), "URL": one.get("url", "")}
        | without_empty(Options=one.get("options"))
        | {"CACert": one.get("certificate", "")}
        for one in ca.get("external", ())
    ]
    return (
        _heading(of)
        | {
            "Spec": annotated(spec.get("annotations", {}))
            | {
                "Orchestration": {"TaskHistoryRetentionLimit": spec.get("orchestration", {}).get("history", 0)},
                "Raft": {
                    "SnapshotInterval": raft.get("interval", 0),
                    "KeepOldSnapshots": raft.get("keep", 0),
                    "LogEntriesForSlowFollowers": raft.get("slow", 0),
                    "ElectionTick": raft.get("election", 0),
                    "HeartbeatTick": raft.get("heartbeat", 0),
                },
                "Dispatcher": without_empty(HeartbeatPeriod=spec.get("dispatcher", {}).get("heartbeat")),
                "CAConfig": without_empty(
                    NodeCertExpiry=ca.get("expiry"), ExternalCAs=external, ForceRotate=ca.get("force_rotate")
                ),
                "TaskDefaults": some(LogDriver=driver(spec.get("defaults", {}).get("log_driver"))),
                "EncryptionConfig": {"AutoLockManagers": spec.get("encryption", {}).get("autolock", False)},
            },
            "TLSInfo": without_empty(TrustRoot=root.get("certificate", b"").decode("utf-8", "replace")),
            "RootRotationInProgress": "rotation" in root,
        }
        # What was never set is kept as nothing, and the API says what holds then.
        | {
            "DefaultAddrPool": of.get("pools") or ["10.0.0.0/8"],
            "SubnetSize": of.get("subnet_size") or 24,
            "DataPathPort": of.get("data_port") or 4789,
        }
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


_Shape = Callable[[Mapping[str, Any]], Api | None]
_PLACES: tuple[tuple[str, str, Table, _Shape], ...] = (
    ("swarm", "cluster", messages.CLUSTER, _swarm),
    ("nodes", "node", messages.NODE, _node),
    ("services", "service", messages.SERVICE, _service),
    ("networks", "network", messages.NETWORK, _network),
    ("secrets", "secret", messages.SECRET, _secret),
    ("configs", "config", messages.CONFIG, _config),
)
