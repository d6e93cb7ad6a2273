"""ucp.backup: what UCP keeps, by its own command on one manager, into the catalogue, opened and looked into (U6)."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts as ucp
from swarmtui.runbooks import params
from swarmtui.runbooks.image.archive import alive
from swarmtui.runbooks.image.job import LOAD
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.backups.backup_steps import Clear, Tidy, WaitContainers
from swarmtui.runbooks.swarm.custody import custody_rules
from swarmtui.runbooks.ucp.backup_facts import UcpBackupFacts, survey
from swarmtui.runbooks.ucp.backup_steps import FetchUcp, MakeArchive, Resume, VerifyUcp
from swarmtui.runbooks.ucp.image import PASSPHRASE, Command, Hidden
from swarmtui.runbooks.ucp.keeping import KeepNew
from swarmtui.session import Session
from swarmtui.vault import Kind

PASSPHRASE_BYTES: Final = 24
SPARE: Final = 32 << 20
"""Bytes that must stay free besides the archive."""
PAUSES: Final = ("2.2", "3.0", "3.1")
"""Series whose backup stops UCP's containers on that manager (ucp-dtr.md §1.5); from 3.2 on nothing is disturbed."""


class UcpBackup(Runbook):
    name = "ucp.backup"
    summary = "back up UCP (MKE) from one manager: its own command, sealed with a passphrase, fetched, verified"
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the manager; without it one whose UCP is healthy", params.text, "NAME"),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, UcpBackupFacts)
        _check(found)
        known, manager = found.known, found.manager
        command = backup_command(found)
        name = one_line(manager.place.name)
        pauses = known.release.series in PAUSES
        others = [one for one in found.managers if not one.ill and one.place.id != found.chosen]
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Back up {known.product} of {known.cluster} from {name}",
            why="A backup of the Swarm has no account, team, grant or setting of UCP, and none of its keys.",
            steps=_steps(found, command, params["wait"]),
            touches=(name,),
            changes=tuple(_changes(found, pauses=pauses)),
            notes=tuple(_notes(found)),
            warnings=tuple(_warnings(found, command, pauses=pauses, others=[one_line(o.place.name) for o in others])),
            rules=_rules(found),
            binding=binding_of(
                known.cluster_id,
                known.version,
                known.instance,
                found.chosen,
                [(one.place.id, one.ill) for one in found.managers],
                found.passphrase,
                found.custody,
            ),
            exclusive=(found.chosen, *(one.place.id for one in others)),
        )


def backup_command(found: UcpBackupFacts) -> Command:
    """The command: on standard output in every version. 3.2 has --file and an API as well: those need a folder that
    `nobody` may write to, or the administrator's password, and leave the archive outside the job's own folder."""
    release = found.known.release
    options: list[tuple[str, str | Hidden]] = []
    if ucp.has(release, "backup", "id"):
        options.append(("id", found.known.instance))
    options.append(("passphrase", PASSPHRASE))
    return Command(version=release, name="backup", options=tuple(options), selinux=found.host.selinux)


def _check(found: UcpBackupFacts) -> None:
    """Raises RefusedError where something stands in the way."""
    manager, host = found.manager, found.host
    name = one_line(manager.place.name)
    if manager.ill:
        raise RefusedError(
            f"UCP on {name} is not healthy: {manager.ill}.", "Name another manager, or none: a healthy one is chosen."
        )
    if not host.image:
        raise RefusedError(f"The image {found.known.release.image} is not on {name}.", LOAD)
    if (left := alive(host.leftovers)) is not None:
        raise RefusedError(
            f"Another job of ours runs on {name}: {left.id}.",
            "Wait until it is over; if its run was cut off, go on with that: swarmtui journal",
        )
    if host.busy:
        raise RefusedError(
            f"Another command of UCP runs on {name}, or was left behind: {one_line(host.busy)}.",
            f"Wait until it is over (docker wait {ucp.CONTAINER}); one that has ended: docker rm {ucp.CONTAINER}.",
        )
    if found.trouble:
        raise RefusedError(
            f"Backups cannot be kept in {found.folder}: {found.trouble}",
            'Name another folder in the configuration: [backups] folder = "/…"',
        )
    for where, free in ((f"in /var/lib of {name}", host.free), (f"in {found.folder} here", found.free)):
        if 0 <= free < host.size + SPARE:
            raise RefusedError(
                f"There are {free / 1e6:.0f} MB free {where}, and {(host.size + SPARE) / 1e6:.0f} MB are needed.",
                "Free some space there.",
            )


def _changes(found: UcpBackupFacts, *, pauses: bool) -> list[tuple[str, str]]:
    name = one_line(found.manager.place.name)
    changes = [("plain", f"Manager: {name}, because: {found.because}.")]
    changes += [("warn", f"Not {one_line(one.place.name)}: {one.ill}.") for one in found.managers if one.ill]
    if pauses:
        changes.append(("warn", f"UCP's containers on {name} stop while the archive is made, and start again."))
    else:
        changes.append(("plain", f"UCP goes on running on {name} meanwhile."))
    return changes


def _notes(found: UcpBackupFacts) -> list[str]:
    known = found.known
    told = [
        f"The backup {name_of(found)} goes to {found.folder}, sealed by UCP with the passphrase from the vault.",
        f"Only {known.product} restores it: an upgrade makes it worthless. Take a new one then.",
        "In it: accounts, teams, grants, settings, licence, keys and certificates of UCP. Not in it: the Swarm itself "
        "with services, networks, secrets and configs (swarm.backup), and DTR.",
        "Tasks of the Swarm are not touched.",
    ]
    if found.accounts is not None:
        people = [account for account in found.accounts if not account.org]
        some = "1 account" if len(people) == 1 else f"{len(people)} accounts"
        told.append(f"UCP has {some} now; after a restore that is compared.")
    return told


