"""Stores that behave as keyrings do on a bad day, put in through the vault's own protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable

from swarmtui.vault.store import MemoryStore, StoreError


class Durable(MemoryStore):
    """A keyring that works. Several of them with the same items are one keyring seen by several programs."""

    label = "the keyring of a test"
    durable = True

    def __init__(self, items: dict[str, str] | None = None) -> None:
        super().__init__()
        if items is not None:
            self._items = items


class Small(Durable):
    """Takes short items only, as Windows does."""

    most_characters = 200


class Failing(Durable):
    """Fails from some call on.

    Args:
        good: calls that work before.
    """

    def __init__(self, items: dict[str, str] | None = None, *, good: int = 0) -> None:
        super().__init__(items)
        self.good = good

    def _count(self) -> None:
        self.good -= 1
        if self.good < 0:
            raise StoreError("the keyring of a test is locked, and was not unlocked")

    def read(self, name: str) -> str | None:
        self._count()
        return super().read(name)

    def write(self, name: str, text: str) -> None:
        self._count()
        super().write(name, text)


class Hanging(Durable):
    """Does not answer before it is let go."""

    def __init__(self, items: dict[str, str] | None = None) -> None:
        super().__init__(items)
        self.let_go = threading.Event()

    def read(self, name: str) -> str | None:
        self.let_go.wait(60)
        return super().read(name)


class Forgetful(Durable):
    """Says that it keeps, and does not."""

    def write(self, name: str, text: str) -> None:
        pass


def none_here() -> Durable:
    raise StoreError("this system has no keyring that can be used")


Opener = Callable[[], Durable]
