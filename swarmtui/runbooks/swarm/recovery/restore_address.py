"""A restore at a new address: which steps mend the address that raft has of the restored manager (swarm-dr.md §3).

The old address leads to the restored host for a while (`restore_bridge`), a second manager joins over it, and from
there the restored one is demoted and promoted: that gives it its new address in raft. Then the bridge goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from swarmtui.errors import RefusedError
from swarmtui.model.swarm import Role, host_of
from swarmtui.runbooks.runbook import Step
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.recovery.restore_address_steps import DropBridge, JoinSecond, PutBridge, StepDown, StepUp
from swarmtui.runbooks.swarm.recovery.restore_bridge import ALIAS, Bridge
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where


@dataclass(frozen=True, kw_only=True)
class Second:
    """The second manager, from which the restored one is mended.

    Attributes:
        at: its host. advertise: its address, as it joins; "" lets its engine choose.
        listen: where it listens as a manager.
        worker_id: of a worker that is one only for this time; "" for a host that joins and stays.
    """

    at: Where
    advertise: str = ""
    listen: str = "0.0.0.0:2377"
    worker_id: str = ""


@dataclass(frozen=True, kw_only=True)
class AddressSteps:
    """The steps in three parts, as a plan takes them in: workers come back after the second part."""

    before: tuple[Step, ...]
    mend: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


def lonely_note(bridge: Bridge) -> str:
    """What to say where no second manager joins, so that the address in raft stays the old one."""
    at = bridge.at if bridge.kind == ALIAS else Where("", "", "")
    there = bridge.at.name if bridge.kind == ALIAS else "the one that joins"
    return (
        f"{bridge.at.name} stays the only manager, and {bridge.old} stays its address in raft: let another manager "
        f"join only while this is in place, which a reboot takes away: `{bridge.put_line(at)}` on {there}. Then "
        f"demote and promote {bridge.at.name} from there."
    )


def may_be_second(old: str, at: Where, advertise: str = "") -> bool:
    """Whether a host can be the second manager: not one that has the very address that raft has of the restored one.

    Args:
        old: "IP:PORT" of the restored manager in raft.
        advertise: the address with which it will join, where that is known.
    """
    return host_of(old) not in (host_of(advertise), at.ssh.host)


def address_steps(
    *, seed: Seed, node_id: str, name: str, bridge: Bridge, second: Second | None, seconds: int = 120
) -> AddressSteps:
    """The steps that mend the address of a restored manager. Pure.

    Args:
        node_id: of the restored manager; name: its hostname.
        second: None where there is no other host: then the old address leads to the restored one, and no more.
        seconds: for each wait.

    Raises:
        RefusedError: the second manager has the very address that raft has of the restored one.
    """
    old, new = bridge.old, bridge.new
    put = PutBridge(
        id="old-address",
        title=f"Let {host_of(old)} lead to {name} for a while",
        why=f"Raft still knows {name} at {old}: whoever joins dials that, and would take the quorum with it. It is "
        f"{bridge.words}.",
        seed=seed,
        bridge=bridge,
        if_stopped=f"The Swarm lives on {name} alone, and its address in raft is the old one: let no manager join by "
        "hand.",
    )
    if second is None:
        return AddressSteps(before=(put,))
    if not may_be_second(old, second.at, second.advertise):
        raise RefusedError(
            f"{second.at.name} has {host_of(old)}, the address that raft still has of {name}: it cannot be the second "
            "manager.",
            f"Restore on {second.at.name} itself; or name another host as the second manager, and let this one join "
            "after it.",
        )
    rests = f"The quorum rests on {bridge.words}: resume soon, and reboot neither {name} nor {second.at.name}."
    if second.worker_id:
        joined: Step = StepUp(
            id="second-manager",
            title=f"Make {second.at.name} a manager for a while",
            why=f"From it {name} can be demoted and promoted, which gives it its new address in raft.",
            node_id=second.worker_id,
            name=second.at.name,
            at=second.at,
            asked=bridge.at,
            if_stopped=put.if_stopped,
            seed=seed,
            bridge=bridge,
            seconds=seconds,
        )
    else:
        joined = JoinSecond(
            id="second-manager",
            title=f"Join {second.at.name} as the second manager",
            why=f"From it {name} can be demoted and promoted, which gives it its new address in raft.",
            role=Role.MANAGER,
            advertise=second.advertise,
            listen=second.listen,
            target=second.at.target,
            name=second.at.name,
            dialer=second.at,
            seed=seed,
            bridge=bridge,
            seconds=seconds,
            if_stopped=put.if_stopped,
        )
    down = StepDown(
        id="mend-down",
        title=f"Make {name} a worker for a moment",
        why=f"It leaves raft with its old address; {second.at.name} leads meanwhile.",
        node_id=node_id,
        name=name,
        at=bridge.at,
        asked=second.at,
        new=new,
        if_stopped=rests,
        seed=seed,
        bridge=bridge,
        seconds=seconds,
    )
    up = StepUp(
        id="mend-up",
        title=f"Make {name} a manager again, at {new}",
        why="It joins raft anew, at the address that it has.",
        node_id=node_id,
        name=name,
        at=bridge.at,
        asked=second.at,
        new=new,
        if_stopped=f"{second.at.name} is the only manager, and the Swarm lives on it; {name} is a worker.",
        seed=seed,
        bridge=bridge,
        seconds=seconds,
    )
    drop = DropBridge(
        id="drop-old-address",
        title=f"Take {host_of(old)} away again",
        why=f"Nobody dials it any more: raft and the workers know {name} at {new}.",
        node_id=node_id,
        name=name,
        seed=seed,
        bridge=bridge,
        if_stopped=f"{name} has its new address in raft; the old one still leads to it, which harms nothing.",
    )
    if not second.worker_id:
        return AddressSteps(before=(put, joined), mend=(down, up), after=(drop,))
    back = StepDown(
        id="second-back",
        title=f"Make {second.at.name} a worker again",
        why="It was a manager only for this.",
        node_id=second.worker_id,
        name=second.at.name,
        at=second.at,
        asked=bridge.at,
        if_stopped=f"{name} has its new address in raft, and {second.at.name} is a manager beside it: both are needed.",
        seed=seed,
        bridge=bridge,
        seconds=seconds,
    )
    return AddressSteps(before=(put, joined), mend=(down, up), after=(back, drop))
