"""The runbook swarm.recreate: what was deleted while the quorum holds, created again from a backup (K4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.recovery.recreate_facts import RecreateFacts, Source, survey
from swarmtui.runbooks.swarm.recovery.recreate_objects import KINDS, Otherwise, Wanted, subnets
from swarmtui.runbooks.swarm.recovery.recreate_steps import (
    RecreateBlob,
    RecreateNetwork,
    RecreateService,
    WaitRecreated,
)
from swarmtui.session import Session

LISTED = 20
STOPPED = (
    "Nothing has been changed yet.",
    "What was created so far stays; the rest is still missing. Nothing that was there has been changed.",
)
CREATED = "Everything is created; tasks that do not run yet start by themselves where they can."
_WHY = {
    "network": "Services are attached to it by its name.",
    "secret": "Its value goes from the backup's raft log to the managers, and is seen nowhere.",
    "config": "Its content goes from the backup to the managers.",
    "service": "Created with the settings that the backup has, on the networks, secrets and configs of today.",
}


class Recreate(Runbook):
    name = "swarm.recreate"
    summary = "create again from a backup what was deleted: services, networks, secrets with their values, configs"
    params: ClassVar[Sequence[Param]] = (
        Param("backup", "which backup of this cluster", params.text, "latest|ID", default="latest"),
        *(
            Param(kind, f"only these {kind}s (and what they need), by name or id", params.names, "NAME[,NAME…]")
            for kind in reversed(KINDS)
        ),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        named = {kind: tuple(params.get(kind) or ()) for kind in KINDS}
        facts: Facts = msgspec.to_builtins(await survey(session, params["backup"], named))
        return facts

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RecreateFacts)
        if known.unreadable[0]:
            raise RefusedError(*known.unreadable)
        wanted = known.wanted
        secrets = tuple(one.id for one in wanted if one.kind == "secret" and not one.outside)
        source = Source(known.cluster_id, known.backup, known.digest, known.cluster, secrets)
        services = [one for one in wanted if one.kind == "service"]
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Create {_counted(wanted) or 'nothing'} from the backup {known.backup}",
            why=f"{known.cluster} has lost that; the backup, {known.age} old, has it. Nothing else changes.",
            steps=(
                *(_create(one, source, number) for number, one in enumerate(wanted)),
                *(_wait(one) for one in services if not one.is_job),
            ),
            touches=tuple(one.name for one in wanted),
            changes=(*(("plain", _line(one)) for one in wanted), *_otherwise(known.otherwise)),
            notes=_notes(known) if wanted else (),
            warnings=(*known.warnings, *_doubt(known)) if wanted else (),
            binding=binding_of(
                known.cluster_id, known.backup, known.digest, known.wanted, known.otherwise, known.warnings
            ),
            nothing="" if wanted else _nothing(known),
        )


def _create(one: Wanted, source: Source, number: int) -> Step:
    common: dict[str, Any] = {
        "id": f"create-{one.kind}-{one.id}",
        "title": f"Create {one.kind} {one.name}",
        "why": _WHY[one.kind],
        "if_stopped": STOPPED[number] if number < len(STOPPED) else "",
        "name": one.name,
    }
    if one.kind == "network":
        return RecreateNetwork(**common, driver=one.body["Driver"], body=one.body)
    if one.kind == "service":
        return RecreateService(**common, source=source, old_id=one.id)
    return RecreateBlob(**common, kind=one.kind, source=source, old_id=one.id, outside=one.outside)


def _wait(one: Wanted) -> Step:
    return WaitRecreated(
        id=f"wait-{one.id}",
        title=f"Wait until the tasks of {one.name} run",
        why="A service that is there and does not run helps nobody.",
        if_stopped=CREATED,
        name=one.name,
        replicas=one.replicas,
    )


def _line(one: Wanted) -> str:
    needed = f" (needed by {one.needed_by})" if one.needed_by else ""
    placed = (
        " (without its addresses)" if one.kind == "network" and one.body.get("IPAM") and not subnets(one.body) else ""
    )
    return f"+ {one}{f': {one.words}' if one.words else ''}{placed}{needed}"


def _otherwise(found: Sequence[Otherwise]) -> list[tuple[str, str]]:
    lines = [("dim", f"  {one} is left as it is; since the backup: {'; '.join(one.details)}") for one in found]
    if len(lines) > LISTED:
        lines = [*lines[:LISTED], ("dim", f"  and {len(lines) - LISTED} more that are otherwise than in the backup")]
    return lines


def _counted(wanted: Sequence[Wanted]) -> str:
    if len(wanted) == 1:
        return str(wanted[0])
    counts = [(sum(one.kind == kind for one in wanted), kind) for kind in KINDS]
    parts = [f"{number} {kind}{'' if number == 1 else 's'}" for number, kind in counts if number]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _nothing(known: RecreateFacts) -> str:
    what = "everything that the backup has" if known.everything else "what you named"
    told = f"Nothing to do: the Swarm has {what}."
    if known.otherwise:
        names = "; ".join(f"{one} ({', '.join(one.details)})" for one in known.otherwise[:LISTED])
        told += f" Otherwise than in the backup, and left as it is: {names}."
    return told


def _notes(known: RecreateFacts) -> tuple[str, ...]:
    notes = ["Names, labels and settings are those of the backup; ids are new, and so are the services' addresses."]
    if any(one.kind == "secret" and not one.outside for one in known.wanted):
        notes.append("The values of secrets come from the decrypted raft log of the backup, and are shown nowhere.")
    if any(one.kind == "secret" and one.outside for one in known.wanted):
        notes.append("The value of a secret with a driver comes from that driver, as before.")
    if any(one.kind == "service" for one in known.wanted):
        notes.append("The data of volumes is in no backup of a Swarm; what is on the nodes is used again.")
        notes.append(
            "What a registry wants to know is in no Spec: where an image needs a login, "
            "`docker service update --with-registry-auth SERVICE` gives it."
        )
    return tuple(notes)


def _doubt(known: RecreateFacts) -> tuple[str, ...]:
    if known.verdict != "no":
        return ()
    return (f"The backup as a whole would not restore, because {known.because}. What is read here was readable.",)
