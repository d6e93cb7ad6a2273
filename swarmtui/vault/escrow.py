"""The escrow sheet: what the vault holds about clusters, for print or a password manager. Only ever written encrypted.

A key that is in one laptop's keyring alone is lost with the laptop. The sheet is encrypted to recipients of age
(age-encryption.org/v1), so that the stock `age` opens it without us.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from swarmtui.errors import UsageError
from swarmtui.vault.recipients import recipient, recipient_lines
from swarmtui.vault.secret import Entry, Kind, Secret, UnlockKey, VaultError
from swarmtui.vault.vault import Vault

CLUSTER_KINDS = (Kind.UNLOCK_KEY, Kind.BACKUP_PASSPHRASE, Kind.UCP_PASSPHRASE, Kind.UCP_PASSWORD, Kind.DTR_PASSWORD)
"""What a recovery needs. Passphrases of a person's own SSH keys and sudo passwords are not for a shared sheet."""

HOW = """\
How to use it
  Unlock key: on each manager that is locked (`docker node ls` says "Swarm is encrypted"), one after the other, run
  `docker swarm unlock` and type the current key. A manager that was down while the key was rotated takes the key from
  before its rotation: try the previous ones, the newest first. Or put them into the vault of another machine, by pipe:
  `swarmtui secrets set unlock-key CLUSTER_ID` (with --previous for an older one), then `swarmtui run swarm.unlock`.
  Backup passphrase: what opens a backup of that cluster; a backup also wants the unlock key of its time.
  UCP passphrase: what opens a backup of UCP, and what its restore command asks for (`gpg --decrypt` opens it too).
  UCP and DTR passwords: of the administrator, for the installer's and the backup's commands.
After a rotation of the unlock key this sheet is out of date: make a new one, and keep this one for older backups.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the sheet.

    Attributes:
        keys: for unlock keys; `secret` is None then.
    """

    entry: Entry
    secret: Secret | None = None
    keys: tuple[UnlockKey, ...] = ()


async def gather(vault: Vault) -> tuple[Line, ...]:
    """Everything for the sheet, with the secrets.

    Raises:
        VaultError: one of them cannot be read.
    """
    lines = []
    for entry in await vault.entries():
        if entry.kind is Kind.UNLOCK_KEY:
            lines.append(Line(entry, keys=await vault.unlock_keys(entry.about)))
        elif entry.kind in CLUSTER_KINDS:
            found = await vault.find(entry.kind, entry.about)
            if found is None:
                raise VaultError(
                    f"The {entry.kind} of {entry.about} is on the vault's list, and is not there.",
                    f"Set it anew, or take it off: swarmtui secrets remove {entry.kind} {entry.about}",
                )
            lines.append(Line(entry, found.secret))
    return tuple(lines)


def sheet(lines: Sequence[Line], at: float) -> str:
    """The sheet in clear: plain text, at most 120 columns but for a long name. Pure.

    Args:
        at: unix seconds.
    """
    out = ["swarmtui escrow sheet", f"made {_when(at)}; whoever reads it can open these clusters", ""]
    clusters = dict.fromkeys((line.entry.name, line.entry.about) for line in lines)
    for name, about in clusters:
        out.append(f"Cluster {name} (id {about})" if name not in ("", about) else f"Cluster {about}")
        for line in lines:
            if (line.entry.name, line.entry.about) != (name, about):
                continue
            if line.secret is not None:
                out += [f"  {line.entry.kind}, kept {_when(line.entry.stored_at)}", f"    {line.secret.reveal()}"]
            for key in line.keys:
                version = f", raft version {key.kek_version}" if key.kek_version is not None else ""
                out.append(
                    f"  unlock key, {key.state}, kept {_when(key.stored_at)}{version}, fingerprint {key.fingerprint}"
                )
                out.append(f"    {key.secret.reveal()}")
        out.append("")
    return "\n".join(out) + "\n" + HOW


def encrypted(text: str, recipients: Sequence[str]) -> bytes:
    """The text encrypted to recipients of age, armored.

    Args:
        recipients: age1…, ssh-ed25519 … or ssh-rsa …, or files with such lines.

    Raises:
        UsageError: one is no recipient.
    """
    import pyrage  # type: ignore[import-untyped]  # 40 ms that only this needs

    keys = [recipient(pyrage, line) for told in recipients for line in _lines(told)]
    armored: bytes = pyrage.encrypt(text.encode(), keys, armored=True)
    return armored


def check_recipients(recipients: Sequence[str]) -> None:
    """Raises UsageError where one is no recipient; before any secret is read."""
    import pyrage

    for told in recipients:
        for line in _lines(told):
            recipient(pyrage, line)


def _lines(told: str) -> list[str]:
    if told.upper().startswith("AGE-SECRET-KEY-"):
        raise UsageError(
            "That is a secret key of age, and is in your shell's history now.", "Give its age1… recipient."
        )
    return recipient_lines(told, "--age")


def write_new(path: Path, content: bytes) -> None:
    """Writes a file that must not exist yet, for its owner only, whole or not at all.

    Raises:
        UsageError: it exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists already, and is not written over.", "Choose another name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from None


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "at a time nobody noted"
