"""platform.recover: Swarm, UCP and DTR brought back in this order, in one walkthrough (procedures.md D2).

Source of the order and of what must be before what: ucp-dtr.md §5.3 and §5.5 A.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.backups.manifest import DtrManifest
from swarmtui.errors import RefusedError
from swarmtui.model.dtr import facts
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr import settings
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.parts import grown
from swarmtui.runbooks.platform.backup_steps import PRODUCTS
from swarmtui.runbooks.platform.chosen import Chosen
from swarmtui.runbooks.platform.recover_facts import RecoverFacts, dtr_values, survey
from swarmtui.runbooks.platform.recover_steps import (
    CheckDtr,
    CheckSwarm,
    CheckUcp,
    DtrPart,
    JoinDtr,
    LookAtUcp,
    SwarmPart,
    UcpPart,
)
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.building.build import WAIT
from swarmtui.runbooks.swarm.recovery.after_force import ForcedSeed
from swarmtui.runbooks.swarm.recovery.forced_checks import FreshBackup
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import ssh_address
from swarmtui.runbooks.ucp.install import port
from swarmtui.runbooks.ucp.uninstall_steps import NO_JOIN
from swarmtui.session import Session

BACKUP = "latest|ID|none"
PATIENCE = dataclasses.replace(WAIT, help="how long to wait for each host and product, in seconds", default=600)
"""A UCP takes longer to come up than a host: ten minutes are what its own restore waits, too."""


def rules_named(value: str) -> tuple[str, ...]:
    """Names of safety rules, RULE=OBJECT each; the kind of a parameter. Raises ValueError."""
    found = params.names(value)
    if wrong := [one for one in found if not all(one.partition("=")[::2])]:
        raise ValueError(f'has "{one_line(wrong[0])}", which is no RULE=OBJECT')
    return found


STYLES = {"well": "good", "lost": "bad"}


class PlatformRecover(Runbook):
    name = "platform.recover"
    summary = "bring Swarm, UCP (MKE) and DTR (MSR) back, in this order, from their backups; what is well is left alone"
    params: ClassVar[Sequence[Param]] = (
        Param("host", "where the Swarm is restored, if it must be; best at an old address", ssh_address, "ssh://…"),
        Param("dead", "old managers that are gone for good: they cannot be fenced", params.names, "NAME[,NAME…]"),
        Param("swarm", "which backup of the Swarm", params.text, "latest|ID", default="latest"),
        Param("ucp", "which backup of UCP; none leaves it out", params.text, BACKUP, default="latest"),
        Param("dtr", "which backup of DTR; none leaves it out", params.text, BACKUP, default="latest"),
        Param("dtr-node", "the worker that DTR is restored on; else the one of its backup", params.text, "NODE"),
        Param(
            "dtr-others",
            "the workers of its other replicas; else those of its backup",
            params.names,
            "none|NAME[,NAME…]",
        ),
        Param("dtr-replica", "the id of that replica; else that of the backup", facts.replica, "12 HEX DIGITS"),
        Param("dtr-url", "DTR's external URL; else that of the backup", settings.external, "https://HOST[:PORT]"),
        Param(
            "dtr-storage",
            "where DTR's images are; else as the backup says",
            settings.storage,
            "nfs://HOST/PATH|volume:NAME|local",
        ),
        Param("dtr-http-port", "DTR's port for HTTP on each node; else that of the backup", port, "PORT"),
        Param("dtr-https-port", "DTR's port for HTTPS on each node; else that of the backup", port, "PORT"),
        Param("advertise", "the address the other nodes use, where the host has several", params.text, "IP"),
        Param("promote", "workers that take the places of dead managers, if forced", params.names, "NAME[,NAME…]"),
        Param("cluster", "whose backups, where there are those of several", params.text, "CLUSTER-ID"),
        Param("accept", "safety rules of later parts that you accept now", rules_named, "RULE=OBJECT[,…]"),
        PATIENCE,
    )
    needs_manager: ClassVar[bool] = False
    on_hosts: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        facts: Facts = msgspec.to_builtins(await survey(session, params))
        return facts

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, RecoverFacts)
        steps = _steps(found, params)
        _check(found, steps)
        names = [PRODUCTS[step.id] for step in steps if step.id in PRODUCTS]
        rules = (*(Rule(*told) for told in found.rules), *_foreign(found))
        plan = Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Bring back {listed(names)} of {found.cluster}" if names else f"Recover {found.cluster}",
            why=" ".join(filter(None, (*(one.told for one in found.seen), found.about))),
            steps=tuple(steps) if names else (),
            nothing="" if names else _nothing(found),
            touches=(found.cluster,),
            changes=tuple(_changes(found)),
            notes=tuple(_notes(found, [step.id for step in steps])),
            warnings=tuple(_warnings(found)),
            rules=rules,
            cluster_id=found.cluster_id,
            binding=binding_of(
                found.cluster_id,
                found.runbook,
                [(one.kind, one.state) for one in found.seen],
                sorted((kind, one.id, one.verdict) for kind, one in found.backups.items()),
                (found.first_kind, found.binding),
            ),
        )
        return grown(plan, {found.first_kind: found.first}) if found.first is not None else plan


def _steps(found: RecoverFacts, params: Mapping[str, Any]) -> list[Step]:
    wait = params["wait"]
    seed = ForcedSeed(
        target=found.seed[0],
        name=found.seed[1],
        remote="",
        cluster_id=found.cluster_id,
        sudo=found.sudo,
        addresses=found.hosts,
    )
    steps: list[Step] = []
    about: dict[str, Any] = {"seed": seed, "target": found.cluster, "accepts": tuple(params.get("accept") or ())}
    if found.runbook:
        steps.append(
            SwarmPart(
                id="swarm",
                title=found.title,
                why=found.about,
                danger=Danger.DESTRUCTIVE,
                runbook=found.runbook,
                given={},
                if_stopped="Nothing has begun.",
                **about,
            )
        )
    if "ucp" in found.backups and found.state("ucp") in ("lost", "unknown"):
        steps += _ucp(found, wait, seed, about)
    if found.state("dtr") in ("lost", "unknown") and ("dtr" in found.backups or found.first_kind == "dtr"):
        steps += _dtr(found, params, seed, about)
    return steps


def _ucp(found: RecoverFacts, wait: int, seed: ForcedSeed, about: Mapping[str, Any]) -> list[Step]:
    ucp, steps = found.state("ucp"), list[Step]()
    if not found.runbook:
        steps.append(
            FreshBackup(
                id="swarm-backup",
                title="Take a fresh backup of the Swarm",
                why="What is done to UCP changes the Swarm; and the last backup of it is of another time.",
                seed=seed,
                cluster_id=found.cluster_id,
                accepts=("quorum",),
                if_stopped="Nothing has begun.",
            )
        )
    steps.append(
        CheckSwarm(
            id="check-swarm",
            title="See that the Swarm is whole, and backed up",
            why=f"From UCP's uninstall until it is restored {NO_JOIN}.",
            seed=seed,
            seconds=wait,
            cluster_id=found.cluster_id,
            managers=found.voters,
            since=found.began,
            if_stopped="The Swarm lives. UCP is as it was found.",
        )
    )
    if ucp == "unknown":
        steps.append(
            LookAtUcp(
                id="look-ucp",
                title="See whether UCP comes back by itself",
                why="What it keeps may have survived on the hosts; then nothing of it is restored.",
                seed=seed,
            )
        )
    backup = found.backups["ucp"]
    steps += [
        UcpPart(
            id="ucp",
            title=f"Restore UCP from {backup.id}",
            why="Planned when the Swarm is there, by what is on its nodes then; this backup stays the one.",
            danger=Danger.DESTRUCTIVE,
            runbook="ucp.restore",
            given={"backup": backup.id, "wait": str(wait)},
            **about,
        ),
        CheckUcp(
            id="check-ucp",
            title="See that UCP is healthy on every manager",
            why="People log in to DTR through it, and DTR is brought back through it.",
            seed=seed,
            seconds=wait,
            if_stopped="The Swarm lives, and UCP is restored; it may still be starting.",
        ),
    ]
    return steps


def _dtr(found: RecoverFacts, params: Mapping[str, Any], seed: ForcedSeed, about: Mapping[str, Any]) -> list[Step]:
    backup, wait = found.backups.get("dtr"), params["wait"]
    dtr = backup.dtr if backup is not None else None
    where = params.get("dtr-node") or (dtr.nodes.get(dtr.replica_id, "") if dtr is not None else "")
    others = _others(params, dtr, where)
    ports = _ports(params, dtr)
    steps: list[Step] = [
        DtrPart(
            id="dtr",
            title=f"Restore DTR from {backup.id}" if backup is not None else found.title,
            why="Only where no majority of its replicas is left. Its images are in no backup of it: they are "
            f"{dtr.images if dtr is not None else 'where they were'}.",
            danger=Danger.DESTRUCTIVE,
            runbook="dtr.restore",
            given=dtr_values(params, backup.id) if backup is not None else {},
            if_stopped="Swarm and UCP work. DTR is as it was found.",
            **about,
        )
    ]
    steps += [
        JoinDtr(
            id=f"dtr-{node}",
            title=f"Join a replica of DTR on {node}",
            why="It had one there. With three replicas one may be lost; with one, none.",
            danger=Danger.DISRUPTIVE,
            skippable=True,
            runbook="dtr.join",
            given={"node": node, **ports},
            node=node,
            if_stopped="DTR works, with fewer replicas than it had.",
            **about,
        )
        for node in others
    ]
    steps.append(
        CheckDtr(
            id="check-dtr",
            title="See that DTR answers, with all its replicas",
            why="That it answers does not prove that it has the images: pull some, of those that matter.",
            seed=seed,
            seconds=wait,
            target=found.cluster,
            nodes=tuple(filter(None, (where, *others))),
            if_stopped="Swarm and UCP work, and DTR is brought back.",
        )
    )
    return steps


def _others(params: Mapping[str, Any], dtr: DtrManifest | None, where: str) -> list[str]:
    """The workers that get a replica each beside the one on `where`."""
    if given := params.get("dtr-others"):
        return sorted({one_line(node) for node in given} - {where, "", "none"})
    told = dict(dtr.nodes) if dtr is not None else {}
    if dtr is not None and where not in told.values():
        told.pop(dtr.replica_id, None)  # another node takes the place of that one
    return sorted({one_line(node) for node in told.values()} - {where, ""})


def _ports(params: Mapping[str, Any], dtr: DtrManifest | None) -> dict[str, str]:
    """What a replica is told of its ports, where they are not the usual ones."""
    kept = {"http-port": dtr.http_port, "https-port": dtr.https_port} if dtr is not None else {}
    usual = {"http-port": facts.HTTP_PORT, "https-port": facts.HTTPS_PORT}
    chosen = {name: params.get(f"dtr-{name}") or kept.get(name, usual[name]) for name in usual}
    return {name: str(value) for name, value in chosen.items() if value != usual[name]}


def _check(found: RecoverFacts, steps: Sequence[Step]) -> None:
    """Raises RefusedError where something is lost and nothing brings it back."""
    lost = [one for one in found.seen if one.state == "lost"]
    if not steps and lost:
        kind = lost[0].kind
        raise RefusedError(
            f"{lost[0].told} And no backup of it is in the catalogue, or is to be used.",
            f"Take in one that was made by hand: swarmtui backups import FILE. Else install {PRODUCTS[kind]} anew: "
            f"swarmtui run {kind}.install --help",
        )


def _nothing(found: RecoverFacts) -> str:
    well = [PRODUCTS[one.kind] for one in found.seen if one.state == "well"]
    return f"Nothing is to be brought back: {listed(well)} {'is' if len(well) == 1 else 'are'} there." + (
        f" But: {' '.join(found.mend)}" if found.mend else ""
    )


def _changes(found: RecoverFacts) -> list[tuple[str, str]]:
    changes = [(STYLES.get(one.state, "warn"), f"{PRODUCTS[one.kind]}: {one.state}. {one.told}") for one in found.seen]
    chosen = [found.swarm] if found.swarm is not None else []
    changes += [("plain", _told(one)) for one in (*chosen, *found.backups.values())]
    return changes


def _told(one: Chosen) -> str:
    version = f" {one.version}" if one.version else ""
    proof = f", because {one.because}" if one.because else ""
    of_set = f" Of the set {one.set}." if one.set else ""
    name = f"{PRODUCTS[one.kind]}{version}"
    return f"{name} comes back from {one.id}, {one.age} old. Would restore: {one.verdict}{proof}.{of_set}"


def _foreign(found: RecoverFacts) -> list[Rule]:
    """A backup of another cluster is used only by decision: its users and images are others."""
    return [
        Rule(
            "other-cluster",
            kind,
            f"{one.id} is a backup of another cluster ({one_line(one.cluster_id)[:12]}), not of {found.cluster}: the "
            f"{PRODUCTS[kind]} that comes back is that one's.",
        )
        for kind, one in found.backups.items()
        if found.cluster_id and one.cluster_id != found.cluster_id
    ]


def _notes(found: RecoverFacts, steps: Sequence[str]) -> list[str]:
    told = [
        "Each part is planned in full before it begins, and shown; what came back by itself is left alone.",
        "Stop anywhere, and go on later: what is done is not done again.",
    ]
    if found.first_kind == "swarm":
        told.append("Before UCP is touched the Swarm has all its managers and a fresh backup.")
    if "dtr" in steps and not any(step.startswith("dtr-") for step in steps):
        told.append("DTR comes back with one replica. Its other workers, if it had some: dtr-others=NAME,NAME")
    return [*told, *(f"{PRODUCTS[found.first_kind]}: {line}" for line in found.notes)]


def _warnings(found: RecoverFacts) -> list[str]:
    told = [f"{PRODUCTS[found.first_kind]}: {line}" for line in found.warnings]
    told += [f"A manager of the Swarm needs something too: {line}" for line in found.mend]
    sets = {one.set for one in (found.swarm, *found.backups.values()) if one is not None}
    if len(sets) > 1:
        told.append("These backups are not of one set: what the products knew of each other may differ.")
    if found.runbook and "ucp" not in found.backups:
        told.append("No backup of UCP is used: only the Swarm comes back. Take one in: swarmtui backups import FILE")
    elif found.runbook and "dtr" not in found.backups:
        told.append(
            "No backup of DTR is used: where DTR ran, look at it afterwards (swarmtui doctor). Take one in: swarmtui "
            "backups import FILE"
        )
    return told
