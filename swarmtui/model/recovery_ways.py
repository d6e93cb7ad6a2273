"""Each way out of a trouble with a Swarm's managers: why it is the one, and the command that does it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from swarmtui.model.recovery_terms import Advice, Condition, Kept, Member, Way, Worker
from swarmtui.model.text import listed


class Ways:
    """Makes advice about one cluster.

    Args:
        target: the cluster, as `swarmtui run --target` takes it; "" where that is left to whoever types.
        workers: those that are known.
        cluster_id: its id; "" where nobody tells.
    """

    def __init__(self, target: str, workers: Sequence[Worker], cluster_id: str = "") -> None:
        self._cluster_id = cluster_id or "CLUSTER_ID"
        self._target = f" --target {shlex.quote(target)}" if target else ""
        self._workers = workers

    def mend(self, member: Member) -> Advice:
        """What to do about one manager while the others hold the quorum."""
        name = member.name
        if (fix := member.fix) is not None and fix not in (Way.NETWORK, Way.CERTIFICATES):
            return self.fixing(member, fix)
        about, why = (name,), member.why or f"{name} is {member.condition}."
        match member.condition:
            case Condition.UNREACHABLE:
                why = f"{why} Bring its host back; it takes its place by itself."
                return Advice(Way.BRING_BACK, why, about)
            case Condition.DEAD:
                return self._replace(name)
            case Condition.LOCKED:
                why = f"{name} is locked, and its key is not there: it joins anew."
            case _ if fix is Way.CERTIFICATES:
                why = f"The certificate of {name} has expired: it joins anew."
        return self._run(Way.REJOIN, why, about, "node.rejoin", {"node": name})

    def _replace(self, name: str) -> Advice:
        spare = next((worker.name for worker in self._workers if worker.ready), "")
        if spare:
            because = f"{name} is lost for good: the worker {spare} becomes a manager in its place."
            params = {"dead": name, "promote": spare}
            return self._run(Way.REPLACE, because, (name,), "node.replace", params)
        because = f"{name} is lost for good, and there is no worker that could become a manager: a new host joins."
        return self._run(Way.REPLACE, because, (name,), "node.replace", {"dead": name}, open_host=True)

    def worker_down(self, worker: Worker) -> Advice:
        """What to do about a worker that is down."""
        because = f"The worker {worker.name} is down; its tasks were moved where they could be."
        return self._run(Way.REJOIN, because, (worker.name,), "node.rejoin", {"node": worker.name})

    def fixing(self, member: Member, fix: Way) -> Advice:
        """What makes a manager a living member of the raft again."""
        name, about = member.name, (member.name,)
        at = f"ssh {member.host} " if member.host else ""
        command = ""
        match fix:
            case Way.START:
                silent = member.condition is Condition.SILENT
                sentence = f"Docker does not {'answer' if silent else 'run'} on {name}."
                command = f"{at}systemctl {'restart' if silent else 'start'} docker"
            case Way.UNLOCK:
                sentence = f"{name} is locked: it was restarted, and waits for its key."
                return self._run(fix, _with(sentence, member), about, "swarm.unlock", {"node": name})
            case Way.FREE_DISK:
                sentence, command = f"The disk of {name} is full.", f"{at}df -h {shlex.quote(member.root)}"
            case Way.FIX_CLOCK:
                sentence, command = f"The clock of {name} is wrong.", f"{at}timedatectl"
            case _:
                sentence = f"{name} has another address than the raft knows ({member.moved}): give it back."
                command = f"{at}ip addr"
        return Advice(fix, _with(sentence, member), about, command)

    def certificates(self, members: Sequence[Member]) -> Advice:
        """Managers whose certificates have expired, and none is left that would renew them."""
        names = tuple(member.name for member in members)
        because = (
            f"The certificate of {', '.join(names)} has expired, and no manager is left that renews it. Each is signed "
            "anew with the Swarm's own CA key, which is in the raft log: they find each other again, with nothing "
            "lost. Where the CA is an external one, sign them with that (same subject, same public key, Docker "
            "stopped). Where nobody has its key: a new cluster forced on one of them keeps the content, and renews "
            "that one's certificate (swarm.recover-quorum)."
        )
        return self._run(Way.CERTIFICATES, because, names, "swarm.renew-certificates", {})

    def bring_back(self, away: Sequence[Member], missing: int) -> Advice:
        """Hosts that nobody gets to, and with which there would be a quorum."""
        names = tuple(member.name for member in away)
        hosts = f"{missing} of {', '.join(names)}" if away else f"{missing} managers that nobody knows by name"
        because = (
            f"Bring back {hosts}: the quorum then returns by itself, within half a minute. If they are lost for good, "
            f"name them: swarmtui recover{self._target.removeprefix(' --target')} --dead NAME,…"
        )
        return Advice(Way.BRING_BACK, because, names)

    def recreate(self, backup: Kept) -> Advice:
        """The quorum holds, and content is gone that a backup has."""
        because = f"Backup {backup.id} ({backup.age} old) has what the Swarm has no more: {listed(backup.gone)}."
        return self._run(Way.RECREATE, because, (backup.id,), "swarm.recreate", {"backup": backup.id})

    def restore_ucp(self, backup: str, names: Sequence[str]) -> Advice:
        """The Swarm is well, and UCP has lost accounts."""
        because = (
            f"Backup {backup} of UCP has accounts that UCP has no more: {listed(names)}. If nobody meant to delete "
            "them, UCP alone is restored: the Swarm and its services are left alone; what was changed in UCP since is "
            "lost."
        )
        return self._run(Way.UCP, because, (backup,), "ucp.restore", {"backup": backup})

    def last_resort(self, members: Sequence[Member], kept: Sequence[Kept]) -> Advice:
        """Too few managers can ever come back: what is left loses something."""
        survivors = sorted(
            (member for member in members if member.has_state),
            key=lambda member: (member.index, member.alive, not member.expired, member.name),
            reverse=True,
        )
        dead = ",".join(member.name for member in members if member.condition is Condition.DEAD)
        lost = {"dead": dead} if dead else {}
        if survivors:
            best = survivors[0]
            known = f"; its raft log is the most advanced (index {best.index})" if best.index >= 0 else ""
            because = (
                f"Too few managers are left for a quorum, and {best.name} has the Swarm's state{known}. A new cluster "
                "forced on it keeps services, networks, secrets and configs. Every other old manager must be fenced "
                "first."
            )
            return self._run(Way.FORCE, because, (best.name,), "swarm.recover-quorum", {"survivor": best.name, **lost})
        usable = [backup for backup in kept if backup.would_restore != "no"]
        chosen = next((backup for backup in usable if backup.would_restore == "yes"), usable[0] if usable else None)
        if chosen is not None:
            return self._restore(chosen, members, lost)
        if any(member.condition is Condition.LOCKED for member in members):
            because = (
                "Managers are locked, their key is not in the vault, and no backup would restore. Find the unlock key."
            )
            return Advice(Way.UNDECIDED, because, command=f"swarmtui secrets set unlock-key {self._cluster_id}")
        because = "No manager has the Swarm's state any more, and there is no backup that would restore: build it anew."
        if self._workers:
            because += " What its workers run goes on until they leave: note it down first (docker ps)."
        return Advice(Way.REBUILD, because, command="swarmtui run swarm.build --help")

    def _restore(self, backup: Kept, members: Sequence[Member], lost: Mapping[str, str]) -> Advice:
        told = f"Backup {backup.id} ({backup.age} old)"
        because = f"No manager has the Swarm's state any more. {told} would restore. What changed since then is lost."
        if backup.would_restore != "yes":
            because = (
                f"No manager has the Swarm's state any more, and backup {backup.id} ({backup.age} old) is not proved: "
                f"prove it first (swarmtui backups verify {backup.id} --rehearse ssh://HOST). What changed since then "
                "is lost."
            )
        if self._workers:
            because += (
                f" The workers ({', '.join(worker.name for worker in self._workers)}) keep running, and reattach."
            )
        place = _place(members, backup)
        where = {"host": place.target} if place is not None else {}
        return self._run(
            Way.RESTORE,
            because,
            (backup.id,),
            "swarm.restore",
            {"backup": backup.id, **where, **lost},
            open_host=place is None,
        )

    def split(self, working: Sequence[Member]) -> Advice:
        """Two Swarms with the same members live side by side: one of them is ended."""
        sides: dict[str, list[Member]] = {}
        for member in working:
            sides.setdefault(member.leader_id, []).append(member)
        followed = {leader: members for leader, members in sides.items() if leader}
        # Two sides that are worth the same are told in the same order each time.
        ranked = sorted(sorted(followed.values(), key=lambda side: side[0].name), key=_worth, reverse=True)
        told = "; ".join(
            f"{', '.join(m.name for m in side)} {'follow' if len(side) > 1 else 'follows'} {side[0].leader_id[:12]}"
            + (f" with {_ready(side)} nodes ready" if _ready(side) >= 0 else "")
            for side in ranked
        )
        keep = ranked[0][0].name
        other = "; ".join(self._typed("swarm.end-split", {"keep": side[0].name}) for side in ranked[1:])
        because = (
            f"Two Swarms live side by side: {told}. Keep the one that the workers follow and that has what you need; "
            "what was changed in the other one is lost. Its managers are fenced (Docker stopped, the swarm directory "
            f"moved aside, never deleted) and join the kept one. The other way round: {other}"
        )
        about = tuple(member.name for side in ranked[1:] for member in side)
        return self._run(Way.SPLIT, because, about, "swarm.end-split", {"keep": keep})

    def _run(
        self,
        way: Way,
        because: str,
        about: tuple[str, ...],
        runbook: str,
        params: Mapping[str, str],
        *,
        open_host: bool = False,
    ) -> Advice:
        """Advice that one of our runbooks carries out.

        Args:
            open_host: it needs a host that only a person can name.
        """
        command = self._typed(runbook, params) + (" host=ssh://USER@HOST" if open_host else "")
        return Advice(way, because, about, command, runbook, dict(params))

    def _typed(self, runbook: str, params: Mapping[str, str]) -> str:
        # Names come from the cluster: a person will copy this line into a shell.
        values = " ".join(shlex.quote(f"{key}={value}") for key, value in params.items())
        return f"swarmtui run {runbook}{f' {values}' if values else ''}{self._target}"


def _with(sentence: str, member: Member) -> str:
    return sentence if member.why in sentence else f"{sentence} {member.why}"


def _place(members: Sequence[Member], backup: Kept) -> Member | None:
    """Where a backup is restored best: on a host that answers, at an address that its raft knows."""
    there = [
        member
        for member in members
        if member.target and member.condition in (Condition.OUT, Condition.BROKEN, Condition.LOCKED)
    ]
    order = {address: number for number, address in enumerate(backup.addresses)}
    clean = {Condition.OUT: 0, Condition.BROKEN: 1, Condition.LOCKED: 2}
    none = len(order)

    def known(member: Member) -> int:
        return min((order.get(address, none) for address in (member.address, *member.addresses)), default=none)

    there.sort(key=lambda m: (known(m), clean[m.condition], m.name))
    return there[0] if there else None


def _ready(side: Iterable[Member]) -> int:
    return max(member.ready for member in side)


def _worth(side: Sequence[Member]) -> tuple[int, int, int]:
    """What speaks for keeping this side: the nodes that follow it, the further log, its managers."""
    return _ready(side), max(member.index for member in side), len(side)
