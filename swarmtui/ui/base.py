"""What the parts of the console know of each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import one_line
from swarmtui.ui.staying import StayingApp

if TYPE_CHECKING:
    from swarmtui.opening import Opening
    from swarmtui.session import Session
    from swarmtui.ui.derive import Derived
    from swarmtui.ui.main import MainScreen
    from swarmtui.ui.screens.running import Run


class Base(StayingApp[int]):
    """The console on one cluster, as `Looking` and `Operations` see it.

    Attributes:
        session: None until it is opened, behind the first paint.
        derived: what is shown; None until something was read.
        current_run: the operation under way, or the last one.
    """

    opening: Opening
    read_only: bool
    session: Session | None
    derived: Derived | None
    current_run: Run | None
    main: MainScreen
    _journal_folder: Path
    _keys: Mapping[str, str]
    _details: tuple[str, ...]

    def complain(self, error: SwarmtuiError) -> None:
        """Shows an error: what, and what to do."""
        self.notify(one_line(str(error)), title="Not done", severity="error", markup=False, timeout=12)

    @abstractmethod
    def look_now(self) -> None:
        """Asks for fresh data."""

    @abstractmethod
    def _tell_header(self) -> None:
        """Has the header say how things stand."""

    @abstractmethod
    def _want(self) -> None:
        """Has what is looked at read."""

    def _session(self) -> Session:
        assert self.session is not None
        return self.session
