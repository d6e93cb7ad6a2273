"""From bare hosts to a Swarm with a name, by keys: which hosts, the look at them, the plan, the run, the name."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.config import ClusterConfig, Config, wrong_name
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Node, NodeDescription, NodeStatus
from swarmtui.model.text import one_line
from swarmtui.opening import Opening, node_target
from swarmtui.ui.acting import Acting
from swarmtui.ui.screens.asking import AskScreen, UiPerson

if TYPE_CHECKING:
    from swarmtui.runbooks.journal import Journal, RunRecord
    from swarmtui.runbooks.runbook import Plan
    from swarmtui.session import Session
    from swarmtui.ui.fleet import Fleet
    from swarmtui.ui.runs import Run

RUNBOOK = "swarm.build"
LIKE = "like"
"""The word that names a cluster whose ssh settings and sudo hold for the new hosts as well."""
RESUME = "resume"
DEFAULTS = ClusterConfig()

Naming = Callable[[str, Mapping[str, Any]], Config]
"""Writes a cluster (name, settings) into the configuration file; returns what that says then. Blocking."""


@dataclass(frozen=True)
class Built:
    """A Swarm that was built here, and has no name yet.

    Attributes:
        opening: how it is opened.
        settings: what the configuration would say of it.
    """

    opening: Opening
    settings: Mapping[str, Any]


class Building(Acting[str]):
    """The part of the start page that builds a Swarm."""

    fleet: Fleet
    _naming: Naming | None
    _hosts = ""
    _built: Built | None = None
    _way: Session | None = None
    """The way to the hosts, while they are looked at or built."""

    def _acts_on(self) -> tuple[str, bool]:
        return self._hosts, False

    @abstractmethod
    def open(self, name: str) -> None:
        """Opens the cluster of this name."""

    @abstractmethod
    def show_member(self, name: str) -> None:
        """Shows a cluster that is new here, and moves the cursor to it."""

    def build(self) -> None:
        """Asks for hosts, and makes a Swarm of them."""
        if not self.busy():
            self.run_worker(self._build(), exit_on_error=False, group="build", exclusive=True)

    async def _build(self) -> None:
        for heavy in ("swarmtui.session", "swarmtui.runbooks.registry"):
            await asyncio.to_thread(importlib.import_module, heavy)
        from swarmtui.runbooks import params, registry
        from swarmtui.runbooks.journal import Journal

        runbook = registry.runbook(RUNBOOK)
        cut_off = await asyncio.to_thread(newest_cut_off, Journal(self._journal_folder), runbook.version)
        given = await self._ask(cut_off)
        if given is None:
            return
        if given:
            like = given.pop(LIKE, "")
            values = params.parse(runbook.name, runbook.params, given)
            record = None
        else:
            assert cut_off is not None
            like = cut_off.target if any(member.name == cut_off.target for member in self.fleet) else ""
            values, record = cut_off.params, cut_off
        opening = dataclasses.replace(await self.fleet.opening(like) if like else Opening(""), targets=())
        if opening.cluster.read_only:
            raise RefusedError(f"{like} is read-only by the configuration.", "Nothing was changed.")
        from swarmtui.session import Session

        session = self._way = Session(opening, UiPerson(self))
        try:
            plan = await self._looked(session, values, record)
            if plan is not None:
                self._built = None
                run = await self.execute(session, plan, record)
                if run.outcome is not None and run.outcome.ok:
                    self._built = built(plan.facts, opening)
                    self._tell_header()
        finally:
            self._way = None
            await session.close()

    # -- which hosts -------------------------------------------------------------------------------------------------

    async def _ask(self, cut_off: RunRecord | None) -> dict[str, str] | None:
        """The parameters; none at all to go on with what was cut off; None when the person leaves."""
        from swarmtui.ui import questions

        names = ["managers", "workers", "spec", "autolock", "drain-managers", "wait", LIKE]
        names = names if list(self.fleet) else names[:-1]
        question = (
            "Build a Swarm from which hosts? A file that names them (TOML), or words:\n"
            "  managers=ssh://HOST,… workers=ssh://HOST,… autolock=true drain-managers=true"
        )
        if LIKE in names:
            question += f"\n  {LIKE}=CLUSTER: the ssh settings and sudo of that cluster hold here as well"
        if cut_off is not None:
            question += (
                f'\n\n"{one_line(cut_off.title)}" of {cut_off.started_at[:16].replace("T", " ")} UTC did not come to '
                f"its end. Type {RESUME} to go on with it (or: swarmtui run --resume {cut_off.id})."
            )

        def suggest(text: str) -> str:
            before, blank, word = text.rpartition(" ")
            key, equals, path = word.partition("=")
            if key == "spec" and equals:
                found = questions.path_completed(path)
                return f"{before}{blank}spec={found}" if found else ""
            return questions.completed(text, names, {}) or questions.path_completed(text)

        def check(text: str) -> str:
            if cut_off is not None and text.strip() == RESUME:
                return ""
            try:
                self._meant(text)
            except SwarmtuiError as error:
                return str(error)
            return ""

        answer = await self.push_screen_wait(AskScreen(question, check=check, suggest=suggest))
        if answer is None:
            return None
        return {} if cut_off is not None and answer.strip() == RESUME else self._meant(answer)

    def _meant(self, text: str) -> dict[str, str]:
        """The parameters of an answer.

        Raises:
            UsageError: it names no hosts, or the file says what cannot be; one sentence.
        """
        from swarmtui.runbooks import params, registry
        from swarmtui.runbooks.swarm.building.build import BuildRunbook
        from swarmtui.ui import questions

        runbook = registry.runbook(RUNBOOK)
        assert isinstance(runbook, BuildRunbook)
        known = {param.name for param in runbook.params} | {LIKE}
        text = text.strip()
        first, equals, _ = text.partition("=")
        if equals and first in known:
            given = questions.words(text)
        else:
            path, blank, more = text.rpartition(f" {LIKE}=")
            given = {"spec": path, LIKE: more} if blank else {"spec": text}
        like = given.get(LIKE)
        if like is not None and all(member.name != like for member in self.fleet):
            named = ", ".join(one_line(member.name) for member in self.fleet) or "none"
            raise UsageError(f'There is no cluster "{one_line(like)}" here.', f"Named clusters: {named}.")
        declared = {key: value for key, value in given.items() if key != LIKE}
        runbook.spec(params.parse(runbook.name, runbook.params, declared))
        return given

    # -- the look and the plan ---------------------------------------------------------------------------------------

    async def _looked(self, session: Session, values: Mapping[str, Any], record: RunRecord | None) -> Plan | None:
        """The confirmed plan; None where there is none. The look goes on before the person's eyes."""
        from swarmtui.runbooks import registry
        from swarmtui.runbooks.swarm.building.build import BuildRunbook

        runbook = registry.runbook(RUNBOOK)
        assert isinstance(runbook, BuildRunbook)
        if record is not None:
            kept = runbook.plan(record.params, record.facts)
            self._hosts = _count(len(record.facts["spec"]["hosts"]))

            async def again() -> Plan:
                return kept

            return await self._confirmed(again)
        self._hosts = _count(len(runbook.spec(values).hosts))
        return await self.looked_at(session, f"Looking at {self._hosts}", lambda: runbook.prepare(session, values))

    # -- the name ----------------------------------------------------------------------------------------------------

    def _tell_end(self, run: Run, ok: bool) -> None:
        if ok:
            self.notify(f"{run.plan.title}: done and verified; press v to give it a name.", markup=False, timeout=15)
        else:
            super()._tell_end(run, ok)

    def _run_left(self, run: Run) -> None:
        built = self._built
        if built is not None and run is self.current_run:
            self._built = None
            self.run_worker(self._name_it(built), exit_on_error=False, group="name")

    async def _name_it(self, built: Built) -> None:
        """Offers to name a new Swarm in the configuration, and opens it."""
        targets = " ".join(built.settings["managers"])
        naming, name = self._naming, None
        if naming is not None:
            question = (
                f"The Swarm is built and verified. Under which name shall swarmtui know it from now on? It is written "
                f"to {self.fleet.config.path}, and opened.\n\n"
                f"esc leaves it without a name; later: swarmtui clusters add NAME {targets}"
            )
            name = await self.push_screen_wait(AskScreen(question, check=self._wrong_name))
        if name is not None and naming is not None:
            try:
                config = await asyncio.to_thread(naming, name.strip(), built.settings)
            except SwarmtuiError as error:
                self.complain(error)
            else:
                self.fleet.name(name.strip(), config)
                self.show_member(name.strip())
                self.open(name.strip())
                return
        self.show_member(self.fleet.include(built.opening))

    def _wrong_name(self, text: str) -> str:
        name = text.strip()
        if wrong := wrong_name(name):
            return f"{wrong[0]}. {wrong[1]}"
        return "Another cluster has that name." if any(member.name == name for member in self.fleet) else ""


