"""What the start page says of each cluster: one row, one sentence, and everything known on request."""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.model.text import one_line
from swarmtui.ui import describe
from swarmtui.ui.cells import Cell, Column, Row, Rows
from swarmtui.ui.describe import Lines
from swarmtui.ui.fleet import Fleet, Member, Seen
from swarmtui.ui.header import STALE_SECONDS, coarse_age

NO_BACKUP = "-"
"""No backup is known to be good: this version takes none."""

COLUMNS = (
    Column("name", "CLUSTER", min_width=8, max_width=28, flex=1),
    Column("key", "KEY", width=3, priority=96),
    Column("production", "PROD", width=4, priority=99),
    Column("state", "STATE", max_width=20, priority=100),
    Column("quorum", "QUORUM", max_width=13, priority=98),
    Column("managers", "MGRS", align="right", priority=97),
    Column("ready", "NODES", align="right", priority=85),
    Column("alarms", "ALARMS", align="right", priority=95),
    Column("data", "DATA", priority=90),
    Column("through", "THROUGH", max_width=26, priority=50),
    Column("backup", "BACKUP", priority=60),
    Column("note", "WHAT IS THE MATTER", min_width=18, max_width=120, flex=3, priority=40),
)


def rows(fleet: Fleet, now: float) -> Rows:
    """One row for each cluster, by its name, in the order of the configuration.

    Args:
        now: seconds since the epoch.
    """
    return {member.name: _row(fleet, member, at, now) for at, member in enumerate(fleet, 1)}


def _row(fleet: Fleet, member: Member, at: int, now: float) -> Row:
    what = matter(fleet, member)[0]
    seen = member.seen if member.seen is not None and member.seen.snapshot.nodes_known else None
    data, stale = _data(member, now)
    style: Callable[[str], str] = lambda name: "dim" if stale else name  # noqa: E731
    return (
        Cell(one_line(member.name), "strong"),
        Cell(str(at) if at < 10 else "", "accent", at),
        Cell("PROD" if member.cluster.production else "", "bad"),
        state(member),
        _quorum(member.seen, style),
        *_counts(seen, style),
        Cell(data, "warn" if stale and data != "-" else "good" if data == "live" else "dim"),
        Cell(_through(member), "dim"),
        Cell(NO_BACKUP, "dim"),
        Cell("" if what == _calm(member) else what),
    )


def state(member: Member) -> Cell:
    """How the connection to a cluster stands."""
    session = member.session
    if member.opening is None and member.left_alone is not None:
        return Cell("misconfigured", "bad")
    if member.needs_person:
        return Cell("needs you: enter", "warn")
    if member.left_alone is not None:
        return Cell("REFUSED", "bad")
    if session is None:
        return Cell("connecting", "warn")
    if session.live:
        return Cell("live", "good") if session.snapshot.readings.get("nodes") else Cell("reading…", "warn")
    if session.connection.phase == "connecting" and not session.connection.attempts:
        return Cell("connecting", "warn")
    return Cell("NOT CONNECTED", "bad")


def _quorum(seen: Seen | None, style: Callable[[str], str]) -> Cell:
    if seen is not None and seen.quorum_lost:
        return Cell("LOST", style("bad"), -1)
    if seen is None or not seen.raft.voters:
        return Cell("-", "dim", -2)
    slack = seen.raft.slack
    return Cell(f"survives {slack}", style("good" if slack else "warn"), slack)


def _counts(seen: Seen | None, style: Callable[[str], str]) -> tuple[Cell, Cell, Cell]:
    """Managers reachable, nodes ready, alarms."""
    if seen is None:
        return Cell("-", "dim", -1), Cell("-", "dim", -1), Cell("-", "dim", -1)
    raft, nodes = seen.raft, len(seen.snapshot.nodes)
    count = len(seen.alarms)
    return (
        Cell(f"{raft.reachable}/{raft.voters}", style("" if raft.reachable == raft.voters else "bad"), raft.reachable),
        Cell(f"{seen.ready}/{nodes}", style("" if seen.ready == nodes else "warn"), seen.ready),
        Cell(f"! {count}" if count else "none", style("bad" if seen.critical else "warn" if count else "good"), count),
    )


def _data(member: Member, now: float) -> tuple[str, bool]:
    """How old the data is, and whether it is too old to be taken for what is."""
    if member.seen is None:
        return "-", True
    oldest = member.seen.snapshot.oldest()
    if not oldest and member.live:
        return "reading…", False
    if not oldest:  # cut off in the middle of the first reading
        oldest = min((reading.at for reading in member.seen.snapshot.readings.values() if reading.known), default=0.0)
    if not oldest:
        return "-", True
    fresh = member.live and now - oldest < STALE_SECONDS
    return ("live", False) if fresh else (f"{coarse_age(now - oldest)} old", True)


def is_stale(member: Member, now: float) -> bool:
    """Whether there is an age to show, which grows."""
    return _data(member, now)[1] and member.seen is not None


def _through(member: Member) -> str:
    through = member.session.connection.through if member.session is not None else ""
    return one_line(through) or "-"


def matter(fleet: Fleet, member: Member) -> tuple[str, str]:
    """What is the matter with a cluster, or how it is, and what to do about it if anything; a sentence each."""
    what, next_step = trouble(member)
    if not what and (twin := fleet.twins().get(member.name)):
        what = f"The very same Swarm as {one_line(twin)}."
    if not what and member.seen is not None and member.seen.alarms:
        worst, *others = member.seen.alarms
        more = f" ({len(others)} more: d)" if others else ""
        return one_line(worst.what), f"{one_line(worst.advice)}{more}"
    return what or _calm(member), next_step


def _calm(member: Member) -> str:
    """How a cluster is with which nothing is the matter."""
    return f"live through {_through(member)}" if member.live else state(member).text


def trouble(member: Member) -> tuple[str, str]:
    """Why there is no connection and what to do about it, a sentence each; "" where there is one, or may be soon."""
    if member.needs_person:
        return one_line(member.person.asked), "You are asked when you open it: press enter."
    error = member.left_alone
    if error is None:
        session = member.session
        if session is None or session.live or not session.connection.attempts:
            return "", ""
        error = session.why_not_live()
    return one_line(error.what), one_line(error.next_step)


def lines(fleet: Fleet, name: str, now: float) -> Lines:
    """Everything known of a cluster."""
    member = fleet[name]
    data, _ = _data(member, now)
    found: Lines = [("title", f"{state(member).text}" + (f" through {_through(member)}" if member.live else ""))]
    what, next_step = trouble(member)
    if what:
        found += [("bad", what), ("plain", f"    {next_step}")]
    seen = member.seen
    if seen is not None:
        found.append(("plain", f"{seen.raft} · {seen.ready}/{len(seen.snapshot.nodes)} nodes ready · data: {data}"))
        found.append(("plain", f"Swarm {one_line(seen.snapshot.cluster_id) or 'unknown'}"))
        if twin := fleet.twins().get(name):
            found.append(("warn", f"The very same Swarm as {one_line(twin)}."))
    if member.opening is not None:
        found.append(("dim", f"named managers: {', '.join(str(target) for target in member.opening.targets)}"))
    if seen is not None:
        unread = {part: reading.trouble for part, reading in seen.snapshot.readings.items() if reading.trouble}
        found += [("heading", "Alarms"), *describe.finding_lines(seen.alarms, unread)]
    return found
