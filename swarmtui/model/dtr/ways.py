"""What happened to DTR, and the least destructive way out of it: also why the gentler ones are not it. Pure.

Sources: ucp-dtr.md §5.5 D, procedures.md T6 to T8. A majority that is up loses nothing: what is bad is removed, and
another one joins. Without a majority the missing replicas are started first, if they can be; then one replica's volumes
are made the whole again, which 2.4 cannot; and only where nothing else is left is a backup restored, into which no
image went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

from swarmtui.model.dtr.status import OK, Cluster, Replica
from swarmtui.model.text import listed

State = Literal["absent", "healthy", "degraded", "unknown", "quorum-lost", "lost"]
"""absent: nothing of it is known here. degraded: it works, and a replica of it does not. lost: no volume of its
database is left anywhere."""


class Way(StrEnum):
    """What is to be done, the least destructive first."""

    NOTHING = "nothing"
    LOOK = "look-closer"
    MEND = "mend-replica"
    START = "start-replicas"
    CLEAR = "destroy-leftovers"
    REPLACE = "remove-and-join"
    REPAIR = "emergency-repair"
    RESTORE = "restore"


class Advice(Struct, frozen=True, kw_only=True):
    """One way out.

    Attributes:
        why: why it is the one, a sentence; what: what to do, a sentence or two; "" for nothing.
        about: ids of the replicas that it concerns.
        runbook: what does it; "" for what is done by hand, or done by starting something.
        params: its parameters, as far as they are known.
    """

    way: Way
    why: str
    what: str = ""
    about: tuple[str, ...] = ()
    runbook: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What happened to DTR.

    Attributes:
        what: that in a sentence.
        ways: the one to go first; each other is for where the one before it cannot be gone.
        not_it: gentler ways → why they are not it.
    """

    state: State
    what: str
    ways: tuple[Advice, ...]
    not_it: Mapping[Way, str] = field(default_factory=dict)

    @property
    def first(self) -> Advice:
        """The least destructive way."""
        return self.ways[0]


def decide(found: Cluster) -> Advice:
    """The least destructive way, while nobody said which replicas are lost for good."""
    return diagnose(found).first


def diagnose(found: Cluster, lost: Iterable[str] = (), *, backup: str | None = None) -> Diagnosis:
    """What happened, and the ways out.

    Args:
        lost: ids of replicas that a person says are lost for good.
        backup: the id of the newest backup of DTR in the catalogue; "" where there is none, None where nobody looked.
    """
    gone = frozenset(lost)
    members = found.members
    if not members:
        return _without(found, backup)
    told = f"{found.product} has {len(members)} {'replica' if len(members) == 1 else 'replicas'}"
    if found.quorum is None:
        return _unknown(found, gone, told, backup)
    if found.quorum:
        return _with_quorum(found, gone, told)
    return _without_quorum(found, gone, told, backup)


def _with_quorum(found: Cluster, gone: frozenset[str], told: str) -> Diagnosis:
    bad = [replica for replica in found.members if replica.state not in ("healthy", "unknown")]
    left = [replica for replica in found.replicas if not replica.member]
    ways = []
    if startable := [one for one in bad if one.up is False and _has_volumes(one) and one.id not in gone]:
        ways.append(_start(startable, "DTR works meanwhile, and they take their place again with nothing lost."))
    if ill := [one for one in bad if one.up is not False]:
        ways.append(_mend(ill))
    if away := [one for one in bad if one.up is False or one.id in gone]:
        ways.append(_replace(found, away))
    if left:
        ways.append(_clear(left))
    if not bad and not left:
        return Diagnosis(
            state="healthy",
            what=f"{told}, all well.",
            ways=(Advice(way=Way.NOTHING, why="Nothing is wrong with DTR."),),
        )
    not_well = (
        f", of which {listed([one.id for one in bad])} {'is' if len(bad) == 1 else 'are'} not well" if bad else ""
    )
    beside = f"; of {listed([one.id for one in left])}, which it knows no more, something is left over" if left else ""
    return Diagnosis(state="degraded", what=f"{told}{not_well}{beside}.", ways=tuple(ways))


