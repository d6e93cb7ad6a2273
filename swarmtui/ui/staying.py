"""Stays on the terminal's other screen from one app of this process to the next: nobody sees the shell in between."""

from __future__ import annotations

import sys

from textual.app import App, ReturnType
from textual.driver import Driver

ENTER = "\x1b[?1049h"
LEAVE = "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
"""What Textual's driver writes, each by itself, as it begins and ends (textual/drivers/linux_driver.py)."""


class Between:
    """Where the terminal of this process is. there: on the other screen, as an app left it for the next one."""

    there = False


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
