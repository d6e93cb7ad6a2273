"""A plan that builds a Swarm in the making: which steps, what is found, and what is advised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from swarmtui.errors import RefusedError
from swarmtui.model.advise import on_count, on_latency, on_zones
from swarmtui.model.preflight import Finding, HostFacts, Level, judge
from swarmtui.model.quorum import Quorum, QuorumChange
from swarmtui.model.text import first_few, one_line
from swarmtui.runbooks.runbook import Rule, Step
from swarmtui.runbooks.swarm.building.build_base import BuildStep, Seed
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts
from swarmtui.runbooks.swarm.building.build_spec import HostSpec
from swarmtui.runbooks.swarm.building.build_steps import (
    Expected,
    InitSwarm,
    JoinHost,
    KeepFirstKey,
    LabelHost,
    ReadBack,
)

STATES = {
    "pending": "is joining a Swarm now, or was removed from one",
    "locked": "is a locked manager of a Swarm",
    "error": "is in a Swarm that does not run there",
}
BACKUP = "When it is done, take the first backup of the Swarm: a Swarm that was never backed up cannot be restored."


class Draft:
    """A plan in the making.

    Args:
        wait: seconds, for each host that joins.
        alone: whether the hosts of the spec shall be all the nodes there are.
    """

    def __init__(self, facts: BuildFacts, wait: int, *, alone: bool = True) -> None:
        self.facts = facts
        self.wait = wait
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.rules: list[Rule] = []
        self.hosts = tuple(zip(facts.spec.hosts, facts.measured.hosts, strict=False))
        self.findings: tuple[Finding, ...] = ()
        seed = next(host for host in facts.measured.hosts if host.target == facts.seed)
        spec = next((spec for spec in facts.spec.hosts if str(spec.target) == facts.seed), None)
        self.seed_host = seed
        self.seed = Seed(
            target=facts.seed,
            name=seed.name,
            remote=_remote(seed.advertise, spec.port if spec else seed.port),
            cluster_id=facts.cluster_id,
            sudo=facts.sudo,
            addresses={host.name: host.target for host in facts.measured.hosts},
        )
        self._judge()
        for _, host in self.hosts:
            self._refuse_same_name(host)
        if alone:
            self._refuse_strangers()
        for _, host in self.hosts:
            self._refuse_others(host)

    # -- may it be -------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        members = [host.name for host in self.facts.measured.hosts if self.facts.node_of(host) is not None]
        self.findings = judge(self.facts.measured, members)
        blocking = [f for f in self.findings if f.level is Level.BLOCKS and f.id != "ports"]
        if blocking:
            next_step = next((f.next_step for f in blocking if f.next_step), "Mend that, then try again.")
            raise RefusedError(first_few([finding.what for finding in blocking]), next_step)
        ports: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.level is Level.BLOCKS:
                ports.setdefault(finding.host, []).append(finding.what)
            elif finding.level is Level.WARNING:
                self.warnings.append(f"{finding.what} {finding.next_step}".strip())
            else:
                self.notes.append(finding.what)
        for host, whats in ports.items():
            self.rules.append(Rule("ports", host, " ".join(whats)))

    def _refuse_same_name(self, host: HostFacts) -> None:
        """A host whose name another entry has would be a second one of that name, and commands could mean either."""
        same = [node for node in self.facts.nodes if node.name == host.name and node.id != host.node_id]
        if self.facts.node_of(host) is not None or not same:
            return
        if same[0].down:
            raise RefusedError(
                f"The Swarm has an entry of {host.name} already, which is down: {same[0].id}.",
                f"Remove it first: swarmtui run node.remove node={same[0].id}; it may be this very host from before.",
            )
        raise RefusedError(
            f"Another node of the Swarm is called {host.name} as well.",
            f"Give {host.target} a name of its own (hostnamectl set-hostname), and restart Docker there.",
        )

    def _refuse_strangers(self) -> None:
        named = {host.node_id for host in self.facts.measured.hosts}
        strangers = sorted(one_line(node.name) for node in self.facts.nodes if node.id not in named)
        if strangers:
            raise RefusedError(
                f"{self.seed.name} is in Swarm {self.facts.cluster_id[:12]} already, which has nodes that are not "
                f"named here: {', '.join(strangers[:10])}.",
                "If it is the right Swarm, name them as well, or join hosts to it with swarm.join.",
            )

    def _refuse_others(self, host: HostFacts) -> None:
        if host.state == "inactive":
            return
        node = self.facts.node_of(host)
        if node is None:
            what = STATES.get(host.state, "is in another Swarm")
            other = f" ({host.cluster_id[:12]})" if host.cluster_id else ""
            raise RefusedError(
                f"{host.name} {what}{other}: it cannot join.",
                "If it is of no use there any more: docker swarm leave on it (--force for a manager).",
            )
        if node.manager != (host.role == "manager"):
            now, verb = ("manager", "demote") if node.manager else ("worker", "promote")
            raise RefusedError(
                f"{host.name} is in the Swarm as a {now}, and is to be a {host.role}.",
                f"Do that first: swarmtui run node.{verb} node={host.name}",
            )

    # -- the steps -------------------------------------------------------------------------------------------------

    def drained(self, spec: HostSpec) -> bool:
        """Whether a host is to join drained."""
        return self.facts.spec.drain_managers and spec.role == "manager"

    def build(self) -> None:
        """All steps from bare hosts to the Swarm that was asked for."""
        missing = [(spec, host) for spec, host in self.hosts if self.facts.node_of(host) is None]
        if not self.facts.cluster_id:
            self._init()
        self._key()
        for role in ("manager", "worker"):
            for spec, host in missing:
                if spec.role == role and host.target != (self.facts.seed if not self.facts.cluster_id else ""):
                    self.join(spec, host)
        for spec, host in self.hosts:
            self.label(spec, host)
        if self.steps:
            self.steps.append(self._read_back())
            self.notes.append(BACKUP)

    def _init(self) -> None:
        spec = next(spec for spec in self.facts.spec.hosts if str(spec.target) == self.facts.seed)
        self.steps.append(
            InitSwarm(
                id="init",
                title=f"Make a Swarm on {self.seed.name}",
                why="It becomes the first manager, and the only one for now.",
                autolock=self.facts.spec.autolock,
                drained=self.drained(spec),
                seed=self.seed,
                target=self.seed.target,
                name=self.seed.name,
                advertise=spec.advertise or self.seed_host.advertise,
                listen=spec.listen,
            )
        )

    def _key(self) -> None:
        facts = self.facts
        if facts.cluster_id and facts.spec.autolock and not facts.autolock:
            self.warnings.append("Autolock is off in the Swarm that is there: swarmtui run swarm.autolock enable=true")
        if facts.key_kept or not (facts.autolock if facts.cluster_id else facts.spec.autolock):
            return
        self.steps.append(
            KeepFirstKey(
                id="keep-key",
                title="Take the unlock key into the vault",
                why="Without it nobody can unlock a manager once all of them have restarted: before anything else.",
                seed=self.seed,
                target=self.seed.target,
                name=self.seed.name,
                durable=bool(facts.custody.get("durable", False)),
            )
        )

    def join(self, spec: HostSpec, host: HostFacts) -> None:
        """Makes a host join."""
        manager = spec.role == "manager"
        self.steps.append(
            JoinHost(
                id=f"join-{host.target}",
                title=f"Join {host.name} as a {spec.role}",
                why="The next one comes only when it is reachable: until then it counts for quorum and helps nobody."
                if manager
                else "It takes tasks as soon as it is ready.",
                role=spec.role,
                drained=self.drained(spec),
                seconds=self.wait,
                seed=self.seed,
                target=host.target,
                name=host.name,
                advertise=spec.advertise or host.advertise,
                listen=spec.listen,
            )
        )

    def label(self, spec: HostSpec, host: HostFacts) -> None:
        """Gives a node the labels that it lacks."""
        node, wanted = self.facts.node_of(host), self.labels_of(spec)
        if all(node is not None and node.labels.get(key) == value for key, value in wanted.items()):
            return
        self.steps.append(
            LabelHost(
                id=f"label-{host.target}",
                title=f"Label {host.name}",
                why="Placement constraints and the spread over zones read these labels.",
                seed=self.seed,
                target=host.target,
                name=host.name,
                labels=wanted,
            )
        )

    def labels_of(self, spec: HostSpec) -> Mapping[str, str]:
        """The labels that a host is to have, its zone among them."""
        return {**spec.labels, **({self.facts.zone_label: spec.zone} if spec.zone else {})}

    def _read_back(self) -> ReadBack:
        expected = []
        for spec, host in self.hosts:
            node = self.facts.node_of(host)
            drained = self.drained(spec) if node is None else None
            expected.append(
                Expected(name=host.name, role=spec.role, drained=drained, labels=dict(self.labels_of(spec)))
            )
        return ReadBack(
            id="read-back",
            title="Read the list of nodes back",
            why="What counts is what the Swarm says, not what was typed.",
            seed=self.seed,
            expected=tuple(expected),
        )

    # -- what is to be said ----------------------------------------------------------------------------------------

    def advise(self, zones: Iterable[str]) -> None:
        """Advice on the managers as they will be.

        Args:
            zones: of each manager, "" for none.
        """
        spread = list(zones)
        managers = [host.name for host in self.facts.measured.hosts if host.role == "manager"]
        for advice in (*on_count(len(spread)), *on_zones(spread), *on_latency(managers, self.facts.measured.reaches)):
            (self.warnings if advice.warning else self.notes).append(advice.text)

    def warn_drain(self) -> None:
        """Under UCP managers are never drained (B8)."""
        if not self.facts.spec.drain_managers:
            return
        for spec, host in self.hosts:
            node = self.facts.node_of(host)
            if spec.role != "manager":
                continue
            if node is None and self.facts.ucp:
                what = f"UCP manages this Swarm: a drained manager {host.name} would run none of UCP's own agents."
                self.rules.append(Rule("ucp-drain", host.name, what))
            elif node is not None and not node.drained and self.facts.ucp:
                self.notes.append(f"{host.name} goes on taking tasks: a manager under UCP is never drained.")
            elif node is not None and not node.drained:
                self.notes.append(
                    f"{host.name} runs tasks: to drain it, with a look at them first: "
                    f"swarmtui run node.drain node={host.name}"
                )

    @property
    def quorum(self) -> QuorumChange | None:
        """What becomes of the raft; None where nothing does."""
        before = sum(node.manager for node in self.facts.nodes)
        joining = sum(isinstance(s, InitSwarm) or (isinstance(s, JoinHost) and s.role == "manager") for s in self.steps)
        after = before + joining
        return QuorumChange(Quorum(before, before), Quorum(after, after)) if joining else None

    @property
    def touched(self) -> tuple[str, ...]:
        """Hostnames of the hosts that are changed."""
        return tuple(dict.fromkeys(step.name for step in self.steps if isinstance(step, BuildStep)))


def _remote(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
