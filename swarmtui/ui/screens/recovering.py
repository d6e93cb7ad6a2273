"""What happened to a Swarm, to read; and what can be begun from there, each at a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import READING, RECOVER
from swarmtui.ui.screens.reading import ReadingScreen

MOST = 9
"""Ways that have a key."""


@dataclass(frozen=True)
class Start:
    """Something that can be begun.

    Attributes:
        words: what it is, for a line: "force a new cluster (mgr1)".
        begin: begins it: shows its plan first; asks before for more than is needed, where it is told to.
        first: it is what is to be done; else it is there for who knows better.
        more: it takes more than it needs.
    """

    words: str
    begin: Callable[[bool], None]
    first: bool = False
    more: bool = False


class RecoverScreen(ReadingScreen):
    """Tells what happened, and begins what is chosen; what is begun shows its plan before anything is changed.

    Args:
        title: first line.
        lines: as for `ReadingScreen`.
        again: looks again, and tells the screen when it has.
        declare: asks which managers are lost for good.
        read_only: nothing can be begun.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*RECOVER, *READING]

    DEFAULT_CSS = """
    RecoverScreen > #recover-ways { height: auto; background: $panel; padding: 0 1; }
    """

    def __init__(
        self,
        title: str,
        lines: Callable[[], list[tuple[str, str]]],
        *,
        again: Callable[[], None],
        declare: Callable[[], None],
        read_only: bool = False,
    ) -> None:
        super().__init__(title, lines)
        self._again = again
        self._declare = declare
        self._read_only = read_only
        self._looks = True
        self._starts: Sequence[Start] = ()
        self._away: Sequence[str] = ()
        self._otherwise = ""

    def below(self) -> Iterable[Widget]:
        return (Prose(id="recover-ways"),)

    def on_mount(self) -> None:
        self._show_ways()

    def looking(self) -> None:
        """Says that it is looked at again."""
        self._looks = True
        self._show_ways()

    def tell(self, starts: Sequence[Start], away: Sequence[str], otherwise: str) -> None:
        """Shows what was found.

        Args:
            starts: what can be begun, the way out first.
            away: managers that nobody gets to: they may be lost for good, which only a person knows.
            otherwise: what is said where there is neither.
        """
        self._starts, self._away, self._looks = starts[:MOST], away, False
        self._otherwise = otherwise
        self.renew()
        self._show_ways()

    def _show_ways(self) -> None:
        if self.is_mounted:
            self.query_one("#recover-ways", Prose).show(self._told())
            self.refresh_bindings()

    def _told(self) -> list[tuple[str, str]]:
        if self._looks:
            return [("warn", "Looking at every manager over SSH…")]
        if self._read_only:
            return [("dim", "This console is read-only: it begins nothing.")]
        lines = [
            ("title" if start.first else "dim", f"{number} {start.words}")
            for number, start in enumerate(self._starts, 1)
        ]
        if self._starts:
            lines.append(("plain", "A number shows the plan; nothing is changed before you confirm it."))
        if self._away:
            lines.append(("plain", f"x names those of {', '.join(self._away)} that are lost for good."))
        return lines or [("dim", self._otherwise)]

    # -- keys ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "begin":
                number, *more = parameters
                assert isinstance(number, int)
                can = not self._read_only and not self._looks and number <= len(self._starts)
                return can and (not more or self._starts[number - 1].more)
            case "declare":
                return not self._read_only and not self._looks and bool(self._away)
            case "again":
                return not self._looks
        return True

    def action_begin(self, number: int, more: bool = False) -> None:
        """Begins one of the ways; asks before what else is to be said, where that is wanted."""
        self._starts[number - 1].begin(more)

    def action_declare(self) -> None:
        self._declare()

    def action_again(self) -> None:
        self._again()
