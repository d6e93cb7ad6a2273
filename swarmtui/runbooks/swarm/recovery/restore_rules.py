"""What stands in the way of a restore: what is refused, and what a person must accept by name. Pure."""

from __future__ import annotations

import re

from swarmtui.errors import RefusedError
from swarmtui.runbooks.runbook import Rule
from swarmtui.runbooks.swarm.custody import custody_rules
from swarmtui.runbooks.swarm.recovery.fence_steps import not_fenced
from swarmtui.runbooks.swarm.recovery.restore_facts import RestoreFacts

MB = 1 << 20
RAFT_GROWTH = 2 * 64 * MB
"""A manager that starts preallocates further files of its raft log, 64 MB each (swarm-dr.md §1)."""
SPARE = 64 * MB
_NAME = re.compile(r"\d{8}T(\d{6})Z-.+")
"""What backups are called: when they were taken, and of which manager."""
_ENGINE = re.compile(r"(\d+)\.(\d+)")


def refuse(facts: RestoreFacts) -> None:
    """Raises RefusedError where it cannot be done, whoever accepts it."""
    backup, host = facts.backup, facts.host
    for trouble, advice in (backup.hopeless, (host.trouble, host.advice)):
        if trouble:
            raise RefusedError(trouble, advice)
    if host.has not in ("", backup.cluster_id):
        raise RefusedError(
            f"{host.seen.at.name} is a node of another Swarm ({host.has[:12]}).",
            "Name another host; or, if that Swarm is of no use any more, let it leave: docker swarm leave --force",
        )
    needed = backup.size + RAFT_GROWTH + SPARE
    if 0 <= host.free < needed:
        raise RefusedError(
            f"{host.seen.at.name} has too little room: {host.free // MB} MB are free in {host.root}, and "
            f"{needed // MB} MB are needed.",
            "Free space there, or name another host.",
        )
    if facts.unknown:
        names = [*(old.name for old in facts.others), *(worker.name for worker in facts.workers)]
        known = ", ".join(names) or "none"
        raise RefusedError(
            f"Nobody knows who that is, declared dead: {', '.join(facts.unknown)}.", f"The other nodes: {known}."
        )


def rules_of(facts: RestoreFacts) -> tuple[Rule, ...]:
    """The safety rules that a restore breaks now."""
    backup = facts.backup
    found = [Rule(*gentler) for gentler in facts.gentler]
    found += [not_fenced(old.name, old.seen.trouble) for old in facts.others if not old.reached and not old.dead]
    if backup.verdict != "yes":
        instead = f" {backup.better} is proved: backup={backup.better}" if backup.better else ""
        what = f"It is not proved that {backup.id} would restore: {backup.because}.{instead}"
        found.append(Rule("unproved", short(backup.id), what))
    if older(facts.host.seen.version, backup.engine):
        found.append(
            Rule(
                "older-engine",
                facts.host.seen.at.name,
                f"The Docker of {facts.host.seen.at.name} is {facts.host.seen.version}, and the backup is of "
                f"{backup.engine}: an older one may not read what a newer one wrote.",
            )
        )
    if backup.autolock:
        found += custody_rules(facts.custody, backup.cluster)
    return tuple(found)


def short(backup_id: str) -> str:
    """The time of day in a backup's name: enough to mean this one, little enough to type at three in the morning."""
    found = _NAME.fullmatch(backup_id)
    return found[1] if found else backup_id


def older(version: str, than: str) -> bool:
    """Whether an engine version is before another one, by year and month; not where one is unknown."""
    one, other = _ENGINE.match(version), _ENGINE.match(than)
    return bool(one and other) and _numbers(one) < _numbers(other)  # type: ignore[arg-type]


def _numbers(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1]), int(match[2])
