"""The runbook swarm.rehearse: restore a backup for real, in an isolated place, and compare (tier 5)."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.jobs import new_id
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Shown, Step, StepError, Voice, binding_of
from swarmtui.runbooks.swarm.rehearsal.rehearse_archive import find, look_inside
from swarmtui.runbooks.swarm.rehearsal.rehearse_facts import RehearsalFacts
from swarmtui.runbooks.swarm.rehearsal.rehearse_look import look_at_host
from swarmtui.runbooks.swarm.rehearsal.rehearse_place import host_kind, place_of
from swarmtui.runbooks.swarm.rehearsal.rehearse_run import COMMAND_SECONDS, Rehearsal, Rehearsed, result_of
from swarmtui.session import Session
from swarmtui.vault import Secret

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue, Entry

__all__ = ["Rehearse", "RehearseBackup", "Rehearsed", "rehearse_entry"]


@dataclass(frozen=True, kw_only=True)
class RehearseBackup(Step):
    """The rehearsal: one step, because whatever happens in it, everything is taken down before it ends."""

    facts: RehearsalFacts

    @property
    def shown(self) -> tuple[Shown, ...]:
        there = _there(self.facts)
        commands = self.facts.commands
        plain = (commands.prepare, commands.isolate, commands.start(1), commands.stop(1))
        after = (commands.start(2), commands.init, *commands.reads, commands.down)
        return (
            *(there(line) for line in commands.sweeps(self.facts.dead)),
            *(there(line) for line in plain),
            there(commands.send, Shown(self.facts.feed, here=True)),
            *(there(line) for line in after),
        )

    def _entry(self, session: Session) -> Entry:
        return session.backups.entry(self.facts.cluster_id, self.facts.backup)

    async def before(self, session: Session) -> Facts:
        return {"at": time.time()}

    async def already_done(self, session: Session, before: Facts) -> str:
        entry = await asyncio.to_thread(self._entry, session)
        last = entry.last_verified.result(5) if entry.last_verified is not None else None
        done = last is not None and last.ok and last.at >= before["at"]
        return f"{entry.id} was rehearsed since." if done else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        entry = await asyncio.to_thread(self._entry, session)
        keys = await keys_of(session.vault, entry.cluster_id)
        place = place_of(session, self.facts.host.target)
        rehearsal = Rehearsal(place, self.facts, entry, keys.unlock, keys.identity, say=voice.say)
        done = await rehearsal.run()
        if done.result.ok is not None:
            await asyncio.to_thread(_record, session.backups, entry, done)
        if done.objects and entry.whole.source == "imported":
            # Nobody asked its cluster when it was made: only now its contents are known as an API gives them.
            content = json.dumps(done.objects, ensure_ascii=False, indent=1).encode()
            await asyncio.to_thread(session.backups.add_objects, entry, content, keys.identity)
            voice.say(f"What {entry.id} contains is kept beside it, as the restored Swarm's API gave it.")
        if done.error is not None:
            verdict = "The backup would not restore: " if done.result.ok is False else ""
            raise StepError(f"{verdict}{done.error.what}", done.error.next_step) from done.error
        if not done.result.ok:
            raise StepError(f"The backup would not restore as it should: {done.result.what[0]}", "Take another backup.")
        for sentence in done.result.what[1:]:
            voice.say(sentence)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The rehearsal of {self.facts.backup} is not in the catalogue.", "Retry.")
        commands = self.facts.commands
        left = await place_of(session, self.facts.host.target).run(commands.gone, timeout=COMMAND_SECONDS)
        if left.code != 0:
            raise StepError(
                f"Not everything of the rehearsal is gone from {self.facts.host.label}: {commands.folder}.",
                f"Take it down there: {commands.down}",
            )


class Rehearse(Runbook):
    name = "swarm.rehearse"
    summary = "prove a backup: restore it for real on a spare host, in an isolated Docker, and compare"
    params: ClassVar[Sequence[Param]] = (
        Param("backup", "which backup", params.text, "latest|ID", default="latest"),
        Param("host", "where: one with Docker installed, or this machine", host_kind, "ssh://…|local", required=True),
        Param("cluster", "whose backup, where there are those of several", params.text, "CLUSTER-ID"),
    )
    needs_manager: ClassVar[bool] = False
    on_hosts: ClassVar[bool] = True

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        place_of(session, params["host"])  # says at once what cannot be
        entry = await find(session.backups, params.get("cluster"), params["backup"])
        keys = await keys_of(session.vault, entry.cluster_id)
        facts: Facts = msgspec.to_builtins(await _surveyed(session, entry, params["host"], keys.unlock, keys.identity))
        return facts

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RehearsalFacts)
        for trouble, next_step in (known.unable, known.hopeless):
            if trouble:
                raise RefusedError(trouble, next_step)
        step = RehearseBackup(
            id="rehearse",
            title=f"Restore {known.backup} in an isolated Docker on {known.host.label}, compare, take it down",
            why="Only a restore proves that a backup restores.",
            facts=known,
        )
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Rehearse {known.backup} of {known.cluster or known.cluster_id[:12]} on {known.host.label}",
            why="It is restored as in an emergency, but where it can harm nobody; nothing of it stays.",
            steps=(step,),
            touches=(known.host.label,),
            notes=known.notes,
            warnings=known.warnings,
            # Its name and the free space differ with every look.
            binding=binding_of(
                known.backup, known.cluster_id, known.host.target, known.warnings, known.notes, known.dead
            ),
        )


async def rehearse_entry(
    session: Session,
    entry: Entry,
    host: str,
    *,
    keys: Sequence[Secret] = (),
    identity: Secret | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Rehearsed:
    """Rehearses a backup, and tells what was found. Nothing is recorded; everything is taken down.

    Args:
        session: may be one that was not begun: it is only a way to hosts.
        host: "ssh://[USER@]HOST[:PORT]", or "local".
        keys: unlock keys to try.
        identity: what opens the archive, where it is encrypted.
        say: told what goes on, and each command before it runs.

    Raises:
        UsageError: host means nothing.
    """
    place = place_of(session, host)
    try:
        facts = await _surveyed(session, entry, host, keys, identity)
    except SwarmtuiError as error:
        return result_of(error)
    running = Rehearsal(
        place, facts, entry, keys, identity, say=say, running=lambda line: say(f"{place.label}$ {line}")
    )
    return await running.run()


async def _surveyed(
    session: Session, entry: Entry, host: str, keys: Sequence[Secret], identity: Secret | None
) -> RehearsalFacts:
    inside = await look_inside(entry, keys, identity)
    seen = await look_at_host(session, place_of(session, host), host_kind(host))
    return RehearsalFacts(id=new_id(), host=seen, feed=_feed(entry), **inside)


def _feed(entry: Entry) -> str:
    """The command that gives what is sent: what we do ourselves, so that keys stay here."""
    return f"swarmtui backups unlock {shlex.quote(one_line(entry.id))} --cluster {entry.cluster_id} --output -"


def _record(catalogue: Catalogue, entry: Entry, done: Rehearsed) -> None:
    from swarmtui.backups.records import judged, with_rehearsal

    before = entry.last_verified
    verification = with_rehearsal(before, done.result) if before is not None else judged((done.result,), time.time())
    catalogue.add_verification(entry, verification)


def _there(facts: RehearsalFacts) -> Callable[..., Shown]:
    """Makes commands on the host as a person would type them."""
    host = facts.host

    def shown(line: str, feed: Shown | None = None) -> Shown:
        return Shown(line, host.destination, host.port, feed, here=not host.destination)

    return shown
