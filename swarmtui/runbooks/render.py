"""A plan as text for a person, as a Markdown runbook, as a shell script. One text for screen and command
line; `report` has what became of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from swarmtui.model.impact import Impact, ServiceImpact
from swarmtui.runbooks.runbook import Plan, Shown, Step

JSON_SCHEMA = 1


def _plural(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def service_line(service: ServiceImpact) -> str:
    """What happens to one service, on one line."""
    parts = []
    if service.to_zero:
        parts.append("DROPS TO ZERO")
    if service.moving:
        targets = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in service.targets)
        parts.append(f"{_plural(service.moving, 'task')} may move to {targets}")
    if service.stuck:
        parts.append(f"{_plural(service.stuck, 'task')} with nowhere to go: {service.stuck_why}")
    if service.leaving:
        parts.append(f"{_plural(service.leaving, 'task')} of a global service leaves")
    if service.blinks:
        parts.append("its only replica: a short outage")
    if service.local_data:
        parts.append(f"data stays behind on the node: {', '.join(service.local_data)}")
    return f"{service.name}: {'; '.join(parts)}"


def impact_lines(impact: Impact | None) -> Iterator[tuple[str, str]]:
    """What moves, stops or is stranded: (style, line) with style bad, warn or plain; the worst first."""
    if impact is None:
        return
    if not impact.known:
        yield "warn", "Which tasks would move is not known: services and tasks could not be read."
        return
    if not impact.services:
        yield "plain", "No task moves."
        return
    for service in impact.services:
        style = (
            "bad" if service.to_zero or service.stuck else "warn" if service.blinks or service.local_data else "plain"
        )
        yield style, service_line(service)


def can_fold(steps: Iterable[Step]) -> bool:
    """Whether a step has a command that only waits, and words for it."""
    return any(shown.words for step in steps for shown in step.shown)


def command_lines(step: Step, *, folded: bool = False) -> Iterator[tuple[str, str]]:
    """The commands of a step, each with where it runs: (style, line).

    Args:
        folded: a wait is told in words; what has an effect is always shown whole.
    """
    for shown in step.shown:
        if folded and shown.words:
            yield "dim", f"{_where(shown)}: {shown.words}"
            continue
        if shown.feed is not None:
            yield "command", f"{_where(shown.feed)}$ {shown.feed.line}   (goes to the input of the next line)"
        yield "command", f"{_where(shown)}$ {shown.line}"


def plan_lines(plan: Plan, *, folded: bool = False) -> Iterator[tuple[str, str]]:
    """The whole plan: (style, line); styles: title, plain, dim, warn, bad, command, heading.

    Args:
        folded: as in `command_lines`.
    """
    yield "title", plan.title
    yield "plain", plan.why
    if plan.nothing:
        yield "plain", plan.nothing
        return
    for rule in plan.rules:
        yield "bad", f"SAFETY RULE {rule}: {rule.what}"
    for warning in plan.warnings:
        yield "warn", f"Warning: {warning}"
    if plan.quorum is not None:
        yield "heading", "Managers"
        yield "plain", f"  now:   {plan.quorum.before}"
        yield "bad" if plan.quorum.loses_quorum else "plain", f"  after: {plan.quorum.after}"
    if plan.impact is not None:
        yield "heading", "Tasks"
        for style, line in impact_lines(plan.impact):
            yield style, f"  {line}"
    if plan.changes:
        yield "heading", "Changes"
        for style, line in plan.changes:
            yield style, f"  {line}"
    for note in plan.notes:
        yield "dim", f"Note: {note}"
    yield "heading", "Commands"
    for number, step in enumerate(plan.steps, 1):
        yield "plain", f"  {number}. {step.title} ({step.danger})"
        for style, line in command_lines(step, folded=folded):
            yield style, f"     {line}"
    if undo := list(undo_lines(plan)):
        yield "heading", "To take it back"
        for line in undo:
            yield "command", f"     {line}"


def _where(shown: Shown) -> str:
    return f"on {shown.host}" if shown.host else "here" if shown.here else "on a manager"


def undo_lines(plan: Plan) -> Iterator[str]:
    """The commands that take the plan back, in order; nothing once a step cannot be undone."""
    if any(step.danger == 2 for step in plan.steps):
        return
    for step in reversed(plan.steps):
        for shown in step.undo:
            yield shown.as_sh


def script(plan: Plan) -> str:
    """The plan as a POSIX shell script for a machine whose docker CLI talks to a manager of the Swarm."""
    lines = [
        "#!/bin/sh",
        f"# {plan.title}. {plan.why}",
        "# Run it where ssh reaches the hosts."
        if plan.steps and all(shown.host or shown.feed for step in plan.steps for shown in step.shown)
        else "# Run it where `docker` talks to a manager of this Swarm (DOCKER_HOST or a docker context).",
    ]
    lines += [f"# {style.upper()}: {line}" for style, line in plan_lines(plan) if style in ("bad", "warn")]
    lines += ["set -eu", ""]
    if plan.nothing:
        lines.append(f"# {plan.nothing}")
    for number, step in enumerate(plan.steps, 1):
        lines.append(f"# {number}. {step.title}: {step.why}")
        if stopped := plan.if_stopped_before(step):
            lines.append(f"# If you stop here: {stopped}")
        lines.append(f"echo {shlex.quote(f'{number}. {step.title}')}")
        lines += [shown.as_sh for shown in step.shown]
        lines.append("")
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def markdown(plan: Plan) -> str:
    """The plan as a runbook to print or to hand on."""
    out = [f"# {plan.title}", "", plan.why, ""]
    if plan.nothing:
        return "\n".join([*out, plan.nothing, ""])
    out += [f"- **Safety rule `{rule}`**: {rule.what}" for rule in plan.rules]
    out += [f"- **Warning**: {warning}" for warning in plan.warnings]
    out += [f"- {note}" for note in plan.notes]
    if plan.quorum is not None:
        out += ["", f"Managers now: {plan.quorum.before}; after: {plan.quorum.after}."]
    out += ["", "## Tasks", "", *(f"- {line}" for _, line in impact_lines(plan.impact))] if plan.impact else []
    out += ["", "## Changes", "", *(f"- {line.strip()}" for _, line in plan.changes)] if plan.changes else []
    for number, step in enumerate(plan.steps, 1):
        out += ["", f"## {number}. {step.title} ({step.danger})", "", step.why]
        if stopped := plan.if_stopped_before(step):
            out += ["", f"If you stop before this step: {stopped}"]
        if step.shown:
            out += ["", "```sh", *(shown.as_sh for shown in step.shown), "```"]
    if undo := list(undo_lines(plan)):
        out += ["", "## To take it back", "", "```sh", *undo, "```"]
    return "\n".join(out) + "\n"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values; the schema has a version."""
    return {
        "schema": JSON_SCHEMA,
        "runbook": plan.runbook,
        "title": plan.title,
        "params": dict(plan.params),
        "nothing": plan.nothing,
        "danger": str(plan.danger),
        "touches": list(plan.touches),
        "rules": [{"rule": r.id, "object": r.about, "what": r.what} for r in plan.rules],
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
        "changes": [line.strip() for _, line in plan.changes],
        "managers": None
        if plan.quorum is None
        else {
            moment: {"voters": q.voters, "reachable": q.reachable, "needed": q.needed, "slack": q.slack}
            for moment, q in (("before", plan.quorum.before), ("after", plan.quorum.after))
        },
        "services": [
            {
                "service": s.name,
                "moving": s.moving,
                "stuck": s.stuck,
                "why": s.stuck_why,
                "leaving": s.leaving,
                "to_zero": s.to_zero,
                "blinks": s.blinks,
                "local_data": list(s.local_data),
            }
            for s in (plan.impact.services if plan.impact else ())
        ],
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                "why": step.why,
                "danger": str(step.danger),
                "if_stopped": plan.if_stopped_before(step),
                "commands": [{"host": shown.host, "line": shown.line} for shown in step.shown],
            }
            for step in plan.steps
        ],
    }
