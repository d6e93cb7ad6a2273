"""What is to be said about a backup before it is taken, and the steps that take it. Pure. Source: procedures.md K1."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from typing import Any

from swarmtui.errors import RefusedError
from swarmtui.model.quorum import Quorum
from swarmtui.runbooks.node_steps import MoveConnection
from swarmtui.runbooks.runbook import Danger, Rule, Step
from swarmtui.runbooks.swarm.backups.backup_facts import BackupFacts, Leftover, Manager
from swarmtui.runbooks.swarm.backups.backup_keep import FetchSwarm
from swarmtui.runbooks.swarm.backups.backup_steps import Archive, Clear, Tidy, WaitContainers, WaitWorks
from swarmtui.runbooks.swarm.backups.fetch import Verify
from swarmtui.runbooks.swarm.backups.here import kept_words
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode

BYTES_PER_SECOND = 5_000_000
"""What the slowest disk is given credit for when tar's time is limited."""
LEAST_SECONDS = 900
SPARE = 32 << 20
"""Bytes that must stay free besides the archive."""
LEADER_SECONDS = "10 to 26"
"""Without a control plane when the leader's Docker is stopped (swarm-dr.md §2)."""


class BackupDraft:
    """A plan in the making.

    Args:
        hot: leave Docker alone.
        wait: seconds until the manager must be back.
    """

    def __init__(self, facts: BackupFacts, *, hot: bool, wait: int) -> None:
        self.facts = facts
        self.hot = hot
        self.wait = wait
        self.node = facts.manager
        self.changes: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.rules: list[Rule] = []
        self.now = Quorum(facts.nodes.voters, facts.nodes.reachable)
        self.meanwhile = self.now if hot else Quorum(self.now.voters, self.now.reachable - 1)
        self._check()
        self._quorum()
        if not hot:
            self._others()
            self._key()
            self._stops()
        self._place()
        self._left_behind()

    # -- what stands in the way -----------------------------------------------------------------------------------

    def _check(self) -> None:
        facts = self.facts
        host, here = facts.host, facts.here
        if host.trouble:
            raise RefusedError(host.trouble, host.advice or "Name another manager: node=NAME")
        for name, left in self._lying():
            if left.state.alive:
                raise RefusedError(
                    f"Another backup is under way on {name}: its job {left.id} runs there.",
                    "Wait until it is over; if its run was cut off, go on with that: swarmtui journal",
                )
        if not self.hot and not self.node.up:
            raise RefusedError(
                f"{self.node.name} is not up: {'it is locked' if self.node.locked else 'the leader does not hear it'}.",
                "Bring it back, or name another manager: node=NAME",
            )
        if here.trouble:
            raise RefusedError(
                f"Backups cannot be kept in {here.folder}: {here.trouble}",
                'Name another folder in the configuration: [backups] folder = "/…"',
            )
        needed = 2 * host.size
        if 0 <= host.free < needed:
            raise RefusedError(
                f"{self.node.name} has {_mb(host.free)} free in /var/lib, and {_mb(needed)} are needed: twice what "
                f"{host.root}/swarm has.",
                "Free some space there, or name another manager: node=NAME",
            )
        if 0 <= here.free < host.size + SPARE:
            raise RefusedError(
                f"There are {_mb(here.free)} free in {here.folder}, and {_mb(host.size + SPARE)} are needed.",
                "Free some space here, or name another folder in the configuration.",
            )

    # -- what it does to the Swarm --------------------------------------------------------------------------------

    def _quorum(self) -> None:
        name, then = self.node.name, self.meanwhile
        self.changes.append(("plain", f"Manager: {name}, because: {self.facts.because}."))
        for other, trouble in self.facts.silent:
            self.warnings.append(f"{other} would have come first, but: {trouble}")
        if self.hot:
            self.changes.append(("plain", f"Docker goes on running; managers: {self.now}."))
            self.warnings.append(
                "A hot backup may be inconsistent: files change while they are read. It is marked so for ever; take a "
                "cold one where you can."
            )
            return
        self.changes.append(("plain", f"Managers now: {self.now}."))
        if self.now.voters == 1:
            self.changes.append(("warn", f"While {name} is down: no manager at all."))
            self.warnings.append(
                f"{name} is the only manager: while its Docker is stopped the Swarm has no control plane, nothing can "
                "be changed and nothing is replaced. With three managers a backup costs nothing of that."
            )
            return
        self.changes.append(("bad" if not then.held else "plain", f"While {name} is down: {then}."))
        if not then.held:
            self.rules.append(
                Rule(
                    "quorum",
                    name,
                    f"While {name} is down only {then.reachable} of {then.voters} managers answer, and {then.needed} "
                    "are needed: the Swarm stands still until it is back.",
                )
            )
        elif then.slack == 0:
            self.warnings.append(
                f"While {name} is down no other manager may fail: {then.reachable} of {then.voters} are left, and "
                f"{then.needed} are needed. Regular backups want five managers."
            )
        if self.node.leader:
            self.warnings.append(
                f"{name} is the leader: without it the Swarm has no control plane for {LEADER_SECONDS} s, until the "
                "others have elected a new one. Better: back up another manager, or demote it first (it hands over in "
                f"0.1 s) and promote it again afterwards: swarmtui run node.demote node={name}"
            )

    def _others(self) -> None:
        for manager in self.facts.managers:
            if manager.id == self.node.id or manager.up:
                continue
            why = "is locked: unlock it first (swarmtui run swarm.unlock)" if manager.locked else "cannot be reached"
            self.warnings.append(f"{manager.name} {why}; it does not count.")

    def _key(self) -> None:
        key, name = self.facts.key, self.node.name
        if not key.autolock:
            return
        if key.kept == "current":
            self.notes.append(
                f"Autolock is on: {name} is unlocked after its restart with the key {key.key} from {key.where}. The "
                "key is not in the backup, and without it nobody opens that: keep it as long as the backup."
            )
            return
        what = (
            f"the vault has the key {key.key} only as a {key.kept} one"
            if key.kept
            else f"the vault ({key.where}) does not have its key {key.key}"
        )
        self.rules.append(
            Rule(
                "unlock-key",
                name,
                f"Autolock is on, and {what}: {name} stays locked after its restart until somebody types it, and "
                "nobody can open the backup without it. Keep it first: docker swarm unlock-key, swarmtui secrets set "
                f"unlock-key {self.facts.cluster_id}",
            )
        )

    @property
    def ucp(self) -> tuple[str, ...]:
        """UCP's containers on that node."""
        found = self.facts.nodes.containers.get(self.node.id, ())
        return tuple(name for name in found if name.startswith("ucp-"))

    def _stops(self) -> None:
        name = self.node.name
        others = [one for one in self.facts.nodes.containers.get(self.node.id, ()) if one not in self.ucp]
        if self.node.tasks:
            self.warnings.append(
                f"{self.node.tasks} {'task' if self.node.tasks == 1 else 'tasks'} on {name} stop with its Docker; the "
                "Swarm starts them elsewhere when it takes the node for down, or there when it is back."
            )
        if self.ucp or self.facts.nodes.ucp:
            self.warnings.append(
                f"UCP's containers on {name} stop too ({len(self.ucp) or 'some'} of them): this manager's UCP does not "
                "answer until they are healthy again, which is waited for."
            )
        if others:
            self.warnings.append(
                f"Containers on {name} that are not of the Swarm stop too, and come back only if their restart policy "
                f"says so: {', '.join(others[:8])}."
            )

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def _place(self) -> None:
        facts, here = self.facts, self.facts.here
        notes, warnings = kept_words(here, self.backup, facts.cluster_id)
        self.notes += notes
        self.warnings += warnings
        self.notes.append(
            "Not in it: data of volumes, images, and what runs outside the Swarm. High availability is no backup."
        )

    def _lying(self) -> list[tuple[str, Leftover]]:
        """What earlier jobs left, and on whose host."""
        found = [(self.node.name, left) for left in self.facts.host.leftovers]
        return found + [(other.at.name, left) for other in self.facts.elsewhere for left in other.leftovers]

    def _left_behind(self) -> None:
        for name, left in self._lying():
            last = left.state.phase or "nothing"
            down = ", and may have left Docker stopped" if left.state.stopped_docker else ""
            self.warnings.append(
                f"An earlier backup left its job {left.id} on {name} (last word: {last}{down}): it is cleaned up first."
            )
        self.warnings += [f"{draft} It is removed first." for draft in self.facts.here.drafts]

    @property
    def backup(self) -> str:
        """The name of the backup: of the time of its job, so that a run that is gone on with makes the same."""
        from swarmtui.backups.catalogue import backup_id

        return backup_id(self._at, self.node.name)

    @property
    def _at(self) -> float:
        return float(calendar.timegm(time.strptime(self.facts.job[:16], "%Y%m%dT%H%M%SZ")))

    # -- the steps ------------------------------------------------------------------------------------------------

    def steps(self) -> tuple[Step, ...]:
        facts, node, host = self.facts, self.node, self.facts.host
        about: Mapping[str, Any] = {"node_id": node.id, "name": node.name, "at": host.at}
        steps: list[Step] = []
        if host.leftovers or facts.here.drafts:
            steps.append(self._tidy("tidy", about, host.leftovers, drafts=bool(facts.here.drafts)))
        for other in facts.elsewhere:
            there = {"node_id": other.node_id, "name": other.at.name, "at": other.at}
            steps.append(self._tidy(f"tidy-{other.node_id}", there, other.leftovers))
        if not self.hot and facts.nodes.through == node.id and facts.nodes.ways:
            steps.append(
                MoveConnection(
                    id="move",
                    title="Move our own connection",
                    why=f"It runs through {node.name}, whose Docker is about to stop.",
                    node_id=node.id,
                    name=node.name,
                )
            )
        steps.append(self._archive(about))
        if not self.hot:
            steps += self._back(about)
        steps += [
            FetchSwarm(
                id="fetch",
                title="Fetch the archive into the catalogue",
                why="Only now, with Docker up again: sending costs no downtime. Its digest is compared on both ends.",
                job_id=facts.job,
                about=self._about(),
                backup=self.backup,
                encryption=facts.here.encryption,
                **about,
            ),
            Clear(
                id="clear",
                title=f"Remove the job from {node.name}",
                why="Its archive holds every secret of the Swarm.",
                job_id=facts.job,
                **about,
            ),
            Verify(
                id="verify",
                title="Verify the backup (tiers 1 to 4)",
                why="A backup that nobody looked into is a hope: whole, complete, its key opens it, it has everything.",
                cluster_id=facts.cluster_id,
                backup=self.backup,
            ),
        ]
        return tuple(steps)

    def _tidy(self, step_id: str, about: Mapping[str, Any], left: Sequence[Leftover], *, drafts: bool = False) -> Tidy:
        return Tidy(
            id=step_id,
            title=f"Clean up what an earlier backup left behind on {about['name']}" if left else "Clean up here",
            why="A job that was cut off may have left Docker stopped, and an archive with every secret.",
            skippable=True,
            job_id=self.facts.job,
            job_ids=tuple(each.id for each in left),
            cluster_id=self.facts.cluster_id,
            drafts=drafts,
            **about,
        )

    def _archive(self, about: Mapping[str, Any]) -> Archive:
        facts, host = self.facts, self.facts.host
        return Archive(
            id="archive",
            title=f"Archive {host.root}/swarm on {self.node.name}" + (", Docker running" if self.hot else ""),
            why="Docker goes on meanwhile. One node is written once more as it is: only with the next entry does "
            "Docker write that the one before was agreed on."
            if self.hot
            else "A job on the host stops Docker (and its socket, else the next docker command starts it again), makes "
            "a plain tar, and starts Docker whatever happens: also when we are cut off or killed.",
            danger=Danger.SAFE if self.hot else Danger.DISRUPTIVE,
            job_id=facts.job,
            root=host.root,
            hot=self.hot,
            units=host.units,
            raw_holes=host.raw_holes,
            seconds=max(LEAST_SECONDS, host.size // BYTES_PER_SECOND),
            **about,
        )

    def _back(self, about: Mapping[str, Any]) -> list[Step]:
        facts, node = self.facts, self.node
        steps: list[Step] = []
        if facts.key.autolock:
            steps.append(
                UnlockNode(
                    id="unlock",
                    title=f"Unlock {node.name}",
                    why="With autolock on, a manager whose Docker was restarted waits for the unlock key.",
                    name=node.name,
                    target=facts.host.at.target,
                    sudo=facts.host.at.sudo,
                    patience=90,
                    cluster_id=facts.cluster_id,
                    live=facts.nodes.voters > 1,
                )
            )
        steps.append(
            WaitWorks(
                id="back",
                title=f"Wait until {node.name} works again, and the managers hear from it",
                why="It counts for quorum only once the leader hears from it: about 8 s.",
                manager=True,
                seconds=self.wait,
                otherwise=f"Bring it back: swarmtui run node.rejoin node={node.name}. Then go on with this run: the "
                "archive is made.",
                **about,
            )
        )
        ill = self.facts.nodes.ill.get(self.node.id, ())
        # Who was not well before will not be by our waiting for it: a Swarm is backed up just before UCP is restored.
        if well := tuple(name for name in self.ucp if name not in ill):
            steps.append(
                WaitContainers(
                    id="ucp",
                    title=f"Wait until UCP on {node.name} is healthy",
                    why="Its containers stopped with Docker.",
                    containers=well,
                    seconds=self.wait,
                    **about,
                )
            )
        return steps

    def _about(self) -> Any:
        """The manifest, as far as it is known before."""
        from swarmtui.backups.manifest import HOT, Manifest

        facts, node = self.facts, self.node
        words = f"{self.now} before; {self.meanwhile} while {node.name} was down" if not self.hot else str(self.now)
        return Manifest(
            cluster_id=facts.cluster_id,
            cluster=facts.cluster,
            node=node.name,
            node_id=node.id,
            leader=node.leader,
            address=node.address,
            engine_version=facts.host.version,
            taken_at=self._at,
            managers=tuple(sorted(manager.address for manager in facts.managers)),
            quorum=words,
            cold=not self.hot,
            autolock=facts.key.autolock,
            key_fingerprint=facts.key.key,
            notes=(HOT,) if self.hot else (),
        )


def locked_on(facts: BackupFacts) -> tuple[str, ...]:
    """Ids of the managers on whose hosts a lock belongs while the backup is taken, its own first."""
    own: list[Manager] = [facts.manager]
    return tuple(manager.id for manager in own + [m for m in facts.managers if m.up and m.id != facts.chosen])


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
