"""The header: which cluster, through which manager, how old the data is, and how the Swarm's control stands."""

from __future__ import annotations

import time

from rich.text import Text
from textual.widgets import Static

from swarmtui.model.backups import BackupHolding, age_words
from swarmtui.model.dtr.status import Cluster
from swarmtui.model.snapshot import KeyHolding, Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.derive import Derived

STALE_SECONDS = 10.0
"""Data younger than this counts as live: two polls and a bit."""


def coarse_age(seconds: float) -> str:
    """An age in steps that do not tick: 15 s, 2 min, 3 h, 2 d."""
    if seconds < 60:
        return f"{max(5, int(seconds // 5) * 5)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 172_800:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86_400)} d"


def key_words(holding: KeyHolding) -> tuple[str, str]:
    """Who has the unlock key, in a word, and its style."""
    if holding.state == "held":
        return (", key kept", "green") if holding.durable else (", key only in memory", "yellow")
    words = {"missing": ", KEY NOT KEPT", "differs": ", VAULT HAS ANOTHER KEY", "unknown": ", key not known"}
    return words.get(holding.state, ""), "bold yellow"


def backup_words(held: BackupHolding, now: float) -> tuple[str, str]:
    """How fresh the backups are, in a word or two, and their style."""
    state = held.state(now)
    if state == "ok":
        return f"backup {age_words(now - held.proved_at)}", "green"
    if state == "old":
        return f"backup OLD, {age_words(now - held.proved_at)}", "bold yellow"
    words = {"none": "no backup", "not proved": "backup NOT PROVED", "unknown": "backup not known"}
    return words[state], "yellow" if state == "none" and not held.meant else "bold yellow"


def ucp_words(product: str, snapshot: Snapshot) -> tuple[str, str]:
    """How many managers' UCP is healthy, where that is not all of them, and the style of it."""
    doors = snapshot.ucp.doors if snapshot.ucp is not None else {}
    managers = [door.ok for key, door in doors.items() if key in snapshot.nodes]
    if all(managers):
        return f" · {one_line(product)}", "green" if managers else ""
    return f" · {one_line(product)}: {sum(managers)}/{len(managers)} HEALTHY", "bold red"


def dtr_words(found: Cluster | None) -> str:
    """How many replicas are healthy; "" where all are, or there are none: the line is full at 80 columns."""
    members = len(found.members) if found is not None else 0
    if found is None or not members or found.healthy == members:
        return ""
    lost = ", QUORUM LOST" if found.quorum is False else ""
    return f" · {one_line(found.product)}: {found.healthy}/{members} HEALTHY{lost}"


class Header(Static):
    """Two lines; painted only when their text changes."""

    DEFAULT_CSS = """
    Header {
        height: 2; padding: 0 1; background: $panel; color: $foreground; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Header.production { background: #5f0000; color: #ffffff; }
    Header.production:light { background: #ffc9c9; color: #1c1c1c; }
    """

    def __init__(self, cluster: str, *, production: bool, read_only: bool) -> None:
        super().__init__(markup=False, id="header", classes="production" if production else "")
        self._cluster = one_line(cluster)
        self._production = production
        self._read_only = read_only
        self._lines: tuple[Text, Text] | None = None

    def tell(
        self, *, phase: str, through: str, note: str, next_try_at: float, derived: Derived | None, run: str
    ) -> None:
        """Shows the state; `run` is a short word on the operation under way."""
        snapshot = derived.snapshot if derived else Snapshot()
        first = Text(no_wrap=True, overflow="ellipsis")
        if self._production:
            first.append(" PRODUCTION ", "bold reverse")
            first.append(" ")
        first.append(self._cluster, "bold")
        if self._read_only:
            first.append("  read-only", "bold yellow")
        if through:
            first.append(f"  via {one_line(through)}")
        first.append("  ")
        first.append(*self._freshness(phase, snapshot, next_try_at))
        if derived is not None and snapshot.nodes_known:
            first.append("  ")
            if derived.alarms:
                first.append(f"! {derived.alarms} {'alarm' if derived.alarms == 1 else 'alarms'} (a)", "bold red")
            else:
                first.append("no alarms", "green")
        if snapshot.backups is not None:  # on the first line: the second one is full at 80 columns
            first.append("  ")
            first.append(*backup_words(snapshot.backups, time.time()))
        if run:
            first.append(f"  ▶ {run}", "bold cyan")
        second = self._second(derived, note)
        if (first, second) != self._lines or self._lines is None:
            self._lines = (first, second)
            self.update(Text("\n").join((first, second)))

    def _freshness(self, phase: str, snapshot: Snapshot, next_try_at: float) -> tuple[str, str]:
        oldest = snapshot.oldest()
        age = time.time() - oldest if oldest else 0.0
        if phase == "live" and not oldest:
            return "reading…", "yellow"
        if phase == "live":
            # A list that cannot be read ages although the connection lives.
            return ("live", "green") if age < STALE_SECONDS else (f"data {coarse_age(age)} old", "bold yellow")
        words = "connecting" if phase == "connecting" else "NOT CONNECTED"
        if oldest:
            words += f", data {coarse_age(age)} old"
        if next_try_at:
            words += ", trying again"
        return words, "bold yellow" if phase == "connecting" else "bold red"

    def _second(self, derived: Derived | None, note: str) -> Text:
        second = Text(no_wrap=True, overflow="ellipsis")
        if derived is None or not derived.snapshot.nodes_known:
            return second.append(one_line(note), "yellow")
        raft = derived.quorum
        style = "bold red" if not raft.held else "yellow" if raft.slack == 0 else "green"
        second.append(str(raft), style)
        second.append(f" · leader {one_line(derived.leader) or 'NONE'}")
        if derived.snapshot.rivals:
            second.append(" · TWO SWARMS", "bold red")
        if locked := len(derived.snapshot.locked):
            second.append(f" · {locked} LOCKED", "bold red")
        second.append(f" · {derived.ready}/{len(derived.snapshot.nodes)} ready")
        cluster = derived.snapshot.info.swarm.cluster
        if cluster is not None:
            on = cluster.spec.encryption_config.auto_lock_managers
            second.append(f" · autolock {'on' if on else 'off'}")
            if on and derived.snapshot.unlock_key is not None:
                second.append(*key_words(derived.snapshot.unlock_key))
        if derived.ucp:
            second.append(*ucp_words(derived.ucp, derived.snapshot))
        second.append(dtr_words(derived.dtr), "bold red")
        if note:
            second.append(f" · {one_line(note)}", "yellow")
        return second
