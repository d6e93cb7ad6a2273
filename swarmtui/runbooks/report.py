"""A run from its journal alone, also an old one: what was done, when, how long it took, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line
from swarmtui.runbooks.journal import RunRecord, StepRecord
from swarmtui.runbooks.parts import Draft, Stage, grown, without_part
from swarmtui.runbooks.runbook import Plan, Step

WORDS = {"intended": "CUT OFF", "done": "done, verified", "already": "nothing to do", "failed": "FAILED"}
"""How a step went; a state that is not here is told as it is."""


def planned(record: RunRecord) -> Plan:
    """The plan of a run, made again from its journal.

    Raises:
        UsageError: this version of the program makes another plan, or none, of what the journal says.
    """
    from swarmtui.runbooks import registry

    runbook = registry.runbook(record.runbook)
    if runbook.version != record.version:
        raise UsageError(
            f"Run {record.id} was begun with another version of {record.runbook} ({record.version}, now "
            f"{runbook.version}).",
            "Begin it anew: what is done already will be found done.",
        )
    try:
        drafts = {stage: msgspec.convert(told, Draft) for stage, told in record.drafts.items()}
        plan = runbook.plan(record.params, record.facts)
        for stage in [step for step in plan.steps if isinstance(step, Stage) and step.id in record.undrafted]:
            plan = without_part(plan, stage) if stage.id in plan.parts else plan
        return grown(plan, drafts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"The journal of {record.id} says what cannot be planned ({type(error).__name__}).",
            f"See it with: swarmtui journal {record.id} --json",
        ) from error


def going_on(record: RunRecord, *, cluster_id: str) -> Plan:
    """The plan to go on with, of a run that did not come to its end.

    Args:
        cluster_id: of the Swarm that is looked at; "" where nobody tells.

    Raises:
        UsageError: the run is done, is of another Swarm, or cannot be planned any more.
    """
    if record.outcome == "done":
        raise UsageError(f"Run {record.id} is done already.", f"See: swarmtui journal {record.id}")
    plan = planned(record)
    if record.cluster_id and cluster_id not in (record.cluster_id, ""):
        raise UsageError(
            f"Run {record.id} was on Swarm {record.cluster_id[:12]}; this is {cluster_id[:12]}.",
            "Name the right cluster with --target.",
        )
    return plan


def report(record: RunRecord) -> str:
    """What a run did, as Markdown, with the steps that it did not come to."""
    try:
        plan = planned(record)
    except SwarmtuiError:
        plan = None  # what the journal holds is told all the same
    steps = list(_steps(record, plan))
    out = [
        f"# {one_line(record.title or record.runbook)}",
        "",
        f"Run `{record.id}` of {record.runbook} on {record.target} (Swarm {record.cluster_id[:12] or 'unknown'}), "
        f"by {record.operator}.",
        f"Started {record.started_at}; {_ended(record)}: **{record.outcome or 'cut off'}**"
        f"{' (' + one_line(record.detail) + ')' if record.detail else ''}.",
    ]
    if record.accepted:
        out += ["", f"Safety rules accepted: {', '.join(record.accepted)}."]
    if record.outcome != "done":
        out += ["", *_where_it_stands(record, plan)]
    plans = [plan, *plan.parts.values()] if plan is not None else []
    if said := list(dict.fromkeys(line for each in plans for line in (*each.warnings, *each.notes))):
        out += ["", "What the plan said:", "", *(f"- {one_line(line)}" for line in said)]
    if steps:
        out += ["", "| | Step | How it went | Began | Took |", "|---|---|---|---|---|"]
    for number, (title, _, step) in enumerate(steps, 1):
        went = WORDS.get(step.state, step.state) if step is not None else "not begun"
        began, took = (_clock(step.started_at), _took(step.started_at, step.ended_at)) if step else ("", "")
        out.append(f"| {number} | {_cell(title)} | {_cell(went)} | {began} | {took} |")
    for number, (title, why, step) in enumerate(steps, 1):
        if step is None:
            continue
        out += ["", f"## {number}. {title}: {step.state}", ""]
        out += [why, ""] if why else []
        tries = f"; tried {step.tries} times" if step.tries > 1 else ""
        out.append(f"{step.started_at} to {step.ended_at or '?'}{tries}")
        if step.detail:
            out += ["", one_line(step.detail)]
        if step.commands:
            out += ["", "```sh", *step.commands, "```"]
    return "\n".join(out) + "\n"


def _steps(record: RunRecord, plan: Plan | None) -> Iterator[tuple[str, str, StepRecord | None]]:
    """Title, why and what became of it, of each step: in the order of the plan, where there is one."""
    known: dict[str, Step] = {step.id: step for step in plan.steps} if plan is not None else {}
    for step in known.values():
        yield one_line(step.title), one_line(step.why), record.steps.get(step.id)
    for step_id, done in record.steps.items():
        if step_id not in known:
            yield one_line(step_id), "", done


def _where_it_stands(record: RunRecord, plan: Plan | None) -> Iterator[str]:
    """For whoever goes on with it: in which state the cluster is, and the command."""
    over = ("done", "already", "skipped")
    done = [step_id for step_id, step in record.steps.items() if step.state in over]
    open_step = next((step for step in plan.steps if step.id not in done), None) if plan is not None else None
    if plan is not None and open_step is not None and (told := plan.if_stopped_before(open_step)):
        yield f"Where it stands: {told}"
    yield f"Go on with it: `swarmtui run --resume {record.id}`"


def _ended(record: RunRecord) -> str:
    if not record.ended_at:
        return "not ended"
    took = _took(record.started_at, record.ended_at)
    return f"ended {record.ended_at}" + (f" after {took}" if took else "")


def _moment(text: str) -> datetime | None:
    """A time of the journal; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return at if at.tzinfo is not None else None


def _clock(text: str) -> str:
    at = _moment(text)
    return f"{at:%H:%M:%S}" if at is not None else ""


def _took(began: str, ended: str) -> str:
    """How long it was, in words; "" where that is not known."""
    first, last = _moment(began), _moment(ended)
    return took_words((last - first).total_seconds()) if first is not None and last is not None else ""


def took_words(seconds: float) -> str:
    """A length of time: "0.4 s", "12 s", "3 min 12 s", "1 h 5 min"."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