def newest_cut_off(journal: Journal, version: int) -> RunRecord | None:
    """The newest build, if it did not come to its end and can be gone on with (blocking).

    Args:
        version: of the runbook: with another one nothing is gone on with.
    """
    for run_id in (run_id for run_id in journal.ids() if f"-{RUNBOOK}-" in run_id):
        try:
            record = journal.read(run_id)
        except UsageError:
            continue  # of a crash before its first line was on disk: nothing was done
        return record if record.outcome != "done" and record.version == version else None
    return None


def built(facts: Mapping[str, Any], base: Opening) -> Built:
    """How the Swarm of a plan that ran is opened.

    Args:
        facts: of the plan.
        base: whose settings held for its hosts.
    """
    from swarmtui.runbooks.swarm.building.build_facts import BuildFacts

    known = msgspec.convert(facts, BuildFacts)
    managers = tuple(spec.target for spec in known.spec.hosts if spec.role == "manager")
    settings: dict[str, Any] = {"managers": [str(target) for target in managers]}
    for key in ("ssh_config", "known_hosts", "zone_label", "sudo"):
        if (value := getattr(base.cluster, key)) != getattr(DEFAULTS, key):
            settings[key] = value
    opening = dataclasses.replace(base, name=settings["managers"][0], targets=managers, cluster=DEFAULTS)
    # Hosts that were reached in another way than their names and addresses tell.
    others = {
        host.name: host.target
        for host in known.measured.hosts
        if str(_usual(opening, host.name, host.advertise)) != host.target
    }
    if others:
        settings["addresses"] = others
    return Built(dataclasses.replace(opening, cluster=msgspec.convert(settings, ClusterConfig)), settings)


def _usual(opening: Opening, name: str, address: str) -> SshTarget:
    """Where the host of such a node would be looked for if nothing were said."""
    node = Node(id="", description=NodeDescription(hostname=name), status=NodeStatus(addr=address))
    return node_target(opening, node)


def _count(hosts: int) -> str:
    return f"{hosts} host{'' if hosts == 1 else 's'}"
