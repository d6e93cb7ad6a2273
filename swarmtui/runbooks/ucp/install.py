"""The runbook ucp.install: UCP on the first manager of a Swarm (procedures.md U1, U2)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.model.ucp import facts
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.ucp.install_draft import Draft
from swarmtui.runbooks.ucp.install_facts import InstallFacts, survey
from swarmtui.runbooks.ucp.uninstall import HOST, HOST_ADDRESS
from swarmtui.session import Session


def port(value: str) -> int:
    """A TCP port."""
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65_535:
        raise ValueError("is no port from 1 to 65535")
    return int(value)


class Install(Runbook):
    name = "ucp.install"
    summary = "install UCP (MKE) on the first manager: look at every node first, then install, wait, log in"
    params: ClassVar[Sequence[Param]] = (
        Param("version", "the version of UCP", facts.version, "X.Y.Z", required=True),
        HOST,
        HOST_ADDRESS,
        Param("san", "names and addresses that people will use, for its certificate", params.names, "NAME[,NAME…]"),
        Param("certificates", "own certificates: ca.pem, cert.pem, key.pem", params.text, "FOLDER"),
        Param("licence", "the licence", params.text, "FILE"),
        Param("admin", "name of the administrator; else the configured one", params.text, "NAME"),
        Param("port", "where people and tools reach it", port, "PORT", default=facts.CONTROLLER_PORT),
        Param("force-minimums", "install on hosts that are too small (3.0 and later)", params.yes_or_no, "true|false"),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params, time.time()))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, InstallFacts)
        forced = bool(params.get("force-minimums", False))
        draft = Draft(known, force_minimums=forced)
        notes = [
            draft.command.exposure,
            f"{len(known.images) or 'No'} images of UCP are on {known.at.name}; what is missing there and on the other "
            "nodes, Docker pulls: where there is no registry, bring them to every node first (docker image load).",
            f"Afterwards UCP is at {draft.url}.",
            *draft.notes,
        ]
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Install {known.version.product} on {known.at.name}",
            why="UCP takes charge of this Swarm: its agents run on every node, people and tools go through it.",
            steps=draft.steps,
            touches=(known.at.name,),
            notes=tuple(notes),
            warnings=(
                *draft.warnings,
                *(
                    (
                        f"The administrator will be {known.admin}, and the configuration names {known.expected_admin}: "
                        f'write [clusters.{known.cluster}.ucp] username = "{known.admin}".',
                    )
                    if known.admin != known.expected_admin
                    else ()
                ),
            ),
            rules=draft.rules,
            binding=binding_of(
                str(known.version), known.cluster_id, known.at.id, known.address, known.sans, known.admin, known.port,
                known.own.digest if known.own else "", known.licence_digest, bool(known.kept), forced,
                [(host.place.id, host.place.manager) for host in known.hosts],
                [(finding.id, finding.level, finding.host) for finding in draft.findings],
                [str(rule) for rule in draft.rules],
            ),
        )  # fmt: skip