def _unknown(found: Cluster, gone: frozenset[str], told: str, backup: str | None) -> Diagnosis:
    members = found.members
    if not found.unread:
        unknown = listed([replica.id for replica in members if replica.up is None])
        what = f"{told}, and too little is known of {unknown} to tell whether a majority is up."
        return Diagnosis(state="unknown", what=what, ways=(_look(members),))
    what = (
        f"{told} that could be found; more may be on {listed(found.unread)}, which could not be read, and DTR itself "
        "tells nothing. None of them is well: without a majority none would be."
    )
    look = Advice(
        way=Way.LOOK,
        why="Nothing is to be changed before it is known how many replicas there are; those that are down are started, "
        "and nothing is lost.",
        what=f"Bring back {listed(found.unread)}, or reach them over SSH, and look again.",
    )
    return Diagnosis(state="unknown", what=what, ways=(look, *_giving_up(found, gone, backup, {})))


def _giving_up(found: Cluster, gone: frozenset[str], backup: str | None, not_it: dict[Way, str]) -> Iterator[Advice]:
    """The ways where a majority does not come back; `not_it` is told why one of them is not there."""
    members = found.members
    kept = sorted((one for one in members if one.volumes and one.id not in gone), key=lambda one: (not one.up, one.id))
    release = found.release
    if not kept:
        not_it[Way.REPAIR] = "No replica's volumes are known to be left, and a repair begins from one's."
    elif release is not None and not release.emergency_repair:
        not_it[Way.REPAIR] = f"{release.product} has no emergency-repair: it came with 2.5."
    else:
        yield _repair(kept[0], len(members))
    yield _restore(backup)


def _without_quorum(found: Cluster, gone: frozenset[str], told: str, backup: str | None) -> Diagnosis:
    members = found.members
    up = [one for one in members if one.up and one.id not in gone]
    back = [one for one in members if one.up is not True and one.id not in gone and one.volumes is not False]
    what = f"{told}, of which {len(up)} {'is' if len(up) == 1 else 'are'} up: {found.needed} are needed."
    not_it: dict[Way, str] = {
        Way.REPLACE: "A replica is removed, and another one joins, only while a majority is up to agree to it."
    }
    ways = []
    if back and len(up) + len(back) >= found.needed:
        ways.append(_start(back, "A majority of them brings everything back, with nothing lost."))
    else:
        not_it[Way.START] = (
            f"Of the missing replicas too few can come back: {found.needed} must be up, and only "
            f"{len(up) + len(back)} can be."
        )
    ways += _giving_up(found, gone, backup, not_it)
    lost_all = not up and all(one.volumes is False or one.id in gone for one in members)
    return Diagnosis(state="lost" if lost_all else "quorum-lost", what=what, ways=tuple(ways), not_it=not_it)


def _without(found: Cluster, backup: str | None) -> Diagnosis:
    """No replica that DTR counts in is known."""
    if found.replicas:
        left = _clear(found.replicas)
        return Diagnosis(state="lost", what="Of DTR only leftovers are known here.", ways=(left, _restore(backup)))
    if (found.url or backup) and found.unread:
        look = Advice(
            way=Way.LOOK,
            why="Its replicas may be there, and a restore would destroy what they have.",
            what=f"Bring back {listed(found.unread)}, or reach them over SSH, and look again.",
        )
        what = f"No replica of DTR was found, and {listed(found.unread)} could not be read."
        return Diagnosis(state="unknown", what=what, ways=(look, _restore(backup)))
    if found.url or backup:
        what = f"No replica of DTR is left on any node that could be read{f' ({found.url})' if found.url else ''}."
        return Diagnosis(state="lost", what=what, ways=(_restore(backup),))
    return Diagnosis(
        state="absent", what="Nothing of DTR is known here.", ways=(Advice(way=Way.NOTHING, why="There is no DTR."),)
    )


def _has_volumes(replica: Replica) -> bool:
    return replica.volumes is not False


def _look(members: tuple[Replica, ...]) -> Advice:
    unread = [one for one in members if one.up is None]
    return Advice(
        way=Way.LOOK,
        why="Nothing is to be changed before it is known how they are.",
        what=f"Reach the nodes of {listed([_named(one) for one in unread])} over SSH, and look again.",
        about=tuple(one.id for one in unread),
    )


