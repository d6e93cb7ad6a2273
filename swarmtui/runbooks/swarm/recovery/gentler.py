"""When not to force or restore (procedures.md K4): while the quorum holds, or while a gentler way can still work."""

from __future__ import annotations

from collections.abc import Collection

from swarmtui.model.recovery import LOSES_NOTHING, ORDER, Diagnosis, Way
from swarmtui.runbooks.runbook import Rule
from swarmtui.runbooks.swarm.recovery.recover import happened
from swarmtui.session import Session


async def gentler(session: Session, wanted: Way, dead: Collection[str] = ()) -> tuple[Rule, ...]:
    """The safety rules that a plan breaks which does this now; none where nothing gentler is left.

    Looks at every manager over SSH; changes nothing.

    Args:
        wanted: what the plan does: Way.FORCE or Way.RESTORE.
        dead: names, node ids or addresses of managers that a person says are lost for good.
    """
    _, found = await happened(session, dead)
    return gentler_rules(wanted, found)


def gentler_rules(wanted: Way, found: Diagnosis) -> tuple[Rule, ...]:
    """The same from a diagnosis that was made already. Pure."""
    if found.holds:
        best = found.best
        instead = "" if best.way is Way.NOTHING else f" Do this instead: {best.because}{_typed(best.command)}"
        return (Rule("gentler", "quorum", f"{found.situation} This would only lose what is there.{instead}"),)
    if found.two:
        return (Rule("gentler", "two-swarms", found.best.because),)
    better = [advice for advice in (found.best, *found.then) if _is_gentler(advice.way, wanted)]
    rules = {
        name: Rule("gentler", name, f"A gentler way is left: {advice.because}{_typed(advice.command)}")
        for advice in reversed(better)
        for name in advice.about or (str(advice.way),)
    }
    return tuple(rules[name] for name in sorted(rules))


def _is_gentler(way: Way, wanted: Way) -> bool:
    return way in LOSES_NOTHING or (way is not Way.UNDECIDED and ORDER.index(way) < ORDER.index(wanted))


def _typed(command: str) -> str:
    return f" ({command})" if command else ""
