"""What a backup has and the cluster has not, or has otherwise, and how it is created again. Pure.

Objects are found again by their names: what was deleted has its id for ever, and what is created gets a new one.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from swarmtui.errors import UsageError
from swarmtui.model.stack_diff import shape_of
from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.networks import overlap
from swarmtui.runbooks.objects import new_name
from swarmtui.runbooks.service_change import differences

Json = dict[str, Any]
Objects = Mapping[str, list[Json]]
Named = Callable[[str, str, str], str]
"""Kind, id and (where the Spec says it) name of what a service refers to → what stands there instead of the id."""

KINDS = ("network", "secret", "config", "service")
"""In the order in which they are created: a service refers to the others."""
ALLOCATED = "com.docker.network.driver.overlay.vxlanid_list"
"""What Swarm itself adds to the options of a network. Asked for by number, it might be taken by now."""
_ADDRESSES = ("Subnet", "IPRange", "Gateway", "AuxiliaryAddresses")
_MODES = {"Global": "global", "GlobalJob": "a global job", "ReplicatedJob": "a job"}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is to be created. No Spec of a service is in here: its environment may be secret.

    Attributes:
        id: its id in the backup.
        words: what it is, for a person.
        needed_by: a service that needs it, where nobody named it itself.
        body: of a network, what the engine is given.
        outside: a secret whose value a driver keeps, and not the Swarm.
        replicas: of a service; None for one that has no number.
        is_job: a service that runs to an end: creating it runs it again.
    """

    kind: str
    id: str
    name: str
    words: str = ""
    needed_by: str = ""
    body: Json = {}
    outside: bool = False
    replicas: int | None = None
    is_job: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Otherwise(msgspec.Struct, frozen=True):
    """An object that both have, and not alike. details: what changed from the backup until now."""

    kind: str
    name: str
    details: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be created, and what else there is to say.

    Attributes:
        wanted: in the order of creation.
        otherwise: of what was asked for, or of everything where nothing was named.
        warnings: sentences.
    """

    wanted: tuple[Wanted, ...]
    otherwise: tuple[Otherwise, ...]
    warnings: tuple[str, ...] = ()


def id_of(thing: Mapping[str, Any]) -> str:
    """The id of a service, network, secret or config."""
    return str(thing.get("ID") or thing.get("Id") or "")


def name_of(thing: Mapping[str, Any]) -> str:
    """The name of one, as it came."""
    return str(thing.get("Name") or _dict(thing.get("Spec")).get("Name") or "")


def judge(saved: Objects, live: Objects, named: Mapping[str, tuple[str, ...]]) -> Judged:
    """Compares a backup with the cluster.

    Args:
        named: kind → names or ids of what is wanted; empty for everything.

    Raises:
        UsageError: the backup does not have what is named.
    """
    asked = {kind: _asked(kind, saved, named.get(kind, ())) for kind in KINDS} if any(named.values()) else None
    missing: dict[tuple[str, str], Json] = {}
    both: list[tuple[str, Json, Json]] = []
    warnings: list[str] = []
    for kind in KINDS:
        for thing in sorted(_of(saved, kind), key=name_of):
            there = _counterpart(kind, thing, _of(live, kind))
            if there is not None:
                both.append((kind, thing, there))
            elif _can_be(name_of(thing)) and id_of(thing).isalnum():
                missing[kind, id_of(thing)] = thing
            else:
                told = one_line(name_of(thing))[:40]
                warnings.append(f'The backup has a {kind} "{told}", which can be no name: it is left out.')
    chosen = dict.fromkeys(missing, "")
    if asked is not None:
        chosen = {key: "" for key in missing if key[1] in asked[key[0]]}
        for kind, service_id in tuple(chosen):
            if kind == "service":
                needed = references(missing[kind, service_id].get("Spec") or {})
                for key in sorted(set(needed) & missing.keys()):
                    chosen.setdefault(key, name_of(missing[kind, service_id]))
    wanted = [_wanted(kind, missing[kind, id_], by) for (kind, id_), by in chosen.items()]
    wanted.sort(key=lambda one: (KINDS.index(one.kind), one.name))
    wanted = [_placed(one, _of(live, "network"), warnings) for one in wanted]
    warnings += _taken_ports([missing[one.kind, one.id] for one in wanted if one.kind == "service"], live)
    warnings += [f"{one.name} is a job: it runs again when it is created." for one in wanted if one.is_job]
    names = {id_of(thing): name_of(thing) for kind in KINDS for each in (saved, live) for thing in _of(each, kind)}
    found = [
        Otherwise(kind, one_line(name_of(thing)), details)
        for kind, thing, there in both
        if (asked is None or id_of(thing) in asked[kind]) and (details := _details(kind, thing, there, names))
    ]
    return Judged(wanted=tuple(wanted), otherwise=tuple(found), warnings=tuple(warnings))


def references(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and id of all that the Spec of a service refers to."""
    found: list[tuple[str, str]] = []

    def note(kind: str, id_: str, name: str) -> str:
        found.append((kind, id_))
        return id_

    with_references(spec, note)
    return found


