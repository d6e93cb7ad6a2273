"""Step, Plan and Runbook: the one shape of every operation.

A runbook surveys the cluster (facts), and makes a plan from parameters and facts alone. So a run can be
resumed from its journal by making the very same plan again, and a confirmation can be bound to what was shown.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.model.impact import Impact
from swarmtui.model.quorum import QuorumChange
from swarmtui.runbooks.params import Param
from swarmtui.session import Session

Facts = dict[str, Any]
"""Plain JSON values: what is journalled with an intent, so that a resume can judge what happened."""


class Danger(IntEnum):
    """safe: changes nothing that runs; disruptive: tasks stop or move; destructive: something cannot be had back."""

    SAFE = 0
    DISRUPTIVE = 1
    DESTRUCTIVE = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Shown:
    """One command as a person would type it.

    Attributes:
        line: the command, in sh.
        host: SSH destination ("root@10.0.0.5") it runs on; "" for any manager's docker CLI.
        port: SSH port, None for the usual one.
        feed: the command whose output it reads on its standard input: how a token gets to a host without being typed.
        words: of a line that changes nothing and only waits: what for and how long, for where it is folded. Never
            instead of the line: whoever folds it unfolds it at a key.
        here: it runs on the operator's own machine, and on no manager.
    """

    line: str
    host: str = ""
    port: int | None = None
    feed: Shown | None = None
    words: str = ""
    here: bool = False

    @property
    def as_sh(self) -> str:
        """The command as it is typed on the operator's own machine."""
        # -- : an address comes from the cluster, and must never be taken for an option of ssh.
        port = f"-p {self.port} -- " if self.port else "-- "
        # -n: in a script that is piped into a shell, ssh would else read the rest of the script as its input.
        alone = "" if self.feed else "-n "
        line = f"ssh {alone}{port}{shlex.quote(self.host)} {shlex.quote(self.line)}" if self.host else self.line
        return f"{self.feed.as_sh} | {line}" if self.feed else line


class Voice:
    """What a running step says while it works."""

    def __init__(self, say: Callable[[str], None], progress: Callable[[int, int, str], None]) -> None:
        self.say = say
        self.progress = progress


class StepError(SwarmtuiError):
    """A step failed, or ran and did not verify."""


class ConflictError(StepError):
    """Somebody else changed the object since the plan was confirmed."""


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One thing that is done, with its proof.

    Attributes:
        id: unique within the plan, the same each time the plan is made.
        why: plain words.
        skippable: whether the plan still makes sense without it.
        if_stopped: one sentence: which state the cluster is in when a run stops before this step; "" where nothing
            need be said. The last one told stays true until another step tells otherwise (`Plan.if_stopped_before`).
    """

    id: str
    title: str
    why: str
    danger: Danger = Danger.SAFE
    skippable: bool = False
    if_stopped: str = ""

    @property
    @abstractmethod
    def shown(self) -> tuple[Shown, ...]:
        """The commands, exactly as they have the effect of `run`."""

    @property
    def undo(self) -> tuple[Shown, ...]:
        """The commands that take it back; empty when nothing does."""
        return ()

    async def before(self, session: Session) -> Facts:
        """Facts a resume needs to judge whether the step had its effect; journalled with the intent."""
        return {}

    @abstractmethod
    async def already_done(self, session: Session, before: Facts) -> str:
        """Why there is nothing left to do, one sentence; "" when there is."""

    @abstractmethod
    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        """Does it. Raises StepError, EngineError or LinkError."""

    @abstractmethod
    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        """Proves it from the cluster itself. Raises StepError where it did not take effect."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A safety rule that a plan breaks; it runs only when a person accepts it by name.

    Attributes:
        id: what `--accept ID=OBJECT` names.
        about: the object.
        what: one sentence: what would be lost.
    """

    id: str
    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.id}={self.about}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is about to be done, all of it, before anything is.

    Attributes:
        facts: what the plan was made from, as plain JSON values.
        binding: digest of what a confirmation is bound to: object ids, their Specs, and the impact shown.
        touches: names of the objects it changes.
        changes: what will be different, for a person to read: (style, line) as in `render.plan_lines`.
        notes: things to know that are no warning.
        warnings: things that may hurt; shown, not enforced.
        rules: safety rules it breaks.
        leaving: ids of managers that will be none, or be away: the connection must not depend on them.
        exclusive: ids of managers on whose hosts a lock is laid, so that nobody else disturbs the cluster meanwhile.
        exclusive_hosts: the same, for a plan that begins where no Swarm answers: SSH targets, the one that matters
            first; of the Swarm `cluster_id`.
        nothing: why nothing is to be done; "" when there are steps.
        cluster_id: of the Swarm it is about, where no session looks at one; "" where that does not matter.
        parts: the plans of other runbooks whose steps are among these, by the id of the step they stand behind
            (`parts.Stage`).
    """

    runbook: str
    version: int
    params: Mapping[str, Any]
    facts: Facts
    title: str
    why: str
    steps: tuple[Step, ...]
    touches: tuple[str, ...] = ()
    impact: Impact | None = None
    quorum: QuorumChange | None = None
    changes: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    binding: str = ""
    leaving: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    exclusive_hosts: tuple[str, ...] = ()
    nothing: str = ""
    cluster_id: str = ""
    parts: Mapping[str, Plan] = field(default_factory=dict)

    @property
    def danger(self) -> Danger:
        return max((step.danger for step in self.steps), default=Danger.SAFE)

    def if_stopped_before(self, step: Step) -> str:
        """Which state the cluster is in when the run stops before a step; "" when no step up to it says.

        A step that says nothing leaves things as the one before it found them to be told: what was last said stays.
        """
        told = ""
        for each in self.steps:
            told = each.if_stopped or told
            if each is step:
                break
        return told

    @property
    def typed(self) -> str:
        """The word a person must type to confirm; "" when a single key is enough."""
        if self.rules:
            return self.rules[0].about
        return self.touches[0] if self.danger is Danger.DESTRUCTIVE and self.touches else ""


def binding_of(*parts: Any) -> str:
    """Digest of the values a confirmation is bound to; any change of them changes it."""
    plain = msgspec.to_builtins(parts)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


class Runbook(ABC):
    """One operation by name. Stateless."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str]
    params: ClassVar[Sequence[Param]]
    needs_manager: ClassVar[bool] = True
    """Whether a manager of the Swarm must answer before it can be planned; without, its session may be in any state."""
    on_hosts: ClassVar[bool] = False
    """Whether it works where no Swarm is yet, or none answers: its session is not started for it (`Session.begin`)."""
    needs_target: ClassVar[bool] = False
    """Of one that works on hosts: whether it is about a cluster that must be named, whose managers are those hosts."""

    @abstractmethod
    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        """Gathers all the plan needs to know, as plain JSON values.

        Raises:
            UsageError: the parameters name something that is not there.
            LinkError: the cluster cannot be asked.
        """

    @abstractmethod
    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        """Makes the plan. Pure: the same parameters and facts make the same plan.

        Raises:
            RefusedError: it cannot be done, and nobody can accept it.
        """

    async def prepare(self, session: Session, params: Mapping[str, Any]) -> Plan:
        """Surveys and plans."""
        return self.plan(params, await self.survey(session, params))
