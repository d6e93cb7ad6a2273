"""Takes a backup of UCP into the catalogue that somebody made by hand; the manifest is made from what is in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.imports import BY_HAND
from swarmtui.backups.manifest import Manifest, UcpManifest
from swarmtui.backups.taking_in import NEWEST, explained, instance_of, said_once, taken_in
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
    with explained(path), stream(path, passphrases) as tar:
        contents = read(tar)
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
    told_id = instance_of(said_once("instance", contents.instance_id, instance, NAMED))
    told_version = said_once("version", contents.version, version, NAMED)
    try:
        told_version = str(Version.parse(told_version))
    except ValueError as error:
        raise BackupError(f'"{one_line(told_version)[:40]}" {error}.', f"Give: {NAMED}") from None
    try:
        sealed = form_of_file(path) == "openpgp"
        about = Manifest(
            kind="ucp",
            cluster_id=told_id,
            cluster=cluster,
            node="ucp",
            taken_at=min(contents.newest, at) or at,
            cold=None,
            ucp=UcpManifest(version=told_version, instance_id=told_id, sealed=sealed),
            notes=(BY_HAND, NEWEST),
        )
        own = Encryption() if sealed else encryption or Encryption()
        return taken_in(catalogue, path, about, lambda: path.open("rb"), own, cancelled)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
