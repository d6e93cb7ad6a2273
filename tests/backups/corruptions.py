"""Random corruptions inside real archives, each by its number: the same number is the same corruption, on any machine.

The digest is made right again by whoever uses them (the archive is as it is, and its manifest says so); and where a
kind's name ends with "mended", so are the checksums of the raft log or of the snapshot. `Case.what` says what was done.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.backups import kinds_keys, kinds_log, kinds_mended, kinds_snapshot, kinds_whole
from tests.backups.corrupting import BASES, REGISTERED, THE_LOG, Case, Work
from tests.backups.generations import Generation, generations

__all__ = ["BASES", "KINDS", "Case", "case", "corrupted", "good"]

KINDS = {
    name: (function, bases)
    for module in (kinds_log, kinds_mended, kinds_snapshot, kinds_keys, kinds_whole)
    for name, (function, bases) in REGISTERED.items()
    if function.__module__ == module.__name__
}
"""All kinds in their order: the number of a case says which kind it is of."""


def case(number: int, engine: str = "20.10") -> Case:
    """The corruption of this number: the kinds take turns, everything else is thrown."""
    every = generations(engine)
    name = list(KINDS)[number % len(KINDS)]
    bases = KINDS[name][1]
    return corrupted(name, every[bases[number // len(KINDS) % len(bases)]], every, number, f"{engine}/{name}/{number}")


def corrupted(name: str, base: Generation, every: dict[str, Generation], number: int, seed: str) -> Case:
    """A generation with a corruption of a kind.

    Args:
        every: what else there is, where the kind takes something from elsewhere.
    """
    work = Work(random.Random(seed), base, every, dict(base.files), base.key)
    what = KINDS[name][0](work)
    return Case(number, name, base, what.replace(THE_LOG, "raft log"), work.files, work.key, work.tar)


def good(name: str, engine: str = "20.10") -> Case:
    """An archive that nothing was done to."""
    base = generations(engine)[name]
    return replace(case(0, engine), number=-1, kind="good", base=base, what="", files=base.files, key=base.key)
