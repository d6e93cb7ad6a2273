"""The runbook dtr.upgrade-check: whether DTR may become another version, and what comes before; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Version
from swarmtui.model.text import listed
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.image import Command, to_ucp
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.session import Session


class UpgradeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at.

    Attributes:
        now: the version as most replicas run it. versions: version → replicas that run it.
        ucp: "UCP 2.2.5"; "" where it is not to be had. ucp_well: names of managers whose UCP is healthy.
        trouble: why DTR's API does not answer; "" where it does.
    """

    cluster: str
    cluster_id: str
    now: Version
    versions: dict[str, tuple[str, ...]]
    members: tuple[Replica, ...]
    ucp: str = ""
    ucp_url: str = ""
    ucp_well: tuple[str, ...] = ()
    username: str = "admin"
    trouble: str = ""


class UpgradeCheck(Runbook):
    name = "dtr.upgrade-check"
    summary = "tell whether DTR (MSR) may be upgraded to a version, and what comes first; changes nothing"
    params: ClassVar[Sequence[Param]] = (
        Param("version", "the version that it shall become", facts.version, "X.Y.Z", required=True),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        built: Facts = msgspec.to_builtins(
            UpgradeFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                now=known.release,
                versions=known.versions,
                members=known.members,
                ucp=known.ucp.product if known.ucp is not None else "",
                ucp_url=known.ucp_url,
                ucp_well=known.ucp_managers,
                username=known.username,
                trouble=known.trouble,
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, UpgradeFacts)
        wanted = Version.parse(params["version"])
        _refuse(known, wanted)
        there = set(known.versions) == {str(wanted)}
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"May {known.now.product} become {wanted.product}?",
            why="No minor version may be skipped, there is no way back but a restore, and all replicas must be well.",
            steps=(),
            notes=() if there else tuple(_notes(known, wanted)),
            warnings=tuple(_warnings(known)),
            binding=binding_of(known.cluster_id, str(known.now), str(wanted)),
            nothing=f"All replicas run {wanted.product} already."
            if there
            else f"{known.now.product} may become {wanted.product}. Nothing was changed.",
        )


def _refuse(known: UpgradeFacts, wanted: Version) -> None:
    """Raises RefusedError with what stands in the way."""
    oldest = min((Version.parse(one) for one in known.versions), default=known.now, key=lambda one: one.numbers)
    if why := facts.may_become(oldest, wanted):
        raise RefusedError(f"{oldest.product} may not become {wanted.product}: {why}.", "Go version by version.")
    if known.trouble or not known.members:
        raise RefusedError(
            f"{known.now.product} does not answer: {known.trouble.rstrip('.') or 'it counts no replica in'}.",
            "It must be healthy before it is upgraded. See how it is: swarmtui doctor",
        )
    if ill := [one for one in known.members if not one.well]:
        raise RefusedError(
            f"Not all replicas are healthy: {listed([one.shown for one in ill])}.",
            f"Mend them first, or remove them: swarmtui run dtr.remove replica={','.join(one.id for one in ill)}",
        )
    if not known.ucp_well:
        raise RefusedError(
            "UCP is not healthy on any manager, and every command of DTR works through it.",
            "Mend UCP first: swarmtui doctor",
        )


def _warnings(known: UpgradeFacts) -> Iterator[str]:
    if len(known.versions) > 1:
        told = "; ".join(f"{version}: {listed(ids)}" for version, ids in sorted(known.versions.items()))
        yield f"The replicas run several versions ({told}): an upgrade was broken off. It can be run again."
    if known.now.leaks:
        yield (
            f"{known.now.product} (2.2 to 2.4.1) writes credentials into the logs of what its backup and join start: "
            "change those credentials after the upgrade."
        )


def _notes(known: UpgradeFacts, wanted: Version) -> Iterator[str]:
    yield f"The order is: the engines, UCP (now {known.ucp}), and then DTR."
    yield "Take a backup right before: swarmtui run dtr.backup. One of another version cannot be restored afterwards."
    yield f"Bring the images of {wanted.product} to every node of a replica, where there is no registry to pull from."
    if known.members:
        command = Command(
            version=wanted,
            name="upgrade",
            options=(*to_ucp(known.ucp_url, known.username, ca=True), ("existing-replica-id", known.members[0].id)),
        )
        yield f"The command, with UCP_PASSWORD and UCP_CA exported: {command.line}"
    yield "It can be run again after it was broken off."