def with_references(spec: Mapping[str, Any], named: Named) -> Json:
    """The Spec of a service with something else in place of the ids it refers to."""
    made: Json = copy.deepcopy(dict(spec))
    task = _dict(made.get("TaskTemplate"))
    container = _dict(task.get("ContainerSpec"))
    for holder in (task, made):
        for network in _dicts(holder.get("Networks")):
            network["Target"] = named("network", str(network.get("Target", "")), "")
    for secret in _dicts(container.get("Secrets")):
        secret["SecretID"] = named("secret", str(secret.get("SecretID", "")), str(secret.get("SecretName", "")))
    for config in _dicts(container.get("Configs")):
        config["ConfigID"] = named("config", str(config.get("ConfigID", "")), str(config.get("ConfigName", "")))
    credentials = _dict(_dict(container.get("Privileges")).get("CredentialSpec"))
    if credentials.get("Config"):
        credentials["Config"] = named("config", str(credentials["Config"]), "")
    return made


def by_name(spec: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """The Spec of a service with names in place of the ids it refers to: two Swarms' Specs can be compared so.

    Args:
        names: id → name of everything that is known.
    """
    made = with_references(spec, lambda kind, id_, name: names.get(id_) or name or id_)
    if _dict(made.get("TaskTemplate")).get("ForceUpdate") is not None:
        made["TaskTemplate"]["ForceUpdate"] = 0  # how often somebody restarted it is no setting
    return made


def network_body(network: Mapping[str, Any], *, addresses: bool = True) -> Json:
    """What the engine is given to create a network like this one.

    Args:
        addresses: with its own subnets; else Swarm chooses.
    """
    driver, template = str(network.get("Driver") or "overlay"), str(_dict(network.get("ConfigFrom")).get("Network", ""))
    body: Json = {
        "Name": name_of(network),
        "CheckDuplicate": True,
        "Driver": driver,
        "Attachable": network.get("Attachable") is True,
        "Internal": network.get("Internal") is True,
        "Ingress": network.get("Ingress") is True,
        "EnableIPv6": network.get("EnableIPv6") is True,
        "Labels": _texts(network.get("Labels")),
    }
    if driver != "overlay":
        body["Scope"] = "swarm"
    if template:
        return body | {"ConfigFrom": {"Network": template}}
    ipam = _dict(network.get("IPAM"))
    configs = [{key: one[key] for key in _ADDRESSES if one.get(key)} for one in _dicts(ipam.get("Config"))]
    placed: Json = {
        "Driver": str(ipam.get("Driver") or "default"),
        "Config": [one for one in configs if one] if addresses else [],
    }
    if options := _texts(ipam.get("Options")):
        placed["Options"] = options
    options = {key: value for key, value in _texts(network.get("Options")).items() if key != ALLOCATED}
    return body | {"Options": options, "IPAM": placed}


def subnets(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The subnets of a network, or of the body that creates one."""
    configs = _dicts(_dict(body.get("IPAM")).get("Config"))
    return tuple(str(one["Subnet"]) for one in configs if one.get("Subnet"))


def network_words(body: Mapping[str, Any]) -> list[str]:
    """The options of `docker network create` that have the effect of a body, harmless."""
    ipam = _dict(body.get("IPAM"))
    words = ["--driver", str(body["Driver"])]
    words += ["--scope", body["Scope"]] if body.get("Scope") else []
    flags = {"Attachable": "--attachable", "Internal": "--internal", "Ingress": "--ingress", "EnableIPv6": "--ipv6"}
    words += [flag for key, flag in flags.items() if body.get(key)]
    if template := _dict(body.get("ConfigFrom")).get("Network"):
        words += ["--config-from", str(template)]
    if ipam.get("Driver", "default") != "default":
        words += ["--ipam-driver", str(ipam["Driver"])]
    for one in _dicts(ipam.get("Config")):
        for key, option in zip(_ADDRESSES[:3], ("--subnet", "--ip-range", "--gateway"), strict=True):
            words += [option, str(one[key])] if one.get(key) else []
        words += _pairs("--aux-address", one.get("AuxiliaryAddresses"))
    words += _pairs("--ipam-opt", ipam.get("Options"))
    words += _pairs("--opt", body.get("Options"))
    words += _pairs("--label", body.get("Labels"))
    return [harmless(word) for word in words]


# -- how -----------------------------------------------------------------------------------------------------------


def _of(objects: Objects, kind: str) -> list[Json]:
    things = objects.get(f"{kind}s") or []
    return [one for one in things if kind != "network" or one.get("Scope") == "swarm"]


def _asked(kind: str, saved: Objects, texts: Iterable[str]) -> frozenset[str]:
    """Ids of what is named. Raises UsageError where the backup does not have it."""
    things = _of(saved, kind)
    found = set()
    for text in texts:
        ids = {id_of(one) for one in things if text in (id_of(one), name_of(one))}
        if not ids:
            known = ", ".join(sorted(one_line(name_of(one)) for one in things)[:20]) or "none"
            raise UsageError(f'The backup has no {kind} "{one_line(text)}".', f"It has: {known}.")
        found |= ids
    return frozenset(found)


def _counterpart(kind: str, thing: Json, live: Iterable[Json]) -> Json | None:
    """The one that the cluster has of this name; of the routing mesh's network there can be but one."""
    if kind == "network" and thing.get("Ingress") is True:
        return next((one for one in live if one.get("Ingress") is True), None)
    return next((one for one in live if name_of(one) == name_of(thing)), None)


def _can_be(name: str) -> bool:
    try:
        return bool(new_name(name))
    except ValueError:
        return False


def _wanted(kind: str, thing: Json, needed_by: str) -> Wanted:
    spec, body = _dict(thing.get("Spec")), network_body(thing) if kind == "network" else {}
    words, replicas, is_job = "", None, False
    if kind == "network":
        words = ", ".join([body["Driver"], *subnets(body)])
    elif kind == "service":
        mode, settings = next(iter(_dict(spec.get("Mode")).items()), ("Replicated", {}))
        image = _dict(_dict(spec.get("TaskTemplate")).get("ContainerSpec")).get("Image") or "no image"
        is_job = str(mode).endswith("Job")
        if mode == "Replicated":
            replicas = int(_dict(settings).get("Replicas") or 0)
        count = f"{replicas} replica{'' if replicas == 1 else 's'}" if mode == "Replicated" else _MODES.get(mode, mode)
        words = f"{image}, {count}"
    return Wanted(
        kind=kind,
        id=id_of(thing),
        name=name_of(thing),
        words=one_line(words),
        needed_by=one_line(needed_by),
        body=body,
        outside=bool(_dict(spec.get("Driver")).get("Name")),
        replicas=replicas,
        is_job=is_job,
    )


def _placed(one: Wanted, live: Iterable[Json], warnings: list[str]) -> Wanted:
    """A network without its addresses where another one has them by now."""
    if one.kind != "network":
        return one
    for wanted in subnets(one.body):
        try:
            net = ipaddress.ip_network(wanted, strict=False)
        except ValueError:
            continue
        for other in live:
            for taken in subnets(other):
                if overlap(net, taken):
                    warnings.append(
                        f"The network {one.name} had {wanted}, and the network {one_line(name_of(other))} has {taken} "
                        "now: it gets other addresses."
                    )
                    body = one.body | {"IPAM": one.body["IPAM"] | {"Config": []}}
                    return msgspec.structs.replace(one, body=body)
    return one


def _taken_ports(services: Iterable[Json], live: Objects) -> list[str]:
    owners = {
        (port.protocol, port.published): name_of(service)
        for service in _of(live, "service")
        for port in shape_of(service, {}).ports
        if port.published and port.mode == "ingress"
    }
    return [
        f"{name_of(service)} publishes port {port.published}/{port.protocol}, which {one_line(owner)} has now: "
        "the engine will refuse it."
        for service in services
        for port in sorted(shape_of(service, {}).ports)
        if port.mode == "ingress" and (owner := owners.get((port.protocol, port.published)))
    ]


def _details(kind: str, thing: Json, there: Json, names: Mapping[str, str]) -> tuple[str, ...]:
    """What changed from the backup until now."""
    if kind == "service":
        told = differences(by_name(thing.get("Spec") or {}, names), by_name(there.get("Spec") or {}, names))
    elif kind == "network":
        told = list(_unlike_networks(thing, there))
    else:
        told = list(_unlike_blobs(kind, thing, there))
    return tuple(one_line(each) for each in told)


def _unlike_networks(thing: Json, there: Json) -> Iterator[str]:
    was, now = network_body(thing), network_body(there)
    if was["Driver"] != now["Driver"]:
        yield f"driver {was['Driver']} → {now['Driver']}"
    if subnets(was) != subnets(now):
        yield f"subnets {', '.join(subnets(was)) or 'none'} → {', '.join(subnets(now)) or 'none'}"
    for key in ("Attachable", "Internal", "EnableIPv6", "Labels", "Options"):
        if was.get(key) != now.get(key):
            yield f"{key.lower()} changed"


def _unlike_blobs(kind: str, thing: Json, there: Json) -> Iterator[str]:
    was, now = _dict(thing.get("Spec")), _dict(there.get("Spec"))
    if kind == "secret" and id_of(thing) != id_of(there):
        yield "made anew since: nobody can tell whether it has the same value"
    if kind == "config" and was.get("Data") != now.get("Data"):
        yield "another content"
    if _texts(was.get("Labels")) != _texts(now.get("Labels")):
        yield "labels changed"


def _pairs(option: str, values: Any) -> list[str]:
    return [word for key, value in sorted(_texts(values).items()) for word in (option, f"{key}={value}")]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(said) for key, said in _dict(value).items()}
