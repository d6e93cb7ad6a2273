"""The terminal under our apps: they stay on its other screen from one to the next, so that nobody sees the shell in
between; and a terminal that goes away (its window closed, tmux killed, SSH cut) does not hold up the end."""

from __future__ import annotations

import sys
from typing import IO, Any

from textual.app import App, ReturnType
from textual.driver import Driver

ENTER = "\x1b[?1049h"
LEAVE = "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
"""What Textual's driver writes, each by itself, as it begins and ends (textual/drivers/linux_driver.py)."""


class Between:
    """Where the terminal of this process is. there: on the other screen, as an app left it for the next one."""

    there = False


class Lasting:
    """A terminal's file that takes what is written to it also when the terminal is gone.

    Textual's writer thread ends at the first write that fails; then its queue fills up, and whoever writes next waits
    for ever: neither a hangup nor SIGTERM would end the program any more.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> int:
        """Writes, or drops it."""
        if not self._gone:
            try:
                return self._file.write(text)
            except OSError:
                self._gone = True
        return len(text)

    def flush(self) -> None:
        """Flushes, or drops what is left."""
        if not self._gone:
            try:
                self._file.flush()
            except OSError:
                self._gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class StayingApp(App[ReturnType]):
    """An app after which another one may come.

    Attributes:
        goes_on: set before it is left for another app.
    """

    goes_on = False

    def get_driver_class(self) -> type[Driver]:
        """The platform's own driver, which stays where it is when the app is left for another one."""
        base = super().get_driver_class()
        if sys.platform == "win32":
            return base

        class Staying(base):  # type: ignore[misc, valid-type]
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                if hasattr(self, "_file"):  # not of a driver without a terminal
                    self._file: Any = Lasting(self._file)

            def write(self, data: str) -> None:
                if data == ENTER and Between.there:
                    Between.there = False
                    return
                if data in (LEAVE, SHOW_CURSOR) and self._app.goes_on:
                    Between.there = True
                    return
                super().write(data)

        return Staying


def leave() -> None:
    """Leaves the other screen, if an app stayed there and no other one came."""
    if Between.there:
        Between.there = False
        assert sys.__stderr__ is not None
        sys.__stderr__.write(LEAVE + SHOW_CURSOR)
        sys.__stderr__.flush()
