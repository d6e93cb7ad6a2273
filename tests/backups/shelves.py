"""Catalogues with backups in them, of few bytes and with whatever is to be known of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pyrage import x25519  # type: ignore[import-untyped]

from swarmtui.backups.catalogue import Catalogue, backup_id
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.entries import Entry
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.records import TierResult, judged

CLUSTER = "abcdefghijklmnopqrstuvwxy"
OTHER = "zyxwvutsrqponmlkjihgfedcb"
RECIPIENT = str(x25519.Identity.generate().to_public())
CONTENT = bytes(range(256)) * 1200


def at(text: str) -> float:
    """A moment of UTC as unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shelf(folder: Path) -> Catalogue:
    """A catalogue in a folder that nobody else may write to."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return Catalogue(folder / "backups")


def put(
    catalogue: Catalogue,
    taken: str | float,
    verdict: str = "",
    *,
    cluster: str = CLUSTER,
    encrypted: bool = False,
    content: bytes = CONTENT,
    downtime: float = 12.5,
    kind: str = "swarm",
    set: str = "",
    verified: float = 0.0,
) -> Entry:
    """Puts a backup into the catalogue, verified with that verdict if one is given."""
    when = at(taken) if isinstance(taken, str) else taken
    encryption = Encryption((RECIPIENT,)) if encrypted else None
    with catalogue.begin(cluster, backup_id(when, "mgr2"), encryption) as draft:
        draft.write(content)
        manifest = Manifest(
            cluster_id=cluster,
            cluster="prod" if cluster == CLUSTER else "other",
            node="mgr2",
            taken_at=when,
            cold=True,
            downtime_seconds=downtime,
            kind=kind,
            set=set,
        )
        entry = draft.commit(manifest, b'{"services": []}')
    return verify(catalogue, entry, verdict, verified) if verdict else entry


def verify(catalogue: Catalogue, entry: Entry, verdict: str, when: float = 0.0) -> Entry:
    """Adds a verification that ends so."""
    holds = {"yes": True, "no": False, "not proved": None}[verdict]
    tiers = [TierResult(tier, holds if tier == 4 else True, ("as the test wants",)) for tier in (1, 2, 3, 4)]
    assert entry.manifest is not None
    return catalogue.add_verification(entry, judged(tiers, when or entry.manifest.taken_at + 60.0))
