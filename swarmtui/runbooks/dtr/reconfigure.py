"""The runbook dtr.reconfigure: DTR's external URL, its certificates, where its logs go (ucp-dtr.md §2.4).

Where images are kept is not changed here: that may wipe every tag, and has a runbook of its own, dtr.storage.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.https import endpoint
from swarmtui.link.trust import certificates_in
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr import running, settings
from swarmtui.runbooks.dtr.access import access, opened, password_of
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import Replica, through
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.install import judged_certificates
from swarmtui.runbooks.dtr.leaving import WaitOthers
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.ucp import own_certificates
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.session import Session
from swarmtui.vault import Secret

_LOGS: Final = {"log-protocol": "logProtocol", "log-host": "logHost", "log-level": "logLevel"}
"""Flag → the key of the settings that has it."""
_KEYS: Final = {"dtr-external-url": "dtrHost", **_LOGS, "dtr-cert": "webTLSCert"}


class ReconfigureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        members: the replicas that DTR counts in.
        trouble: why DTR's API does not answer; "" where it does.
        now: what its settings say of what can be changed, by key; of the certificate its digest.
        cert: digest of the certificate that the operator brings; "" without.
        url: of DTR. at: unix seconds.
    """

    cluster: str
    cluster_id: str
    work: Work
    members: tuple[Replica, ...]
    trouble: str = ""
    now: dict[str, str] = msgspec.field(default_factory=dict)
    own: OwnCertificates | None = None
    cert: str = ""
    url: str = ""
    at: float = 0.0


class ReconfigureDtr(Runbook):
    name = "dtr.reconfigure"
    summary = "change DTR's external URL, its certificates, or where its logs go"
    params: ClassVar[Sequence[Param]] = (
        settings.URL,
        settings.CERTIFICATES,
        Param("log-protocol", "how its logs are sent", params.text, "PROTOCOL"),
        Param("log-host", "where they are sent", params.text, "HOST:PORT"),
        Param("log-level", "how much is logged", params.text, "LEVEL"),
        Param("storage", "refused: where images are kept is changed by dtr.storage", params.text, "-"),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        own = await settings.certificates_of(params)
        cert = (await own_certificates.as_planned(own))["cert.pem"].decode("ascii", "replace") if own else ""
        built: Facts = msgspec.to_builtins(
            ReconfigureFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                work=await work_of(session, known, params),
                members=known.members,
                trouble=known.trouble,
                now=await settings_now(session) if known.told is not None else {},
                own=own,
                cert=_digest(cert),
                url=known.balancer or next((one.url for one in known.members if one.url), ""),
                at=time.time(),
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, ReconfigureFacts)
        known.work.way.must(known.cluster)
        wanted = _wanted(known, params)
        _refuse(known, params, wanted)
        changes = {flag: value for flag, value in wanted.items() if not _same(flag, known.now, value)}
        product = known.work.version.product
        warnings = list(_warnings(known, changes))
        command = _command(known, changes)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Reconfigure {product} on {known.cluster}",
            why="The change goes to every replica; each is started anew with it, and pushes and pulls break off then.",
            steps=tuple(_steps(known, command, changes)) if changes else (),
            touches=(known.cluster,),
            changes=tuple(("warn", line) for line in _lines(known, changes)),
            notes=tuple(line for line in (command.exposure if changes else "",) if line),
            warnings=tuple(warnings),
            rules=known.work.way.rules if changes else (),
            binding=binding_of(
                known.cluster_id, wanted, known.now, known.own.digest if known.own else "",
                [one.id for one in known.members],
            ),
            nothing="" if changes else f"Nothing to do: {product} is configured so already.",
        )  # fmt: skip


def _digest(pem: str) -> str:
    """What tells one chain of certificates from another, however it is wrapped; "" for none."""
    found = certificates_in(pem)
    return hashlib.sha256("".join(found.split()).encode()).hexdigest() if found else ""


async def settings_now(session: Session) -> dict[str, str]:
    """What DTR's settings say of what can be changed here. Raises SwarmtuiError."""
    known = await access(session, ask=True)
    async with await opened(session, known, password=await password_of(session, known)) as client:
        told = await client.settings()
    texts = {key: value for key in _KEYS.values() if isinstance(value := told.get(key), str)}
    if "webTLSCert" in texts:
        texts["webTLSCert"] = _digest(texts["webTLSCert"])
    return {key: one_line(value) for key, value in texts.items()}


def _wanted(known: ReconfigureFacts, params: Mapping[str, Any]) -> dict[str, str]:
    """Flag → the new value; of the certificate its digest."""
    found = {flag: str(params[flag]) for flag in _LOGS if params.get(flag)}
    if params.get("url"):
        found["dtr-external-url"] = params["url"]
    if known.own is not None:
        found["dtr-cert"] = known.cert
    return found


