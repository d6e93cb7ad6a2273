"""What is asked of a service: applied to the engine's own Spec, as options of the docker CLI, and told to a person."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

Json = dict[str, Any]

NEW_CONFIG: Json = {
    "Parallelism": 1,
    "FailureAction": "pause",
    "Monitor": 5 * 10**9,
    "MaxFailureRatio": 0,
    "Order": "stop-first",
}
"""What the docker CLI writes before the first option about updates (docker/cli, opts of service update): a
configuration that said only "Delay" would let all tasks be replaced at once."""

_WORDS = {
    "EndpointSpec": "published ports",
    "Args": "arguments",
    "Dir": "working directory",
    "DNSConfig": "DNS",
    "RollbackConfig": "how it rolls back",
    "TTY": "terminal",
}
"""Parts of a Spec whose name says little to a person."""


class Change(Struct, frozen=True, kw_only=True):
    """What shall be different; None, "" and () leave a thing as it is.

    Attributes:
        env, labels: (name, new value), a value of None takes it away.
        constraints: (expression, whether it is added or taken away).
        limit_cpu, reserve_cpu: billionths of a core, 0 for none; limit_memory, reserve_memory: bytes, 0 for none.
        parallelism: tasks replaced at a time, 0 for all; delay: nanoseconds.
        force: the ForceUpdate counter as it shall be at least: one more restarts every task.
    """

    replicas: int | None = None
    image: str = ""
    env: tuple[tuple[str, str | None], ...] = ()
    labels: tuple[tuple[str, str | None], ...] = ()
    constraints: tuple[tuple[str, bool], ...] = ()
    limit_cpu: int | None = None
    limit_memory: int | None = None
    reserve_cpu: int | None = None
    reserve_memory: int | None = None
    parallelism: int | None = None
    delay: int | None = None
    order: str = ""
    force: int | None = None

    def __bool__(self) -> bool:
        return self != Change()

    def applied(self, spec: Json) -> Json:
        """The same Spec with only that changed which is asked; what we do not know of it survives."""
        spec = copy.deepcopy(spec)
        template = spec.setdefault("TaskTemplate", {})
        container = template.setdefault("ContainerSpec", {})
        if self.replicas is not None:
            spec["Mode"]["Replicated"]["Replicas"] = self.replicas
        if self.image:
            container["Image"] = self.image
        if self.env:
            _set_env(container, self.env)
        if self.labels:
            _set_labels(spec, self.labels)
        if self.constraints:
            _set_constraints(template, self.constraints)
        for part, key, amount in (
            ("Limits", "NanoCPUs", self.limit_cpu),
            ("Limits", "MemoryBytes", self.limit_memory),
            ("Reservations", "NanoCPUs", self.reserve_cpu),
            ("Reservations", "MemoryBytes", self.reserve_memory),
        ):
            if amount is not None:
                _set_amount(template, part, key, amount)
        if self.parallelism is not None or self.delay is not None or self.order:
            self._set_config(spec)
        if self.force is not None and int(template.get("ForceUpdate") or 0) < self.force:
            template["ForceUpdate"] = self.force
        return spec

    def _set_config(self, spec: Json) -> None:
        config = spec.get("UpdateConfig")
        if config is None:
            config = spec["UpdateConfig"] = dict(NEW_CONFIG)
        if self.parallelism is not None and config.get("Parallelism", 0) != self.parallelism:
            config["Parallelism"] = self.parallelism
        if self.delay is not None and config.get("Delay", 0) != self.delay:
            config["Delay"] = self.delay
        if self.order and config.get("Order", "stop-first") != self.order:
            config["Order"] = self.order

    def needed(self, spec: Json) -> Change:
        """The part of it that this Spec does not have yet."""
        kept = Change()
        for name, value in asdict(self).items():
            for part in ((one,) for one in value) if isinstance(value, tuple) else (value,):
                alone = replace(Change(), **{name: part})
                if alone and alone.applied(spec) != spec:
                    kept = replace(kept, **{name: (*getattr(kept, name), *part) if isinstance(value, tuple) else part})
        # The CLI takes away a constraint only by the very text it was given with.
        there = _constraints(spec.get("TaskTemplate") or {})
        exact = ((c, added) for c, added in kept.constraints if added)
        gone = (
            (text if text.isprintable() else wanted, False)
            for wanted, added in kept.constraints
            if not added
            for text in there
            if _plain(text) == _plain(wanted)
        )
        return replace(kept, constraints=(*exact, *gone))

    def command(self, name: str) -> str:
        """The docker command that has this effect and no other."""
        service = shlex.quote(name)
        if self.replicas is not None and self == Change(replicas=self.replicas):
            return f"docker service scale --detach {shlex.quote(f'{name}={self.replicas}')}"
        return f"docker service update --detach {' '.join(self._options())} {service}"

    def _options(self) -> Iterator[str]:
        if self.replicas is not None:
            yield f"--replicas {self.replicas}"
        if self.image:
            # The CLI would ask the registry for the digest first; the engine is given the very reference.
            yield f"--no-resolve-image --image {shlex.quote(self.image)}"
        for option, changes in (("env", self.env), ("label", self.labels)):
            yield from (f"--{option}-rm {shlex.quote(key)}" for key, value in changes if value is None)
            yield from (
                f"--{option}-add {shlex.quote(f'{key}={value}')}" for key, value in changes if value is not None
            )
        for constraint, added in self.constraints:
            yield f"--constraint-{'add' if added else 'rm'} {shlex.quote(constraint)}"
        for option, cpus in (("limit-cpu", self.limit_cpu), ("reserve-cpu", self.reserve_cpu)):
            if cpus is not None:
                yield f"--{option} {_decimal(cpus)}"
        for option, size in (("limit-memory", self.limit_memory), ("reserve-memory", self.reserve_memory)):
            if size is not None:
                yield f"--{option} {_size(size)}"
        if self.parallelism is not None:
            yield f"--update-parallelism {self.parallelism}"
        if self.delay is not None:
            yield f"--update-delay {_time(self.delay)}"
        if self.order:
            yield f"--update-order {shlex.quote(self.order)}"
        if self.force is not None:
            yield "--force"


def tagged(image: str) -> str:
    """The reference as the docker CLI sends it: with ":latest" where it names neither a tag nor a digest."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def digest_of(spec: Json) -> str:
    """What tells two Specs apart, whatever an engine of tomorrow puts into them."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def restarts_all(before: Json, after: Json) -> bool:
    """Whether the engine takes every task for outdated, wherever it runs (swarmkit, IsTaskDirty)."""

    def compared(spec: Json) -> Json:
        template = dict(spec.get("TaskTemplate") or {})
        template["Placement"] = {k: v for k, v in (template.get("Placement") or {}).items() if k != "Constraints"}
        return {"template": template, "ports": spec.get("EndpointSpec"), "networks": spec.get("Networks")}

    return compared(before) != compared(after)


def differences(before: Json, after: Json) -> list[str]:
    """What is different in another Spec, in words; of the environment only the names, its values may be secret."""
    old, new = before.get("TaskTemplate") or {}, after.get("TaskTemplate") or {}
    old_container, new_container = old.get("ContainerSpec") or {}, new.get("ContainerSpec") or {}
    told = []
    if (a := old_container.get("Image")) != (b := new_container.get("Image")):
        told.append(f"image {a or 'none'} → {b or 'none'}")
    if (a := _replicas(before)) != (b := _replicas(after)):
        told.append(f"replicas {a} → {b}")
    told += _names("environment", _env(old_container), _env(new_container))
    told += _names("labels", before.get("Labels") or {}, after.get("Labels") or {})
    was, will = _constraints(old), _constraints(new)
    told += [f"constraint {c} added" for c in will if c not in was]
    told += [f"constraint {c} taken away" for c in was if c not in will]
    for part, word in (("Limits", "limit"), ("Reservations", "reservation")):
        for key, unit, scale in (("NanoCPUs", "CPU", 10**9), ("MemoryBytes", "MiB", 1 << 20)):
            a, b = _amount(old, part, key), _amount(new, part, key)
            if a != b:
                told.append(f"{word} {_told_amount(a, unit, scale)} → {_told_amount(b, unit, scale)}")
    if before.get("UpdateConfig") != after.get("UpdateConfig"):
        told.append(f"updates: {_config(before)} → {_config(after)}")
    if int(old.get("ForceUpdate") or 0) != int(new.get("ForceUpdate") or 0):
        told.append("every task anew (ForceUpdate)")
    return told + _others(before, after, old, new, old_container, new_container)


def _others(before: Json, after: Json, old: Json, new: Json, old_container: Json, new_container: Json) -> list[str]:
    """The parts that are not told one by one."""
    told = {"TaskTemplate", "Labels", "Mode", "UpdateConfig", "ContainerSpec", "ForceUpdate", "Image", "Env"}
    found: list[str] = []
    for one, other in ((before, after), (old, new), (old_container, new_container)):
        for key in sorted({*one, *other} - told):
            a, b = one.get(key), other.get(key)
            if key == "Placement":
                a, b = ({k: v for k, v in (p or {}).items() if k != "Constraints"} for p in (a, b))
            elif key == "Resources":
                a, b = (_without_told_amounts(p or {}) for p in (a, b))
            if a != b:
                found.append(f"{_WORDS.get(key) or _in_words(key)} changed")
    return list(dict.fromkeys(found))


def _in_words(key: str) -> str:
    """What the engine calls a part, as words: "StopGracePeriod" is the "stop grace period"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()


