"""The runbook dtr.storage: where DTR keeps images, told and changed (procedures.md T2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError
from swarmtui.link.dtr.storage import KINDS
from swarmtui.model.dtr.seen import Storage
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.access import access, opened, password_of
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import Replica, through
from swarmtui.runbooks.dtr.leaving import WaitOthers
from swarmtui.runbooks.dtr.nfs import NFS, NfsSeen, look_at_nfs, nfs_notes, nfs_warnings
from swarmtui.runbooks.dtr.storage_steps import ASK, Reconfigure, SetObjectStorage, key_place
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.session import Session

NOT_MOVED: Final = "dtr-images-not-moved"
LOCAL: Final = "dtr-local-storage"
VOLUME: Final = "volume:"
_WIPES_SINCE: Final = (2, 6, 0)
"""Since then a switch that is not marked as a move begins with no tags (ucp-dtr.md §2.4)."""
_FIELDS: Final = {
    "region": "region of the bucket (s3)",
    "bucket": "the bucket (s3)",
    "rootdirectory": "folder in the bucket (s3)",
    "regionendpoint": "URL of a storage that speaks S3 (s3)",
    "accountname": "the storage account (azure)",
    "container": "the container (azure)",
}
_KEYS: Final = {"accesskey": "s3", "secretkey": "s3", "accountkey": "azure"}


def place(value: str) -> str:
    """A place for images; the kind of a parameter. Raises ValueError."""
    text = params.text(value)
    if text in KINDS:
        return text
    host, _, path = text.removeprefix(NFS).partition("/")
    if text.startswith(NFS) and host and path and not set(text) & set(" \"'\\"):
        return text
    if (
        text.startswith(VOLUME)
        and text.removeprefix(VOLUME).replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        return text
    raise ValueError(f"is no place for images: nfs://HOST/PATH, volume:NAME, {' or '.join(KINDS)}")


class StorageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        members: the replicas that DTR counts in.
        work: None where nothing is to be changed.
        trouble: why DTR's API does not answer; "" where it does.
        storage: where images lie now; None where DTR does not tell. kind: of storage, where DTR tells that too.
        tags: whether any image is in DTR; None where that could not be asked.
        url: of DTR.
        nfs: whether the server of the new place answers on the replicas' nodes.
    """

    cluster: str
    cluster_id: str
    product: str
    username: str
    members: tuple[Replica, ...]
    work: Work | None = None
    trouble: str = ""
    storage: Storage | None = None
    kind: str = ""
    tags: bool | None = None
    url: str = ""
    nfs: tuple[NfsSeen, ...] = ()


class SetStorage(Runbook):
    name = "dtr.storage"
    summary = "tell where DTR keeps images, or have it keep them elsewhere"
    params: ClassVar[Sequence[Param]] = (
        Param(
            "to",
            "the new place; only told where none is given",
            place,
            f"nfs://HOST/PATH|volume:NAME|{'|'.join(KINDS)}",
        ),
        Param("moved", "the images have been copied there", params.yes_or_no, "true|false", default=False),
        *(Param(name, told, params.text, name.upper()) for name, told in _FIELDS.items()),
        *(
            Param(f"{name}-from", f"where the {name} comes from ({kind})", key_place, "env:NAME|ask", default=ASK)
            for name, kind in _KEYS.items()
        ),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        told = known.told
        kind, tags = "", None
        if told is not None:
            async with await opened(session, known, password=await password_of(session, known)) as client:
                kind, tags = await client.storage_kind(), await has_tags(client)
        return msgspec.to_builtins(  # type: ignore[no-any-return]
            StorageFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                product=known.product,
                username=known.username,
                members=known.members,
                work=await work_of(session, known, params) if params.get("to") else None,
                trouble=known.trouble,
                storage=told.storage if told is not None else None,
                kind=kind,
                tags=tags,
                url=known.balancer or next((one.url for one in known.members if one.url), ""),
                nfs=await look_at_nfs(
                    session, [one.on.node for one in known.members if one.on is not None], params.get("to") or ""
                ),
            )
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, StorageFacts)
        wanted = params.get("to", "")
        if known.trouble:
            raise RefusedError(
                f"{known.product} does not answer: {known.trouble}", "See how it is, and why: swarmtui doctor"
            )
        now = words(known.storage, known.kind)
        here = _storage(wanted) == known.storage and wanted not in KINDS
        steps: tuple[Step, ...] = ()
        rules: tuple[Rule, ...] = ()
        nothing = ""
        if not wanted or here:
            nothing = f"Nothing to do: images lie {now}."
        else:
            assert known.work is not None
            rules = (*known.work.way.rules, *_judged(known, wanted, params.get("moved", False)))
            steps = _steps(known, known.work, params)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Have {known.product} keep images in {one_line(wanted)}" if wanted else f"Images of {known.product}",
            why="Every replica must reach the same images: shared storage comes before a second replica.",
            steps=steps,
            touches=(known.cluster,),
            changes=(("warn", f"Images: {now} → {one_line(wanted)}."),) if steps else (),
            notes=("No backup of DTR has images in it: the storage needs a backup of its own.", *nfs_notes(known.nfs)),
            warnings=(*_warnings(known), *nfs_warnings(known.nfs)),
            rules=rules,
            binding=binding_of(known.cluster_id, wanted, str(known.storage), [one.id for one in known.members]),
            nothing=nothing,
        )


