"""What is done to backups behind the screen, and all that was told of it. No Textual here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import harmless

KEPT_LINES = 5_000


class Work:
    """Something that is done in a thread; outlives the screen that shows it.

    Whoever does it tells from any thread; a screen looks at it now and then, so that telling often costs nothing.

    Args:
        title: what is done, for the head of the screen: "Verify 3 backups".
        brief: the same in two words, for the header.
        cancellable: it can be stopped half-way; else what was begun ends by itself.
        follows: its screen follows what is told; else that is read from its top.
    """

    def __init__(self, title: str, brief: str, *, cancellable: bool = True, follows: bool = True) -> None:
        self.title = title
        self.cancellable = cancellable
        self.follows = follows
        self.lines: list[tuple[str, str]] = []
        self.done = 0
        self.total = 0
        self.now = ""
        """What is being done, a few words."""
        self.over = False
        self.ended = ""
        """How it ended, in a sentence; "" for what needs none."""
        self.error: SwarmtuiError | None = None
        self._brief = brief
        self._style = "good"
        self._stopped = threading.Event()
        self._stop: Callable[[], object] | None = None

    @property
    def brief(self) -> str:
        """A word for the header while it is under way; "" afterwards."""
        if self.over:
            return ""
        return f"{self._brief} {self.done}/{self.total}" if self.total > 1 else self._brief

    def tell(self, *lines: tuple[str, str]) -> None:
        """Adds lines of (style, text); the text is data."""
        self.lines.extend((style, harmless(text)) for style, text in lines)
        del self.lines[:-KEPT_LINES]

    def progress(self, done: int, total: int, now: str = "") -> None:
        """Says how far it is."""
        self.done, self.total, self.now = done, total, harmless(now)

    def stop(self) -> None:
        """Asks it to stop as soon as that leaves nothing half-done. Called where the event loop is."""
        self._stopped.set()
        if self._stop is not None:
            self._stop()

    @contextlib.contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """For the length of a block, `stop` also calls this."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stopped.is_set()

    def end(self, said: str = "", error: SwarmtuiError | None = None, *, style: str = "good") -> None:
        """Nothing more comes.

        Args:
            said: how it ended, in a sentence.
            style: of that sentence.
        """
        self.ended, self._style, self.error, self.over = said, style, error, True

    @property
    def state(self) -> list[tuple[str, str]]:
        """How it stands, as lines of (style, text)."""
        if self.error is not None:
            return [("bad", self.error.what), *([("plain", self.error.next_step)] if self.error.next_step else [])]
        if self.over and self.stopped():
            return [("warn", f"Stopped, as you asked. {self.ended}".rstrip())]
        if self.over:
            return [(self._style, f"{self.ended or 'Done.'} esc goes back.")]
        counted = f"{self.done} of {self.total} done" if self.total > 1 else "Under way"
        told = f"{counted} · {self.now}" if self.now else counted
        if self.stopped():
            return [("warn", f"{told}. It stops as soon as it can.")]
        stops = " s stops it." if self.cancellable else ""
        return [("plain", f"{told}."), ("dim", f"Safe to leave (esc): it goes on.{stops}")]
