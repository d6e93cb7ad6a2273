"""Custody: whether a secret is still there when this program, or this laptop's session, is not.

A lost unlock key is a lost cluster: docker keeps it only in the memory of running managers. A key that is only in this
session's memory is therefore not in custody. Environment variables and systemd credentials outlive the program, so what
they hold is; but they are only read, so a key that is still to be made cannot be put there.
"""

from __future__ import annotations

from dataclasses import dataclass

from swarmtui.vault.secret import Kind, VaultError
from swarmtui.vault.vault import HOW_TO_GET_ONE, Vault


@dataclass(frozen=True, slots=True)
class Custody:
    """Whether a secret outlives this program.

    Attributes:
        words: one sentence for a person.
        next_step: one sentence that says how to get custody; "" where there is.
    """

    durable: bool
    words: str
    next_step: str = ""


async def custody_of(vault: Vault, kind: Kind, about: str, *, new: bool = False) -> Custody:
    """Tells whether a secret is in durable custody, or would be.

    Args:
        about: what it is about: a cluster id for unlock keys.
        new: the secret is still to be made (autolock on, rotation): only a place that can be written counts.
    """
    await vault.open()
    if vault.durable:
        return Custody(True, f"The {kind} is kept in {vault.where}.")
    if not new:
        try:
            found = await vault.find(kind, about)
        except VaultError as error:
            return Custody(False, error.what, error.next_step)
        if found is not None and found.where != vault.where:
            return Custody(True, f"The {kind} is kept in {found.where}.")
    because = f" ({vault.why_not_durable})" if vault.why_not_durable else ""
    return Custody(
        False,
        f"The {kind} would be kept in {vault.where}{because}, and be lost with this program.",
        HOW_TO_GET_ONE,
    )
