"""Everything known about a backup, what is in it, and what changed between two, as lines to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.backups.manifest import HOT
from swarmtui.backups.records import TIERS
from swarmtui.model.inventory import KINDS, Item, NodeItem, ServiceItem
from swarmtui.model.inventory_diff import Difference
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age
from swarmtui.ui.describe import Lines, fact_lines

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.manifest import Manifest, UcpManifest
    from swarmtui.backups.raft.contents import Contents
    from swarmtui.backups.records import Copy, TierResult, Verification
    from swarmtui.model.inventory import Inventory

VERDICT_STYLES = {"yes": "good", "no": "bad"}
SIGNS = {"added": ("+", "good"), "removed": ("-", "bad"), "changed": ("~", "warn")}
_NEVER = "Not verified yet: p does it, and changes nothing."
_NO_COPY = "None: a fire, or whoever gets at this machine, takes this backup with it. C makes one."


def backup_lines(entry: Entry, now: float) -> Lines:
    """A backup: what it is, how far it was verified, and where its copies are."""
    return list(_backup(entry, now))


def _backup(entry: Entry, now: float) -> Iterator[tuple[str, str]]:
    manifest = entry.manifest
    if entry.broken:
        yield "bad", f"Damaged: {one_line(entry.broken)}"
        yield "plain", "It would not restore. What cannot be judged is never pruned: look at its folder yourself."
        yield "plain", f"  {one_line(_short(entry.folder))}"
    if manifest is None:
        return
    if entry.broken:
        yield "heading", "What its manifest says"
        yield from fact_lines(_facts(manifest, now))
        yield from _stored(entry, manifest)
        return
    because = one_line(entry.because)
    yield (
        VERDICT_STYLES.get(entry.would_restore, "warn"),
        f"Would restore: {entry.would_restore}" + (f", because {because}" if because else ""),
    )
    if manifest.cold is False:
        yield "warn", f"HOT: {HOT}"
    if not manifest.protected:
        yield "warn", "Not encrypted: whoever reads the file has the CA's keys and every secret in it."
    yield from fact_lines(_facts(manifest, now))
    for note in manifest.notes:
        yield "plain", f"  note          {one_line(note)}"
    yield from _verified(entry.verifications, now)
    yield "heading", "Copies elsewhere"
    for copy in entry.copies:
        yield from _copy(copy, now)
    if not entry.copies:
        yield "warn", f"  {_NO_COPY}"
    if manifest.ucp is not None:
        yield "heading", "What was in UCP"
        yield from fact_lines(_ucp_facts(manifest.ucp))
        yield from _stored(entry, manifest)
        return
    yield "heading", "What was in the Swarm"
    if manifest.inventory is not None:
        yield "plain", f"  {counted(manifest.inventory)}. o opens the backup and looks, s compares with now."
    else:
        yield "dim", "  Not known: it could not be read. o opens the backup and looks."
    yield from _stored(entry, manifest)


def _ucp_facts(ucp: UcpManifest) -> dict[str, str]:
    accounts = "not known: nobody could ask UCP when it was taken"
    if ucp.accounts is not None:
        accounts = ", ".join(account.name for account in ucp.accounts[:12]) + (" …" if len(ucp.accounts) > 12 else "")
    facts = {"version": f"{ucp.version}: only the same one restores it", "instance": ucp.instance_id}
    return {name: value for name, value in (facts | {"accounts": accounts}).items() if value}


def _facts(manifest: Manifest, now: float) -> dict[str, str]:
    leader = {True: ", the leader then", False: ", not the leader", None: ""}[manifest.leader]
    address = f" at {manifest.address}" if manifest.address else ""
    kinds = {True: f"cold: Docker was stopped for {manifest.downtime_seconds:.1f} s", False: "hot", None: "not known"}
    lock = "off"
    if manifest.autolock:
        key = f"; the key {manifest.key_fingerprint}" if manifest.key_fingerprint else "; with which key is not known"
        lock = f"on: it is locked{key}"
    crypt = {"": "no", "passphrase": "with age, by a passphrase", "openpgp": "by UCP itself, with its passphrase"}.get(
        manifest.protected, f"with age, for {len(manifest.recipients)} recipient(s)"
    )
    facts = {
        "taken": _taken(manifest.taken_at, now),
        "from": f"{manifest.node or 'an unknown node'}{address}{leader}",
        "how": ("by UCP's own command" if manifest.ucp is not None else kinds[manifest.cold])
        if manifest.source == "taken"
        else f"imported from {manifest.imported_from}",
        "quorum": manifest.quorum,
        "Swarm": f"{manifest.cluster} ({manifest.cluster_id})" if manifest.cluster else manifest.cluster_id,
        "raft": ("" if manifest.ucp is not None else "not read")
        if not manifest.raft_index
        else f"term {manifest.raft_term}, index {manifest.raft_index}",
        "autolock": lock if manifest.ucp is None else "",
        "engine": manifest.engine_version,
        "encrypted": crypt,
    }
    return {name: value for name, value in facts.items() if value}


def _stored(entry: Entry, manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "heading", "Where it lies"
    yield from fact_lines(
        {
            "file": _short(entry.archive),
            "size": f"{manifest.stored_size:,} bytes stored, {manifest.size:,} as a tar",
            "sha256": manifest.stored_digest,
            "written by": f"swarmtui {manifest.tool_version}",
        }
    )


def _short(path: Path) -> str:
    """A path as a shell takes it, without the folder of whoever reads it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _taken(moment: float, now: float) -> str:
    return f"{_at(moment)}, {_ago(moment, now)}" if moment else "nobody knows when"


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _verified(verifications: Sequence[Verification], now: float) -> Iterator[tuple[str, str]]:
    yield "heading", "Verified"
    if not verifications:
        yield "warn", f"  {_NEVER}"
        return
    *before, last = verifications
    yield "plain", f"  {_at(last.at)}, {_ago(last.at, now)}"
    yield from tier_lines(last.tiers)
    for other in reversed(before):
        because = f", because {one_line(other.because)}" if other.because else ""
        yield "dim", f"  before: {_at(other.at)}: {other.verdict}{because}"


