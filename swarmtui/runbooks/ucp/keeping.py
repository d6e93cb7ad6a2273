"""The step that makes a secret of UCP's, and keeps it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret


@dataclass(frozen=True, kw_only=True)
class KeepNew(Step):
    """Makes a secret and keeps it in the vault, before anything is installed or sealed with it.

    Attributes:
        kind: ucp-password or ucp-passphrase.
        size: of what it is made of, in random bytes.
        cluster_id, cluster: whose it is.
        durable: whether the plan was made for a vault that outlives this program.
    """

    kind: Kind
    size: int
    cluster_id: str
    cluster: str
    durable: bool

    @property
    def _what(self) -> str:
        return self.kind.removeprefix("ucp-")

    @property
    def shown(self) -> tuple[Shown, ...]:
        made = Shown(f"openssl rand -base64 {self.size}", here=True)
        return (Shown(f"swarmtui secrets set {self.kind} {self.cluster_id}", feed=made, here=True),)

    async def already_done(self, session: Session, before: Facts) -> str:
        found = await session.vault.find(self.kind, self.cluster_id)
        return f"The {self._what} is kept in {found.where}." if found is not None else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        vault = session.vault
        await vault.try_again()
        await vault.open()
        self._must_be_durable(session)
        made = Secret(secrets.token_urlsafe(self.size))
        if not await vault.put(self.kind, self.cluster_id, made, name=self.cluster) and self.durable:
            # The keyring failed just now: what stands in for it must not pass for it at the next try.
            await vault.remove(self.kind, self.cluster_id)
            self._must_be_durable(session)
        voice.say(f"A {self._what} was made, and is kept in {vault.where}. Put it on the escrow sheet as well.")

    def _must_be_durable(self, session: Session) -> None:
        if self.durable and not session.vault.durable:
            raise StepError(
                f"The {self._what} would be kept in {session.vault.where}, and be lost with this program; the plan was "
                "made for a keyring.",
                "Unlock or mend the keyring, then retry.",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The vault did not give the {self._what} back.", "Mend the vault, then retry.")
