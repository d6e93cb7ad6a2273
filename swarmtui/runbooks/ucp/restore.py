"""ucp.restore: UCP as a backup has it, into a healthy Swarm; the Swarm itself is left alone (procedures.md U7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.text import listed, one_line
from swarmtui.model.ucp.facts import CONTAINER, Version
from swarmtui.model.ucp.health import NEW_NAMES
from swarmtui.model.url import https_url
from swarmtui.runbooks import params
from swarmtui.runbooks.image.job import LOAD
from swarmtui.runbooks.image.upload import RemoveArchive, Upload, file_of
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.ucp.access import Access
from swarmtui.runbooks.ucp.image import PASSPHRASE, UNLOCK_KEY, Command, Hidden
from swarmtui.runbooks.ucp.restore_facts import UcpRestoreFacts, survey
from swarmtui.runbooks.ucp.restore_steps import (
    MOST,
    CompareAccounts,
    PingAll,
    RestoreUcp,
    compared,
)
from swarmtui.runbooks.ucp.uninstall import HOST_ADDRESS
from swarmtui.runbooks.ucp.uninstall_steps import NO_JOIN, uninstall_steps
from swarmtui.session import Session

KEEPS_CERTIFICATES: Final = ("3.2", "mke")
"""Series whose restore does not make the certificates anew that the backup has (ucp-dtr.md §1.6)."""


class UcpRestore(Runbook):
    name = "ucp.restore"
    summary = "bring UCP (MKE) back from a backup, into a healthy Swarm: uninstall what is there, restore, compare"
    params: ClassVar[Sequence[Param]] = (
        Param("backup", "which backup of UCP", params.text, "latest|ID", default="latest"),
        Param("host", "the manager to restore it on; else the one in use", params.text, "NODE"),
        HOST_ADDRESS,
        Param("san", "further names and addresses for its certificate", params.names, "NAME[,NAME…]"),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, UcpRestoreFacts)
        _check(found)
        backup = found.backup
        sans, address = tuple(params.get("san") or ()), params.get("host-address") or ""
        command = restore_command(found, sans, address)
        release = Version.parse(backup.version)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Restore {release.product} on {found.cluster} from {backup.id}",
            why="Only UCP is brought back: the Swarm, its services, networks, secrets and data stay as they are.",
            steps=_steps(found, command, params["wait"]),
            touches=(found.cluster,),
            changes=tuple(_changes(found)),
            notes=tuple(_notes(found)),
            warnings=(*_warnings(found, command), *_names(release, sans)),
            binding=binding_of(
                found.cluster_id,
                backup.id,
                backup.version,
                backup.verdict,
                found.manager.id,
                found.running,
                found.services,
                sorted(found.unasked),
                [node.id for node in found.nodes],
                found.accounts is not None and [account.name for account in found.accounts],
                sans,
                address,
            ),
            exclusive=tuple(node.id for node in found.nodes if node.manager and not node.down),
        )


def restore_command(found: UcpRestoreFacts, sans: Sequence[str] = (), address: str = "") -> Command:
    """The command: the archive on standard input. No --id: none is documented for it.

    Args:
        sans: further names for its certificate. address: what is advertised; "" for the manager's own.
    """
    options: list[tuple[str, str | Hidden]] = []
    if found.backup.sealed:
        options.append(("passphrase", PASSPHRASE))
    if found.autolock:
        options.append(("unlock-key", UNLOCK_KEY))
    if address:
        options.append(("host-address", address))
    options += [("san", name) for name in sans]
    return Command(
        version=Version.parse(found.backup.version),
        name="restore",
        options=tuple(options),
        selinux=found.selinux,
        stdin=file_of(found.jobs[0]),
    )


def _check(found: UcpRestoreFacts) -> None:
    """Raises RefusedError where something stands in the way: all of it before anything is removed."""
    backup, name = found.backup, one_line(found.manager.name)
    if not Version.parse(backup.version).supported:
        raise RefusedError(f"The command line of UCP {backup.version} is not known here.", "2.2 and 3.x are.")
    if backup.verdict == "no":
        raise RefusedError(
            f"The backup {backup.id} would not restore: {backup.because}.", "Name another: swarmtui backups list"
        )
    if not backup.opened:
        raise RefusedError(
            f"The backup {backup.id} cannot be opened: {backup.because}.",
            f"Keep its passphrase first: swarmtui secrets set ucp-passphrase {backup.cluster_id}",
        )
    if not found.image:
        raise RefusedError(
            f"The image {Version.parse(backup.version).image} is not on {name}: only the version that made the backup "
            "restores it.",
            LOAD,
        )
    if found.running and not found.old_image:
        raise RefusedError(
            f"The image {Version.parse(found.running).image} is not on {name}: only it takes the UCP off that is "
            "there.",
            LOAD,
        )
    if found.busy:
        raise RefusedError(
            f"Another command of UCP runs on {name}, or was left behind: {one_line(found.busy)}.",
            f"Wait until it is over (docker wait {CONTAINER}); one that has ended: docker rm {CONTAINER}.",
        )


def _gone(found: UcpRestoreFacts) -> list[str]:
    """Accounts that UCP has now, and not any more after the restore."""
    if found.accounts is None or found.backup.accounts is None:
        return []
    return compared(found.accounts, found.backup.accounts)[0]


def _changes(found: UcpRestoreFacts) -> list[tuple[str, str]]:
    backup = found.backup
    changes: list[tuple[str, str]] = [
        ("plain", f"Backup: {backup.id}, {backup.age} old, of {Version.parse(backup.version).product}."),
        ("plain", f"It opens with the vault's passphrase. Would restore: {backup.verdict}, because {backup.because}.")
        if backup.sealed
        else ("warn", f"It is not sealed. Would restore: {backup.verdict}, because {backup.because}."),
    ]
    if found.running or found.services:
        old = Version.parse(found.running).product if found.running else "The UCP"
        changes.append(("bad", f"{old} that is there is taken off all nodes first, with all it has now."))
    if found.accounts is not None and backup.accounts is not None:
        back = compared(backup.accounts, found.accounts)[0]
        if back:
            changes.append(("plain", f"Accounts that come back: {listed(back, MOST)}."))
        if gone := _gone(found):
            changes.append(("bad", f"Accounts made since then, which are LOST: {listed(gone, MOST)}."))
    left = [there for there in found.found.values() if not there.empty]
    if left:
        parts, volumes = sum(len(one.parts) for one in left), sum(len(one.volumes) for one in left)
        changes.append(("bad", f"On {len(left)} nodes {parts} containers and {volumes} volumes of UCP are removed."))
    return changes


def _notes(found: UcpRestoreFacts) -> list[str]:
    told = [
        "The Swarm is left alone: services go on. Its members, networks, secrets and configs are in no backup of UCP.",
        "Passwords are those of the backup's time.",
    ]
    if found.backup.instance and found.backup.instance != found.cluster_id:
        told.append(
            "This is another Swarm than the backup is of: its cluster CA is not restored, and client bundles of "
            "administrators become invalid. Whether those of other users stay valid the documentation says both ways: "
            "make new ones."
        )
    else:
        told.append(
            "Client bundles: try them afterwards; where one is refused, make a new one (swarmtui run ucp.bundle)."
        )
    return told


def _warnings(found: UcpRestoreFacts, command: Command) -> list[str]:
    backup = found.backup
    told = [f"From the uninstall until the restore is done {NO_JOIN}: let all nodes that belong to it join first."]
    managers = [node for node in found.nodes if node.manager]
    if backup.managers > len(managers):
        told.append(
            f"The Swarm had {backup.managers} managers then, and has {len(managers)} now: grow it first "
            "(swarmtui run swarm.join), or join them after the restore."
        )
    if found.down:
        told.append(
            f"Down: {listed(found.down, MOST)}. What of UCP is on them stays, and is in the way when they return."
        )
    told += [
        f"What of UCP is on {one_line(node.name)} is not known, and it is not cleaned: {found.unasked[node.id]}"
        for node in found.nodes
        if node.id in found.unasked and one_line(node.name) not in found.down
    ]
    if found.running and found.running != backup.version:
        told.append(
            f"UCP {found.running} runs here, and the backup is of {backup.version}: afterwards it is {backup.version} "
            "again, and is to be upgraded anew."
        )
    if found.running and found.accounts is None:
        told.append("What accounts UCP has now could not be asked: what was made since the backup is lost unseen.")
    if found.running:
        told.append("If UCP still works, back up what it has now first: swarmtui run ucp.backup")
    if not found.swarm_backup:
        told.append("There is no backup of the Swarm of the last day: swarmtui run swarm.backup")
    if backup.accounts is None:
        told.append("Nobody noted UCP's accounts when the backup was taken: afterwards only the login is proved.")
    if command.exposure:
        told.append(command.exposure)
    return told


def _names(release: Version, sans: Sequence[str]) -> Sequence[str]:
    """What to know of names that are given for a certificate which the backup has with it (ucp-dtr.md §1.6)."""
    if not sans or release.series not in KEEPS_CERTIFICATES:
        return ()
    return (
        f"{release.product} puts the certificates of the backup's time back as they were: whether "
        f"{listed(sans, MOST)} came to be among their names, look afterwards (swarmtui doctor). {NEW_NAMES}",
    )


def _steps(found: UcpRestoreFacts, command: Command, wait: int) -> tuple[Step, ...]:
    backup, manager, at = found.backup, found.manager, found.manager.at
    upload, job = found.jobs
    name = one_line(manager.name)
    nodes = tuple(node for node in found.nodes if node.id not in found.unasked)
    managers = tuple(node for node in nodes if node.manager)
    removed = f"UCP is not there: {NO_JOIN}. Services and their tasks go on; the archive lies on {name}."
    steps: list[Step] = [
        Upload(
            id="upload",
            title=f"Put the archive on {name}",
            why="Before anything is removed: what is not there cannot be restored.",
            at=at,
            cluster_id=backup.cluster_id,
            kind="ucp",
            backup=backup.id,
            upload_id=upload,
            digest=backup.digest,
            path=backup.path,
            encrypted=backup.encrypted,
            if_stopped="UCP is as it was.",
        )
    ]
    there = bool(found.services) or any(not each.empty for each in found.found.values())
    if there:
        old = Version.parse(found.running) if found.running else Version.parse(backup.version)
        removing = uninstall_steps(old, found.instance, manager, nodes, job, selinux=found.selinux)
        # Without its services there is no UCP that could remove itself, only what it left.
        steps += removing if found.services else removing[1:]
    steps += [
        RestoreUcp(
            id="restore",
            title=f"Have {command.version.product} restore itself on {name}",
            why="UCP's own command, of the version that made the backup, with the archive on its standard input.",
            danger=Danger.DISRUPTIVE,
            at=at,
            command=command,
            job_id=found.restore_job,
            cluster_id=backup.cluster_id,
            backup=backup.id,
            nodes=nodes,
            if_stopped=removed,
        ),
        RemoveArchive(
            id="clear",
            title=f"Remove the archive from {name}",
            why="It holds every key of UCP.",
            at=at,
            folders=(upload, found.restore_job),
            if_stopped=f"UCP is restored, and may still be starting. Its archive lies on {name}.",
        ),
        PingAll(
            id="ping",
            title="Wait until UCP is healthy on every manager",
            why="Its agents bring the components to each manager, one after the other.",
            managers=managers,
            seconds=wait,
        ),
        CompareAccounts(
            id="accounts",
            title="Log in, and compare the accounts with the backup's",
            why="That UCP answers does not prove that it has what it had.",
            skippable=True,
            at=at,
            known=Access(
                cluster=found.cluster,
                cluster_id=found.cluster_id,
                version=backup.version,
                instance=found.cluster_id,
                managers=(),
                username=found.username,
            ),
            url=https_url(manager.address or at.host),
            accounts=backup.accounts,
        ),
    ]
    return tuple(steps)
