"""Advice on how many managers a Swarm should have, and where (procedures.md B6). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from swarmtui.model.preflight import Reach
from swarmtui.model.quorum import quorum_of, tolerance_of

MOST_MANAGERS = 7
ZONES = 3
FAR_MICROS = 50_000
"""Managers further apart than this (µs for a TCP connection) feel it in every change of the Swarm: each waits for a
majority to have it on disk."""


class Advice(Struct, frozen=True):
    """warning: whether it should be heeded before one goes on; else it is only good to know."""

    text: str
    warning: bool = True


def spread_of(managers: int, zones: int = ZONES) -> tuple[int, ...]:
    """How many managers each zone should have, the fullest first: 3 → 1-1-1, 5 → 2-2-1, 7 → 3-2-2, 9 → 3-3-3."""
    each, more = divmod(managers, zones)
    return tuple(each + 1 if zone < more else each for zone in range(zones))


def on_count(managers: int) -> Iterable[Advice]:
    """Advice on the number of managers."""
    lost = tolerance_of(managers)
    if managers == 1:
        yield Advice("One manager: the Swarm stands still when it is lost. Three survive the loss of one.")
    elif managers == 2:
        yield Advice("Two managers are worse than one: the Swarm stands still when either of them is lost. Take 3.")
    elif managers % 2 == 0:
        yield Advice(
            f"{managers} managers survive {_losses(lost)}, no more than {managers - 1} would: take {managers - 1} or "
            f"{managers + 1}."
        )
    else:
        yield Advice(
            f"{managers} managers: {quorum_of(managers)} must agree, they survive {_losses(lost)}.", warning=False
        )
    if managers > MOST_MANAGERS:
        yield Advice(f"{managers} managers: more than {MOST_MANAGERS} make every change slower; 3 or 5 are the rule.")


def on_zones(zones: Sequence[str]) -> Iterable[Advice]:
    """Advice on where the managers are.

    Args:
        zones: the zone of each manager; "" for none.
    """
    managers = len(zones)
    if managers < 3:
        return
    named = Counter(zone for zone in zones if zone)
    if sum(named.values()) < managers:
        shape = "-".join(map(str, spread_of(managers)))
        yield Advice(f"Not every manager has a zone: over {ZONES} zones they should be spread {shape}.", warning=False)
        return
    tolerance = tolerance_of(managers)
    zone, most = max(named.items(), key=lambda item: (item[1], item[0]))
    shape = "-".join(map(str, sorted(named.values(), reverse=True)))
    best = "-".join(map(str, spread_of(managers)))
    if most > tolerance:
        yield Advice(
            f"{most} of {managers} managers are in zone {zone}: losing that zone would cost the quorum. Spread them "
            f"{best} over {ZONES} zones."
        )
    elif len(named) < ZONES or shape != "-".join(map(str, spread_of(managers, len(named)))):
        yield Advice(f"The managers are spread {shape} over {len(named)} zones; {best} would be even.", warning=False)
    else:
        yield Advice(f"The managers are spread {shape} over {len(named)} zones.", warning=False)


def on_latency(managers: Iterable[str], reaches: Iterable[Reach]) -> Iterable[Advice]:
    """Advice on how far apart the managers are, from the quickest connection measured between each two."""
    names = set(managers)
    quickest: dict[tuple[str, str], int] = {}
    for reach in reaches:
        if reach.micros and reach.source in names and reach.to in names:
            pair = (min(reach.source, reach.to), max(reach.source, reach.to))
            quickest[pair] = min(reach.micros, quickest.get(pair, reach.micros))
    if not quickest:
        return
    far = {pair: micros for pair, micros in quickest.items() if micros > FAR_MICROS}
    told = _pairs(far or quickest)
    if far:
        yield Advice(
            f"Far apart: {told}. Every change waits for a majority of the managers: keep them in one region, and in "
            "one zone where the links between zones are poor."
        )
    else:
        yield Advice(f"To open a connection between managers takes {told}.", warning=False)


def _pairs(quickest: Mapping[tuple[str, str], int]) -> str:
    slowest = sorted(quickest.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{one}–{other} {micros / 1000:.1f} ms" for (one, other), micros in slowest[:6])
    return told if len(slowest) <= 6 else f"{told}, less between the others"


def _losses(count: int) -> str:
    return "the loss of one" if count == 1 else f"{count} losses" if count else "no loss"
