"""Which authority certificates of UCP or DTR are believed by: read from a host over SSH once, and remembered here."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from pathlib import Path
from typing import Final

from swarmtui.errors import UsageError

LARGEST: Final = 1 << 20
"""Bytes of a file of certificates that are read."""
_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def certificates_in(text: str) -> str:
    """The certificates in a text, in PEM, without whatever stands between them; "" where there is none that is one."""
    blocks = _BLOCK.findall(text[:LARGEST])
    pem = "".join(f"{block}\n" for block in blocks)
    try:
        ssl.create_default_context(cadata=pem or "-")
    except (ssl.SSLError, ValueError):
        return ""
    return pem


def of_file(file: Path, product: str) -> str:
    """The certificates in a file that the configuration names. Raises UsageError, which names the product."""
    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST).decode("ascii", "replace")
    except OSError as error:
        raise UsageError(
            f"The authority of {product}, {file}, cannot be read: {error.strerror}.", "Mend ca = in the configuration."
        ) from error
    if not (pem := certificates_in(text)):
        way = (
            "Save there what dump-certs --ca prints."
            if product == "UCP"
            else f"Save there what {product} serves on /ca."
        )
        raise UsageError(f"{file} has no certificate in PEM in it.", way)
    return pem


def recall(folder: Path, cluster_id: str) -> str:
    """What was remembered for a cluster; "" where nothing was, or it cannot be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        file = _file(folder, cluster_id)
        if file is not None and file.stat().st_size <= LARGEST:
            return certificates_in(file.read_text("ascii"))
    return ""


def remember(folder: Path, cluster_id: str, pem: str) -> None:
    """Writes it down, in one rename. Raises OSError."""
    file = _file(folder, cluster_id)
    if file is None:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = folder / f".{file.name}-{os.getpid()}"
    try:
        # Who may write here decides whom we send passwords to.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def forget(folder: Path, cluster_id: str) -> None:
    """Forgets it: the product was removed, or has another authority now."""
    if (file := _file(folder, cluster_id)) is not None:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _file(folder: Path, cluster_id: str) -> Path | None:
    return folder / f"{cluster_id}.pem" if _ID.fullmatch(cluster_id) else None
