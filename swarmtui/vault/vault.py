"""The vault: secrets by kind and by what they are about.

In the OS keyring where there is one that can be trusted with them, else in this session's memory, and it says which.
Environment variables and systemd credentials are read as well. Never a file in clear, never a prompt on the terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from swarmtui.vault import history
from swarmtui.vault.history import History
from swarmtui.vault.items import (
    declined_name,
    enter,
    entries_in,
    fingerprints_in,
    history_in,
    item_name,
    leave,
    secret_in,
    text_of,
    write,
)
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.secret import Entry, KeyState, Kind, Secret, UnlockKey, VaultError, fingerprint
from swarmtui.vault.sources import Found, Sources
from swarmtui.vault.store import MemoryStore, Store

HOW_TO_GET_ONE = (
    "On a host without a desktop, install gnome-keyring and dbus, and begin with: dbus-run-session -- sh -c "
    "'systemd-ask-password | gnome-keyring-daemon --unlock --components=secrets; exec swarmtui' (the password becomes "
    "the keyring's); or give secrets as systemd credentials or named environment variables."
)


class Vault:
    """Secrets by kind and by what they are about. Nothing is opened before the first `await`.

    Args:
        keeper: where they are kept.
        sources: what is read from outside besides; for one cluster.
        clock: unix seconds.
    """

    def __init__(self, keeper: Keeper, sources: Sources | None = None, clock: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._sources = sources or Sources()
        self._clock = clock

    @classmethod
    def in_memory(cls, sources: Sources | None = None) -> Vault:
        """A vault that is gone with the program. Sources from outside are only those that are given."""
        return cls(Keeper(MemoryStore), sources or Sources(environ={}))

    def with_sources(self, sources: Sources) -> Vault:
        """The same vault with what one cluster has outside."""
        return Vault(self._keeper, sources, self._clock)

    # -- which vault this is ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Finds out where secrets are kept, once; from then on `durable` and `where` tell it."""
        await self._keeper.open()

    async def try_again(self) -> bool:
        """After the keyring failed: opens it anew and hands over what is in this session's memory.

        Returns:
            Whether it is a keyring now.
        """
        if await self._keeper.try_again():
            await self._keeper.use(self._hand_over, writing=True)
        return self.durable

    @property
    def durable(self) -> bool:
        """Whether what is put in outlives this program; False before `open`."""
        return self._keeper.store.durable

    @property
    def where(self) -> str:
        """Where secrets are kept, in plain words: "the OS keyring (Secret Service)", "this session's memory only"."""
        return self._keeper.store.label

    @property
    def why_not_durable(self) -> str:
        """Why it is this session's memory only, one clause without a full stop; "" where that is as it should be."""
        return self._keeper.trouble

    # -- secrets ---------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, about: str) -> Secret | None:
        """The secret; for unlock keys the current one, or else the newest. What the configuration names comes first.

        Raises:
            VaultError: the configuration names where it is, it is not there, and nothing is kept either.
        """
        found = await self.find(kind, about)
        return found.secret if found else None

    async def find(self, kind: Kind, about: str) -> Found | None:
        """Like `get`, with where the secret is kept."""
        if kind is Kind.UNLOCK_KEY:
            keys = await self.unlock_keys(about)
            best = next((key for key in keys if key.state == "current"), keys[0] if keys else None)
            return Found(best.secret, await self._where_key(about, best)) if best else None
        missing: VaultError | None = None
        try:
            if told := self._sources.told(kind, about):
                return told
        except VaultError as error:
            missing = error
        text = await self._keeper.use(lambda store: store.read(item_name(kind, about)))
        if text is not None:
            return Found(secret_in(text, kind, about), self.where)
        if found := self._sources.by_convention(kind, about):
            return found
        if missing is not None:
            raise missing
        return None

    async def put(self, kind: Kind, about: str, secret: Secret, *, name: str = "") -> bool:
        """Keeps a secret instead of the one before. An unlock key becomes the current one; the one before stays, as
        previous.

        Args:
            name: what people call it (the cluster's name), for lists.

        Returns:
            Whether it outlives this program.

        Raises:
            VaultError: it is too long for this keyring, or what it is about cannot be.
        """
        if kind is Kind.UNLOCK_KEY:
            return await self.store_unlock_key(about, secret, "current", self._clock(), name=name)
        text = text_of(secret)
        at = self._clock()

        def put(store: Store) -> bool:
            write(store, item_name(kind, about), text, f"the {kind} of {about}")
            enter(store, kind, about, at, name)
            store.delete(declined_name(kind, about))
            return store.durable

        return await self._keeper.use(put, writing=True)

    async def remove(self, kind: Kind, about: str) -> bool:
        """Forgets a secret; for unlock keys the whole history. What comes from outside stays.

        Returns:
            Whether there was one.
        """

        def remove(store: Store) -> bool:
            item = item_name(kind, about)
            there = store.read(item) is not None
            for place in dict.fromkeys((store, self._keeper.memory)):
                place.delete(item)
                place.delete(declined_name(kind, about))
                there = leave(place, kind, about) or there
            return there

        return await self._keeper.use(remove, writing=True)

    async def decline(self, kind: Kind, about: str) -> None:
        """Notes that somebody does not want this kept, so that nobody is asked again. Putting it in takes that back."""
        await self._keeper.use(lambda store: store.write(declined_name(kind, about), "{}"), writing=True)

    async def declined(self, kind: Kind, about: str) -> bool:
        """Whether somebody did not want this kept."""
        return await self._keeper.use(lambda store: store.read(declined_name(kind, about))) is not None

    async def entries(self) -> tuple[Entry, ...]:
        """All that is kept or can be read from outside, without the secrets."""

        def entries(store: Store) -> tuple[Entry, ...]:
            return tuple(
                Entry(kind, about, at, store.label, store.durable, name, fingerprints_in(store, kind, about))
                for kind in Kind
                for about, at, name in entries_in(store, kind)
            )

        kept = await self._keeper.use(entries)
        outside = [
            Entry(kind, about, 0.0, where, True, self._sources.cluster) for kind, about, where in self._sources.listed()
        ]
        return (*kept, *outside)

    # -- unlock keys -------------------------------------------------------------------------------------------------

    async def unlock_keys(self, cluster_id: str) -> tuple[UnlockKey, ...]:
        """All unlock keys of a cluster, the newest first; at most one is current. A key from outside is the current
        one where no other is kept as that.

        Raises:
            VaultError: what is kept cannot be read; the configuration names where a key is, and there is none.
        """

        def read(store: Store) -> History:
            kept = history_in(store, cluster_id)
            self._remember(store, cluster_id, kept)
            return kept

        keys = list((await self._keeper.use(read)).shown())
        missing: VaultError | None = None
        outside: list[Found] = []
        try:
            if told := self._sources.told(Kind.UNLOCK_KEY, cluster_id):
                outside.append(told)
        except VaultError as error:
            missing = error
        if found := self._sources.by_convention(Kind.UNLOCK_KEY, cluster_id):
            outside.append(found)
        for found in outside:
            if all(key.secret != found.secret for key in keys):
                state: KeyState = "previous" if any(key.state == "current" for key in keys) else "current"
                keys.append(UnlockKey(found.secret, 0.0, state, None, fingerprint(found.secret)))
        if missing is not None and not keys:
            raise missing
        return tuple(keys)

    async def store_unlock_key(
        self,
        cluster_id: str,
        secret: Secret,
        state: KeyState,
        at: float,
        *,
        kek_version: int | None = None,
        name: str = "",
    ) -> bool:
        """Keeps an unlock key besides those before; a new current key makes the one before previous. Read back.

        Args:
            at: unix seconds.
            kek_version: the raft index under which the Swarm knows it, where known.
            name: what people call the cluster; the name in the configuration where it is not said.

        Returns:
            Whether it outlives this program.

        Raises:
            VaultError: what is kept cannot be read.
        """
        called = name or self._called
        return await self._change(
            cluster_id, lambda before: history.with_key(before, secret, state, at, kek_version=kek_version, name=called)
        )

    async def mark_current(self, cluster_id: str, fingerprint: str) -> bool:
        """The key of that fingerprint is the cluster's from now on.

        Returns:
            Whether that outlives this program.

        Raises:
            VaultError: no key with that fingerprint is kept.
        """
        at = self._clock()
        return await self._change(cluster_id, lambda before: history.with_current(before, fingerprint, cluster_id, at))

    @property
    def _called(self) -> str:
        """The name of the cluster whose vault this is; "" where it is only an address."""
        return "" if "://" in self._sources.cluster else self._sources.cluster

    async def _change(self, cluster_id: str, change: Callable[[History], History]) -> bool:
        def changed(store: Store) -> bool:
            after = change(history_in(store, cluster_id))
            item = item_name(Kind.UNLOCK_KEY, cluster_id)
            write(store, item, history.encode(after), f"the unlock keys of {cluster_id}")
            enter(store, Kind.UNLOCK_KEY, cluster_id, max(key.changed_at for key in after.keys), after.name)
            self._remember(store, cluster_id, after)
            return store.durable

        return await self._keeper.use(changed, writing=True)

    def _remember(self, store: Store, cluster_id: str, kept: History) -> None:
        """Has a copy in this session's memory: keyrings lock themselves when a screen does, and a key that was seen
        must still be there when managers need it."""
        memory = self._keeper.memory
        if store is not memory and kept.keys:
            memory.write(item_name(Kind.UNLOCK_KEY, cluster_id), history.encode(kept))
            enter(memory, Kind.UNLOCK_KEY, cluster_id, max(key.changed_at for key in kept.keys), kept.name)

    async def _where_key(self, cluster_id: str, key: UnlockKey) -> str:
        kept = await self._keeper.use(lambda store: history_in(store, cluster_id))
        if any(one.key == key.secret.reveal() for one in kept.keys):
            return self.where
        told = self._sources.told(Kind.UNLOCK_KEY, cluster_id)
        found = told or self._sources.by_convention(Kind.UNLOCK_KEY, cluster_id)
        return found.where if found else self.where

    def _hand_over(self, store: Store) -> None:
        """Puts what is in this session's memory into a store; what is newer there stays."""
        memory = self._keeper.memory
        if store is memory:
            return
        for kind in Kind:
            there = {about: at for about, at, _ in entries_in(store, kind)}
            for about, at, name in entries_in(memory, kind):
                item = item_name(kind, about)
                text = memory.read(item)
                if text is None or (kind is not Kind.UNLOCK_KEY and there.get(about, -1.0) > at):
                    continue
                if kind is Kind.UNLOCK_KEY:
                    merged = history.bounded(history.merge(history_in(store, about), history_in(memory, about)))
                    text = history.encode(merged)
                write(store, item, text, f"the {kind} of {about}")
                enter(store, kind, about, at, name)
        for item in memory.names():
            memory.delete(item)
