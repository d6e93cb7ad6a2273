"""What a cluster's backups are encrypted with: one decision for a run, for an import by command and one by keys."""

from __future__ import annotations

import pyrage
import pytest

from swarmtui.backups.keys import encryption_of, passphrase_of
from swarmtui.errors import UsageError
from swarmtui.vault import Kind, Secret, Vault

CLUSTER = "c" * 25
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())


async def holding(text: str) -> Vault:
    vault = Vault.in_memory()
    await vault.put(Kind.BACKUP_PASSPHRASE, CLUSTER, Secret(text))
    return vault


async def test_recipients_of_the_configuration_come_first() -> None:
    found = await encryption_of([RECIPIENT], await holding("correct horse"), CLUSTER)
    assert (found.kind, found.recipients, found.passphrase) == ("recipients", (RECIPIENT,), None)
    with pytest.raises(UsageError, match="no recipient"):
        await encryption_of(["age1planted"], Vault.in_memory(), CLUSTER)


async def test_without_them_it_is_the_vaults_passphrase_of_that_cluster() -> None:
    vault = await holding("correct horse")
    found = await encryption_of([], vault, CLUSTER)
    assert found.kind == "passphrase" and found.passphrase == Secret("correct horse")
    assert (await encryption_of([], vault, "d" * 25)).kind == ""


@pytest.mark.parametrize(
    "text",
    [
        str(IDENTITY),
        f"# created: 2026-11-21T00:00:00Z\n# public key: {RECIPIENT}\n{IDENTITY}",  # as age-keygen writes it
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
    ],
    ids=["age", "age-keygen", "ssh"],
)
async def test_an_identity_opens_backups_and_is_no_passphrase_for_new_ones(text: str) -> None:
    vault = await holding(text)
    assert await passphrase_of(vault, CLUSTER) is None
    assert (await encryption_of([], vault, CLUSTER)).kind == ""