def _same(flag: str, now: Mapping[str, str], wanted: str) -> bool:
    """Whether a setting is so already."""
    told = now.get(_KEYS[flag], "")
    if flag != "dtr-external-url":
        return told == wanted
    return bool(told) and endpoint(told if "://" in told else f"https://{told}", "DTR") == endpoint(wanted, "DTR")


def _refuse(known: ReconfigureFacts, params: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    product = known.work.version.product
    if params.get("storage"):
        way = (
            "it must be marked as a move (--storage-migrated)"
            if known.work.version.storage_switch
            else "only 2.6.4 and later can be told that the images were moved (--storage-migrated)"
        )
        raise RefusedError(
            f"Another place for images is no mere setting: {product} may forget every tag, and {way}.",
            "swarmtui run dtr.storage to=… looks at that first.",
        )
    if not wanted:
        raise RefusedError(
            "Nothing was said that is to be changed.",
            f"Give one of: url= certificates= {' '.join(f'{name}=' for name in _LOGS)}",
        )
    if known.trouble or not known.members:
        raise RefusedError(
            f"{product} is reconfigured while it is healthy, and it does not answer: "
            f"{known.trouble.rstrip('.') or 'it counts no replica in'}.",
            "See what happened: swarmtui doctor",
        )
    if ill := [one for one in known.members if not one.well]:
        raise RefusedError(
            f"Not all replicas are healthy: {listed([one.shown for one in ill])}. Each must take the change.",
            f"Mend them first, or remove them: swarmtui run dtr.remove replica={','.join(one.id for one in ill)}",
        )


def _warnings(known: ReconfigureFacts, changes: Mapping[str, str]) -> Iterator[str]:
    if "dtr-external-url" in changes:
        yield (
            "The address is part of every image's name: what people and services pull by the old one they must name "
            "anew, and log in to anew."
        )
    url = changes.get("dtr-external-url") or known.now.get("dtrHost", "")
    if known.own is not None and url:
        yield from judged_certificates(known.own, endpoint(url if "://" in url else f"https://{url}").host, known.at)
        yield "Each Docker that believed the old authority must be given the new one, if it is another."


def _lines(known: ReconfigureFacts, changes: Mapping[str, str]) -> Iterator[str]:
    for flag, value in changes.items():
        if flag == "dtr-cert":
            assert known.own is not None
            yield f"Certificate: that in {one_line(known.own.folder)}, by {known.own.issuer}."
        else:
            yield f"{flag}: {known.now.get(_KEYS[flag]) or 'not told'} → {one_line(value)}."


def _command(known: ReconfigureFacts, changes: Mapping[str, str]) -> Command:
    return known.work.command(
        "reconfigure",
        ("existing-replica-id", through(known.members).id),
        *((flag, value) for flag, value in changes.items() if flag != "dtr-cert"),
        *settings.certificate_flags(known.own if "dtr-cert" in changes else None),
    )


def _steps(known: ReconfigureFacts, command: Command, changes: Mapping[str, str]) -> Iterator[Step]:
    work, ids = known.work, tuple(one.id for one in known.members)
    yield work.pull
    yield Reconfigure(
        id="reconfigure",
        title=f"Reconfigure {work.version.product}",
        why="One command does it, through a healthy replica.",
        **work.runs(command),
        nodes=tuple(one.on.node.at for one in known.members if one.on is not None),
        wanted=dict(changes),
        own=known.own if "dtr-cert" in changes else None,
        ids=ids,
        if_stopped="DTR is configured as before.",
    )
    yield WaitOthers(
        id="well",
        title="Wait until all replicas are well",
        why="Each is started anew with the change.",
        ids=ids,
        url=known.url,
        username=work.way.username,
        if_stopped="DTR is configured anew; its replicas may still be starting.",
    )
    yield work.clear


@dataclass(frozen=True, kw_only=True)
class Reconfigure(RunDtr):
    """Runs `reconfigure`.

    Attributes:
        wanted: flag → the new value; of the certificate its digest.
        ids: of the replicas.
        own: the operator's certificates; None without.
    """

    wanted: Mapping[str, str]
    ids: tuple[str, ...]
    own: OwnCertificates | None = field(default=None)

    async def more_secrets(self) -> Mapping[str, Secret]:
        return await settings.certificate_secrets(self.own)

    async def made(self, session: Session) -> str:
        try:
            now = await settings_now(session)
        except SwarmtuiError:
            return ""  # its replicas are being started anew
        odd = [flag for flag, value in self.wanted.items() if not _same(flag, now, value)]
        return "" if odd else f"By its settings DTR has them: {', '.join(self.wanted)}."

    async def look_again(self, session: Session, *, tried: bool) -> None:
        # A try that was broken off may have started replicas anew: they are not well at once.
        await running.must_be_same(session, self.ids, (), seconds=running.SETTLE_SECONDS if tried else 0.0)