def words(storage: Storage | None, kind: str = "") -> str:
    """Where images lie, for the end of a sentence."""
    if storage is None:
        return "where DTR does not tell"
    if storage.kind == "nfs":
        return f"on {one_line(storage.where)}"
    if storage.kind == "volume":
        return f"in the volume {one_line(storage.where)} on each replica's node"
    if kind and kind != "filesystem":
        return f"in object storage ({kind})"
    if kind:
        return "on each replica's own disk"
    return "on each replica's own disk, or in an object storage, which DTR's settings do not tell"


async def has_tags(client: DtrClient) -> bool | None:
    """Whether any image is in DTR; None where that cannot be asked."""
    try:
        for repository in await client.repositories():
            if await client.tags(repository):
                return True
    except DtrError:
        return None
    return False


def _storage(wanted: str) -> Storage:
    if wanted.startswith(NFS):
        return Storage("nfs", wanted)
    return Storage("volume", wanted.removeprefix(VOLUME)) if wanted.startswith(VOLUME) else Storage()


def _warnings(known: StorageFacts) -> tuple[str, ...]:
    shared = known.storage is not None and (known.storage.kind != "unnamed" or known.kind not in ("", "filesystem"))
    if len(known.members) < 2 or shared:
        return ()
    if known.kind:
        return (
            f"{len(known.members)} replicas have a disk each for images: what is pushed to one cannot be pulled from "
            "another. Shared storage is needed.",
        )
    return (
        f"There are {len(known.members)} replicas: unless an object storage was set they do not share their images.",
    )


def _judged(known: StorageFacts, wanted: str, moved: bool) -> tuple[Rule, ...]:
    """The rules that a change breaks. Raises RefusedError for one that would lose every tag."""
    assert known.work is not None
    version = known.work.version
    rules: list[Rule] = []
    if known.tags is not False:
        images = "There are images in it" if known.tags else "Whether images are in it is not known"
        if version.numbers >= _WIPES_SINCE and (wanted in KINDS or not version.storage_switch):
            way = "its settings API has no way to keep them" if wanted in KINDS else "what keeps them came with 2.6.4"
            raise RefusedError(
                f"{images}, and {version.product} forgets every tag when its storage is switched: {way}.",
                "Upgrade to 2.6.4 or later, and use nfs:// or volume: with moved=true; or back up and delete the "
                "repositories first." if wanted not in KINDS else
                "Use nfs:// or volume: with moved=true, once the images are copied; or switch before the first push.",
            )  # fmt: skip
        if version.numbers >= _WIPES_SINCE and not moved:
            raise RefusedError(
                f"{images}, and without --storage-migrated {version.product} forgets every tag.",
                "Copy the images to the new place first, and say so: moved=true",
            )
        if not moved:
            what = f"{images}: until they are copied to the new place each tag leads to nothing there."
            rules.append(Rule(NOT_MOVED, known.cluster, what))
    if wanted.startswith(VOLUME) and len(known.members) > 1:
        what = (
            f"{len(known.members)} replicas have each a volume of that name: they share their images only where its "
            "driver leads all of them to one place."
        )
        rules.append(Rule(LOCAL, known.cluster, what))
    if ill := [one for one in known.members if not one.well]:
        raise RefusedError(
            f"Not all replicas are healthy: {listed([one.shown for one in ill])}.",
            f"Mend them first, or remove them: swarmtui run dtr.remove replica={','.join(one.id for one in ill)}",
        )
    return tuple(rules)


def _steps(known: StorageFacts, work: Work, given: Mapping[str, Any]) -> tuple[Step, ...]:
    wanted: str = given["to"]
    ids = tuple(one.id for one in known.members)
    by = through(known.members)
    well = WaitOthers(
        id="well",
        title="Wait until all replicas are well",
        why="Each is started anew with the storage.",
        ids=ids,
        url=known.url,
        username=known.username,
        at=by.at,
        https=by.https,
    )
    if wanted in KINDS:
        return (_object_storage(known, wanted, given, by), well)
    flag = ("nfs-storage-url", wanted) if wanted.startswith(NFS) else (
        "dtr-storage-volume", wanted.removeprefix(VOLUME)
    )  # fmt: skip
    migrated = known.tags is not False and work.version.storage_switch
    options = [("existing-replica-id", by.id), flag, *([("storage-migrated", "")] if migrated else [])]
    step = Reconfigure(
        id="storage",
        title=f"Have DTR keep images in {one_line(wanted)}",
        why="Each replica gets it, and is started anew.",
        danger=Danger.DISRUPTIVE,
        **work.runs(work.command("reconfigure", *options)),
        nodes=tuple(one.on.node.at for one in known.members if one.on is not None),
        wanted=_storage(wanted),
        if_stopped="Images lie where they did.",
    )
    return (work.pull, step, well, work.clear)


def _object_storage(known: StorageFacts, kind: str, given: Mapping[str, Any], through: Replica) -> SetObjectStorage:
    shape = KINDS[kind]
    fields: dict[str, str | bool] = {name: given[name] for name in _FIELDS if given.get(name)}
    if odd := sorted(set(fields) - {*shape.needed, *shape.more}):
        raise UsageError(f"{kind} has no {listed(odd)}.", f"It takes {listed([*shape.needed, *shape.more])}.")
    if missing := [name for name in shape.needed if name not in fields]:
        raise UsageError(f"{kind} wants {listed(missing)} too.", f"Give them: {missing[0]}=…")
    return SetObjectStorage(
        id="storage",
        title=f"Have DTR keep images in {kind} {one_line(str(fields[shape.place]))}",
        why="DTR writes there first to see whether it can; the keys are told to nobody else.",
        url=known.url,
        username=known.username,
        kind=kind,
        fields=fields,
        places={name: given.get(f"{name}-from", ASK) for name in shape.secrets},
        at=through.at,
        https=through.https,
        if_stopped="Images lie where they did.",
    )
