r"""Searches with what people type, each of which ends soon.

A regular expression such as (a+)+$ can take longer than anybody lives on a line of forty signs, and Python's engine
keeps the interpreter to itself meanwhile: no thread would help, and to tell such patterns from others beforehand would
refuse good ones and miss bad ones. But the engine looks for signals while it works (sre_lib.h: MAYBE_CHECK_SIGNALS,
every 4,096 steps): so a timer that counts processor time ends a search that takes too long.
"""

from __future__ import annotations

import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from swarmtui.errors import UsageError

SEARCH_SECONDS: Final = 0.05
"""Processor time that one search may take."""
SLOW_SECONDS: Final = 0.0005
"""A search that takes no longer is no trouble, however many there are: lines and rows are looked at in slices."""
WINDOW_SECONDS: Final = 1.0
"""Of processor time."""
WINDOW_SHARE: Final = 0.25
"""How much of each window slow searches may take together."""
MOST_MATCHES: Final = 1_000
_REPEATS = frozenset("*+?{")
_FEW = 8
"""Without a repeat, and with no more alternatives than these, there are few ways to match: no search can take long."""

T = TypeVar("T")


class Searcher(Protocol):
    """What is asked of a pattern: `re.Pattern` can do it, and `Patient`."""

    @property
    def pattern(self) -> str: ...

    def search(self, text: str, /) -> re.Match[str] | None: ...

    def finditer(self, text: str, /) -> Iterable[re.Match[str]]: ...

    def __hash__(self) -> int: ...


def pattern_of(text: str, flags: int = 0) -> re.Pattern[str]:
    """Compiles what a person typed.

    Raises:
        UsageError: it is no regular expression.
    """
    try:
        with warnings.catch_warnings():
            # What some later Python may read differently ("[[") is no news for whoever looks for something now.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f'"{text}" is no regular expression: {error}.', r"To find a sign itself put \ before it."
        ) from error


class _Expired(Exception):
    """Raised by the timer within a search."""


class Patient:
    """A pattern that gives up: a search that takes too long finds nothing, and neither does any after it.

    Only in the main thread: others are not interrupted by signals.

    Args:
        gave_up: called once, from within the search: it must only note that, or have it done later.
    """

    def __init__(self, pattern: re.Pattern[str], gave_up: Callable[[], Any]) -> None:
        self._pattern = pattern
        self._gave_up = gave_up
        self._harmless = not _REPEATS & set(pattern.pattern) and pattern.pattern.count("|") <= _FEW
        self._window = 0.0
        self._spent = 0.0
        self.tired = False

    @property
    def pattern(self) -> str:
        return self._pattern.pattern

    def search(self, text: str, /) -> re.Match[str] | None:
        """The first match, or None; always None once it gave up."""
        if self._harmless:
            return self._pattern.search(text)
        return self._bounded(self._pattern.search, text, None)

    def finditer(self, text: str, /) -> Iterator[re.Match[str]]:
        """The matches, up to a bound; none once it gave up."""
        if self._harmless:
            return self._pattern.finditer(text)
        nothing: list[re.Match[str]] = []
        return iter(self._bounded(lambda line: list(islice(self._pattern.finditer(line), MOST_MATCHES)), text, nothing))

    def _bounded(self, search: Callable[[str], T], text: str, otherwise: T) -> T:
        if self.tired:
            return otherwise
        begun = time.perf_counter()
        try:
            found = _within(search, text)
            if time.perf_counter() - begun > SLOW_SECONDS:
                # On a busy machine that may be time that others took: only processor time counts, and to ask for it
                # costs as much as a search.
                used = time.thread_time()
                _within(search, text)
                self._count(used, time.thread_time())
        except _Expired:
            self._tire()
            return otherwise
        return found

    def _count(self, begun: float, ended: float) -> None:
        """Counts a search; both in seconds of processor time."""
        if ended - begun <= SLOW_SECONDS:
            return
        if begun > self._window + WINDOW_SECONDS:
            self._window, self._spent = begun, 0.0
        self._spent += 2 * (ended - begun)
        if self._spent > WINDOW_SECONDS * WINDOW_SHARE:
            self._tire()

    def _tire(self) -> None:
        if not self.tired:
            self.tired = True
            self._gave_up()


def too_slow(pattern: str) -> UsageError:
    """What is said of a pattern that gave up."""
    return UsageError(
        f'"{pattern}" takes too long on what is here, and was taken away.',
        "Write it without a repeat inside another one, such as (a+)+.",
    )


_armed = False
_listening = False


def _expired(number: int, frame: object) -> None:
    if _armed:
        raise _Expired


def _within(search: Callable[[str], T], text: str) -> T:
    """Does a search; raises _Expired when it takes longer than it may."""
    global _armed, _listening
    if threading.current_thread() is not threading.main_thread():
        return search(text)
    if not _listening:
        signal.signal(signal.SIGVTALRM, _expired)
        _listening = True
    _armed = True
    signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_SECONDS, SEARCH_SECONDS)
    try:
        return search(text)
    finally:
        # First of all: a signal that comes from here on is nobody's.
        _armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
