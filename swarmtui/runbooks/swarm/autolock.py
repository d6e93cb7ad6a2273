"""The runbooks swarm.autolock and swarm.rotate-key: procedures.md B7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.cluster_steps import read_key, read_swarm
from swarmtui.runbooks.swarm.custody import custody_facts, custody_rules
from swarmtui.runbooks.swarm.key_steps import KeepKey, Rotate, TurnOff, TurnOn
from swarmtui.session import Session
from swarmtui.vault import Kind, fingerprint


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plans about the unlock key are made from. No key is in it, only its fingerprint.

    Attributes:
        cluster: what people call the cluster.
        key: fingerprint of the cluster's key, "" while autolock is off.
        kept: state of that key in the vault: current, pending, previous, or "" where the vault does not have it.
        managers: names of all managers.
        away: names of the managers that cannot be reached now: down, cut off, or locked.
        where: where the vault keeps keys, in plain words.
        custody: what `custody_rules` needs.
    """

    cluster_id: str
    cluster: str
    autolock: bool
    key: str
    kept: str
    managers: tuple[str, ...]
    away: tuple[str, ...]
    where: str
    custody: dict[str, Any]

    @property
    def durable(self) -> bool:
        """What is put into the vault outlives this program."""
        return bool(self.custody["durable"])


async def survey_key(session: Session) -> KeyFacts:
    """Gathers the facts. Raises LinkError, EngineError, StepError or VaultError."""
    snapshot = await session.refresh()
    swarm, key, vault = await read_swarm(session), await read_key(session), session.vault
    held = {known.fingerprint: known for known in await vault.unlock_keys(swarm.id)}
    shown = fingerprint(key) if key is not None else ""
    known = held.get(shown)
    voters = sorted((node for node in snapshot.nodes.values() if node.is_voter), key=lambda node: (node.name, node.id))
    return KeyFacts(
        cluster_id=swarm.id,
        cluster=session.name,
        autolock=swarm.autolock,
        key=shown,
        kept=known.state if known is not None and known.secret == key else "",
        managers=tuple(one_line(node.name) for node in voters),
        away=tuple(one_line(node.name) for node in voters if not (node.is_reachable and node.is_ready)),
        where=vault.where,
        custody=await custody_facts(vault, Kind.UNLOCK_KEY, swarm.id, new=True),
    )


def custody(known: KeyFacts) -> tuple[Rule, ...]:
    """The rule that a vault breaks which forgets: a lost unlock key is a lost cluster."""
    return custody_rules(known.custody, known.cluster)


class KeyRunbook(Runbook):
    """A runbook about the unlock key."""

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey_key(session))
        return built

    def made(
        self,
        known: KeyFacts,
        given: Mapping[str, Any],
        facts: Facts,
        *,
        title: str,
        why: str,
        steps: tuple[Step, ...],
        notes: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        rules: tuple[Rule, ...] = (),
        nothing: str = "",
    ) -> Plan:
        """The plan, with what every one of these has."""
        return Plan(
            runbook=self.name,
            version=self.version,
            params=given,
            facts=facts,
            title=title,
            why=why,
            steps=steps,
            touches=(known.cluster,),
            notes=notes,
            warnings=warnings,
            rules=rules,
            binding=binding_of(known.cluster_id, known.autolock, known.key, known.kept, known.away, known.custody),
            nothing=nothing,
        )


def _keep(known: KeyFacts) -> KeepKey:
    return KeepKey(
        id="keep-key",
        title=f"Take the cluster's key {known.key} into the vault",
        why=f"Kept in {known.where}, read back and compared with the cluster's before it counts.",
        cluster_id=known.cluster_id,
        cluster=known.cluster,
        durable=known.durable,
    )


RESTARTS = (
    "Whenever Docker restarts on a manager, it stays out of the Swarm until it is unlocked: swarmtui run swarm.unlock"
)
ESCROW = "A key in one keyring alone is lost with it: keep a copy elsewhere, as with swarmtui secrets export."
SAME_DATA_KEY = (
    "This changes the key that locks the managers' key files. The key that encrypts the raft data on disk stays the "
    "same: whoever has an old backup and its unlock key can still read it."
)


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


