"""dtr.backup: what DTR keeps besides images, by its own command, into the catalogue, encrypted by us (T5)."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.dtr import facts as dtr
from swarmtui.model.quorum import quorum_of
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.backup_facts import DtrBackupFacts, survey
from swarmtui.runbooks.dtr.backup_steps import FetchDtr, VerifyDtr, WriteDtr, leak_words
from swarmtui.runbooks.dtr.commanding import INSECURE
from swarmtui.runbooks.dtr.database import BackAgain
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.image.archive import alive
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.backups.backup_steps import Clear, Tidy
from swarmtui.runbooks.swarm.backups.here import kept_words
from swarmtui.session import Session

SPARE: Final = 32 << 20
"""Bytes that must be free; how large the archive becomes nobody can tell before."""
NOT_IN_IT: Final = "Images, users and teams are in no backup of DTR"


class DtrBackup(Runbook):
    name = "dtr.backup"
    summary = "back up DTR (MSR) from one replica: its own command, fetched, encrypted, verified; images are not in it"
    params: ClassVar[Sequence[Param]] = (
        Param("replica", "its id or node; without it the one of the last backup", params.text, "ID|NODE"),
        Param(
            "offline",
            "stop the replica's database meanwhile, so that the backup is consistent (DTR 2.5 and later)",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, DtrBackupFacts)
        offline = bool(params["offline"])
        _check(found, offline=offline)
        known, replica = found.known, found.replica
        command = backup_command(found, offline=offline)
        notes, warnings = kept_words(found.here, name_of(found), known.cluster_id)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Back up {known.product} of {known.cluster} from replica {replica.shown}",
            why="Replicas are no backup: what somebody deletes is gone on every one of them at once.",
            steps=_steps(found, command, offline=offline),
            touches=(replica.id,),
            changes=tuple(_changes(found, offline=offline)),
            notes=(*notes, *_notes(found)),
            warnings=(*warnings, *_warnings(found, command, offline=offline)),
            rules=_rules(found, offline=offline),
            binding=binding_of(
                known.cluster_id,
                known.version,
                replica.id,
                offline,
                sorted(one.id for one in known.members),
                sorted(found.ill),
                found.here.encryption,
                found.at.name,
                found.work.way.url,
                found.work.way.insecure,
            ),
            exclusive=found.managers,
        )


def backup_command(found: DtrBackupFacts, *, offline: bool) -> Command:
    """The command: on standard output in every version."""
    switch = (("offline-backup", ""),) if offline else ()
    return found.work.command("backup", ("existing-replica-id", found.replica.id), *switch)


def _check(found: DtrBackupFacts, *, offline: bool) -> None:
    """Raises RefusedError where something stands in the way."""
    known, at = found.known, found.at
    if offline and not known.release.offline_backup:
        raise RefusedError(
            f"{known.product} has no --offline-backup: it came with DTR 2.5.",
            "Leave offline= out, and back up at a quiet hour.",
        )
    if (left := alive(found.room.leftovers)) is not None:
        raise RefusedError(
            f"Another job of ours runs on {at.name}: {left.id}.",
            "Wait until it is over; if its run was cut off, go on with that: swarmtui journal",
        )
    if found.busy:
        name = backup_command(found, offline=False).container
        raise RefusedError(
            f"Another backup of DTR runs on {at.name}, or was left behind: {one_line(found.busy)}.",
            f"Wait until it is over (docker wait {name}); one that has ended: docker rm {name}.",
        )
    if found.here.trouble:
        raise RefusedError(
            f"Backups cannot be kept in {found.here.folder}: {found.here.trouble}",
            'Name another folder in the configuration: [backups] folder = "/…"',
        )
    for place, free in ((f"in /var/lib of {at.name}", found.room.free), (f"in {found.here.folder}", found.here.free)):
        if 0 <= free < SPARE:
            raise RefusedError(
                f"There are {free / 1e6:.0f} MB free {place}, and {SPARE / 1e6:.0f} MB are the least that is needed.",
                "Free some space there.",
            )


def _left(found: DtrBackupFacts) -> tuple[int, int]:
    """Replicas that are well while this one's database is stopped, and how many DTR needs."""
    members = found.known.members
    well = [one for one in members if one.id not in found.ill and one.id != found.replica.id]
    return len(well), quorum_of(len(members))


