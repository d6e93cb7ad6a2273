"""The diagnosis of a Swarm in words, for the command line and for a screen alike."""

from __future__ import annotations

import time
from collections.abc import Collection

from swarmtui.model.backups import age_words
from swarmtui.model.recovery import Advice, Condition, Diagnosis, Member, Way, Worker
from swarmtui.model.text import listed
from swarmtui.runbooks.swarm.recovery.recover import Around

SHOWN = 8
"""Names of workers in one line."""
Lines = list[tuple[str, str]]
"""(style, line): a line that begins with blanks is wrapped under itself. Styles as in `render.plan_lines`."""

WORDS = {
    Condition.WORKS: "works",
    Condition.LEADERLESS: "runs, no leader",
    Condition.LOCKED: "LOCKED",
    Condition.STOPPED: "Docker stopped",
    Condition.SILENT: "Docker silent",
    Condition.BROKEN: "BROKEN",
    Condition.OUT: "in no Swarm",
    Condition.ELSEWHERE: "in another Swarm",
    Condition.UNREACHABLE: "not reached",
    Condition.DEAD: "declared dead",
}
WAYS = {
    Way.NOTHING: "nothing to do",
    Way.START: "start Docker",
    Way.UNLOCK: "unlock",
    Way.BRING_BACK: "bring the host back",
    Way.FREE_DISK: "free the disk",
    Way.FIX_CLOCK: "set the clock right",
    Way.REJOIN: "rejoin",
    Way.REPLACE: "replace",
    Way.NETWORK: "mend the network",
    Way.CERTIFICATES: "sign the certificates anew",
    Way.RECREATE: "create again what was deleted",
    Way.SPLIT: "end one of the two Swarms",
    Way.UCP: "restore UCP alone",
    Way.DTR: "mend DTR alone",
    Way.DTR_LOSING: "repair or restore DTR alone",
    Way.FORCE: "force a new cluster",
    Way.RESTORE: "restore a backup",
    Way.REBUILD: "build it anew",
    Way.UNDECIDED: "find out more",
}


STYLES = {Condition.WORKS: "good", Condition.LEADERLESS: "warn", Condition.DEAD: "dim"}
"""Every other condition is bad."""


def told(name: str, around: Around, found: Diagnosis, dead: Collection[str] = ()) -> Lines:
    """What happened, how each manager is, and what to do.

    Args:
        name: what the cluster is called.
        dead: what a person declared dead.
    """
    fine = found.best.way is Way.NOTHING
    lines: Lines = [
        ("title", f"{name} (Swarm {around.cluster_id[:12] or 'unknown'})"),
        ("good" if fine else "warn" if found.holds else "bad", found.situation),
        ("plain", f"{found.still} Nothing has been changed by looking."),
    ]
    called = {member.name: {member.name, member.node_id, member.address} for member in around.members}
    for one in sorted(set(dead) - set().union(*called.values())):
        lines.append(("warn", f"Nobody knows a manager {one}: dead ones are named by name, node id or address."))
    for member in around.members:
        if member.condition is not Condition.DEAD and set(dead) & called[member.name]:
            lines.append(("warn", f"{member.name} was declared dead, and answers: it does not count as dead."))
    if around.remembered_at:
        age = age_words(time.time() - around.remembered_at)
        lines.append(("plain", f"No manager tells of the others: these are the managers as they were {age} ago."))
    lines += [("plain", ""), ("title", "Managers")]
    wide = max((len(member.name) for member in around.members), default=0)
    for member in around.members:
        line = f"  {member.name:<{wide}}  {WORDS[member.condition]:<16}  {member.address:<15}  {_facts(member)}"
        lines.append((STYLES.get(member.condition, "bad"), line.rstrip()))
        if member.why:
            lines.append(("dim", f"    {member.why}"))
    if around.workers:
        lines.append(("plain", f"  Workers: {_workers(around.workers)}."))
    lines += [
        ("plain", ""),
        ("title", f"The way out: {WAYS[found.best.way]}{_about(found.best)}"),
        *_advice(found.best),
    ]
    for advice in found.then:
        lines += [("title", f"Then: {WAYS[advice.way]}{_about(advice)}"), *_advice(advice)]
    if not fine:
        lines += [("plain", ""), ("title", "Why nothing else")]
        lines += [("dim", f"  {WAYS[advice.way]}: {advice.because}") for advice in found.others]
    return lines


def _facts(member: Member) -> str:
    known = [
        ("disk full", member.disk_full),
        ("clock wrong", member.clock_off),
        ("certificate expired", member.expired),
        (f"the raft knows it at {member.moved}", bool(member.moved)),
        ("its key is in the vault", member.key_held is True),
        ("its key is NOT in the vault", member.key_held is False),
        (f"raft index {member.index}", member.index >= 0),
    ]
    return ", ".join(words for words, so in known if so)


def _workers(workers: Collection[Worker]) -> str:
    if all(worker.ready is None for worker in workers):
        return f"{listed([worker.name for worker in workers], SHOWN)} (nobody tells how they are)"
    down = [worker.name for worker in workers if worker.ready is False]
    return f"{sum(worker.ready is True for worker in workers)} ready" + (
        f", down: {listed(down, SHOWN)}" if down else ""
    )


def _about(advice: Advice) -> str:
    return f" ({', '.join(advice.about)})" if advice.about else ""


def _advice(advice: Advice) -> Lines:
    command: Lines = [("command", f"  $ {advice.command}")] if advice.command else []
    return [("plain", f"  {advice.because}"), *command]
