"""The parts of a service in a compose file that need nothing but themselves, as the engine is asked for them.

What docker would refuse raises ComposeError, in its words.
"""

from __future__ import annotations

from typing import Any

from swarmtui.demo.hosts.docker.compose_values import ComposeError, Value

Json = dict[str, Any]


def mode(deploy: Value) -> Json:
    """Replicated, global, or a job."""
    mode, replicas = deploy.get("mode").text("replicated"), deploy.get("replicas")
    if mode in ("global", "global-job"):
        if replicas:
            raise ComposeError(f"replicas can only be used with replicated or replicated-job mode, not {mode}")
        return {"Global": {}} if mode == "global" else {"GlobalJob": {}}
    if mode == "replicated-job":
        number = replicas.whole(1)
        return {"ReplicatedJob": {"MaxConcurrent": number, "TotalCompletions": number}}
    if mode != "replicated":
        raise ComposeError(f"Unknown mode: {mode}")
    return {"Replicated": {"Replicas": replicas.whole(1)}}


def resources(resources: Value) -> Json:
    """Limits and reservations."""
    resources.only("limits reservations")
    result: Json = {}
    for key, name in (("limits", "Limits"), ("reservations", "Reservations")):
        part = resources.get(key)
        part.only("cpus memory pids" if key == "limits" else "cpus memory")
        amounts = {
            "NanoCPUs": part.get("cpus").cpus(),
            "MemoryBytes": part.get("memory").size(),
            "Pids": part.get("pids").whole(),
        }
        if part:
            result[name] = {amount: value for amount, value in amounts.items() if value}
    return result


def restart_policy(policy: Value) -> Json | None:
    """When a task is begun again; None where the file leaves that to the engine."""
    if not policy:
        return None
    policy.only("condition delay max_attempts window")
    condition = policy.get("condition").text("any")
    if condition not in ("any", "on-failure", "none"):
        raise ComposeError(f"unknown restart condition: {condition}")
    result: Json = {"Condition": condition}
    for key, name in (("delay", "Delay"), ("window", "Window")):
        if policy.get(key):
            result[name] = policy.get(key).duration()
    if policy.get("max_attempts"):
        result["MaxAttempts"] = policy.get("max_attempts").whole()
    return result


def placement(placement: Value) -> Json:
    """Constraints, preferences, and how many tasks a node may have."""
    placement.only("constraints preferences max_replicas_per_node")
    result: Json = {}
    if constraints := placement.get("constraints").texts():
        result["Constraints"] = constraints
    spreads = []
    for preference in placement.get("preferences").each():
        preference.only("spread")
        spreads.append({"Spread": {"SpreadDescriptor": preference.get("spread").text()}})
    if spreads:
        result["Preferences"] = spreads
    if limit := placement.get("max_replicas_per_node").whole():
        result["MaxReplicas"] = limit
    return result


def update_config(config: Value) -> Json:
    """How an update or a rollback goes on."""
    config.only("parallelism delay failure_action monitor max_failure_ratio order")
    return {
        "Parallelism": config.get("parallelism").whole(1),
        "Delay": config.get("delay").duration(),
        "FailureAction": config.get("failure_action").text(),
        "Monitor": config.get("monitor").duration(),
        "MaxFailureRatio": config.get("max_failure_ratio").number(),
        "Order": config.get("order").text(),
    }


def ports(ports: Value) -> list[Json]:
    """The ports of a service, in either way of writing them; ranges become single ones."""
    found: list[Json] = []
    for entry in ports.each():
        if isinstance(entry.raw, dict):
            entry.only("target published protocol mode")
            numbers = [(entry.get("target").whole(), entry.get("published").whole())]
            protocol, mode = entry.get("protocol").text("tcp"), entry.get("mode").text("ingress")
        else:
            body, _, protocol = entry.text().partition("/")
            protocol, mode = protocol or "tcp", "ingress"
            *_, outside, inside = ("", "", *body.rsplit(":", 2))
            inner = _range(entry, inside)
            outer = _range(entry, outside) if outside else [0] * len(inner)
            if len(inner) != len(outer):
                raise ComposeError(f"invalid ranges specified for container and host Ports: {inside} and {outside}")
            numbers = list(zip(inner, outer, strict=True))
        if protocol not in ("tcp", "udp", "sctp"):
            raise ComposeError(f"invalid proto: {protocol}")
        for target, published in numbers:
            port: Json = {"Protocol": protocol, "TargetPort": target, "PublishMode": mode}
            found.append({**port, "PublishedPort": published} if published else port)
    return sorted(found, key=lambda port: int(port.get("PublishedPort", 0)))


def _range(entry: Value, text: str) -> list[int]:
    first, dash, last = text.partition("-")
    ends = (first, last if dash else first)
    if not all(end.isascii() and end.isdigit() and 0 < int(end) < 65536 for end in ends) or int(first) > int(ends[1]):
        raise ComposeError(f"invalid containerPort: {entry.text()}")
    return list(range(int(first), int(ends[1]) + 1))


def extra_hosts(hosts: Value) -> list[str]:
    """NAME:ADDRESS of each entry."""
    if isinstance(hosts.raw, list):
        return hosts.texts()
    return [f"{name}:{address.text()}" for name, address in hosts.entries()]


def ulimit(name: str, limit: Value) -> Json:
    """One limit of a container."""
    if isinstance(limit.raw, dict):
        limit.only("soft hard")
        return {"Name": name, "Soft": limit.get("soft").whole(), "Hard": limit.get("hard").whole()}
    return {"Name": name, "Soft": limit.whole(), "Hard": limit.whole()}


def log_driver(logging: Value) -> Json | None:
    """Where the logs go; None where the file says nothing."""
    if not logging:
        return None
    logging.only("driver options")
    return {"Name": logging.get("driver").text(), "Options": logging.get("options").labels()}


def healthcheck(check: Value) -> Json:
    """How the engine sees that a container is well."""
    check.only("test disable interval timeout retries start_period")
    if check.get("disable").flag():
        return {"Test": ["NONE"]}
    test = check.get("test")
    result: Json = {"Test": ["CMD-SHELL", test.raw] if isinstance(test.raw, str) else test.texts()}
    for key, name in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
        if check.get(key):
            result[name] = check.get(key).duration()
    return {**result, "Retries": check.get("retries").whole()} if check.get("retries") else result
