"""What is in an archive, for the subcommands that look inside."""

from __future__ import annotations

from swarmtui.backups.archive import ArchiveFiles, open_archive
from swarmtui.backups.catalogue import Entry
from swarmtui.backups.entries import is_of_a_swarm
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.keys import Keys
from swarmtui.backups.raft import Contents, read
from swarmtui.errors import UsageError
from swarmtui.model.inventory import Inventory


def look(entry: Entry, keys: Keys) -> Contents:
    """Looks inside the archive. Blocks.

    Raises:
        BackupError: it is broken, cannot be opened, or is no Swarm's directory.
        RefusedError: it is no backup of a Swarm.
    """
    _ = entry.whole
    is_of_a_swarm(entry)
    try:
        with open_archive(entry.archive, keys.identity) as files:
            _is_swarms(files)
            return read(files, keys.unlock)
    except ArchiveError as error:
        raise type(error)(f"The backup {entry.id} cannot be looked into. {error.what}", error.next_step) from None
    except OSError as error:
        raise BackupError(f"{entry.archive} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def _is_swarms(files: ArchiveFiles) -> None:
    if files.prefix is None:
        raise ArchiveError(files.problems[0].what, "Take another copy of it.")


def inventory_of(entry: Entry, keys: Keys) -> Inventory:
    """What the Swarm had when it was backed up: as the manifest says, or else the archive. Blocks.

    Raises:
        UsageError: neither says.
    """
    told = entry.whole.inventory or look(entry, keys).inventory
    if told is None:
        raise UsageError(
            f"Nobody knows what is in {entry.id}: its manifest does not say, and the archive is locked or damaged.",
            "Keep the cluster's unlock key of that time: swarmtui secrets set unlock-key CLUSTER_ID --previous",
        )
    return told
