"""What platform.recover must know before it plans: what is lost of Swarm, UCP and DTR, and the backups that bring it
back. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from swarmtui.backups.manifest import DtrManifest
from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.recovery import Advice, Condition, Diagnosis, Way
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.parts import Draft
from swarmtui.runbooks.platform.backup_steps import PRODUCTS
from swarmtui.runbooks.platform.chosen import Chosen, best_of, entries_of, look_into, told_of
from swarmtui.runbooks.platform.dtr_look import look_at_dtr
from swarmtui.runbooks.platform.ucp_look import UcpLook, settled
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.recovery.recover import Around, happened
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry

NONE: Final = "none"
LATEST: Final = "latest"
LIVE_SECONDS: Final = 20.0
FORCING: Final = {Way.FORCE: "swarm.recover-quorum", Way.RESTORE: "swarm.restore"}
"""The ways that a walkthrough begins with. Every other one loses less, and needs no platform.recover."""
LATER: Final = "How {} is shows when {} is back."
DTR: Final = ("node", "replica", "url", "storage", "http-port", "https-port")
"""What of a backup of DTR can be said otherwise: parameters of dtr.restore, and with "dtr-" before them our own."""
_SWARM: Final = {
    "swarm.restore": ("host", "dead", "advertise", "cluster", "wait"),
    "swarm.recover-quorum": ("dead", "promote", "wait"),
}
"""Which of our own parameters they take."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How one product is.

    Attributes:
        kind: "swarm", "ucp" or "dtr".
        state: well, lost, or unknown: that shows only when what is before it is back.
        told: one sentence.
    """

    kind: str
    state: str
    told: str


class RecoverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        began: unix seconds of the survey: backups younger than this are fresh.
        seen: how each product is that there is or was, in order.
        runbook: what brings the Swarm back; "" where it is well. about: why that.
        backups: what UCP and DTR come back from, by kind.
        first: what the part is planned from whose turn is first; its kind.
        rules, warnings, notes: of that part.
        seed: the manager by which the Swarm is asked once it is there: SSH target, name. hosts: name → SSH target of
            those that work.
        voters: how many managers the Swarm has, or had.
        mend: what else is to be done to managers of a Swarm that is well, a sentence each.
    """

    cluster: str
    cluster_id: str
    began: float
    seen: tuple[Seen, ...]
    runbook: str = ""
    about: str = ""
    swarm: Chosen | None = None
    backups: dict[str, Chosen] = {}
    first: Draft | None = None
    first_kind: str = ""
    title: str = ""
    binding: str = ""
    rules: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seed: tuple[str, str] = ("", "")
    sudo: bool = False
    hosts: dict[str, str] = {}
    voters: int = 0
    mend: tuple[str, ...] = ()
    ucp: UcpLook | None = None

    def state(self, kind: str) -> str:
        """How a product is; "" for one that there is not."""
        return next((one.state for one in self.seen if one.kind == kind), "")


async def survey(session: Session, given: Mapping[str, Any]) -> RecoverFacts:
    """Looks at everything, from the Swarm upwards.

    Raises:
        UsageError: a backup or host that was named is not there, or one must be named.
        RefusedError: something gentler, or something else, comes first.
        BackupError, VaultError: a backup cannot be opened.
        LinkError, EngineError: a Swarm that works cannot be asked.
    """
    began = time.time()
    dead = tuple(given.get("dead") or ())
    around, found = await happened(session, dead)
    entries = await entries_of(session, given.get("cluster") or around.cluster_id)
    facts = RecoverFacts(
        cluster=session.name,
        cluster_id=around.cluster_id,
        began=began,
        seen=(),
        voters=around.voters,
        sudo=session.opening.cluster.sudo,
        hosts=dict(around.hosts),
    )
    if found.holds:
        return await _with_swarm(session, given, around, found, entries, facts)
    return await _without_swarm(session, given, around, found, entries, facts)


# -- the Swarm is well -------------------------------------------------------------------------------------------------


