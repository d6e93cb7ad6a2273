"""dtr.restore: DTR as a backup has it, where all replicas or a majority of them are lost for good (T7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import DEFAULT_STORAGE
from swarmtui.model.quorum import quorum_of
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr import settings
from swarmtui.runbooks.dtr.backup_steps import leak_words
from swarmtui.runbooks.dtr.commanding import INSECURE
from swarmtui.runbooks.dtr.elsewhere import refuse_beside
from swarmtui.runbooks.dtr.hosts import without
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.install import judged_certificates
from swarmtui.runbooks.dtr.new_node import Judged, judge
from swarmtui.runbooks.dtr.new_replica import wait_balancer, wait_replica
from swarmtui.runbooks.dtr.restore_facts import DtrRestoreFacts, survey
from swarmtui.runbooks.dtr.restore_left import destroyed, images_of, into, lost, stay, with_images
from swarmtui.runbooks.dtr.restore_steps import CompareDtr, RestoreDtr
from swarmtui.runbooks.image.upload import RemoveArchive, Upload, file_of
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.ucp.install import port
from swarmtui.session import Session

COMES_BACK: Final = "dtr-may-come-back"
OTHER_UCP: Final = "dtr-other-ucp"
IMAGES: Final = "dtr-images-lost"


class DtrRestore(Runbook):
    name = "dtr.restore"
    summary = "bring DTR (MSR) back from a backup, where no gentler way is left; images are not in it"
    params: ClassVar[Sequence[Param]] = (
        Param("backup", "which backup of DTR", params.text, "latest|ID", default="latest"),
        Param("node", "the worker to restore it on; else the one it was taken from", params.text, "NODE"),
        Param("replica", "id of the replica; else that of the backup", facts.replica, "12 HEX DIGITS"),
        Param("url", "its external URL; else that of the backup", settings.external, "https://HOST[:PORT]"),
        Param(
            "storage",
            "where the images are; else as the backup says",
            settings.storage,
            "nfs://HOST/PATH|volume:NAME|local",
        ),
        Param("http-port", "its port for HTTP on the node; else that of the backup", port, "PORT"),
        Param("https-port", "its port for HTTPS on the node; else that of the backup", port, "PORT"),
        settings.CERTIFICATES,
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, DtrRestoreFacts)
        _check(found)
        judged = _judged(found)
        backup, product = found.backup, found.work.version.product
        rules = tuple(_rules(found, judged))
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Restore {product} of {found.cluster} on {found.node.name} from {backup.id}",
            why="No majority of its replicas is left, and nothing gentler brings it back.",
            steps=tuple(_steps(found)),
            touches=(found.cluster,),
            changes=tuple(_changes(found)),
            notes=(*_notes(found), *judged.notes),
            warnings=(*_warnings(found), *judged.warnings),
            rules=rules,
            binding=binding_of(
                found.cluster_id,
                backup.id,
                backup.digest,
                backup.verdict,
                found.node.place.id,
                found.replica_id,
                found.url,
                found.storage,
                [found.http, found.https],
                found.work.way.url,
                found.own.digest if found.own is not None else "",
                [(one.id, one.node.id, one.volumes) for one in found.left],
                [str(rule) for rule in rules],
            ),
            exclusive=found.managers,
        )


def restore_command(found: DtrRestoreFacts) -> Command:
    """The command: the archive on standard input, so nothing can be asked, and everything is given."""
    version = found.work.version
    storage = settings.storage_flags(found.storage)
    if not storage and version.storage_named:
        storage = ((DEFAULT_STORAGE, ""),)
    command = found.work.command(
        "restore",
        ("ucp-node", found.node.hostname),
        ("replica-id", found.replica_id),
        ("dtr-external-url", found.url),
        *storage,
        *settings.ports_flags(found.http, found.https),
        *settings.certificate_flags(found.own),
    )
    return replace(command, stdin=file_of(found.upload))


# -- whether it may be -------------------------------------------------------------------------------------------------


def _check(found: DtrRestoreFacts) -> None:
    """Raises RefusedError where something stands in the way: all of it before anything is removed."""
    backup = found.backup
    if backup.verdict == "no":
        raise RefusedError(
            f"The backup {backup.id} would not restore: {backup.because}.", "Name another: swarmtui backups list"
        )
    if not backup.opened:
        raise RefusedError(
            f"The backup {backup.id} cannot be opened: {backup.because}.",
            f"Keep its passphrase first: swarmtui secrets set backup-passphrase {backup.cluster_id}",
        )
    found.work.way.must(found.cluster)
    refuse_beside(found.answers, found.known, found.cluster)
    if found.known is not None:
        _gentler(found)


def _gentler(found: DtrRestoreFacts) -> None:
    """Raises RefusedError where a gentler way is left (ucp-dtr.md §5.5 D)."""
    known, version = found.known, found.work.version
    assert known is not None
    if known.told is not None:
        ill = [one for one in known.members if not one.well]
        if not ill:
            raise RefusedError(
                f"DTR of {found.cluster} answers, and all of its {len(known.members)} replicas are healthy: there is "
                "nothing to restore.",
                "What a backup has instead of what DTR has now is only to be had after all of DTR is taken off: "
                "swarmtui run dtr.destroy for each replica.",
            )
        ids, well = ",".join(one.id for one in ill), len(known.members) - len(ill)
        told = (
            f"DTR of {found.cluster} answers, so a majority of its replicas is up: nothing is restored while that "
            f"holds. Not healthy: {listed([one.shown for one in ill])}."
        )
        if not well or (len(ill) > 1 and well < quorum_of(len(known.members))):
            # Out of DTR they cannot be taken: too few that are well would be left to agree to it.
            raise RefusedError(
                told,
                "Mend them by what DTR says of each, its storage of images above all: swarmtui doctor. Where that "
                "cannot be, take all of DTR off, which says what is to be kept first, and then restore: swarmtui run "
                f"dtr.destroy replica={known.members[0].id} and so on.",
            )
        raise RefusedError(
            told,
            f"Take those out, and join others: swarmtui run dtr.remove replica={ids}, then swarmtui run dtr.join",
        )
    up, down = found.up, found.down
    if known.works:
        raise RefusedError(
            f"DTR of {found.cluster} says by /_ping that it is well, so a majority of its replicas is up; only its API "
            f"does not tell more: {known.trouble.rstrip('.')}.",
            f"Mend that first: swarmtui doctor; swarmtui secrets set ucp-password {found.cluster}",
        )
    if len(up) >= found.needed:
        raise RefusedError(
            f"The database runs on {listed([one.shown for one in up])}, which is a majority, and still DTR does not "
            f"answer: {known.trouble.rstrip('.')}.",
            "Mend that first: swarmtui doctor; docker logs of dtr-nginx, dtr-api and dtr-rethinkdb on those nodes.",
        )
    if down and len(up) + len(down) >= found.needed:
        raise RefusedError(
            f"The data of {listed([one.shown for one in down])} is there, and only does not run: started, they bring "
            "DTR back with nothing lost.",
            "Start them on their nodes: docker start $(docker ps -aq --filter name=dtr-). What cannot be started is "
            "taken off by: swarmtui run dtr.destroy replica=ID",
        )
    left = (*up, *down)
    if left and version.emergency_repair:
        raise RefusedError(
            f"The data of {listed([one.shown for one in left])} is left: a repair makes DTR of it again, and loses "
            "less than a backup does.",
            f"swarmtui run dtr.repair replica={left[0].id}. Where that fails, take it off, and then restore: swarmtui "
            f"run dtr.destroy replica={left[0].id}",
        )


def _judged(found: DtrRestoreFacts) -> Judged:
    """What speaks against the node, once what is left of DTR on it is removed."""
    node = found.node
    ours = {number for one in node.there for number in one.ports}
    listening = node.now.listening
    now = msgspec.structs.replace(
        node.now, listening=tuple(one for one in listening if one not in ours) if listening is not None else None
    )
    free = msgspec.structs.replace(node, there=(), now=now)
    return judge(free, found.work.version, found.http, found.https)


def _rules(found: DtrRestoreFacts, judged: Judged) -> Iterator[Rule]:
    yield from found.work.way.rules
    then, now = found.backup.dtr.ucp_instance, found.instance
    if then and now and then != now:
        yield Rule(
            OTHER_UCP,
            found.cluster,
            f"The backup was taken beside another UCP ({one_line(then)}; this one is {now}): what is in it belongs to "
            "users of that one, who do not exist here.",
        )
    seen = len(found.up) + len(found.down)
    if found.unsure and seen + len(found.unsure) >= found.needed:
        yield Rule(
            COMES_BACK,
            found.cluster,
            f"Replicas may still be on {listed(found.unsure)}, which cannot be looked at, and nobody noted where they "
            "were: where such a host is only off, start it first: with a majority DTR comes back with nothing lost.",
        )
    if found.later:
        yield Rule(
            COMES_BACK,
            found.cluster,
            f"A replica that joined after this backup may be on {listed(found.later)}, which cannot be looked at. "
            "Where such a host is only off, start it first: with a majority DTR comes back with nothing lost.",
        )
    if found.away and seen + len(found.away) >= found.needed:
        for replica, node in found.away.items():
            yield Rule(
                COMES_BACK,
                replica,
                f"Replica {replica} may still be on {_elsewhere(found, node)}: if that host is only off, start it, and "
                "DTR comes back with nothing lost. After a restore its data is of no use any more.",
            )
    for one in with_images(found):
        unless = "" if found.backup.dtr.storage == "local" else ", unless the storage is another one"
        yield Rule(
            IMAGES,
            one.id,
            f"The images lie in the volume dtr-registry-{one.id} on {one_line(one.node.name)}{unless}, which goes with "
            "the rest: keep them first, tar -cf backup-images.tar -C /var/lib/docker/volumes "
            f"dtr-registry-{one.id}, and put them {into(found)}.",
        )
    yield from judged.as_rules


def _elsewhere(found: DtrRestoreFacts, node: str) -> str:
    """The node of a replica that nobody sees, and why nobody does."""
    if not node:
        return "a node that nobody noted"
    return f"{node}, which {'does not answer' if node in found.silent else 'is not in the Swarm'}"


# -- what is told ------------------------------------------------------------------------------------------------------


def _changes(found: DtrRestoreFacts) -> Iterator[tuple[str, str]]:
    backup, dtr = found.backup, found.backup.dtr
    yield ("plain", f"Backup: {backup.id}, {backup.age} old, of {found.work.version.product}.")
    yield ("plain", f"Would restore: {backup.verdict}, because {backup.because}.")
    yield ("plain", f"Replica {found.replica_id} on {found.node.name}, {found.url}, images in {found.storage}.")
    for one in found.left:
        if (gone := without(one, stay(found, one))) is not None:
            yield ("bad", f"Destroyed first: {gone.words}, with all that DTR has there now.")
        for name in stay(found, one):
            yield ("plain", f"Stays: the volume {name} on {found.node.name}, with the images that are in it.")
    if len(dtr.replicas) > 1:
        yield ("warn", f"DTR had {len(dtr.replicas)} replicas, and has one afterwards: the others are to be joined.")


def _notes(found: DtrRestoreFacts) -> Iterator[str]:
    dtr = found.backup.dtr
    yield (
        f"Images are not in the backup: they are {dtr.images}. Where that lost them too, put them, from their own "
        f"backup, {into(found)}; else tags point at nothing."
    )
    yield "Users and teams are not in it: they are UCP's. The database of vulnerabilities is fetched anew."
    others = sorted(node for replica, node in dtr.nodes.items() if replica != found.replica_id and node)
    if others:
        yield "Afterwards join the others, one by one: " + "; ".join(
            f"swarmtui run dtr.join node={one_line(node)}" for node in others[:6]
        )
    if found.own is None:
        yield "Own certificates are given with certificates=FOLDER; else clients may need DTR's new authority."
    if command := restore_command(found).exposure:
        yield command


def _warnings(found: DtrRestoreFacts) -> Iterator[str]:
    dtr, version = found.backup.dtr, found.work.version
    if found.own is not None:
        yield from judged_certificates(found.own, found.url.removeprefix("https://").partition(":")[0], found.now)
    if dtr.replica_id and found.replica_id != dtr.replica_id:
        yield f"The backup is of replica {dtr.replica_id}, and it is restored as {found.replica_id}."
    if dtr.external_url and found.url != dtr.external_url:
        yield f"DTR was {dtr.external_url} then: every image's name has that in it."
    if found.storage not in ("local", "") and not settings.storage_flags(found.storage):
        yield (
            f"The images are in the object storage {one_line(found.storage)}: look at its settings afterwards, and set "
            "it again where it is another: swarmtui run dtr.storage"
        )
    if found.storage == "local" and len(dtr.replicas) > 1:
        yield "With images on one replica's own disk no second one can be joined: set a shared storage first."
    if found.known is not None and found.known.version and found.known.version != dtr.version:
        yield f"What is left of DTR is of {found.known.version}: afterwards it is {dtr.version} again."
    if found.away:
        told = listed([f"{replica} on {node}" if node else replica for replica, node in found.away.items()])
        yield (
            f"What lies of {told} cannot be removed now: when that host comes back its containers start again. Clear "
            "it then: swarmtui run dtr.destroy"
        )
    if strange := [name for name in found.silent if name not in found.away.values()]:
        yield f"What lies of DTR on {listed(strange)} could not be seen."
    if dtr.repositories is None:
        yield "Nobody noted DTR's repositories when the backup was taken: afterwards only the login is proved."
    if told := leak_words(version):
        yield told


# -- the steps ---------------------------------------------------------------------------------------------------------


def _steps(found: DtrRestoreFacts) -> Iterator[Step]:
    backup, work, node = found.backup, found.work, found.node
    name, product = node.name, work.version.product
    lies = f"The archive lies on {work.at.name}, in clear."
    yield Upload(
        id="upload",
        title=f"Put the archive on {work.at.name}",
        why="Before anything is removed: what is not there cannot be restored.",
        at=work.at,
        kind="dtr",
        cluster_id=backup.cluster_id,
        backup=backup.id,
        upload_id=found.upload,
        digest=backup.digest,
        path=backup.path,
        encrypted=backup.encrypted,
        if_stopped="DTR is as it was.",
    )
    yield work.pull
    for one in found.left:
        yield from destroyed(found, one, lies)
    gone = f"Nothing of DTR is on the cluster: pushes, pulls and logins fail. {lies}"
    yield RestoreDtr(
        id="restore",
        title=f"Have {product} restore itself on {name}",
        why="DTR's own command, of the version that made the backup, with the archive on its standard input.",
        **work.runs(restore_command(found)),
        nodes=(node.place.at,),
        node=node.place,
        replica_id=found.replica_id,
        own=found.own,
        https=found.https,
        lost=lost(found),
        keep=images_of(found),
        if_stopped=gone,
    )
    yield RemoveArchive(
        id="clear",
        title=f"Remove the archive from {work.at.name}",
        why="It holds every key of DTR, in clear.",
        at=work.at,
        folders=(found.upload, work.job_id),
        if_stopped=f"DTR is restored, and may still be starting. {lies}",
    )
    yield wait_replica(node, found.replica_id, found.https, if_stopped="DTR is restored, and may still be starting.")
    yield CompareDtr(
        id="repositories",
        title="Log in, and compare the repositories with the backup's",
        why="That DTR answers does not prove that it has what it had.",
        at=node.place.at,
        https=found.https,
        url=found.url,
        username=work.way.username,
        repositories=backup.dtr.repositories,
        images=backup.dtr.images,
    )
    yield wait_balancer(
        work,
        node,
        found.replica_id,
        found.https,
        found.url,
        title=f"See whether {found.url} leads to it",
        why="People and tools reach it by this address only, and it is part of every image's name.",
    )