def _warnings(found: UcpBackupFacts, command: Command, *, pauses: bool, others: list[str]) -> list[str]:
    name = one_line(found.manager.place.name)
    told = []
    if pauses and not others:
        told.append(
            f"UCP is healthy on no other manager: while the backup is taken its UI, its API and all client bundles do "
            f"not work. Sessions of exec, logs, events and attach through {name} are cut."
        )
    elif pauses:
        told.append(
            f"Meanwhile UCP answers on {', '.join(others)}; sessions of exec, logs, events and attach through {name} "
            "are cut, and whoever uses its address waits."
        )
    told.append(command.exposure)
    if not found.passphrase:
        told.append("The vault has no passphrase of UCP yet: one is made and kept. Without it nobody restores this.")
    if found.accounts is None:
        told.append(
            f"UCP's accounts are not noted with it: {found.unasked}. Keep the administrator's password, and they are: "
            f"swarmtui secrets set ucp-password {found.known.cluster}"
        )
    told += [f"An earlier job left {left.id} on {name}: it is cleaned up first." for left in found.host.leftovers]
    told += [f"{draft} It is removed first." for draft in found.drafts]
    return told


def _rules(found: UcpBackupFacts) -> tuple[Rule, ...]:
    return custody_rules(found.custody, found.known.cluster) if found.custody else ()


def name_of(found: UcpBackupFacts) -> str:
    """The name of the backup: of the time of its job, so that a run that is gone on with makes the same."""
    from swarmtui.backups.catalogue import backup_id

    return backup_id(_at(found), f"ucp-{found.manager.place.name}")


def _at(found: UcpBackupFacts) -> float:
    return float(calendar.timegm(time.strptime(found.job[:16], "%Y%m%dT%H%M%SZ")))


def _steps(found: UcpBackupFacts, command: Command, wait: int) -> tuple[Step, ...]:
    from swarmtui.backups.manifest import Manifest, UcpManifest

    known, manager, host = found.known, found.manager, found.host
    place, at = manager.place, manager.place.at
    name, release = one_line(place.name), known.release
    about: dict[str, Any] = {"node_id": place.id, "name": name, "at": at}
    restart = Command(version=release, name="restart", selinux=host.selinux)
    steps: list[Step] = []
    if host.leftovers or found.drafts:
        steps.append(
            Tidy(
                id="tidy",
                title=f"Clean up what an earlier job left behind on {name}" if host.leftovers else "Clean up here",
                why="An archive with all keys of UCP must not lie about.",
                skippable=True,
                job_id=found.job,
                job_ids=tuple(left.id for left in host.leftovers),
                cluster_id=known.cluster_id,
                drafts=bool(found.drafts),
                **about,
            )
        )
    if not found.passphrase:
        steps.append(
            KeepNew(
                id="passphrase",
                title="Make a passphrase, and keep it in the vault",
                why="It is kept before anything is sealed with it: without it the backup is worth nothing.",
                kind=Kind.UCP_PASSPHRASE,
                size=PASSPHRASE_BYTES,
                cluster_id=known.cluster_id,
                cluster=known.cluster,
                durable=bool(found.custody.get("durable")),
            )
        )
    pauses = release.series in PAUSES
    steps += [
        MakeArchive(
            id="archive",
            title=f"Have {known.product} write its backup on {name}",
            why="UCP's own command, of the very version that runs. Without a terminal, which would spoil the archive, "
            "and without a log driver, which would keep a copy of it. It goes on when we are cut off.",
            danger=Danger.DISRUPTIVE if pauses else Danger.SAFE,
            at=at,
            known=known,
            command=command,
            job_id=found.job,
            restart=restart,
            restart_id=found.restart,
            containers=manager.well,
            if_stopped="UCP is as it was.",
        ),
        Resume(
            id="resume",
            title=f"See that UCP's containers run again on {name}",
            why="The command starts them itself, unless it was killed.",
            at=at,
            command=restart,
            job_id=found.restart,
            containers=manager.well,
            if_stopped=f"UCP's containers on {name} may be stopped: docker ps -a --filter name=ucp-",
        ),
        WaitContainers(
            id="healthy",
            title=f"Wait until UCP on {name} is healthy",
            why="Only then the next manager may be touched.",
            containers=manager.well,
            seconds=wait,
            if_stopped="The archive lies on the manager, and is no backup yet.",
            **about,
        ),
        FetchUcp(
            id="fetch",
            title="Fetch the archive into the catalogue",
            why="As it is: UCP has sealed it. Its digest is compared on both ends.",
            known=known,
            job_id=found.job,
            about=Manifest(
                kind="ucp",
                cluster_id=known.cluster_id,
                cluster=known.cluster,
                node=name,
                node_id=place.id,
                leader=place.leader,
                address=place.address,
                taken_at=_at(found),
                managers=tuple(sorted(one.place.address for one in found.managers)),
                cold=None,
                ucp=UcpManifest(
                    version=known.version,
                    image=release.image,
                    instance_id=known.instance,
                    sealed=True,
                    accounts=found.accounts,
                ),
            ),
            backup=name_of(found),
            encryption="",
            **about,
        ),
        Clear(
            id="clear",
            title=f"Remove the job from {name}",
            why="Its archive holds every key of UCP.",
            job_id=found.job,
            **about,
        ),
        VerifyUcp(
            id="verify",
            title="Open the backup, and look inside",
            why="That the passphrase opens it, that it is whole, and of this version and instance.",
            cluster_id=known.cluster_id,
            backup=name_of(found),
            version=known.version,
        ),
    ]
    return tuple(steps)
