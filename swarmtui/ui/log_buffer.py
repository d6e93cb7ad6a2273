"""The lines of a log that are kept: bounded by lines and by bytes, filtered and searched in small steps. No Textual."""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

from swarmtui.link.log_frames import NOBODY, SYSTEM, LogLine
from swarmtui.link.log_stream import weight
from swarmtui.ui.patience import Searcher, pattern_of

MAX_LINES: Final = 20_000
MAX_BYTES: Final = 16 << 20
STEP_SECONDS: Final = 0.003
"""How long filtering and searching compute before they let others go on."""


def compiled(text: str) -> re.Pattern[str]:
    """A pattern as people type it: without an uppercase letter it ignores case.

    Raises:
        UsageError: it is no regular expression.
    """
    return pattern_of(text, 0 if any(letter.isupper() for letter in text) else re.IGNORECASE)


class LogBuffer:
    """The newest lines. Each has a number that it keeps; `end` is the one that comes after the newest.

    Attributes:
        first: number of the oldest line.
        gone: how many lines were pushed out by newer ones.
        dropped: how many never got here, as far as it was told.
    """

    def __init__(self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self.first = 0
        self.gone = 0
        self.dropped = 0
        self.bytes = 0
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: list[LogLine] = []
        self._pattern: Searcher | None = None
        self._shown: list[int] = []
        self._looked = 0

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> LogLine:
        if number < self.first:
            raise IndexError(number)
        return self._lines[number - self.first]

    @property
    def end(self) -> int:
        return self.first + len(self._lines)

    def add(self, lines: list[LogLine]) -> None:
        """Puts lines at the end; pushes out the oldest where that is too much. The newest always stays."""
        self._lines.extend(lines)
        self.bytes += weight(lines)
        over = max(0, len(self._lines) - self._max_lines)
        self.bytes -= weight(self._lines[:over])
        while self.bytes > self._max_bytes and over < len(self._lines) - 1:
            self.bytes -= weight([self._lines[over]])
            over += 1
        if over:
            del self._lines[:over]
            self.first += over
            self.gone += over
            del self._shown[: bisect_left(self._shown, self.first)]
            self._looked = max(self._looked, self.first)

    def note(self, text: str) -> None:
        """Puts in a sentence of our own, which no filter hides."""
        self.add([LogLine("", NOBODY, SYSTEM, text)])

    def missed(self, count: int) -> None:
        """Puts in how many lines are missing at this place."""
        self.dropped += count
        self.note(f"{count:,} {'line was' if count == 1 else 'lines were'} dropped here: more came than could be taken")

    def clear(self) -> None:
        """Forgets all lines; the filter stays."""
        self.first = self._looked = self.end
        self._lines.clear()
        self._shown.clear()
        self.bytes = self.gone = self.dropped = 0

    # -- the filter ------------------------------------------------------------------------------------------------

    @property
    def pattern(self) -> Searcher | None:
        return self._pattern

    def set_filter(self, pattern: Searcher | None) -> None:
        """Shows only lines with a match, and what is said about the log. Call `work` until it is done."""
        self._pattern = pattern
        self._shown = []
        self._looked = self.first

    def work(self, seconds: float = STEP_SECONDS) -> bool:
        """Looks for a while at lines that the filter has not seen; returns whether it has seen all."""
        pattern = self._pattern
        if pattern is None:
            return True
        until = time.perf_counter() + seconds
        while self._looked < self.end:
            begin = self._looked
            for number in range(begin, min(begin + 50, self.end)):
                line = self._lines[number - self.first]
                if line.stream == SYSTEM or pattern.search(line.text):
                    self._shown.append(number)
                self._looked = number + 1
                if len(line.text) > 1_000 and time.perf_counter() > until:
                    break
            if time.perf_counter() > until:
                break
        return self._looked == self.end

    # -- what is shown: all lines, or those that pass the filter ---------------------------------------------------

    @property
    def count(self) -> int:
        """How many lines are shown."""
        return len(self._lines) if self._pattern is None else len(self._shown)

    def at(self, index: int) -> int:
        """The number of the shown line with this index."""
        return self.first + index if self._pattern is None else self._shown[index]

    def index(self, number: int) -> int:
        """The index of the first shown line that has this number or a higher one; `count` behind the last."""
        if self._pattern is None:
            return min(max(number - self.first, 0), len(self._lines))
        return bisect_left(self._shown, number)

    def shown(self) -> list[LogLine]:
        """All lines that are shown."""
        if self._pattern is None:
            return list(self._lines)
        return [self[number] for number in self._shown]

    # -- searching -------------------------------------------------------------------------------------------------

    def search(self, pattern: Searcher, start: int, step: int) -> Iterator[int | None]:
        """Looks through shown lines from number `start` on, itself included; step 1 is towards the newest, -1 back.

        Yields None now and then while it looks, so that others can go on, and at last the number of the line found;
        ends without one when there is none.
        """
        until = time.perf_counter() + STEP_SECONDS
        number = start
        while True:
            if step > 0:
                index = self.index(number)
            else:
                index = (self.index(number + 1) if self._pattern is None else bisect_right(self._shown, number)) - 1
            if not 0 <= index < self.count:
                return
            number = self.at(index)
            if pattern.search(self[number].text):
                yield number
                return
            number += step
            if time.perf_counter() > until:
                yield None
                until = time.perf_counter() + STEP_SECONDS
