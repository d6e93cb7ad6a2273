"""Encryption at rest with age (age-encryption.org/v1), through pyrage; the stock `age` opens it without us.

For recipients it is streamed. With a passphrase, scrypt keeps a processor and the interpreter's lock for seconds, so
that is done by a child of ours, which gets the passphrase by a pipe and by nothing else.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from swarmtui.backups.age_stream import CHUNK, Child, ForRecipients, WithPassphrase, Write
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.manifest import Encrypted
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.vault.recipients import recipient, recipient_lines
from swarmtui.vault.secret import Secret

MAGIC = b"age-encryption.org/v1\n"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_HEAD = 64 << 10
"""Bytes in which the list of recipients is looked for."""
_READ_LIMIT = 64 << 10
_BUSY = "would take around"
"""What age says where it refuses a passphrase: it measures how fast this machine is, and a busy one seems slow."""
BUSY_TRIES, BUSY_SECONDS = 3, 2.0


class NoIdentityError(ArchiveError):
    """It is encrypted, and there is nothing to open it with."""


class WrongIdentityError(ArchiveError):
    """It is encrypted, and what there is does not open it."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How backups are encrypted: for recipients, or with a passphrase; with neither they are not.

    Attributes:
        recipients: lines such as age1… or ssh-ed25519 …; `for_recipients` checks them and reads files.
    """

    recipients: tuple[str, ...] = ()
    passphrase: Secret | None = None

    def __post_init__(self) -> None:
        if self.recipients and self.passphrase is not None:
            raise UsageError(
                "A backup is encrypted for recipients or with a passphrase, not with both.", "Leave one of them out."
            )

    @property
    def kind(self) -> Encrypted:
        """As the manifest says it."""
        return "recipients" if self.recipients else "passphrase" if self.passphrase is not None else ""

    @classmethod
    def for_recipients(cls, told: Sequence[str]) -> Encryption:
        """Recipients as they were given: age1…, ssh-ed25519 …, ssh-rsa …, or files with such lines.

        Raises:
            UsageError: none was given, or one is no recipient.
        """
        import pyrage  # type: ignore[import-untyped]  # 40 ms that only this needs

        lines = tuple(line for one in told for line in recipient_lines(one))
        if not lines:
            raise UsageError("There is no recipient to encrypt for.", "Give the age1… that age-keygen prints.")
        for line in lines:
            recipient(pyrage, line)
        return cls(recipients=lines)


# -- encrypting --------------------------------------------------------------------------------------------------------


class Encryptor:
    """Encrypts what is written to it, as it comes. With no encryption it hands it on as it is.

    Args:
        write: takes what is to be stored. What it raises comes out of `write` or `close` here.
    """

    def __init__(self, encryption: Encryption, write: Write) -> None:
        self._write = write
        self._stream: ForRecipients | WithPassphrase | None = None
        if encryption.recipients:
            self._stream = ForRecipients(encryption.recipients, write)
        elif encryption.passphrase is not None:
            self._stream = WithPassphrase(encryption.passphrase, write)

    def write(self, chunk: bytes) -> None:
        """Takes the next piece. Raises BackupError, or what writing raised."""
        if self._stream is None:
            self._write(chunk)
        else:
            self._stream.put(chunk)

    def close(self) -> None:
        """Writes the end; only then it can be opened again. Raises BackupError, or what writing raised."""
        if self._stream is not None:
            self._stream.finish()

    def abort(self) -> None:
        """Ends without an end; safe at any time, also after `close`."""
        if self._stream is not None:
            self._stream.abort()


def encrypt(content: bytes, encryption: Encryption) -> bytes:
    """All at once."""
    out: list[bytes] = []
    encryptor = Encryptor(encryption, out.append)
    try:
        encryptor.write(content)
        encryptor.close()
    finally:
        encryptor.abort()
    return b"".join(out)


# -- opening -----------------------------------------------------------------------------------------------------------


def is_age(head: bytes) -> bool:
    """Whether a file that begins so is encrypted with age."""
    return head.startswith((MAGIC, ARMOR))


def kind_of(head: bytes) -> Encrypted:
    """How a file that begins so (64 KiB are enough) is encrypted; "" where it is not."""
    if not is_age(head):
        return ""
    if head.startswith(ARMOR):
        body = b"".join(line.strip() for line in head.splitlines()[1:8] if not line.startswith(b"-----"))
        try:
            head = base64.b64decode(body[: len(body) // 4 * 4])
        except ValueError:
            return "recipients"  # damaged; opening it says so
    return "passphrase" if head.startswith(MAGIC + b"-> scrypt ") else "recipients"


def identity_file(path: Path) -> Secret:
    """What is in a file of age identities, or an SSH key.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        with path.expanduser().open("rb") as file:
            text = file.read(_READ_LIMIT).decode()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise UsageError(f"The identity file {path} cannot be read: {why}.", "Name a file from age-keygen.") from None
    if not is_identity(text):
        raise UsageError(
            f"{path} is no identity of age: it has no line AGE-SECRET-KEY-1…, and is no SSH key.",
            "Name a file from age-keygen, in clear.",
        )
    return Secret(text)


