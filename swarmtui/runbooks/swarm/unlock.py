"""The runbook swarm.unlock: finds the locked managers, and gives each the key it needs (procedures.md B7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import UnreachableError, UsageError
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.managers import Seen, look
from swarmtui.runbooks.swarm.unlock_steps import PEERS_GONE, UnlockNode, WaitUnlocked, keys_of
from swarmtui.session import Session


class UnlockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from. No key is in it.

    Attributes:
        cluster: what people call the cluster.
        cluster_id: "" where nobody could tell.
        seen: every manager that was looked at.
        wanted: targets of those that shall be unlocked.
        live: a manager of the Swarm answers.
        voters: how many managers there were when one last answered; 0 where none did.
        keys: fingerprints of the vault's keys for this cluster, the newest first.
        vault: why the vault cannot be read; "" where it can.
        sudo: whether docker needs `sudo -n` on the hosts.
    """

    cluster: str
    cluster_id: str
    seen: tuple[Seen, ...]
    wanted: tuple[str, ...]
    live: bool
    keys: tuple[str, ...]
    voters: int = 0
    vault: str = ""
    sudo: bool = False


class Unlock(Runbook):
    name = "swarm.unlock"
    summary = "unlock managers that are locked after a restart, with the vault's keys or one that is asked for"
    needs_manager = False
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the managers, by hostname or id; without it all that are locked", params.names, "NAME[,NAME…]"),
        Param("wait", "how long to wait until they are back, in seconds", params.seconds, "SECONDS", default=120),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.vault.try_again()  # a keyring that failed this night may be open by now, and have the key
        if session.live:
            await session.refresh()
        seen = await look(session)
        snapshot = session.snapshot
        cluster_id = snapshot.cluster_id or next((one.cluster_id for one in seen if one.cluster_id), "")
        keys, vault = await keys_of(session.vault, cluster_id)
        built: Facts = msgspec.to_builtins(
            UnlockFacts(
                cluster=session.name,
                cluster_id=cluster_id,
                seen=seen,
                wanted=_wanted(params.get("node") or (), seen, snapshot),
                live=session.live,
                keys=tuple(key.fingerprint for key in keys),
                voters=sum(node.is_voter for node in snapshot.nodes.values()),
                vault=vault,
                sudo=session.opening.cluster.sudo,
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, UnlockFacts)
        wanted = [one for one in known.seen if one.target in known.wanted]
        locked = [one for one in wanted if one.state == "locked"]
        silent = [one for one in known.seen if not one.state]
        steps: tuple[Step, ...] = tuple(
            UnlockNode(
                id=f"unlock-{_key(one, known.seen)}",
                title=f"Unlock {one.name}",
                why="The vault's keys are tried, the newest first: after a rotation it missed it needs an older one.",
                name=one.name,
                target=one.target,
                sudo=known.sudo,
                cluster_id=known.cluster_id,
                live=known.live,
            )
            for one in locked
        )
        if locked:
            steps += (
                WaitUnlocked(
                    id="unlocked",
                    title=f"Wait until {_told(locked)} {'works' if len(locked) == 1 else 'work'} again",
                    why="With its key a manager only starts: it works when it has found a majority of the others.",
                    managers=tuple((one.name, one.target, one.node_id) for one in locked),
                    seconds=params["wait"],
                    sudo=known.sudo,
                ),
            )
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Unlock {_told(locked)}" if locked else f"Unlock managers of {known.cluster}",
            why="A locked manager takes no part in the Swarm, and counts as lost for its quorum.",
            steps=steps,
            touches=tuple(one.name for one in locked),
            notes=_notes(known),
            warnings=tuple(_warnings(known, locked, silent)),
            binding=binding_of(known.cluster_id, [(one.target, one.state) for one in known.seen], known.wanted),
            nothing="" if locked else _nothing(wanted, silent),
        )


def _key(one: Seen, seen: Iterable[Seen]) -> str:
    """A short name of a manager that no other has."""
    return one.name if sum(other.name == one.name for other in seen) == 1 else one.target


def _told(managers: Sequence[Seen]) -> str:
    return ", ".join(one.name for one in managers)


def _notes(known: UnlockFacts) -> tuple[str, ...]:
    notes = [
        f"Tried in this order: the vault's keys {', '.join(known.keys)}."
        if known.keys
        else "The vault has no key for this Swarm: it is asked for when it is needed, and kept once it has worked."
    ]
    if not known.cluster_id:
        notes = [
            "Which Swarm this is could not be told (its certificate cannot be read): all keys of the vault are tried."
        ]
    return tuple(notes)


def _warnings(known: UnlockFacts, locked: Sequence[Seen], silent: Sequence[Seen]) -> Iterable[str]:
    if known.vault:
        yield f"The vault's keys cannot be read: {known.vault}"
    for one in silent:
        yield f"{one.name} could not be asked whether it is locked: {one.why}"
    total = known.voters or len(known.seen)
    if locked and not known.live:
        usable = len(locked) + sum(one.state in ("active", "pending") for one in known.seen)
        if usable <= total // 2:
            yield (f"Only {usable} of {total} known managers can be had: too few for a majority. {PEERS_GONE}")


def _nothing(wanted: Sequence[Seen], silent: Sequence[Seen]) -> str:
    states = ", ".join(f"{one.name} is {one.state}" for one in wanted if one.state)
    told = f"Nothing to do: no manager is locked ({states})." if states else "Nothing to do: no manager is locked."
    if silent:
        told += f" Not asked: {', '.join(one.name for one in silent)}."
    return told


def _wanted(names: Sequence[str], seen: Sequence[Seen], snapshot: Snapshot) -> tuple[str, ...]:
    """Targets of the managers that were named; of all where none was.

    Raises:
        UsageError: a name is no manager's, or several managers'.
        UnreachableError: it could not be asked, or no manager could.
    """
    if not names:
        if seen and not any(one.state for one in seen):
            raise UnreachableError(
                f"No manager could be asked: {'; '.join(one.why for one in seen)}",
                "Mend the way to one of them, then retry.",
            )
        return tuple(one.target for one in seen)
    found: dict[str, Seen] = {}
    for name in names:
        matches = [one for one in seen if name in (one.name, one.node_id, one.target) or _begins(one.node_id, name)]
        if not matches:
            node = next((n for n in snapshot.nodes.values() if name in (n.id, n.hostname)), None)
            what = (
                f'"{one_line(name)}" is no manager' if node is not None else f'There is no manager "{one_line(name)}"'
            )
            raise UsageError(f"{what}.", f"The managers are: {_told(seen) or 'none is known'}.")
        if len(matches) > 1:
            raise UsageError(
                f'"{one_line(name)}" is the name of {len(matches)} managers: {", ".join(m.target for m in matches)}.',
                "Name the one you mean by its id, or by its target.",
            )
        if not matches[0].state:
            raise UnreachableError(
                f"{matches[0].name} could not be asked: {matches[0].why}", "Mend the way there, then retry."
            )
        found[matches[0].target] = matches[0]
    return tuple(found)


def _begins(node_id: str, text: str) -> bool:
    return len(text) >= 4 and node_id.startswith(text)
