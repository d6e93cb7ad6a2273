"""The Swarm itself: its lock and who has the key, its tokens, its certificates, its settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from swarmtui.model.quorum import quorum
from swarmtui.model.snapshot import KeyHolding, Snapshot
from swarmtui.model.swarm import Cluster, Node
from swarmtui.model.text import one_line
from swarmtui.ui.ages import DAY, age_of
from swarmtui.ui.cells import Cell, Column, Row, Rows
from swarmtui.ui.describe import Lines, gone
from swarmtui.ui.views import Env, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "WHAT", min_width=16, max_width=40),
    Column("value", "VALUE", min_width=16, max_width=44, priority=95),
    Column("note", "NOTE", min_width=12, max_width=100, flex=1, priority=50),
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
        yield key, (f"{role.capitalize()} token", MASKED, "p shows it, T rotates it", "")
    yield from _certificates(cluster, snapshot, now)
    yield from _settings(cluster)


def _lock(cluster: Cluster, holding: KeyHolding | None) -> Iterator[tuple[str, Line]]:
    on = cluster.spec.encryption_config.auto_lock_managers
    note = "restarted managers wait for the key" if on else "key files lie in clear on the managers' disks"
    yield "autolock", ("Autolock", "on" if on else "off", note, "good" if on else "")
    if on:
        yield KEY, ("Unlock key", *custody_words(holding))


def custody_words(holding: KeyHolding | None) -> tuple[str, str, str]:
    """Who has the cluster's key: what to say, a note, and a style. Both are read on 80 columns."""
    if holding is None or holding.state == "off":
        return "not compared yet", "", "dim"
    if holding.state == "held":
        keys = "p shows it, K rotates it"
        if holding.durable:
            return f"in the vault ({holding.fingerprint})", f"{keys}; kept in {holding.where}", "good"
        return f"in memory only ({holding.fingerprint})", f"lost with this program; {keys}", "warn"
    if holding.state == "differs":
        return "THE VAULT HAS ANOTHER KEY", "L takes it into the vault", "bad"
    if holding.state == "missing":
        return "NOT IN THE VAULT", "L takes it into the vault", "bad"
    return "the vault cannot be read", holding.trouble, "bad"


def _certificates(cluster: Cluster, snapshot: Snapshot, now: float) -> Iterator[tuple[str, Line]]:
    root = root_of(cluster.tls_info.trust_root if cluster.tls_info is not None else "")
    if root is not None:
        fingerprint, ends = root
        value, style = f"until {_day(ends)}", _style(ends - now)
        if cluster.root_rotation_in_progress:
            value, style = f"BEING ROTATED, {value}", style or "warn"
        yield "ca", ("Root CA", value, f"SHA-256 {fingerprint}", style)
    validity = cluster.spec.ca_config.node_cert_expiry
    yield (
        "validity",
        (
            "Certificates",
            f"of nodes: {validity / SECOND / DAY:g} days" if validity else "-",
            "nodes renew them by themselves",
            "",
        ),
    )
    for node in sorted(snapshot.nodes.values(), key=lambda node: (node.name, node.id)):
        expires = snapshot.certificates.get(node.id)
        if expires is not None:
            left = expires - now
            value, trust = f"until {_day(expires)}" + (", EXPIRED" if left <= 0 else ""), _trust(node, cluster)
            style = _style(left) or ("warn" if trust else "")
            yield f"certificate-{node.id}", (f"Certificate {node.name}", value, trust, style)


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
    kept = f"{raft.keep_old_snapshots} old ones kept; {raft.log_entries_for_slow_followers} entries for slow followers"
    yield "snapshots", ("Raft snapshots", f"every {raft.snapshot_interval} entries", kept, "")
    election = f"election after {raft.election_tick} s without one"
    yield "ticks", ("Raft heartbeat", f"{raft.heartbeat_tick} s", election, "")
    beat = spec.dispatcher.heartbeat_period
    yield (
        "heartbeat",
        ("Node heartbeat", f"{beat / SECOND:g} s" if beat else "-", "down after three missed ones", ""),
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
        return gone("Swarm detail")
    name, value, note, style = line
    told = [
        ("title", one_line(name)),
        (style if style in ("good", "warn", "bad") else "plain", one_line(value)),
    ]
    return [*told, ("dim", one_line(note))] if note else told


VIEW = View(
    name="swarm",
    one="Swarm detail",
    counted=False,
    columns=COLUMNS,
    maker=SwarmRows,
    describe=_describe,
    reads=("nodes",),
    none="The Swarm tells nothing of itself now.",
)