def tier_lines(tiers: Iterable[TierResult]) -> Iterator[tuple[str, str]]:
    """Each tier: whether it held, and what was found."""
    found = {result.tier: result for result in tiers}
    for tier, name in TIERS.items():
        result = found.get(tier)
        if result is None:
            said = "not done; H does it" if tier == max(TIERS) else "not done"
            yield "dim", f"  · {tier}. {name}: {said}"
            continue
        sign, style, word = _TIER_WORDS[result.ok]
        yield style, f"  {sign} {tier}. {name}: {word}"
        for sentence in result.what:
            yield "bad" if result.ok is False else "plain", f"       {one_line(sentence)}"


_TIER_WORDS: Mapping[bool | None, tuple[str, str, str]] = {
    True: ("✓", "good", "holds"),
    False: ("✗", "bad", "DOES NOT HOLD"),
    None: ("?", "warn", "could not be told"),
}


def _copy(copy: Copy, now: float) -> Iterator[tuple[str, str]]:
    checked = f", its digest compared {_ago(copy.checked_at, now)}" if copy.checked_at else ", its digest not compared"
    yield "bad" if copy.trouble else "good", f"  {one_line(copy.where)}, {_ago(copy.at, now)}{checked}"
    if copy.trouble:
        yield "bad", f"    {one_line(copy.trouble)}"


def _ago(moment: float, now: float) -> str:
    return f"{age(max(0.0, now - moment))} ago"


def counted(inventory: Inventory) -> str:
    """How many there are of each kind: "5 nodes, 7 services, ..."."""
    told = [_count(len(inventory.of(kind)), kind) for kind in KINDS]
    return ", ".join([*told, _count(inventory.tasks, "task"), f"autolock {'on' if inventory.autolock else 'off'}"])


def _count(number: int, kind: str) -> str:
    return f"{number} {kind}" if number == 1 else f"{number} {kind}s"


# -- inside ------------------------------------------------------------------------------------------------------------


