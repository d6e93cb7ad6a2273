"""Calls to a store: in one thread, with a timeout, one writer at a time; this session's memory where the store fails.

A dead Secret Service blocks each call for 120 s (measured with gnome-keyring). So nobody waits for the thread, it never
holds up the end of the program, and a store that failed once is not asked again until `try_again`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from swarmtui.link.pool import DaemonPool
from swarmtui.vault.store import MemoryStore, Store, StoreError

T = TypeVar("T")

OPEN_SECONDS = 10.0
"""Until a keyring must have answered for the first time: a Secret Service that is started on demand takes 1 s."""
CALL_SECONDS = 30.0
"""For one call: the desktop may ask the person to unlock the keyring meanwhile."""
LOCK_SECONDS = 15.0
"""How long a writer waits for others to have written."""


class Keeper:
    """A store that is opened when first used, with this session's memory behind it.

    Args:
        open_store: opens the store; blocks. Raises StoreError where there is none that can be used.
        lock_file: serialises the writers of this machine; holds nothing. None where nobody else writes.
        open_seconds: how long opening may take.
        call_seconds: how long one call may take.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        lock_file: Path | None = None,
        *,
        open_seconds: float = OPEN_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self.memory = MemoryStore()
        self._open_store = open_store
        self._lock_file = lock_file
        self._open_seconds = open_seconds
        self._call_seconds = call_seconds
        self._pool = DaemonPool(1, "swarmtui-vault")
        self._store: Store | None = None
        self._trouble = ""
        self._tried = False

    @property
    def store(self) -> Store:
        """Where things go now."""
        return self._store or self.memory

    @property
    def trouble(self) -> str:
        """Why it is this session's memory, one clause; "" where it is not, or nothing was asked for yet."""
        return self._trouble

    async def open(self) -> None:
        """Opens the store, once; afterwards `store` and `trouble` tell the truth."""
        if self._tried:
            return
        store, trouble = await self._call(self._open_store, self._open_seconds)
        if not self._tried:
            self._tried, self._store, self._trouble = True, store, trouble

    async def try_again(self) -> bool:
        """Opens the store anew if it failed, and tells whether that helped; a thread that hangs is left to itself."""
        if self._store is not None:
            return False
        self._pool.close()
        self._pool = DaemonPool(1, "swarmtui-vault")
        self._tried = False
        await self.open()
        return self._store is not None

    async def use(self, call: Callable[[Store], T], *, writing: bool = False) -> T:
        """Makes calls on the store; on this session's memory where the store cannot be used, or fails.

        Args:
            call: blocks; may be made twice, and its effect must then be the same. What it raises but StoreError goes
                to the caller.
            writing: keeps other writers of this machine away meanwhile.
        """
        await self.open()
        store = self._store
        if store is not None:

            def made() -> T:
                with self._locked() if writing else contextlib.nullcontext():
                    return call(store)

            waits = LOCK_SECONDS if writing and self._lock_file is not None else 0.0
            result, trouble = await self._call(made, self._call_seconds + waits)
            if not trouble:
                return result  # type: ignore[return-value]  # without trouble it is what `made` returned
            if self._store is store:
                self._store, self._trouble = None, trouble
        return call(self.memory)

    async def _call(self, call: Callable[[], T], seconds: float) -> tuple[T | None, str]:
        """What a blocking call returned, or why it is no good."""
        try:
            async with asyncio.timeout(seconds):
                return await self._pool.run(call), ""
        except TimeoutError:
            return None, f"the keyring did not answer within {seconds:g} s"
        except StoreError as error:
            return None, str(error)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """No other writer of this machine meanwhile: what was read is still true when it is written."""
        if self._lock_file is None:
            yield
            return
        try:
            self._lock_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._lock_file} cannot be opened: {error.strerror}") from error
        try:
            # Blocks, so that writers come in turn; `use` has the timeout.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