class Autolock(KeyRunbook):
    name = "swarm.autolock"
    summary = "lock managers on every restart of Docker, or no longer; the key goes into the vault"
    params: ClassVar[Sequence[Param]] = (
        Param("enable", "whether managers are locked after a restart", params.yes_or_no, "true|false", required=True),
    )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, KeyFacts)
        return self._on(known, params, facts) if params["enable"] else self._off(known, params, facts)

    def _on(self, known: KeyFacts, given: Mapping[str, Any], facts: Facts) -> Plan:
        title = f"Turn autolock on in {known.cluster}"
        if known.autolock:
            done = known.kept == "current"
            return self.made(
                known,
                given,
                facts,
                title=title,
                why="Autolock is on already; the vault gets its key.",
                steps=() if done else (_keep(known),),
                rules=() if done else custody(known),
                nothing=f"Autolock is on, and its key {known.key} is kept in {known.where}." if done else "",
            )
        turn_on = TurnOn(
            id="autolock-on",
            title="Turn autolock on, and take the key into the vault",
            why="Done only when the vault has given the key back and it is the cluster's.",
            cluster_id=known.cluster_id,
            cluster=known.cluster,
            durable=known.durable,
        )
        warnings = (
            (f"{_names(known.away)} cannot be reached: not locked before it is back in the Swarm.",)
            if known.away
            else ()
        )
        return self.made(
            known,
            given,
            facts,
            title=title,
            why="The managers' key files are encrypted: who takes a disk or a backup reads nothing without the key.",
            steps=(turn_on,),
            notes=(RESTARTS, ESCROW),
            warnings=warnings,
            rules=custody(known),
        )

    def _off(self, known: KeyFacts, given: Mapping[str, Any], facts: Facts) -> Plan:
        turn_off = TurnOff(
            id="autolock-off",
            title="Turn autolock off",
            why="The managers' key files are written in clear again.",
            cluster_id=known.cluster_id,
            cluster=known.cluster,
        )
        warnings = ["Who takes a manager's disk or a backup can read every secret of the Swarm from then on."]
        if known.away:
            warnings.append(
                f"{_names(known.away)} cannot be reached: to come back it still needs the key {known.key} once"
                + (", which the vault keeps." if known.kept else ", which the vault does not have.")
            )
        steps: tuple[Step, ...] = (turn_off,)
        if known.away and not known.kept:
            steps = (_keep(known), turn_off)
        return self.made(
            known,
            given,
            facts,
            title=f"Turn autolock off in {known.cluster}",
            why="Managers come back by themselves after a restart, without a key.",
            steps=steps if known.autolock else (),
            notes=("The keys that the vault has stay there as previous ones.",),
            warnings=tuple(warnings) if known.autolock else (),
            rules=custody(known) if known.autolock and len(steps) > 1 else (),
            nothing="" if known.autolock else "Nothing to do: autolock is off.",
        )


class RotateKey(KeyRunbook):
    name = "swarm.rotate-key"
    summary = "give the Swarm a new unlock key; the old one stays in the vault as long as a manager may need it"
    params: ClassVar[Sequence[Param]] = ()

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, KeyFacts)
        if not known.autolock:
            raise RefusedError(
                f"Autolock is off in {known.cluster}: there is no unlock key to rotate.",
                "Turn it on first: swarmtui run swarm.autolock enable=true",
            )
        rotate = Rotate(
            id="rotate-key",
            title="Rotate the unlock key, and take the new one into the vault",
            why=f"The key {known.key} becomes a previous one only when the vault has the new one.",
            cluster_id=known.cluster_id,
            cluster=known.cluster,
            durable=known.durable,
        )
        warnings = tuple(
            f"{name} cannot be reached now: down, cut off or locked. To come back it needs the key {known.key} once, "
            "which stays in the vault."
            for name in known.away
        )
        return self.made(
            known,
            params,
            facts,
            title=f"Rotate the unlock key of {known.cluster}",
            why="Whoever knows the old key cannot unlock a manager with it that has taken the new one.",
            # The old key first: without it, a manager that is away could never be unlocked again.
            steps=(rotate,) if known.kept == "current" else (_keep(known), rotate),
            notes=(SAME_DATA_KEY, ESCROW),
            warnings=warnings,
            rules=custody(known),
        )