def _changes(found: DtrBackupFacts, *, offline: bool) -> list[tuple[str, str]]:
    changes = [("plain", f"Replica: {found.replica.shown}, because: {found.because}.")]
    changes += [
        ("warn", f"Not {one.shown}: {found.ill[one.id]}.") for one in found.known.members if one.id in found.ill
    ]
    if offline:
        changes.append(("warn", f"The database of {found.replica.shown} stops while the archive is made."))
    else:
        changes.append(("plain", "DTR goes on running meanwhile."))
    changes.append(("plain", f"The command runs on {found.at.name}, and works through UCP."))
    return changes


def _notes(found: DtrBackupFacts) -> list[str]:
    known = found.known
    told = [
        f"Only {known.product} restores it, and only beside the UCP of this cluster: an upgrade makes it worthless. "
        "Take a new one then.",
        "In it: repositories with their tags, settings, access rights, Notary's data, scan results, keys and "
        f"certificates. {NOT_IN_IT}, nor is the database of vulnerabilities.",
        f"The images are {about(found).images}: they need a backup of their own. Users and teams are UCP's: "
        "swarmtui run ucp.backup",
        "The order is Swarm, UCP, DTR: one alone does not bring back what was.",
    ]
    if found.repositories is not None:
        many = len(found.repositories)
        told.append(f"DTR has {many} {'repository' if many == 1 else 'repositories'} now; that is noted with it.")
    return told


def _warnings(found: DtrBackupFacts, command: Command, *, offline: bool) -> list[str]:
    known = found.known
    told = [leak_words(known.release), command.exposure]
    if found.before and found.before != found.replica.id:
        told.append(
            f"The last backup was taken from another replica, {found.before}: backups of one are not to be mixed with "
            "those of another."
        )
    if known.release.numbers == (2, 4, 0):
        told.append(
            "DTR 2.4.0 takes much memory for a backup, and omits rights of teams on repositories: 2.4.1 mends it."
        )
    if not offline and known.release.offline_backup:
        told.append("What is pushed meanwhile may be in it by half: at a quiet hour, or with offline=true, it is not.")
    if found.repositories is None:
        told.append(f"DTR's repositories are not noted with it: {found.unasked}.")
    if len(known.versions) > 1:
        told.append(f"Replicas run different versions: {', '.join(sorted(known.versions))}. Finish that upgrade first.")
    told += [
        f"An earlier job left {left.id} on {found.at.name}: it is cleaned up first." for left in found.room.leftovers
    ]
    told += [f"{draft} It is removed first." for draft in found.here.drafts]
    return [each for each in told if each]


def _rules(found: DtrBackupFacts, *, offline: bool) -> tuple[Rule, ...]:
    left, needed = _left(found)
    if not offline or left >= needed:
        return found.work.way.rules
    return (
        *found.work.way.rules,
        Rule(
            "dtr-quorum",
            found.replica.id,
            f"While the database of {found.replica.shown} is stopped only {left} of {len(found.known.members)} "
            f"replicas are left, and {needed} are needed: DTR takes no push, pull or login meanwhile.",
        ),
    )


def about(found: DtrBackupFacts) -> Any:
    """What the manifest says of DTR."""
    from swarmtui.backups.manifest import DtrManifest

    known, replica = found.known, found.replica
    return DtrManifest(
        version=known.version,
        image=known.release.image,
        replica_id=replica.id,
        replicas=tuple(sorted(one.id for one in known.members)),
        nodes={one.id: one.node for one in known.members if one.node},
        external_url=known.external,
        https_port=replica.https,
        http_port=replica.http,
        storage=found.images.storage,
        storage_at=found.images.at,
        ucp_instance=known.ucp.instance if known.ucp is not None else "",
        repositories=found.repositories,
    )


