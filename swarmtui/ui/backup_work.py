"""What is done to backups in a thread, and what is told of it. No Textual here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swarmtui.backups import raft
from swarmtui.backups.archive import ArchiveFiles
from swarmtui.backups.entries import is_of_a_swarm
from swarmtui.backups.errors import BackupError
from swarmtui.backups.plain import plain_tar
from swarmtui.backups.verify import Cancelled, Progress, verify
from swarmtui.errors import UsageError
from swarmtui.model.inventory import Inventory
from swarmtui.model.inventory_diff import differences
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.backups.backup_objects import read_contents
from swarmtui.ui.describe import Lines
from swarmtui.ui.describe_backup import VERDICT_STYLES, difference_lines, inside_lines, tier_lines

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue, Entry
    from swarmtui.backups.keys import Keys
    from swarmtui.backups.records import Verdict, Verification
    from swarmtui.session import Session
    from swarmtui.ui.work import Work

NOW = "now"


def look_inside(entry: Entry, keys: Keys, work: Work) -> None:
    """Tells what an archive itself says (blocking).

    Raises:
        ArchiveError: it cannot be opened.
        BackupError: the entry is damaged, or its file cannot be read.
        RefusedError: it is no backup of a Swarm.
    """
    is_of_a_swarm(entry)
    archive = entry.archive
    size, read = entry.whole.size, 0

    def step(count: int) -> None:
        nonlocal read
        read += count
        work.progress(0, 0, f"{read >> 20} of {size >> 20} MB")

    try:
        with plain_tar(archive, keys.identity, step) as tar:
            files = ArchiveFiles(tar)
            contents = raft.read(files, keys.unlock)
    except OSError as error:
        raise BackupError(f"{archive} cannot be read: {error.strerror or error}.", "Look at its disk.") from None
    work.tell(*((_problem_style(each), one_line(str(each))) for each in files.problems))
    work.tell(*inside_lines(contents, time.time()))
    work.end("That is what the archive itself says.")


def _problem_style(problem: raft.Problem) -> str:
    return "bad" if problem.fatal else "warn"


def verify_one(catalogue: Catalogue, entry: Entry, keys: Keys, work: Work) -> Verification | None:
    """Verifies a backup, keeps what was found, and tells it; None where somebody stopped it (blocking).

    Raises:
        BackupError: what was found cannot be written down.
    """
    done, total = work.done, work.total

    def progress(now: Progress) -> None:
        percent = 100 * now.done // now.total if now.total else 0
        work.progress(done, total, f"{entry.id}: {now.doing}, {percent} %")

    try:
        found = verify(
            entry, keys.unlock, keys.identity, progress=progress, cancelled=work.stopped, passphrases=keys.ucp
        )
    except Cancelled:
        return None
    catalogue.add_verification(entry, found)
    style = VERDICT_STYLES.get(found.verdict, "warn")
    work.tell(
        ("heading", one_line(entry.id)),
        (style, f"Would restore: {found.verdict}, because {one_line(found.because.rstrip('.'))}."),
        *tier_lines(found.tiers),
    )
    work.progress(done + 1, total)
    return found


def verified_words(found: Sequence[Verification | None]) -> str:
    """How a verification of several backups ended; None stands for those that are damaged, or were not looked at."""
    told = Counter(each.verdict for each in found if each is not None)
    words: dict[Verdict, str] = {"yes": "would restore", "no": "would NOT restore", "not proved": "not proved"}
    return ", ".join(f"{told[verdict]} {word}" for verdict, word in words.items() if told[verdict]) + "."


def worst_style(found: Sequence[Verification | None]) -> str:
    """The style of the worst of these verdicts."""
    verdicts = {each.verdict for each in found if each is not None}
    return "bad" if "no" in verdicts else "good" if verdicts == {"yes"} else "warn"


async def live_inventory(session: Session) -> Inventory:
    """What the cluster contains now.

    Raises:
        LinkError: nobody can be asked.
        EngineError: the engine refused.
    """
    return (await read_contents(session)).inventory


def compared(entries: Sequence[Entry], live: Inventory | None) -> Lines:
    """What changed from the older of two backups to the newer, or since one was taken until now.

    Raises:
        UsageError: nobody knows what was in the Swarm when one was taken.
    """
    older, *newer = sorted(entries, key=lambda entry: (entry.whole.taken_at, entry.id))
    after = _inventory(newer[0]) if newer else live
    assert after is not None
    return difference_lines(differences(_inventory(older), after), older.id, newer[0].id if newer else NOW)


def _inventory(entry: Entry) -> Inventory:
    if entry.whole.inventory is None:
        raise UsageError(
            f"Nobody wrote down what was in the Swarm when {one_line(entry.id)} was taken, and it could not be read.",
            "o opens it and looks.",
        )
    return entry.whole.inventory
