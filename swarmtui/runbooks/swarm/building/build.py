"""The runbooks swarm.build and swarm.init: from bare hosts to a Swarm (procedures.md B1, B2, B5 to B8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import UsageError
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.swarm.building.build_draft import Draft
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts, survey
from swarmtui.runbooks.swarm.building.build_spec import LISTEN, HostSpec, SwarmSpec, checked, from_file, from_words
from swarmtui.runbooks.swarm.custody import custody_rules
from swarmtui.session import Session

WAIT = Param("wait", "how long to wait for each host, in seconds", params.seconds, "SECONDS", default=120)
AUTOLOCK = Param(
    "autolock", "lock managers on every restart of Docker; the key goes into the vault", params.yes_or_no, "true|false"
)
DRAIN = Param("drain-managers", "let managers run no tasks of services", params.yes_or_no, "true|false")
HOST = Param("host", "the host", params.text, "ssh://[USER@]HOST[:PORT]", required=True)
ADVERTISE = Param("advertise", "the address the other nodes use; else the one found on it", params.text, "IP[:PORT]")
LISTEN_AT = Param("listen", "the address and port it listens on as a manager", params.text, "IP:PORT", default=LISTEN)
ZONE = Param("zone", "its zone: becomes a label", params.text, "ZONE")


class BuildRunbook(Runbook):
    """A runbook that works where no Swarm is yet."""

    on_hosts: ClassVar[bool] = True
    needs_manager: ClassVar[bool] = False

    def spec(self, given: Mapping[str, Any]) -> SwarmSpec:
        """The Swarm that was asked for. Raises UsageError."""
        raise NotImplementedError

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, self.spec(params)))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, BuildFacts)
        draft = Draft(known, params["wait"])
        draft.build()
        draft.advise(spec.zone for spec in known.spec.hosts if spec.role == "manager")
        draft.warn_drain()
        locks = known.spec.autolock and not known.cluster_id
        rules = (*draft.rules, *(custody_rules(known.custody, draft.seed.name) if locks else ()))
        there = f"Swarm {known.cluster_id[:12]} is as it was asked for, with all {len(draft.hosts)} hosts"
        title = f"Make a Swarm on {draft.seed.name}"
        if self.many:
            counts = [sum(spec.role == role for spec in known.spec.hosts) for role in ("manager", "worker")]
            title = f"Build a Swarm: {_count(counts[0], 'manager')}, {_count(counts[1], 'worker')}"
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=title,
            why="Managers join one by one, each only when the one before is reachable; then the workers."
            if self.many
            else "It becomes the first manager; others join it later.",
            steps=tuple(draft.steps),
            touches=draft.touched,
            quorum=draft.quorum,
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=rules,
            binding=binding_of(
                known.spec,
                [(h.target, h.name, h.advertise, h.state, h.node_id) for h in known.measured.hosts],
                known.cluster_id,
                # Figures of clocks and ways differ with every look; what they mean was shown.
                [(finding.id, finding.level, finding.host) for finding in draft.findings],
                [str(rule) for rule in rules],
            ),
            nothing="" if draft.steps else f"Nothing to do: {there}.",
        )

    many: ClassVar[bool] = True


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


class Build(BuildRunbook):
    name = "swarm.build"
    summary = "make bare hosts into a Swarm: look at them first, then managers one by one, workers, labels"
    params: ClassVar[Sequence[Param]] = (
        Param(
            "spec",
            "the hosts, with roles, zones, labels and addresses (TOML); or managers= and workers=",
            params.text,
            "FILE",
        ),
        Param("managers", "the managers, the first makes the Swarm", params.names, "ssh://HOST[,ssh://HOST…]"),
        Param("workers", "the workers", params.names, "ssh://HOST[,ssh://HOST…]"),
        AUTOLOCK,
        DRAIN,
        WAIT,
    )

    def spec(self, given: Mapping[str, Any]) -> SwarmSpec:
        words = [name for name in ("managers", "workers", "autolock", "drain-managers") if name in given]
        if "spec" not in given:
            if "managers" not in given:
                raise UsageError(
                    "swarm.build needs hosts.", "Write spec=FILE, or managers=ssh://HOST,… workers=ssh://HOST,…"
                )
            return from_words(given)
        if words:
            raise UsageError(f"spec= says it all: {words[0]}= beside it is not clear.", "Write it into the file.")
        return from_file(given["spec"])


class Init(BuildRunbook):
    name = "swarm.init"
    summary = "make a Swarm on one host, which becomes its first manager"
    params: ClassVar[Sequence[Param]] = (HOST, ADVERTISE, LISTEN_AT, ZONE, AUTOLOCK, DRAIN, WAIT)
    many: ClassVar[bool] = False

    def spec(self, given: Mapping[str, Any]) -> SwarmSpec:
        host = HostSpec(
            given["host"],
            "manager",
            given.get("zone", ""),
            advertise=given.get("advertise", ""),
            listen=given["listen"],
        )
        spec = SwarmSpec((host,), given.get("autolock", False), given.get("drain-managers", False))
        return checked(spec, "The command line")
