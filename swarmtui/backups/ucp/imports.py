"""Takes a backup of UCP into the catalogue that somebody made by hand; the manifest is made from what is in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from swarmtui.backups.catalogue import CLUSTER_ID, Catalogue, Entry, backup_id
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.imports import BY_HAND
from swarmtui.backups.manifest import Manifest, UcpManifest
from swarmtui.backups.plain import CHUNK, digest_of
from swarmtui.backups.ucp.contents import Contents, read
from swarmtui.backups.ucp.openpgp import form_of_file, stream
from swarmtui.model.text import one_line
from swarmtui.model.ucp.facts import Version
from swarmtui.vault.secret import Secret

NAMED = "--instance ID and --ucp-version VERSION, such as 2.2.5"


def is_one(path: Path) -> bool:
    """Whether a file is a backup of UCP rather than of a Swarm: sealed with OpenPGP, or a tar of UCP's volumes. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    form = form_of_file(path)
    if form != "tar":
        return form == "openpgp"
    try:
        with stream(path) as tar:
            return read(tar).is_ucp
    except ArchiveError:
        return False  # whoever reads it as a Swarm's says what is wrong with it


def look(path: Path, *passphrases: Secret) -> Contents:
    """What is in it. Blocks.

    Args:
        passphrases: that may open it; all are tried.

    Raises:
        BackupError: it cannot be opened or read, or is no backup of UCP.
    """
    try:
        with stream(path, passphrases) as tar:
            contents = read(tar)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ArchiveError as error:
        raise type(error)(f"{path} was not imported. {error.what}", error.next_step) from None
    if not contents.is_ucp:
        raise ArchiveError(f"{path} was not imported. There is nothing of UCP in it.", "Is it the right file?")
    return contents


def import_file(
    catalogue: Catalogue,
    path: Path,
    contents: Contents,
    *,
    instance: str = "",
    version: str = "",
    encryption: Encryption | None = None,
    cluster: str = "",
    now: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Entry:
    """Imports a file that `look` looked into. Blocks: use a thread.

    What UCP sealed is kept as it is; one without a seal is encrypted as other backups are.

    Args:
        instance, version: of UCP, where the archive itself does not tell them.
        encryption: for one without a seal; not at all by default.
        cluster: what people call the cluster.
        now: unix seconds of the present.
        cancelled: asked again and again whether to stop; nothing is left then.

    Raises:
        BackupError: its instance or version is not known or contradicts it, it is there already, or cannot be written.
    """
    at = time.time() if now is None else now
    told_id = _one("instance", contents.instance_id, instance)
    told_version = _one("version", contents.version, version)
    if not CLUSTER_ID.fullmatch(told_id):
        raise BackupError(f'"{one_line(told_id)[:40]}" is no instance id of UCP.', "It has 25 letters and digits.")
    try:
        told_version = str(Version.parse(told_version))
    except ValueError as error:
        raise BackupError(f'"{one_line(told_version)[:40]}" {error}.', f"Give: {NAMED}") from None
    try:
        sealed = form_of_file(path) == "openpgp"
        given, _ = digest_of(path)
        for entry in catalogue.entries(told_id):
            manifest = entry.manifest
            if not entry.broken and manifest is not None and given in (manifest.digest, manifest.imported_digest):
                raise BackupError(
                    f"It is in the catalogue already, as {entry.id}.", f"swarmtui backups show {entry.id}"
                )
        taken = min(contents.newest, at) or at
        about = Manifest(
            kind="ucp",
            source="imported",
            imported_from=one_line(path.name),
            imported_digest=given,
            cluster_id=told_id,
            cluster=cluster,
            node="ucp",
            taken_at=taken,
            cold=None,
            ucp=UcpManifest(version=told_version, instance_id=told_id, sealed=sealed),
            notes=(BY_HAND, "When it was taken is the time of its newest file."),
        )
        own = Encryption() if sealed else encryption or Encryption()
        with catalogue.begin(told_id, backup_id(taken, "ucp"), own) as draft, path.open("rb") as file:
            while chunk := file.read(CHUNK):
                if cancelled():
                    raise BackupError("It was stopped.", "Nothing was imported.")
                draft.write(chunk)
            if draft.digest != given:
                raise ArchiveError("It changed while it was read.", "Import it when nobody writes to it.")
            return draft.commit(about)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def _one(what: str, inside: str, given: str) -> str:
    """What the archive says of itself, or else what a person says; the two must not contradict each other."""
    if inside and given and inside != given:
        raise BackupError(
            f"It says itself that its {what} is {one_line(inside)}, and not {one_line(given)[:40]}.",
            "Leave that option out.",
        )
    if not inside and not given:
        raise BackupError(f"It does not tell its {what}.", f"Give: {NAMED}")
    return inside or given
