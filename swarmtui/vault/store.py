"""Where secrets lie: one small protocol, and this session's memory."""

from __future__ import annotations

from typing import Protocol

SERVICE = "swarmtui"
"""What the items are called in a keyring."""


class StoreError(Exception):
    """A store cannot be used: locked, gone, refused, broken. Its text is one sentence for a person, without secrets."""


class Store(Protocol):
    """Items by name. Calls block, and are made in a thread of their own, one at a time."""

    @property
    def label(self) -> str:
        """In plain words, to follow "kept in": "the OS keyring (Secret Service)"."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives this program."""
        ...

    @property
    def most_characters(self) -> int | None:
        """The longest item it takes; None for no limit that matters."""
        ...

    def read(self, name: str) -> str | None:
        """An item; None where there is none. Raises StoreError."""
        ...

    def write(self, name: str, text: str) -> None:
        """Makes or replaces an item. Raises StoreError."""
        ...

    def delete(self, name: str) -> None:
        """Takes an item away, if it is there. Raises StoreError."""
        ...


class MemoryStore:
    """This session's memory: gone with the program."""

    label = "this session's memory only"
    durable = False
    most_characters = None

    def __init__(self) -> None:
        self._items: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self._items.get(name)

    def write(self, name: str, text: str) -> None:
        self._items[name] = text

    def delete(self, name: str) -> None:
        self._items.pop(name, None)

    def names(self) -> tuple[str, ...]:
        """The names of all items."""
        return tuple(self._items)
