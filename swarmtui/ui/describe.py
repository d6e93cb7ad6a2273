"""Everything known about an object, as lines to read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from swarmtui.model.health import Finding, Severity
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node, when
from swarmtui.model.text import harmless, one_line
from swarmtui.ui.header import coarse_age

Lines = list[tuple[str, str]]


def _age(text: str) -> str:
    moment = when(text)
    return f"{coarse_age(time.time() - moment.timestamp())} ago" if moment else "unknown"


def node_lines(node: Node, snapshot: Snapshot, found: tuple[Finding, ...]) -> Lines:
    """A node, its tasks and what is wrong with it."""
    return list(_node(node, snapshot, found))


def _node(node: Node, snapshot: Snapshot, found: tuple[Finding, ...]) -> Iterator[tuple[str, str]]:
    status = node.manager_status
    expires = snapshot.certificates.get(node.id)
    resources = node.description.resources
    yield "title", one_line(node.name)
    facts = {
        "id": node.id,
        "state": node.status.state + (f" ({node.status.message})" if node.status.message else ""),
        "availability": node.spec.availability,
        "role": f"{node.spec.role} by its Spec",
        "raft": f"member, {status.reachability}{', leader' if status.leader else ''}, {status.addr}"
        if status
        else "not a member",
        "address": node.address,
        "engine": node.description.engine.engine_version,
        "platform": f"{node.description.platform.os}/{node.description.platform.architecture}",
        "resources": f"{resources.nano_cpus / 1e9:g} CPUs, {resources.memory_bytes / 2**30:.1f} GiB memory",
        "certificate": f"expires {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC" if expires else "not known",
        "joined": _age(node.created_at),
        "last change": _age(node.updated_at),
        "version": str(node.version.index),
    }
    yield from fact_lines(facts)
    yield from label_lines(node.labels)
    yield "heading", "What is wrong"
    mine = [finding for finding in found if finding.node_id == node.id]
    if not mine:
        yield "dim", "  nothing"
    for finding in mine:
        yield _style(finding), f"  {finding.what} {finding.advice}"
    yield "heading", "Tasks"
    tasks = sorted(snapshot.tasks_on(node.id), key=lambda t: (t.is_terminal, t.service_id, t.slot))
    if not tasks:
        yield "dim", "  none"
    for task in tasks:
        service = snapshot.services.get(task.service_id)
        name = one_line(service.name if service else task.service_id[:12])
        slot = f".{task.slot}" if task.slot else ""
        error = f" {one_line(task.status.err)}" if task.status.err else ""
        state, wanted = one_line(task.status.state), one_line(task.desired_state)
        line = f"  {name}{slot}  {state} {_age(task.status.timestamp)} (wanted: {wanted}){error}"
        yield "dim" if task.is_terminal else "plain", line


def gone(one: str) -> Lines:
    """What is said of an object that is not there any more."""
    return [("bad", f"This {one} is not there any more.")]


def fact_lines(facts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names and values, below each other."""
    for name, value in facts.items():
        yield "plain", f"  {one_line(name):13} {one_line(value) or '-'}"


def label_lines(labels: Mapping[str, str] | None) -> Iterator[tuple[str, str]]:
    """Labels under a heading."""
    yield "heading", "Labels"
    for key, value in sorted((labels or {}).items()):
        yield "plain", f"  {one_line(key)}={one_line(value)}"
    if not labels:
        yield "dim", "  none"


def finding_lines(found: tuple[Finding, ...], unread: dict[str, str]) -> Lines:
    """All findings, the worst first, and what could not be read."""
    lines: Lines = []
    for name, trouble in unread.items():
        lines.append(("bad", f"UNKNOWN  the {name} cannot be read now: {one_line(trouble)}"))
    for finding in found:
        lines.append((_style(finding), f"{finding.severity.name:8} {one_line(finding.what)}"))
        lines.append(("plain", f"         {one_line(finding.advice)}"))
        lines.append(("dim", f"         rule {finding.rule}"))
    return lines or [("good", "Nothing is wrong.")]


def _style(finding: Finding) -> str:
    return {Severity.CRITICAL: "bad", Severity.WARNING: "warn"}.get(finding.severity, "plain")


def raw_lines(text: str) -> Lines:
    """An object as the engine gave it."""
    return [("plain", harmless(line)) for line in text.splitlines()]