def inside_lines(contents: Contents, now: float) -> Lines:
    """What an archive itself says of the Swarm it was made of."""
    return list(_inside(contents, now))


def _inside(contents: Contents, now: float) -> Iterator[tuple[str, str]]:
    fatal = len(contents.fatal)
    if contents.opened:
        yield "good" if not fatal else "bad", "Opened, and read to its end."
    else:
        yield "bad", "It could not be opened, or not be read to its end."
    for problem in contents.problems:
        yield "bad" if problem.fatal else "warn", f"{'FATAL' if problem.fatal else 'NOTE'}: {one_line(problem.what)}"
        if problem.docker:
            yield "plain", f"    {one_line(problem.docker)}"
    left = contents.not_after - now
    lock = "not locked: its key file lies in clear"
    if contents.locked:
        opens = f"opened by the key {contents.opened_by}" if contents.opened_by else "and no key at hand opens it"
        lock = f"locked, key version {contents.kek_version}, {opens}"
    ends = "EXPIRED" if left <= 0 else f"in {age(left)}"
    facts = {
        "Swarm": contents.cluster_id,
        "node": f"{contents.node_id}, a {contents.role}" if contents.node_id else "",
        "certificate": f"ends {_at(contents.not_after)}, {ends}" if contents.not_after else "not read",
        "root CA": f"sha256 {contents.root_digest}" if contents.root_digest else "not read",
        "key file": lock,
        "raft": _raft(contents),
    }
    yield from fact_lines(facts)
    yield "heading", "Managers in it, at their addresses then"
    for member in contents.members:
        mine = "  (this one)" if member.node_id == contents.node_id else ""
        yield "plain", f"  {one_line(member.node_id)}  {one_line(member.address)}{mine}"
    if not contents.members:
        yield "dim", "  not known"
    if contents.inventory is not None:
        yield from inventory_lines(contents.inventory)


def _raft(contents: Contents) -> str:
    if not contents.last_index:
        return "not read"
    snapshot = f"on the snapshot at {contents.snapshot_index}" if contents.snapshot_index else "without a snapshot"
    return f"term {contents.term}, index {contents.commit} of {contents.last_index}, {snapshot}"


def inventory_lines(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Everything in it, by name; secrets by their names only."""
    for kind in KINDS:
        items = inventory.of(kind)
        yield "heading", f"{_count(len(items), kind).capitalize()}" + (", by name only" if kind == "secret" else "")
        for item in items:
            yield "plain", f"  {_item(item)}"
        if not items:
            yield "dim", "  none"
    yield "dim", f"and {_count(inventory.tasks, 'task')}"


def _item(item: Item) -> str:
    name = one_line(item.name) or one_line(item.id)
    if isinstance(item, NodeItem):
        return f"{name}  {item.role}, {item.availability}, {one_line(item.address) or 'no address'}"
    if isinstance(item, ServiceItem):
        many = f", {item.replicas}" if item.replicas is not None else ""
        return f"{name}  {one_line(item.image)}, {item.mode}{many}"
    return name


# -- differences -------------------------------------------------------------------------------------------------------


def difference_lines(found: Sequence[Difference], old: str, new: str) -> Lines:
    """What changed from one inventory to the other.

    Args:
        old, new: what the two are called.
    """
    return list(_differences(found, old, new))


def _differences(found: Sequence[Difference], old: str, new: str) -> Iterator[tuple[str, str]]:
    yield "title", f"From {one_line(old)} to {one_line(new)}"
    if not found:
        yield (
            "good",
            "Nothing changed: the same nodes, services, networks, secrets and configs.",
        )
        return
    counts = {what: sum(each.what == what for each in found) for what in SIGNS}
    yield "plain", ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    for kind in ("swarm", *KINDS):
        mine = [each for each in found if each.kind == kind]
        if mine:
            yield "heading", kind.capitalize() if kind == "swarm" else f"{kind.capitalize()}s"
        for each in mine:
            sign, style = SIGNS[each.what]
            yield style, f"  {sign} {one_line(each.name) or one_line(each.id)} {each.what}"
            for detail in each.details:
                yield "plain", f"      {one_line(detail)}"
