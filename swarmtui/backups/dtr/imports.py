"""Takes a backup of DTR into the catalogue that somebody made by hand; the manifest is made from what is in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption, NoIdentityError, WrongIdentityError
from swarmtui.backups.dtr.contents import Contents, DamagedError, read
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.imports import BY_HAND
from swarmtui.backups.manifest import DtrManifest, Manifest
from swarmtui.backups.streamed import tar_stream
from swarmtui.backups.taking_in import NEWEST, explained, instance_of, said_once, taken_in
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

NAMED = "--instance ID of the UCP it was taken beside"
NOT_IN_IT = "Images, users and teams are in no backup of DTR: the images need their own, the users are UCP's."
_REPLICA = re.compile(r"[0-9a-f]{12}")


def look(path: Path, identity: Secret | None = None, *passphrases: Secret) -> Contents | None:
    """What is in it; None for what is no backup of DTR. Blocks.

    Args:
        identity: opens one that is encrypted with age.
        passphrases: open one that is sealed with OpenPGP, as `gpg --symmetric` does; all are tried.

    Raises:
        NoIdentityError, WrongIdentityError: it cannot be opened.
        DamagedError: it is a backup of DTR, and damaged.
        OSError: it cannot be read.
    """
    try:
        with tar_stream(path, identity, passphrases) as tar:
            contents = read(tar)
    except (NoIdentityError, WrongIdentityError, DamagedError):
        raise
    except ArchiveError:
        return None  # whoever reads it as something else says what is wrong with it
    return contents if contents.is_dtr else None


def import_file(
    catalogue: Catalogue,
    path: Path,
    contents: Contents,
    *,
    instance: str = "",
    replica: str = "",
    identity: Secret | None = None,
    passphrases: tuple[Secret, ...] = (),
    encryption: Encryption | None = None,
    cluster: str = "",
    now: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Entry:
    """Imports a file that `look` looked into. Blocks: use a thread.

    What is kept is the plain tar, encrypted as other backups are: whatever was around it is taken off.

    Args:
        instance: of the UCP; the archive itself does not tell it.
        replica: id of the replica that it was taken from, where somebody knows it.
        identity, passphrases: open it.
        encryption: not at all by default.
        cluster: what people call the cluster.
        now: unix seconds of the present.
        cancelled: asked again and again whether to stop; nothing is left then.

    Raises:
        BackupError: its instance or version is not known, it is there already, or cannot be written.
    """
    at = time.time() if now is None else now
    if replica and not _REPLICA.fullmatch(replica):
        raise BackupError(f'"{one_line(replica)[:40]}" is no id of a replica.', "It has 12 hexadecimal digits.")
    if not contents.version:
        raise BackupError(
            f"It has folders of several versions of DTR: {', '.join(contents.versions)}.", "Take another copy of it."
        )
    cluster_id = instance_of(said_once("instance", "", instance, NAMED))
    about = Manifest(
        kind="dtr",
        cluster_id=cluster_id,
        cluster=cluster,
        node=f"dtr-{replica}" if replica else "dtr",
        role="worker",
        taken_at=min(contents.newest, at) or at,
        cold=None,
        dtr=DtrManifest(
            version=contents.version,
            replica_id=replica,
            replicas=(replica,) if replica else (),
            ucp_instance=cluster_id,
            offline=contents.how == "offline",
        ),
        notes=(BY_HAND, NEWEST, NOT_IN_IT),
    )
    with explained(path):
        return taken_in(
            catalogue,
            path,
            about,
            lambda: tar_stream(path, identity, passphrases),
            encryption or Encryption(),
            cancelled,
        )