def _mend(ill: list[Replica]) -> Advice:
    one = ill[0]
    return Advice(
        way=Way.MEND,
        why=f"{_named(one)} runs, and is not well: {one.why}.",
        what="See the logs of what is bad: docker logs of its containers there. One that does not get well is removed, "
        "and another one joins.",
        about=tuple(one.id for one in ill),
    )


def _start(missing: list[Replica], hope: str) -> Advice:
    names = listed([_named(one) for one in missing])
    return Advice(
        way=Way.START,
        why=f"{names} {'is' if len(missing) == 1 else 'are'} down, and nobody said that the volumes are lost. {hope}",
        what="Start their hosts, Docker there, and their containers: docker start $(docker ps -aq --filter name=dtr-). "
        "Destroy and restore nothing before that was tried.",
        about=tuple(one.id for one in missing),
    )


def _replace(found: Cluster, away: list[Replica]) -> Advice:
    """Removing them, in the words that dtr.remove takes: all that stay must be well, and be a majority of all."""
    ill = [one for one in found.members if one not in away and one.told not in ("", OK)]
    going = [*away, *ill]
    why = (
        f"A majority is up without {listed([_named(one) for one in away])}: {'they are' if away[1:] else 'it is'} "
        "removed first, and only then another one joins."
    )
    if ill:
        with_it = "them" if away[1:] else "it"
        why += f" {listed([_named(one) for one in ill])} must be well for that, or go with {with_it}."
    if len(found.members) - len(going) >= found.needed:
        return _removal(why, going, "then join as many as went: swarmtui run dtr.join.")
    bad = [one for one in going if one.up is False or one.told not in ("", OK)]
    if len(bad) > 1 and len(found.members) - len(bad) < found.needed:
        runs = listed([_named(one) for one in bad if one.up is not False])
        what = f"Mend {runs} first: without {listed([one.id for one in bad])} no majority is left to agree to it."
        return Advice(way=Way.REPLACE, why=why, what=what, about=tuple(one.id for one in going))
    # Those that are not well hinder the removal of any other, so that they go first.
    first = bad or going[:1]
    rest = listed([one.id for one in going if one not in first])
    return _removal(why, first, f"then swarmtui run dtr.join; then likewise {rest}, one after the other.")


def _removal(why: str, going: list[Replica], then: str) -> Advice:
    ids = tuple(one.id for one in going)
    together = ",".join(ids)
    return Advice(
        way=Way.REPLACE,
        why=why,
        what=f"swarmtui run dtr.remove replica={together}, {then}",
        about=ids,
        runbook="dtr.remove",
        params={"replica": together},
    )


def _clear(left: Iterable[Replica]) -> Advice:
    ids = tuple(one.id for one in left)
    return Advice(
        way=Way.CLEAR,
        why=f"What is left of {listed(ids)} is in the way of a replica that joins or is restored there.",
        what=f"swarmtui run dtr.destroy replica={ids[0]}",
        about=ids,
        runbook="dtr.destroy",
        params={"replica": ids[0]},
    )


def _repair(replica: Replica, members: int) -> Advice:
    lose = f"the other {members - 1}" if members > 2 else "every other"
    return Advice(
        way=Way.REPAIR,
        why=f"{_named(replica)} still has its volumes: a repair makes the whole of it again, and gives up {lose}.",
        what=f"swarmtui run dtr.repair replica={replica.id}, then join replicas until there are as many as before.",
        about=(replica.id,),
        runbook="dtr.repair",
        params={"replica": replica.id},
    )


def _restore(backup: str | None) -> Advice:
    if backup == "":
        return Advice(
            way=Way.RESTORE,
            why="Nothing but a backup brings it back, and there is none in the catalogue.",
            what="Import one that was made by hand: swarmtui backups import FILE; then swarmtui run dtr.restore.",
            runbook="dtr.restore",
        )
    named = f" backup={backup}" if backup else ""
    return Advice(
        way=Way.RESTORE,
        why="What is left is destroyed, and the newest backup is restored: metadata as it was then; images and users "
        "are not in it.",
        what=f"swarmtui run dtr.restore{named}. It wants the same UCP cluster and the same version.",
        runbook="dtr.restore",
        params={"backup": backup} if backup else {},
    )


def _named(replica: Replica) -> str:
    return f"{replica.id} on {replica.node}" if replica.node else replica.id