async def _with_swarm(
    session: Session,
    given: Mapping[str, Any],
    around: Around,
    found: Diagnosis,
    entries: tuple[Entry, ...],
    facts: RecoverFacts,
) -> RecoverFacts:
    works = {member.name for member in around.members if member.condition is Condition.WORKS}
    hosts = {name: target for name, target in around.hosts.items() if name in works}
    if not hosts:
        raise UsageError("No manager that works is reached over SSH.", "Name one: --target ssh://USER@MANAGER")
    name, target = next(iter(hosts.items()))
    through = parse_target(target)
    assert isinstance(through, SshTarget)
    session.begin(through, hosts)
    await session.until_live(LIVE_SECONDS)
    await session.until_complete(LIVE_SECONDS)
    replace = msgspec.structs.replace
    seen = [Seen(kind="swarm", state="well", told=found.situation)]
    mend = [
        f"{advice.because}{f' ({advice.command})' if advice.command else ''}"
        for advice in (found.best, *found.then)
        if advice.way is not Way.NOTHING
    ]
    facts = replace(facts, seed=(target, name), hosts=hosts, mend=tuple(mend), cluster_id=session.snapshot.cluster_id)
    facts = await _with_backups(session, given, entries, facts)
    ucp = await settled(session, session.tell_look)
    if ucp.runs or "ucp" in facts.backups:
        if not ucp.lives and ucp.unasked and given.get("ucp") != NONE:
            raise RefusedError(
                f"It cannot be seen whether UCP lives on {listed(ucp.unasked)}. {ucp.told}",
                "Nothing was begun. Have SSH work there, then look again; or leave UCP out: ucp=none",
            )
        state = "lost" if ucp.lost else "well"
        seen.append(Seen(kind="ucp", state=state, told=ucp.told))
        facts = replace(facts, ucp=ucp, mend=(*facts.mend, *filter(None, (ucp.lacks,))))
    facts = replace(facts, seen=tuple(seen))
    if facts.state("ucp") == "lost":
        if "ucp" not in facts.backups:
            return facts
        plan = await _plan(session, "ucp.restore", {"backup": facts.backups["ucp"].id, "wait": str(given["wait"])})
        unknown = [Seen(kind="dtr", state="unknown", told=LATER.format("DTR", "UCP"))] if "dtr" in facts.backups else []
        return _with_first(replace(facts, seen=(*facts.seen, *unknown)), "ucp", plan)
    return await _with_dtr(session, given, facts)


async def _with_dtr(session: Session, given: Mapping[str, Any], facts: RecoverFacts) -> RecoverFacts:
    """The same with how DTR is, where Swarm and UCP are well."""
    dtr = await look_at_dtr(session)
    if not dtr.there and "dtr" not in facts.backups:
        return facts
    seen = Seen(kind="dtr", state="lost" if dtr.lost else "well", told=dtr.told)
    facts = msgspec.structs.replace(facts, seen=(*facts.seen, seen))
    if not dtr.lost or given.get("dtr") == NONE:
        return facts
    if dtr.repair:
        return _with_first(facts, "dtr", await _plan(session, "dtr.repair", {"replica": dtr.repair}))
    if "dtr" not in facts.backups:
        return facts
    return _with_first(facts, "dtr", await _plan(session, "dtr.restore", dtr_values(given, facts.backups["dtr"].id)))


def dtr_values(given: Mapping[str, Any], backup: str) -> dict[str, str]:
    """What dtr.restore is told: the backup, and what of it a person said otherwise."""
    return {"backup": backup, **{name: str(given[f"dtr-{name}"]) for name in DTR if given.get(f"dtr-{name}")}}


# -- the Swarm is lost -------------------------------------------------------------------------------------------------


async def _without_swarm(
    session: Session,
    given: Mapping[str, Any],
    around: Around,
    found: Diagnosis,
    entries: tuple[Entry, ...],
    facts: RecoverFacts,
) -> RecoverFacts:
    best = found.best
    runbook = FORCING.get(best.way, "")
    if found.two or not runbook:
        command = f": {best.command}" if best.command else "."
        raise RefusedError(
            f"{found.situation} {best.because}",
            f"Do that first, then look again, for UCP and DTR may come back with it{command}",
        )
    values = {**best.params, **_texts(given, _SWARM[runbook])}
    named = given.get("swarm", LATEST)
    if runbook == "swarm.restore" and named != LATEST:
        values["backup"] = named
    if runbook == "swarm.restore" and not values.get("host"):
        raise UsageError(
            "It is not clear on which host the Swarm is to be restored.",
            "Say it, best one at an old address: host=ssh://USER@HOST",
        )
    if best.way is Way.RESTORE and not facts.cluster_id:
        chosen = next((one for one in entries if one.id == values["backup"]), None)
        facts = msgspec.structs.replace(facts, cluster_id=chosen.cluster_id if chosen is not None else "")
    facts = await _with_backups(session, given, entries, facts)
    plan = await _plan(session, runbook, values)
    seed, name = _seed(best, values, around)
    swarm = next((told_of(one) for one in entries if one.id == values.get("backup", "").strip()), None)
    seen = [Seen(kind="swarm", state="lost", told=found.situation)]
    seen += [
        Seen(kind=kind, state="unknown", told=LATER.format(PRODUCTS[kind], "the Swarm"))
        for kind in ("ucp", "dtr")
        if kind in facts.backups
    ]
    facts = msgspec.structs.replace(
        facts,
        seen=tuple(seen),
        runbook=runbook,
        about=best.because,
        swarm=swarm if runbook == "swarm.restore" else None,
        seed=(seed, name),
        voters=max(facts.voters, swarm.managers if swarm is not None else 0),
    )
    return _with_first(facts, "swarm", plan)


