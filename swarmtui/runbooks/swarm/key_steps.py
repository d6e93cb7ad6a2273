"""The steps about the unlock key: into the vault, and proved there against the cluster, before anything counts as done.

Sources: swarm-dr.md §5 (what engines answer), procedures.md B7.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from swarmtui.runbooks.runbook import ConflictError, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm import cluster_steps
from swarmtui.runbooks.swarm.cluster_steps import SwarmObject, read_key, read_swarm, update_swarm
from swarmtui.session import Session
from swarmtui.vault import Secret, fingerprint

KEY_SECONDS = 20.0
"""How long a new key may take until a manager that is no leader tells it."""
OTHER_SWARM = "Look which cluster this is: swarmtui status"


def locked(spec: dict[str, Any], on: bool) -> None:
    """Sets autolock in a Spec, and nothing else."""
    spec["EncryptionConfig"] = {**(spec.get("EncryptionConfig") or {}), "AutoLockManagers": on}


@dataclass(frozen=True, kw_only=True)
class KeyStep(Step):
    """A step about the unlock key of one cluster.

    Attributes:
        cluster_id: whose key it is; another Swarm is never touched.
        cluster: what people call it.
        durable: the plan was made with a vault that outlives this program; what it counts on must still be so.
    """

    cluster_id: str
    cluster: str
    durable: bool = False

    async def before(self, session: Session) -> Facts:
        key = await read_key(session)
        return {"key": fingerprint(key) if key is not None else ""}

    async def swarm(self, session: Session) -> SwarmObject:
        """The Swarm now. Raises ConflictError where it is another one than the plan was made for."""
        now = await read_swarm(session)
        self.check(now)
        return now

    def check(self, now: SwarmObject) -> None:
        if now.id != self.cluster_id:
            raise ConflictError(
                f"This is Swarm {now.id[:12]}, and the plan was made for {self.cluster_id[:12]}.", OTHER_SWARM
            )

    @property
    def keeping(self) -> Shown:
        """Puts the cluster's key into the vault, by pipe: it is neither on a terminal nor an argument."""
        return Shown(f"docker swarm unlock-key -q | swarmtui secrets set unlock-key {self.cluster_id}")

    async def kept(self, session: Session, key: Secret) -> bool:
        """Whether the vault has this very key, as the cluster's current one, and where the plan counts on."""
        keys = await session.vault.unlock_keys(self.cluster_id)
        if self.durable and not session.vault.durable:
            return False
        return any(known.secret == key and known.state == "current" for known in keys)

    async def ready(self, session: Session) -> None:
        """Makes sure, before a key is made, that the vault is what the plan counts on. Raises StepError where not.

        A keyring that fails is not asked again by itself, and this session's memory stands in for it.
        """
        await session.vault.try_again()
        await session.vault.unlock_keys(self.cluster_id)
        self._still_durable(session, "The key would be kept")

    def _still_durable(self, session: Session, kept: str) -> None:
        vault = session.vault
        if self.durable and not vault.durable:
            because = f" ({vault.why_not_durable})" if vault.why_not_durable else ""
            raise StepError(
                f"{kept} in {vault.where}{because}, and be lost with this program; the plan was made for a keyring.",
                "Unlock or mend the keyring, then retry; meanwhile any unlocked manager shows the key: "
                "docker swarm unlock-key.",
            )

    async def keep(self, session: Session, voice: Voice) -> None:
        """Takes the cluster's key into the vault: pending, read back, compared with the cluster, current.

        A key becomes current only once the vault has given it back and the cluster still has the same one; until then
        the key before it stays what it was.
        """
        key = await self._told(session)
        vault = session.vault
        shown = fingerprint(key)
        await vault.store_unlock_key(self.cluster_id, key, "pending", time.time())
        keys = await vault.unlock_keys(self.cluster_id)
        if not any(known.secret == key for known in keys):
            raise StepError(
                f"The vault ({vault.where}) did not give the key {shown} back as it was stored.",
                "The key is in the cluster still: docker swarm unlock-key. Mend the vault, then retry.",
            )
        if await read_key(session) != key:
            raise StepError(
                "The unlock key was changed by somebody else at this moment.", "Retry: the newest one is taken then."
            )
        await vault.mark_current(self.cluster_id, shown)
        self._still_durable(session, f"The key {shown} would be")
        voice.say(f"The key {shown} is kept in {vault.where}, and is the cluster's key.")

    async def _told(self, session: Session) -> Secret:
        end = time.monotonic() + KEY_SECONDS
        while (key := await read_key(session)) is None:
            if time.monotonic() >= end:
                raise StepError(
                    "Autolock is on, but the Swarm tells no unlock key.",
                    "See: docker swarm unlock-key. Then retry.",
                )
            await asyncio.sleep(cluster_steps.POLL_SECONDS)
        return key

    async def prove(self, session: Session) -> Secret:
        """The cluster's key. Raises StepError where the vault does not have the same."""
        key = await read_key(session)
        if key is None:
            raise StepError("Autolock is off: somebody turned it off meanwhile.", "Look at it again, and decide anew.")
        if not await self.kept(session, key):
            raise StepError(
                f"The vault does not have the cluster's key {fingerprint(key)} as its current one.",
                "Retry: it is taken from the cluster.",
            )
        return key


