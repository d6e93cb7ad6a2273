"""A catalogue with backups of every kind that a pane has a word for, made as the product makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmtui.backups.catalogue import Catalogue, Entry, backup_id
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.records import Copy, TierResult, judged
from swarmtui.model.inventory import Inventory, Item, NetworkItem, NodeItem, ServiceItem
from tests import builders as b

HOUR, DAY = 3_600.0, 86_400.0
HELD = {
    1: "the archive is what its manifest says, and a whole tar",
    2: "everything that a restore needs is in it: 4 files",
    3: "the vault's key ab12cd34 opens it",
    4: "8 nodes, 10 services, 4 networks, 3 secrets and 2 configs, as in the cluster",
    5: "restored on spare1, unlocked, and its 10 services listed",
}
"""Tier → what is found where it holds."""

NODES = tuple(
    NodeItem(id=b.object_id("node", name), name=name, version=11, role=role, availability="active", address=address)
    for name, role, address in (
        ("mgr1", "manager", "10.77.0.1"),
        ("mgr2", "manager", "10.77.0.2"),
        ("wrk1", "worker", "10.77.0.11"),
    )
)
WEB = ServiceItem(
    id=b.object_id("service", "shop_web"),
    name="shop_web",
    version=20,
    image="web:1.4.2",
    replicas=4,
    networks=("shop",),
)
CRON = ServiceItem(id=b.object_id("service", "cron"), name="cron", version=15, image="cron:1", replicas=1)
SECRET = Item(id=b.object_id("blob", "db-password"), name="db-password", version=7)
INVENTORY = Inventory(
    cluster_id=b.CLUSTER,
    cluster_version=9,
    autolock=True,
    nodes=NODES,
    services=(CRON, WEB),
    networks=(NetworkItem(id="net1", name="ingress"), NetworkItem(id="net2", name="shop")),
    secrets=(SECRET,),
    tasks=9,
)
"""What was in the Swarm when the older backups were taken."""
WEB_NOW = ServiceItem(
    id=WEB.id, name="shop_web", version=31, image="web:1.5.0", replicas=6, networks=("shop",), labels={"owner": "edge"}
)
INVENTORY_NOW = Inventory(
    cluster_id=b.CLUSTER,
    cluster_version=9,
    autolock=True,
    nodes=NODES,
    services=(WEB_NOW,),
    networks=INVENTORY.networks,
    secrets=(SECRET, Item(id=b.object_id("blob", "tls"), name="tls-2026.key", version=30)),
    tasks=12,
)
"""And when the newest one was."""


def add(
    catalogue: Catalogue,
    at: float,
    node: str = "mgr2",
    *,
    tiers: int = 0,
    fails: str = "",
    copies: tuple[Copy, ...] = (),
    content: bytes = b"not a tar\n" * 100_000,
    cluster_id: str = b.CLUSTER,
    **changes: Any,
) -> Entry:
    """Puts a backup into a catalogue.

    Args:
        tiers: as many tiers of a verification hold; 0 for one that was never verified.
        fails: why the tier after these does not hold; "" where nobody tried it.
        changes: of the manifest.
    """
    told: dict[str, Any] = {
        "cluster_id": cluster_id,
        "cluster": "prod",
        "node": node,
        "node_id": b.object_id("node", node),
        "leader": False,
        "address": "10.77.0.2:2377",
        "engine_version": "20.10.24",
        "taken_at": at,
        "raft_term": 3,
        "raft_index": 4711,
        "quorum": "3 of 3 managers were up: one could be spared, and none besides",
        "cold": True,
        "downtime_seconds": 4.2,
        "autolock": True,
        "key_fingerprint": "ab12cd34",
        "inventory": INVENTORY,
        "tool_version": "0",
    } | changes
    with catalogue.begin(cluster_id, backup_id(at, node)) as draft:
        draft.write(content)
        entry = draft.commit(Manifest(**told), b"")
    if tiers or fails:
        results = [TierResult(tier, True, (HELD[tier],), at + HOUR) for tier in range(1, tiers + 1)]
        if fails:
            results.append(TierResult(tiers + 1, False, (fails,), at + HOUR))
        entry = catalogue.add_verification(entry, judged(results, at + HOUR))
    if copies:
        entry = catalogue.set_copies(entry, copies)
    return entry


def filled(root: Path, now: float) -> Catalogue:
    """A catalogue with one of each: proved and copied away, hot, imported, with a missing file, damaged."""
    catalogue = Catalogue(root)
    away = Copy(where="sftp://backup@vault.example/srv/swarm", at=now - 8 * HOUR, digest="00", checked_at=now - HOUR)
    bad = Copy(where="/mnt/usb", at=now - DAY, digest="00", trouble="archive.tar was altered there")
    add(catalogue, now - 9 * HOUR, tiers=4, copies=(away,), inventory=INVENTORY_NOW, encrypted="")
    add(catalogue, now - 2 * DAY, tiers=5, copies=(away, bad))
    add(catalogue, now - 3 * DAY, "mgr1", cold=False, downtime_seconds=0.0, leader=True)
    missing = "swarm-node.key is missing: Docker would start an empty Swarm and say success"
    add(catalogue, now - 4 * DAY, tiers=1, fails=missing)
    add(
        catalogue,
        now - 40 * DAY,
        "mgr3",
        source="imported",
        imported_from="swarm.bkp",
        cold=None,
        leader=None,
        quorum="",
        inventory=None,
        key_fingerprint="",
        raft_index=0,
    )
    broken = add(catalogue, now - 50 * DAY)
    broken.archive.write_bytes(b"cut off")
    return catalogue