def name_of(found: DtrBackupFacts) -> str:
    """The name of the backup: of the time of its job, so that a run that is gone on with makes the same."""
    from swarmtui.backups.catalogue import backup_id

    return backup_id(_at(found), f"dtr-{found.replica.node or found.replica.id}")


def _at(found: DtrBackupFacts) -> float:
    return float(calendar.timegm(time.strptime(found.job[:16], "%Y%m%dT%H%M%SZ")))


def _steps(found: DtrBackupFacts, command: Command, *, offline: bool) -> tuple[Step, ...]:
    from swarmtui.backups.manifest import Manifest

    known, replica, at = found.known, found.replica, found.at
    place: dict[str, Any] = {"node_id": found.node_id, "name": at.name, "at": at}
    noted = msgspec.structs.replace(about(found), offline=offline)
    steps: list[Step] = []
    if found.room.leftovers or found.here.drafts:
        steps.append(
            Tidy(
                id="tidy",
                title=f"Clean up what an earlier job left behind on {at.name}",
                why="An archive with all keys of DTR must not lie about.",
                skippable=True,
                job_id=found.job,
                job_ids=tuple(left.id for left in found.room.leftovers),
                cluster_id=known.cluster_id,
                drafts=bool(found.here.drafts),
                **place,
            )
        )
    if not found.image:
        steps.append(found.work.pull)
    steps += [
        WriteDtr(
            id="archive",
            title=f"Have {known.product} write its backup, from replica {replica.shown}",
            why="DTR's own command, of the very version that runs. Without a terminal, which would spoil the archive, "
            "and without a log driver, which would keep a copy of it. It goes on when we are cut off.",
            danger=Danger.DISRUPTIVE if offline else Danger.SAFE,
            **found.work.runs(command),
            replica=replica.on.node.at if replica.on is not None else None,
            stops=replica.id if offline else "",
            if_stopped=f"DTR is as it was, but for the database of {replica.shown}, which may be stopped."
            if offline
            else "DTR is as it was.",
        ),
        *(_back(found) if offline else ()),
        FetchDtr(
            id="fetch",
            title="Fetch the archive into the catalogue",
            why="DTR does not encrypt it: it is done on the way. Its digest is compared on both ends.",
            job_id=found.job,
            about=Manifest(
                kind="dtr",
                cluster_id=known.cluster_id,
                cluster=known.cluster,
                node=replica.node or replica.id,
                node_id=replica.on.node.id if replica.on is not None else "",
                role="worker",
                address=replica.on.node.address if replica.on is not None else "",
                taken_at=_at(found),
                cold=None,
                dtr=noted,
                notes=(f"{NOT_IN_IT}. The images are {noted.images}.", *filter(None, (_leaked(known.release),))),
            ),
            backup=name_of(found),
            encryption=found.here.encryption,
            if_stopped=f"The archive lies on {at.name}, in clear, and is no backup yet.",
            **place,
        ),
        Clear(
            id="clear",
            title=f"Remove the job from {at.name}",
            why="Its archive holds every key of DTR, in clear.",
            job_id=found.job,
            **place,
        ),
        VerifyDtr(
            id="verify",
            title="Open the backup, and look inside",
            why="That it opens, that it is whole, and of this version.",
            cluster_id=known.cluster_id,
            backup=name_of(found),
            replica=replica.id,
        ),
    ]
    return tuple(steps)


def _back(found: DtrBackupFacts) -> Iterator[Step]:
    """The step that sees that DTR has its database again, where that was stopped."""
    replica = found.replica
    stopped = f"The database of {replica.shown} may still be stopped. The archive lies on {found.at.name}, in clear."
    why = "Its database was stopped for the backup; that the command ended does not prove that it runs again."
    if replica.on is not None:
        yield BackAgain(
            id="back",
            title=f"Wait until replica {replica.id} is well again",
            why=why,
            node_id=replica.on.node.id,
            name=replica.on.node.name,
            at=replica.on.node.at,
            replica_id=replica.id,
            https=replica.https,
            if_stopped=stopped,
        )


def _leaked(version: dtr.Version) -> str:
    return (
        f"{version.product} may have written credentials to the log driver while it was made." if version.leaks else ""
    )