@dataclass(frozen=True, kw_only=True)
class KeepKey(KeyStep):
    """Takes the key that the cluster has into the vault."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.keeping,)

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.swarm(session)
        key = await read_key(session)
        return f"The vault has the key {fingerprint(key)}." if key and await self.kept(session, key) else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.swarm(session)
        await self.ready(session)
        await self.keep(session, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.prove(session)


@dataclass(frozen=True, kw_only=True)
class TurnOn(KeyStep):
    """Turns autolock on; done only when the vault has the key and the cluster the same."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        # The docker CLI prints the key: not onto a terminal that is recorded or looked at.
        return (Shown("docker swarm update --autolock=true >/dev/null"), self.keeping)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown("docker swarm update --autolock=false"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        if not (await self.swarm(session)).autolock:
            return ""
        key = await read_key(session)
        return "Autolock is on, and the vault has its key." if key and await self.kept(session, key) else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.ready(session)

        async def off(now: SwarmObject) -> bool:
            self.check(now)
            return not now.autolock

        await update_swarm(session, off, lambda spec: locked(spec, True))
        await self.keep(session, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (await self.swarm(session)).autolock:
            raise StepError("Autolock was turned on, but is off.", "Somebody may have changed it: look at it again.")
        await self.prove(session)


@dataclass(frozen=True, kw_only=True)
class Rotate(KeyStep):
    """Makes the Swarm take a new unlock key; done only when the vault has it. The old one stays as a previous one."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown("docker swarm unlock-key --rotate -q >/dev/null"), self.keeping)

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.swarm(session)
        key = await read_key(session)
        if key is None or fingerprint(key) == before["key"]:
            return ""
        return f"The key is {fingerprint(key)} now, and the vault has it." if await self.kept(session, key) else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.ready(session)

        async def unrotated(now: SwarmObject) -> bool:
            self.check(now)
            if not now.autolock:
                raise ConflictError(
                    "Somebody turned autolock off after you confirmed: there is no key to rotate.",
                    "Nothing was changed by this step. Look at the Swarm again and decide anew.",
                )
            key = await read_key(session)
            # The answer to an earlier try may have been lost, or the program: one rotation is enough.
            if key is not None and fingerprint(key) != before["key"]:
                return False
            if key is not None and not await self.kept(session, key):
                # Somebody else rotated after the plan was made: managers may need that one to come back.
                await self.keep(session, voice)
            return True

        await update_swarm(session, unrotated, lambda spec: None, rotate="rotateManagerUnlockKey")
        end = time.monotonic() + KEY_SECONDS
        while (key := await read_key(session)) is None or fingerprint(key) == before["key"]:
            if time.monotonic() >= end:
                raise StepError("The unlock key is still the old one.", "See: docker swarm unlock-key. Then retry.")
            await asyncio.sleep(cluster_steps.POLL_SECONDS)
        await self.keep(session, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if fingerprint(await self.prove(session)) == before["key"]:
            raise StepError("The unlock key is still the old one.", "Retry.")


@dataclass(frozen=True, kw_only=True)
class TurnOff(KeyStep):
    """Turns autolock off. The keys stay in the vault as previous ones: a manager that is down needs its own once."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown("docker swarm update --autolock=false"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await self.swarm(session)).autolock or await self._still_current(session):
            return ""
        return "Autolock is off."

    async def _still_current(self, session: Session) -> list[Secret]:
        keys = await session.vault.unlock_keys(self.cluster_id)
        return [known.secret for known in keys if known.state != "previous"]

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        async def on(now: SwarmObject) -> bool:
            self.check(now)
            return now.autolock

        await update_swarm(session, on, lambda spec: locked(spec, False))
        for key in await self._still_current(session):
            await session.vault.store_unlock_key(self.cluster_id, key, "previous", time.time())

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if (await self.swarm(session)).autolock or await read_key(session) is not None:
            raise StepError("Autolock was turned off, but is on.", "Somebody may have changed it: look at it again.")
        if await self._still_current(session):
            raise StepError("The vault still takes a key for the cluster's.", "Retry.")
        voice.say("Autolock is off: a manager that restarts needs no key.")