def _without_told_amounts(resources: Mapping[str, Any]) -> Json:
    return {
        part: {k: v for k, v in (amounts or {}).items() if k not in ("NanoCPUs", "MemoryBytes")}
        for part, amounts in resources.items()
    }


def _set_env(container: Json, changes: tuple[tuple[str, str | None], ...]) -> None:
    env = list(container.get("Env") or [])
    for key, value in changes:
        places = [place for place, entry in enumerate(env) if entry.partition("=")[0] == key]
        if value is not None:
            if places and all(env[place] == f"{key}={value}" for place in places):
                continue
            if places:
                env[places[0]] = f"{key}={value}"
            else:
                env.append(f"{key}={value}")
            places = places[1:]
        for place in reversed(places):
            del env[place]
    if env != (container.get("Env") or []):
        container["Env"] = env


def _set_labels(spec: Json, changes: tuple[tuple[str, str | None], ...]) -> None:
    labels = dict(spec.get("Labels") or {})
    for key, value in changes:
        if value is None:
            labels.pop(key, None)
        else:
            labels[key] = value
    if labels != (spec.get("Labels") or {}):
        spec["Labels"] = labels


def _set_constraints(template: Json, changes: tuple[tuple[str, bool], ...]) -> None:
    constraints = _constraints(template)
    for constraint, added in changes:
        same = [c for c in constraints if _plain(c) == _plain(constraint)]
        if added and not same:
            constraints = [*constraints, constraint]
        elif not added:
            constraints = [c for c in constraints if c not in same]
    if constraints != _constraints(template):
        template["Placement"] = {**(template.get("Placement") or {}), "Constraints": constraints}


