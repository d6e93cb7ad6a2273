"""The Swarm itself: its lock and who has the key, its tokens, its certificates, its settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from swarmtui.model.quorum import quorum
from swarmtui.model.swarm import Cluster, KeyHolding, Node, Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import DAY, age_of
from swarmtui.ui.cells import Cell, Column, Row, Rows
from swarmtui.ui.describe import Lines, gone
from swarmtui.ui.views import Env, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "WHAT", min_width=16, max_width=40),
    Column("value", "VALUE", min_width=16, max_width=70, flex=1, priority=95),
    Column("note", "NOTE", max_width=90, flex=1, priority=50),
)

TOKENS = {"token-worker": "worker", "token-manager": "manager"}
"""Rows that are a join token, and the role that it gives."""
KEY = "key"
"""The row of the unlock key."""
MASKED = "SWMTKN-1-••••"
SECOND = 10**9

Line = tuple[str, str, str, str]
"""Name, value, note, and style of the value."""


class SwarmRows:
    """Makes the rows of the Swarm."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        return self._kept.rows({key: (place, *line) for place, (key, line) in enumerate(_lines(snapshot, env.now))})


def _row(place: int, name: str, value: str, note: str, style: str) -> Row:
    return (Cell(one_line(name), "strong", place), Cell(one_line(value) or "-", style), Cell(one_line(note), "dim"))


def _lines(snapshot: Snapshot, now: float) -> Iterator[tuple[str, Line]]:
    cluster = snapshot.info.swarm.cluster
    if cluster is None or not cluster.id:
        return
    yield "id", ("Id", cluster.id, "", "")
    yield "created", ("Made", f"{age_of(cluster.created_at, now)} ago", cluster.created_at[:19].replace("T", " "), "")
    nodes = snapshot.nodes.values()
    raft = quorum(nodes)
    yield "raft", ("Managers", str(raft), "", "" if raft.held else "bad")
    yield from _lock(cluster, snapshot.unlock_key)
    for key, role in TOKENS.items():
        yield key, (f"{role.capitalize()} token", MASKED, "p shows it and the join command for 10 s; T rotates it", "")
    yield from _certificates(cluster, snapshot, now)
    yield from _settings(cluster)


def _lock(cluster: Cluster, holding: KeyHolding | None) -> Iterator[tuple[str, Line]]:
    on = cluster.spec.encryption_config.auto_lock_managers
    note = "a manager that restarts waits for the key" if on else "key files lie in clear on the managers' disks"
    yield "autolock", ("Autolock", "on" if on else "off", note, "good" if on else "")
    if on:
        yield KEY, ("Unlock key", *custody_words(holding))


def custody_words(holding: KeyHolding | None) -> tuple[str, str, str]:
    """Who has the cluster's key: what to say, a note, and a style."""
    if holding is None or holding.state == "off":
        return "not compared yet", "", "dim"
    if holding.state == "held":
        words = f"the vault's key is the cluster's key ({holding.fingerprint})"
        return (
            words,
            f"kept in {holding.where}; p shows it for 10 s, K rotates it",
            "good" if holding.durable else "warn",
        )
    if holding.state == "differs":
        return "the vault has other keys, not the cluster's", "L, then true, takes it into the vault", "bad"
    if holding.state == "missing":
        return "the vault does not have it", "L, then true, takes it into the vault", "bad"
    return "not known: the vault cannot be read", holding.trouble, "bad"


def _certificates(cluster: Cluster, snapshot: Snapshot, now: float) -> Iterator[tuple[str, Line]]:
    root = root_of(cluster.tls_info.trust_root if cluster.tls_info is not None else "")
    if root is not None:
        fingerprint, ends = root
        note = f"valid until {_day(ends)}" + ("; BEING ROTATED" if cluster.root_rotation_in_progress else "")
        yield "ca", ("Root CA", f"SHA-256 {fingerprint}", note, _style(ends - now))
    validity = cluster.spec.ca_config.node_cert_expiry
    yield (
        "validity",
        (
            "Certificates live",
            f"{validity / SECOND / DAY:g} days" if validity else "-",
            "of nodes; renewed by themselves",
            "",
        ),
    )
    for node in sorted(snapshot.nodes.values(), key=lambda node: (node.name, node.id)):
        expires = snapshot.certificates.get(node.id)
        if expires is not None:
            left = expires - now
            value = f"until {_day(expires)}" + (", EXPIRED" if left <= 0 else "")
            yield f"certificate-{node.id}", (f"Certificate {node.name}", value, _trust(node, cluster), _style(left))


def _trust(node: Node, cluster: Cluster) -> str:
    mine = node.description.tls_info
    if mine is None or cluster.tls_info is None or not mine.trust_root:
        return ""
    return "" if mine.trust_root.split() == cluster.tls_info.trust_root.split() else "trusts another root CA"


def _settings(cluster: Cluster) -> Iterator[tuple[str, Line]]:
    spec = cluster.spec
    limit = spec.orchestration.task_history_retention_limit
    yield "history", ("Task history", "-" if limit is None else str(limit), "tasks kept in each slot", "")
    raft = spec.raft
    words = f"{raft.snapshot_interval} entries, {raft.keep_old_snapshots} old ones kept"
    yield (
        "snapshots",
        ("Raft snapshots", words, f"{raft.log_entries_for_slow_followers} entries kept for slow followers", ""),
    )
    ticks = f"heartbeat {raft.heartbeat_tick} s, election after {raft.election_tick} s"
    yield "ticks", ("Raft", ticks, "of silence of the leader", "")
    beat = spec.dispatcher.heartbeat_period
    yield (
        "heartbeat",
        ("Node heartbeat", f"{beat / SECOND:g} s" if beat else "-", "three missed ones: the node is down", ""),
    )


@lru_cache(maxsize=8)
def root_of(pem: str) -> tuple[str, float] | None:
    """SHA-256 fingerprint of a certificate, and when it ends (seconds since the epoch); None for what is none."""
    from cryptography import x509  # not cheap to import, and this is made in a thread
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return digest, certificate.not_valid_after_utc.timestamp()


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def _style(left: float) -> str:
    return "bad" if left < 2 * DAY else "warn" if left < 14 * DAY else ""


def _describe(derived: Derived, key: str) -> Lines:
    line = dict(_lines(derived.snapshot, derived.env.now)).get(key)
    if line is None:
        return gone("part of the Swarm")
    name, value, note, style = line
    return [
        ("title", one_line(name)),
        (style if style in ("good", "warn", "bad") else "plain", one_line(value)),
        ("dim", one_line(note)),
    ]


VIEW = View(
    name="swarm",
    one="part of the Swarm",
    columns=COLUMNS,
    maker=SwarmRows,
    describe=_describe,
    reads=("nodes",),
    none="The Swarm tells nothing of itself now.",
)
