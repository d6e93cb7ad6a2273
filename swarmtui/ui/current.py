"""What the parameters of an operation are now, as a person would type them. No Textual here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node, Resources

OF_DOCKER = "com.docker."
"""Labels that docker itself puts on what it makes (a stack's namespace and image): nobody changes those by hand."""
DIFFERS = "differs between them"
NOT_KEPT = "true, but the vault does not have the key"
"""Of autolock: whoever comes to it then wants to keep the key, not to turn it off."""


def current(view: str, keys: Iterable[str], snapshot: Snapshot) -> Mapping[str, str]:
    """Parameter → what it is now, of the rows of a view that an operation is about; only what is known and is set.

    The environment of a service is not among them: its values may be secrets.
    """
    cluster = snapshot.info.swarm.cluster
    if view == "swarm" and cluster is not None:
        on, holding = cluster.spec.encryption_config.auto_lock_managers, snapshot.unlock_key
        lacking = on and holding is not None and holding.state in ("missing", "differs")
        return {"enable": NOT_KEPT if lacking else "true" if on else "false"}
    found: list[Mapping[str, str]] = []
    for key in keys:
        if view == "services" and key in snapshot.services:
            found.append(_of_service(snapshot.services[key]))
        elif view == "nodes" and key in snapshot.nodes:
            found.append(_of_node(snapshot.nodes[key]))
    if not found:
        return {}
    names = dict.fromkeys(name for each in found for name in each)
    told: dict[str, str] = {}
    for name in names:
        values = {each.get(name, "") for each in found}
        told[name] = values.pop() if len(values) == 1 else DIFFERS
    return {name: value for name, value in told.items() if value}


def _of_node(node: Node) -> Mapping[str, str]:
    return {"label": ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))}


def _of_service(service: Service) -> Mapping[str, str]:
    template = service.spec.task_template
    container, needs, update = template.container_spec, template.resources, service.spec.update_config
    limits = needs.limits if needs is not None else None
    reserved = needs.reservations if needs is not None else None
    labels = {k: v for k, v in sorted((service.spec.labels or {}).items()) if not k.startswith(OF_DOCKER)}
    scaled = service.replicas is not None and not service.is_job
    return {
        "replicas": str(service.replicas) if scaled else "",
        "image": container.image.partition("@")[0] if container is not None else "",
        "label": ",".join(f"{key}={value}".replace(",", "\\,") for key, value in labels.items()),
        "limit-cpu": _cpus(limits),
        "limit-memory": _memory(limits),
        "reserve-cpu": _cpus(reserved),
        "reserve-memory": _memory(reserved),
        "constraint": ",".join(
            "".join(c.split()) for c in (template.placement and template.placement.constraints) or ()
        ),
        # What the engine does where the Spec says nothing (docker service create --help).
        "parallelism": str(update.parallelism) if update is not None else "1",
        "delay": f"{_plain(Decimal(update.delay) / 10**9)}s" if update is not None else "0s",
        "order": update.order if update is not None else "stop-first",
    }


def _cpus(amount: Resources | None) -> str:
    return _plain(Decimal(amount.nano_cpus) / 10**9) if amount is not None and amount.nano_cpus else ""


def _memory(amount: Resources | None) -> str:
    if amount is None or not amount.memory_bytes:
        return ""
    size, unit = amount.memory_bytes, 0
    while size % 1024 == 0 and unit < 3:
        size, unit = size // 1024, unit + 1
    return f"{size}{'bKMG'[unit]}" if unit else str(size)


def _plain(number: Decimal) -> str:
    """A number without an exponent, and without zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