def is_identity(text: str) -> bool:
    """Whether a secret opens what was encrypted for its recipient, and so is no passphrase."""
    return _is_ssh(text) or any(line.startswith("AGE-SECRET-KEY-1") for line in text.splitlines())


def _is_ssh(text: str) -> bool:
    return text.startswith("-----BEGIN ") and "PRIVATE KEY-----" in text.partition("\n")[0]


def decrypt(source: BinaryIO, write: Write, identity: Secret | None) -> None:
    """Opens a file of age, from where it is positioned at its beginning.

    Args:
        write: takes what comes out. What it raises comes out of here.
        identity: a passphrase, AGE-SECRET-KEY-1… lines, or an SSH key.

    Raises:
        NoIdentityError: there is none.
        WrongIdentityError: it does not open this file.
        ArchiveError: the file is damaged or cut off.
    """
    head = source.read(_HEAD)
    source.seek(0)
    kind = kind_of(head)
    if identity is None:
        raise NoIdentityError(
            "It is encrypted with a passphrase, and the vault has none for this cluster."
            if kind == "passphrase"
            else "It is encrypted for recipients of age, and no identity is at hand to open it.",
            "Give --identity FILE, or keep it: swarmtui secrets set backup-passphrase CLUSTER_ID",
        )
    text = identity.reveal()
    if kind == "passphrase":
        if is_identity(text):
            raise WrongIdentityError(
                "It is encrypted with a passphrase, and what is at hand is an identity of age.",
                "Keep its passphrase: swarmtui secrets set backup-passphrase CLUSTER_ID",
            )
        _with_passphrase(source, write, identity)
    else:
        _with_identities(source, write, text)


def _with_passphrase(source: BinaryIO, write: Write, passphrase: Secret) -> None:
    failed = _opened_by_child(source, write, passphrase)
    for _ in range(BUSY_TRIES):
        if _BUSY not in failed:
            break
        time.sleep(BUSY_SECONDS)
        source.seek(0)
        failed = _opened_by_child(source, write, passphrase)
    if not failed:
        return
    if _BUSY in failed:
        raise WrongIdentityError(
            "age refuses to stretch its passphrase now: by its reckoning that takes this machine too long.",
            "Is the machine busy? Try again when it is not; a backup of ours takes seconds.",
        )
    if failed == "Decryption failed":
        raise WrongIdentityError(
            "The passphrase does not open it: it is another one than that of its time, or its head is damaged.",
            "Try the passphrase of its time: swarmtui secrets set backup-passphrase CLUSTER_ID",
        )
    raise _damaged(failed)


def _opened_by_child(source: BinaryIO, write: Write, passphrase: Secret) -> str:
    """Lets a child of ours open it; returns what age said where it did not, "" where it did."""
    child = Child("decrypt", passphrase)
    try:
        while chunk := source.read(CHUNK):
            child.write(chunk)
        return child.results(write)
    finally:
        child.close()


def _with_identities(source: BinaryIO, write: Write, text: str) -> None:
    import pyrage

    if not is_identity(text):
        raise WrongIdentityError(
            "It is encrypted for recipients of age, and what is at hand is a passphrase.",
            "Give the identity of one of its recipients: --identity FILE",
        )
    try:
        if _is_ssh(text):
            identities = [pyrage.ssh.Identity.from_buffer(text.encode())]
        else:
            lines = [line.strip() for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-1")]
            identities = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError:
        raise WrongIdentityError(
            "The identity of age at hand is damaged or not whole.", "Give it as age-keygen wrote it."
        ) from None
    through = _Through(write)
    try:
        pyrage.decrypt_io(source, through, identities)
    except (pyrage.DecryptError, OSError) as error:
        if through.error is not None:
            raise through.error from None
        if str(error) == "No matching keys found":
            raise WrongIdentityError(
                "The identity at hand is none of its recipients'.", "Give the identity of one of them: --identity FILE"
            ) from None
        raise _damaged(str(error)) from None


def _damaged(said: str) -> ArchiveError:
    return ArchiveError(
        f"It is damaged or cut off: age cannot open it to its end ({one_line(said)[:80]}).", "Take another copy of it."
    )


class _Through:
    """Writes on, and keeps what writing raised: pyrage makes its own error of it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self._write(bytes(data))
        except BaseException as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        pass
