"""What a key that changes something does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """A key that makes a plan for the marked rows of a view, or the one under the cursor.

    Attributes:
        view: where the key works.
        on: the parameter that takes the rows; "" for what concerns no row.
        asks: parameters to ask for first, one question each.
        words: parameters to ask for together, as KEY=VALUE words on one line; none is needed where `asks` has some
            or it concerns no row.
        one: it takes a single row, never several.
        here: the parameter that takes the node whose engine is in use.
        id: what `[keys]` calls it; the name of the runbook where that is enough.
        offline: it also works while no manager answers.
        tends: it is done to what lies on this machine, and no runbook: `Tending` knows how, and `Recovering` of runs.
    """

    key: str
    runbook: str
    label: str
    tooltip: str
    view: str
    on: str = ""
    asks: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    one: bool = False
    here: str = ""
    id: str = ""
    offline: bool = False
    tends: bool = False

    @property
    def called(self) -> str:
        return self.id or self.runbook