def _texts(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Those of our parameters that were given, as a person types them."""
    found = {name: given[name] for name in names if given.get(name)}
    return {name: value if isinstance(value, str) else _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def _seed(best: Advice, values: Mapping[str, str], around: Around) -> tuple[str, str]:
    """The manager that there will be first: SSH target and name."""
    if best.way is Way.RESTORE:
        target = parse_target(values["host"])
        assert isinstance(target, SshTarget)
        text = str(target)
        return text, next((name for name, host in around.hosts.items() if host == text), target.host)
    survivor = values["survivor"]
    return around.hosts[survivor], survivor


# -- what both have ----------------------------------------------------------------------------------------------------


async def _with_backups(
    session: Session, given: Mapping[str, Any], entries: tuple[Entry, ...], facts: RecoverFacts
) -> RecoverFacts:
    """The same with the backups of UCP and DTR, each opened: a passphrase that nobody has is to be missed now."""
    backups: dict[str, Chosen] = {}
    for kind in ("ucp", "dtr"):
        named = given.get(kind, LATEST)
        if named == NONE:
            continue
        of = given.get("cluster") or facts.cluster_id or None
        entry = best_of(entries, kind) if named == LATEST else session.backups.entry(of, named, kind)
        if entry is None:
            continue
        chosen = await look_into(session, entry)
        _refuse(chosen)
        if chosen.dtr is not None:
            _must_tell(chosen, chosen.dtr, given)
        backups[kind] = chosen
    return msgspec.structs.replace(facts, backups=backups)


def _refuse(chosen: Chosen) -> None:
    """Raises RefusedError for a backup that would not restore, or that nobody here can open."""
    if chosen.verdict != "no" and chosen.opened:
        return
    name = PRODUCTS[chosen.kind]
    keep = f" Keep its passphrase: swarmtui secrets set ucp-passphrase {chosen.cluster_id}." * (chosen.kind == "ucp")
    why = "would not restore" if chosen.opened else "cannot be opened"
    raise RefusedError(
        f"The backup {chosen.id} of {name} {why}: {chosen.because}.",
        f"Nothing was begun.{keep} Or name another one ({chosen.kind}=ID), or leave {name} out ({chosen.kind}=none).",
    )


def _must_tell(chosen: Chosen, dtr: DtrManifest, given: Mapping[str, Any]) -> None:
    """Raises UsageError where a backup of DTR lacks what its restore wants: one made by hand tells only its version."""
    told = {
        "node": dtr.nodes.get(dtr.replica_id, "") or chosen.node,
        "replica": dtr.replica_id,
        "url": dtr.external_url,
        "storage": dtr.storage,
    }
    if missing := [name for name, value in told.items() if not value and not given.get(f"dtr-{name}")]:
        words = {"node": "NODE", "replica": "12 HEX DIGITS", "url": "https://HOST", "storage": "nfs://HOST/PATH|local"}
        raise UsageError(
            f"The backup {chosen.id} of DTR does not tell {listed([_WANTED[name] for name in missing])}.",
            f"Say it: {' '.join(f'dtr-{name}={words[name]}' for name in missing)}; or leave DTR out: dtr=none",
        )


_WANTED: Final = {
    "node": "its node",
    "replica": "its replica's id",
    "url": "DTR's external URL",
    "storage": "where the images are",
}


async def _plan(session: Session, name: str, values: Mapping[str, str]) -> Plan:
    from swarmtui.runbooks import registry

    runbook = registry.runbook(name)
    return await runbook.prepare(session, params.parse(runbook.name, runbook.params, values))


def _with_first(facts: RecoverFacts, kind: str, plan: Plan) -> RecoverFacts:
    return msgspec.structs.replace(
        facts,
        first=Draft.of(plan),
        first_kind=kind,
        title=plan.title,
        binding=plan.binding,
        rules=tuple((rule.id, rule.about, rule.what) for rule in plan.rules),
        warnings=plan.warnings,
        notes=plan.notes,
    )
