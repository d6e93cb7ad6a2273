"""platform.backup: Swarm, then UCP, then DTR, as one set with one report (procedures.md D3, ucp-dtr.md §5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link import jobs
from swarmtui.model.text import listed
from swarmtui.model.ucp import status
from swarmtui.runbooks import params
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.parts import Draft, grown
from swarmtui.runbooks.platform.backup_steps import PRODUCTS, BackUp, CompareSet
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.session import Session

STAGES = {
    "swarm": "Networks, services, secrets and configs: what nothing else has.",
    "ucp": "Accounts, teams, grants, settings and keys of UCP. Planned when the Swarm's backup is over.",
    "dtr": "Repositories, tags, access and settings of DTR; not its images. Planned when UCP's backup is over.",
}
"""Why each is backed up."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The backup of one product, as it would be planned now.

    Attributes:
        title: what would be done; trouble: why it cannot be, now.
        draft: what the plan is made from; only of the one whose turn is first.
        rules: safety rules that it would break: (id, about, what).
        binding: of its plan.
    """

    kind: str
    title: str = ""
    trouble: str = ""
    draft: Draft | None = None
    rules: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    binding: str = ""
    disruptive: bool = False


class PlatformBackupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        set: the name of the set.
        parts: one for each product there is, in the order of their backups.
        unseen: names of nodes that could not be looked at, where no DTR was found on the others.
    """

    cluster: str
    cluster_id: str
    set: str
    parts: tuple[Part, ...]
    unseen: tuple[str, ...] = ()


class PlatformBackup(Runbook):
    name = "platform.backup"
    summary = "back up Swarm, UCP (MKE) and DTR (MSR), one after the other, as one set with one report"
    params: ClassVar[Sequence[Param]] = (WAIT,)

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, PlatformBackupFacts)
        first = found.parts[0]
        names = [PRODUCTS[part.kind] for part in found.parts]
        rules = {str(rule): rule for part in found.parts for rule in (Rule(*told) for told in part.rules)}
        stages = tuple(_stage(found, part, params, tuple(rules)) for part in found.parts)
        compare = CompareSet(
            id="set",
            title="Look whether the set is whole",
            why="A platform comes back from one backup of each of its products.",
            cluster_id=found.cluster_id,
            set=found.set,
            kinds=tuple(part.kind for part in found.parts),
            if_stopped="What was taken is in the catalogue; what is missing says the next step.",
        )
        steps: tuple[Step, ...] = (*stages, compare)
        plan = Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Back up {', '.join(names)} of {found.cluster}",
            why="Each of them keeps what the others do not: one alone does not bring back what there was.",
            steps=steps,
            touches=(found.cluster,),
            notes=_notes(found),
            warnings=(*_unseen(found), *dict.fromkeys(line for part in found.parts for line in _warnings(part))),
            rules=tuple(rules.values()),
            binding=binding_of(found.cluster_id, [(part.kind, part.trouble, part.binding) for part in found.parts]),
        )
        return grown(plan, {first.kind: first.draft}) if first.draft is not None else plan


def _stage(found: PlatformBackupFacts, part: Part, params: Mapping[str, Any], accepts: tuple[str, ...]) -> BackUp:
    return BackUp(
        id=part.kind,
        title=part.title or f"Back up {PRODUCTS[part.kind]}",
        why=STAGES[part.kind],
        danger=Danger.DISRUPTIVE if part.disruptive else Danger.SAFE,
        runbook=f"{part.kind}.backup",
        given=_given(part.kind, params),
        target=found.cluster,
        accepts=tuple(accept for accept in accepts if accept in {str(Rule(*told)) for told in part.rules}),
        goes_on=True,
        cluster_id=found.cluster_id,
        kind=part.kind,
        set=found.set,
    )


def _given(kind: str, params: Mapping[str, Any]) -> dict[str, str]:
    """What the product's own backup is told; DTR's has nothing to wait for."""
    return {} if kind == "dtr" else {"wait": str(params["wait"])}


def _warnings(part: Part) -> list[str]:
    name = PRODUCTS[part.kind]
    if part.trouble:
        return [f"{name} cannot be backed up now, and the set will not be whole: {part.trouble}"]
    return [f"{name}: {line}" for line in part.warnings]


def _unseen(found: PlatformBackupFacts) -> list[str]:
    if not found.unseen:
        return []
    return [
        f"No DTR was found, but {listed(found.unseen)} could not be looked at: one that is only there is not backed "
        "up. Have SSH work there, or name DTR's address: [clusters.NAME.dtr] url"
    ]


def _notes(found: PlatformBackupFacts) -> tuple[str, ...]:
    told = [
        f"All of them are in the set {found.set}. Where one fails the next is tried all the same, what was taken "
        "stays, and the run ends with exit status 1.",
    ]
    if not any(part.kind == "dtr" for part in found.parts) and not found.unseen:
        told.append("No DTR was found on this cluster.")
    told += [f"{PRODUCTS[part.kind]}: {line}" for part in found.parts for line in part.notes]
    return tuple(told)


async def survey(session: Session, params: Mapping[str, Any]) -> PlatformBackupFacts:
    """Has each product's backup looked at as it would be planned now.

    Raises:
        LinkError, EngineError: the Swarm cannot be asked.
    """
    snapshot = await session.refresh()
    parts, unseen = [await _part(session, "swarm", params, draft=True)], tuple[str, ...]()
    if status.runs_ucp(snapshot):
        parts.append(await _part(session, "ucp", params))
        found, silent = await look_for_dtr(session)
        if found:
            parts.append(await _part(session, "dtr", params))
        unseen = () if found else silent
    return PlatformBackupFacts(
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        set=f"platform-{jobs.new_id()}",
        parts=tuple(parts),
        unseen=unseen,
    )


async def runs_dtr(session: Session) -> bool:
    """Whether anything of DTR is on a node of this cluster that can be looked at, healthy or not; or is configured."""
    return (await look_for_dtr(session))[0]


async def look_for_dtr(session: Session) -> tuple[bool, tuple[str, ...]]:
    """The same, and the names of nodes that could not be looked at."""
    from swarmtui.runbooks.dtr.hosts import look_at_all

    looked = await look_at_all(session)
    nodes = session.snapshot.nodes
    silent = tuple(sorted(nodes[node].name if node in nodes else node for node in looked.silent))
    return bool(looked.found) or bool(session.opening.cluster.dtr.url), silent


async def _part(session: Session, kind: str, given: Mapping[str, Any], *, draft: bool = False) -> Part:
    from swarmtui.runbooks import registry

    runbook = registry.runbook(f"{kind}.backup")
    values = params.parse(runbook.name, runbook.params, _given(kind, given))
    try:
        plan = await runbook.prepare(session, values)
    except SwarmtuiError as error:
        if draft:
            raise
        return Part(kind=kind, trouble=str(error))
    return Part(
        kind=kind,
        title=plan.title,
        draft=Draft.of(plan) if draft else None,
        rules=tuple((rule.id, rule.about, rule.what) for rule in plan.rules),
        warnings=plan.warnings,
        notes=plan.notes,
        binding=plan.binding,
        disruptive=plan.danger >= Danger.DISRUPTIVE,
    )
