"""What happened to a Swarm, and DTR on it: the way out of DTR's trouble among those of the Swarm. Pure."""

from __future__ import annotations

import shlex

from msgspec.structs import replace

from swarmtui.model import recovery
from swarmtui.model.dtr.ways import Advice, Diagnosis, Way

_LOSES: frozenset[Way] = frozenset({Way.REPAIR, Way.RESTORE})


def with_dtr(found: recovery.Diagnosis, dtr: Diagnosis, *, target: str = "") -> recovery.Diagnosis:
    """The same, where DTR is not well: it alone is mended, and the Swarm is left alone.

    Args:
        target: the cluster, as commands name it.
    """
    if not found.holds or dtr.first.way is Way.NOTHING:
        return found
    best, *otherwise = (_advice(one, target) for one in dtr.ways)
    best = replace(best, because=f"{dtr.what} {best.because}")
    told = {best.way, *(one.way for one in otherwise)}
    others = (
        *(replace(one, because=f"Where that cannot be: {one.because}") for one in otherwise),
        *(one for one in found.others if one.way not in told),
    )
    if found.best.way is not recovery.Way.NOTHING:
        return replace(found, then=(*found.then, best), others=others)
    nothing = recovery.Advice(recovery.Way.NOTHING, "something is to be done")
    return replace(found, best=best, others=(nothing, *others))


def _advice(one: Advice, target: str) -> recovery.Advice:
    way = recovery.Way.DTR_LOSING if one.way in _LOSES else recovery.Way.DTR
    if not one.runbook:
        return recovery.Advice(way, f"{one.why} {one.what}".strip(), one.about)
    words = ["swarmtui", "run", one.runbook, *(f"{name}={value}" for name, value in one.params.items())]
    command = shlex.join([*words, *(["--target", target] if target else [])])
    return recovery.Advice(way, one.why, one.about, command, one.runbook, dict(one.params))
