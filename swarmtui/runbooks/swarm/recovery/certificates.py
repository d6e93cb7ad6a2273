"""The runbook swarm.renew-certificates: managers whose certificates have all expired find each other again.

A leader renews certificates; where all have expired nobody can be one, and Docker starts into an error. Each manager's
certificate is signed anew with the Swarm's own CA key, which is in its raft log: the same node, the same key, nothing
lost, and nothing forced. No clock is ever set back for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from swarmtui.backups.errors import RaftError
from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.jobs import new_id
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.inventory import Inventory
from swarmtui.model.quorum import quorum_of
from swarmtui.model.recovery import Condition, Member
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.building.build import WAIT
from swarmtui.runbooks.swarm.recovery.after_force import CompareInventory, seed_of
from swarmtui.runbooks.swarm.recovery.certificates_steps import ClearOld, LeaderBack, SignAnew
from swarmtui.runbooks.swarm.recovery.data_root import data_root
from swarmtui.runbooks.swarm.recovery.directory import directory
from swarmtui.runbooks.swarm.recovery.fence_steps import ROOT, StartDocker
from swarmtui.runbooks.swarm.recovery.forced_checks import OneLeader
from swarmtui.runbooks.swarm.recovery.recover import Around, happened
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, look_at, where
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode, WaitUnlocked, keys_of
from swarmtui.session import Session

UP_SECONDS = 90
"""How long an engine may take to answer after its start: without a leader, 20 s and more (swarm-dr.md §4)."""
AWAY = (Condition.UNREACHABLE, Condition.DEAD, Condition.ELSEWHERE, Condition.OUT)
SAME = "The Swarm stands still as before; running tasks keep running."


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A manager whose certificate has expired.

    Attributes:
        id: of its node; at: its host; remote: "IP:PORT" as the raft knows it.
        ca: SHA-256 of the certificate of the CA that its raft log can sign with, in hex.
        locked: its directory is.
        index: of the last entry in its raft log.
    """

    id: str
    name: str
    at: Where
    remote: str
    ca: str
    root: str = ROOT
    locked: bool = False
    index: int = 0


class RenewFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        situation: the diagnosis in a sentence.
        expired: the managers whose certificates are signed anew.
        alive: how many managers are well besides; voters: how many there are.
        until: how long the new certificates are valid, in words.
        inventory: what the Swarm has, by the most advanced log.
    """

    cluster: str
    cluster_id: str
    job: str
    situation: str
    expired: tuple[Expired, ...]
    alive: int = 0
    voters: int = 0
    until: str = ""
    inventory: Inventory = Inventory()


class RenewCertificates(Runbook):
    name = "swarm.renew-certificates"
    summary = "when the certificates of the managers have expired: sign them anew with the Swarm's own CA, nothing lost"
    params: ClassVar[Sequence[Param]] = (WAIT,)
    needs_manager: ClassVar[bool] = False
    on_hosts: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        facts: Facts = msgspec.to_builtins(await survey(session))
        return facts

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RenewFacts)
        names = tuple(one.name for one in known.expired)
        few = known.alive + len(known.expired) < quorum_of(known.voters) if known.voters else False
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Sign the certificates of {', '.join(names)} anew" if names else "Sign certificates anew",
            why=known.situation,
            steps=_steps(known, params["wait"]) if names else (),
            touches=names,
            notes=(
                f"They are valid {known.until} then, and the managers renew them by themselves as before.",
                "Workers whose certificates have expired join anew afterwards: swarmtui run node.rejoin node=NAME",
                "Why did nobody renew them? Clocks that are off, and managers that were down for weeks, are the usual "
                "reasons.",
            )
            if names
            else (),
            warnings=("These are too few for a quorum: bring the others back too.",) if few else (),
            cluster_id=known.cluster_id,
            exclusive_hosts=tuple(one.at.target for one in known.expired),
            binding=binding_of(known.cluster_id, [(one.id, one.at.target, one.ca, one.root) for one in known.expired]),
            nothing=""
            if names
            else f"Nothing to do: no manager that can be reached has an expired certificate. {known.situation}",
        )


async def survey(session: Session) -> RenewFacts:
    """Looks at every manager, and into the raft logs of those whose certificates have expired. Changes nothing.

    Raises:
        UsageError: the cluster is not reached over SSH.
        RefusedError: the quorum holds; or one of them cannot be signed anew.
    """
    if not any(isinstance(target, SshTarget) for target in session.opening.targets):
        raise UsageError(
            f"{session.name} is not reached over SSH, and its hosts cannot be worked on without.",
            "Name a manager: --target ssh://USER@MANAGER",
        )
    around, found = await happened(session)
    expired = [one for one in around.members if one.expired and one.condition not in AWAY and one.name in around.hosts]
    if found.holds and expired:
        raise RefusedError(
            f"The quorum holds: {', '.join(one.name for one in expired)} joins anew, and gets a certificate with it.",
            f"swarmtui run node.rejoin node={expired[0].name}",
        )
    looked = await asyncio.gather(*(_look(session, around, member) for member in expired))
    if len({one.ca for one, _, _ in looked}) > 1:
        told = "; ".join(f"{one.name}: {one.ca[:16]}…" for one, _, _ in looked)
        raise RefusedError(
            f"The managers have different CAs in their raft logs ({told}): some missed a rotation.",
            "Go on with those that are further, and let the others join anew: swarmtui recover",
        )
    _, inventory, until = max(looked, key=lambda one: one[0].index, default=(None, Inventory(), ""))
    return RenewFacts(
        cluster=session.name,
        cluster_id=around.cluster_id,
        job=new_id(),
        situation=found.situation,
        expired=tuple(sorted((one for one, _, _ in looked), key=lambda one: one.name)),
        alive=sum(one.alive for one in around.members if one not in expired),
        voters=max(around.voters, len(around.members)),
        until=until,
        inventory=inventory,
    )


async def _look(session: Session, around: Around, member: Member) -> tuple[Expired, Inventory, str]:
    """The CA in its raft log, what the Swarm has by it, and until when its signature would be valid.

    Raises:
        RefusedError: there is none that can sign.
    """
    from swarmtui.backups import raft
    from swarmtui.backups.raft.authority import authority

    target = parse_target(around.hosts[member.name])
    assert isinstance(target, SshTarget)
    seen = await look_at(session, where(session, member.name, target))
    root = await data_root(await seen.at.reach(session), seen)
    files = await directory(session, seen.at, root)
    keys = [key.secret for key in (await keys_of(session.vault, around.cluster_id))[0]]
    try:
        signer = await asyncio.to_thread(authority, files, keys)
    except RaftError as error:
        raise RefusedError(
            f"The certificate of {member.name} cannot be signed anew: {error.what}", error.next_step
        ) from None
    contents = await asyncio.to_thread(raft.read, files, keys)
    assert contents.inventory is not None  # whoever has the CA has read the store
    ends = min(datetime.now(UTC) + signer.valid, signer.certificate.not_valid_after_utc)
    expired = Expired(
        id=contents.node_id,
        name=member.name,
        at=seen.at,
        remote=contents.address,
        ca=signer.fingerprint,
        root=root,
        locked=contents.locked,
        index=contents.last_index,
    )
    return expired, contents.inventory, f"until {ends:%Y-%m-%d}"


def _steps(known: RenewFacts, wait: int) -> tuple[Step, ...]:
    first = max(known.expired, key=lambda one: one.index)
    seed = seed_of(first.at, first.remote, known.cluster_id, [one.at for one in known.expired])
    steps: list[Step] = [
        SignAnew(
            id=f"sign-{one.id}",
            title=f"Sign the certificate of {one.name} anew",
            why="Docker is stopped meanwhile. The CA key from its raft log signs, here: the same node, the same key.",
            if_stopped=SAME + " Managers that are done wait with Docker stopped." * bool(place),
            node_id=one.id,
            name=one.name,
            at=one.at,
            job=known.job,
            cluster_id=known.cluster_id,
            ca=one.ca,
            root=one.root,
        )
        for place, one in enumerate(known.expired)
    ]
    steps += [
        StartDocker(
            id=f"start-{one.id}",
            title=f"Start Docker on {one.name}",
            why="With a certificate that is valid it finds the others.",
            if_stopped=f"{SAME} All certificates are valid again; start Docker where it is stopped.",
            node_id=one.id,
            name=one.name,
            at=one.at,
        )
        for one in known.expired
    ]
    locked = [one for one in known.expired if one.locked]
    steps += [
        UnlockNode(
            id=f"unlock-{one.id}",
            title=f"Unlock {one.name}",
            why="With autolock on, a manager whose Docker was started waits for the unlock key.",
            name=one.name,
            target=one.at.target,
            sudo=one.at.sudo,
            patience=UP_SECONDS,
            cluster_id=known.cluster_id,
        )
        for one in locked
    ]
    if locked:
        steps.append(
            WaitUnlocked(
                id="unlocked",
                title="Wait until the managers work again",
                why="With its key a manager only starts: it works when it has found a majority of the others.",
                managers=tuple((one.name, one.at.target, one.id) for one in locked),
                seconds=wait,
                sudo=locked[0].at.sudo,
            )
        )
    return (
        *steps,
        LeaderBack(
            id="leader",
            title=f"Wait until {first.name} sees a leader",
            why="Managers with valid certificates elect one by themselves, within half a minute.",
            node_id=first.id,
            name=first.name,
            at=first.at,
            seconds=wait,
        ),
        CompareInventory(
            id="compare",
            title="Compare the Swarm with what it had",
            why="Nothing was forced, so nothing can be missing: here is the proof.",
            if_stopped="The Swarm works again.",
            seed=seed,
            expected=known.inventory,
        ),
        OneLeader(
            id="one-leader",
            title="Ask every manager who leads",
            why="All of them must have found the same one.",
            seed=seed,
            managers=tuple(one.at for one in known.expired),
        ),
        *(
            ClearOld(
                id=f"clear-{one.id}",
                title=f"Take away the expired certificate of {one.name}",
                why="It was kept for a way back, which nobody needs any more.",
                node_id=one.id,
                name=one.name,
                at=one.at,
                job=known.job,
                root=one.root,
            )
            for one in known.expired
        ),
    )
