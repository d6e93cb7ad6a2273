"""What the parts of the console know of each other."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from swarmtui.errors import UsageError
from swarmtui.ui.acting import Acting

if TYPE_CHECKING:
    from swarmtui.opening import Opening
    from swarmtui.session import Session
    from swarmtui.ui.derive import Derived
    from swarmtui.ui.keys import Action
    from swarmtui.ui.main import MainScreen


class Base(Acting[int]):
    """The console on one cluster, as `Looking` and `Operations` see it.

    Attributes:
        session: None until it is opened, behind the first paint.
        derived: what is shown; None until something was read.
    """

    opening: Opening
    read_only: bool
    session: Session | None
    derived: Derived | None
    main: MainScreen
    _keys: Mapping[str, str]
    _details: tuple[str, ...]
    _opened: asyncio.Event

    @abstractmethod
    def look_now(self) -> None:
        """Asks for fresh data."""

    @abstractmethod
    def _want(self) -> None:
        """Has what is looked at read."""

    @abstractmethod
    def tend(self, action: Action, keys: Sequence[str]) -> None:
        """Does what a key says to backups that lie on this machine; asks first."""

    @abstractmethod
    def go_on(self, run_id: str, after: Callable[[], None] = lambda: None) -> None:
        """Goes on with a run that did not come to its end."""

    @abstractmethod
    def restore(self, backup: str) -> None:
        """Restores a backup that a person chose; asks on which host."""

    def _acts_on(self) -> tuple[str, bool]:
        return self.opening.name, self.opening.cluster.production

    def _session(self) -> Session:
        """The session.

        Raises:
            UsageError: a key was pressed before there was one: it is imported behind the first paint.
        """
        if self.session is None:
            raise UsageError("The console is still starting.", "Press the key again in a moment.")
        return self.session

    async def _begun(self) -> Session:
        """The session, once there is one: what is asked for in the first second is not refused."""
        await self._opened.wait()
        return self._session()