def _set_amount(template: Json, part: str, key: str, amount: int) -> None:
    if _amount(template, part, key) == amount:
        return
    for name in ("Resources", part):
        if template.get(name) is None:
            template[name] = {}
        template = template[name]
    if amount:
        template[key] = amount
    else:
        template.pop(key, None)


def _plain(constraint: str) -> str:
    return "".join(constraint.split())


def _constraints(template: Json) -> list[str]:
    return list((template.get("Placement") or {}).get("Constraints") or [])


def _amount(template: Json, part: str, key: str) -> int:
    return int(((template.get("Resources") or {}).get(part) or {}).get(key) or 0)


def _replicas(spec: Json) -> Any:
    return ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas", "none")


def _env(container: Json) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in container.get("Env") or [])


def _names(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    parts = [f"+{key}" for key in sorted(new.keys() - old.keys())]
    parts += [f"-{key}" for key in sorted(old.keys() - new.keys())]
    parts += [f"{key} changed" for key in sorted(old.keys() & new.keys()) if old[key] != new[key]]
    return [f"{what} {', '.join(parts)}"] if parts else []


def _config(spec: Json) -> str:
    config = spec.get("UpdateConfig")
    if config is None:
        return "as the engine does by itself"
    width = config.get("Parallelism") or "all"
    return f"{width} at a time, {_time(config.get('Delay') or 0)} apart, {config.get('Order') or 'stop-first'}"


def _told_amount(amount: int, unit: str, scale: int) -> str:
    return f"{amount / scale:.6g} {unit}" if amount else f"no {unit}"


def _decimal(nano: int) -> str:
    whole, fraction = divmod(nano, 10**9)
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")


def _size(size: int) -> str:
    for unit, scale in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if size and size % scale == 0:
            return f"{size // scale}{unit}"
    return str(size)


def _time(nanoseconds: int) -> str:
    for unit, scale in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if nanoseconds % scale == 0:
            return f"{nanoseconds // scale}{unit}"
    return f"{nanoseconds}ns"
