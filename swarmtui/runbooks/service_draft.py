"""A plan on services in the making: which steps, and what is to be said about them."""

from __future__ import annotations

from swarmtui.errors import RefusedError
from swarmtui.model.quorum import Quorum
from swarmtui.model.rollout import Rollout
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import Danger, Rule, Step
from swarmtui.runbooks.service_facts import ServiceFacts, ServicesFacts
from swarmtui.runbooks.service_steps import RemoveService, RollBackService, UpdateService
from swarmtui.runbooks.service_waits import WaitGone, WaitRollout

ON_FAILURE = {
    "pause": "the engine pauses the rollout",
    "rollback": "the engine rolls it back by itself",
    "continue": "the engine goes on all the same",
}


class Draft:
    """A plan in the making: steps, and what is to be said about them.

    Attributes:
        changed: ids of the services that the steps change.
        changes: what will be different, as in Plan.changes.
        standing: warnings that do not change with the load of the cluster; a confirmation is bound to them.
    """

    def __init__(self, facts: ServicesFacts, wait: int) -> None:
        self.facts = facts
        self.wait = wait
        self.steps: list[Step] = []
        self.changes: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.standing: list[str] = []
        self.rules: list[Rule] = []
        self.idle: list[str] = []
        self.changed: set[str] = set()
        raft = Quorum(facts.voters, facts.reachable)
        if not raft.held:
            raise RefusedError(
                f"The Swarm has no quorum ({raft}): nothing can be changed now.",
                "Bring managers back first: start Docker there, unlock them, or mend the network.",
            )

    # -- what is done ----------------------------------------------------------------------------------------------

    def update(self, facts: ServiceFacts, *, title: str, why: str) -> None:
        """Steps that change a Spec, and follow what comes of it."""
        self._about_rollout(facts)
        self.steps.append(
            UpdateService(
                id=f"update-{facts.service_id}",
                title=title,
                why=why,
                danger=_danger(facts.rollout),
                service_id=facts.service_id,
                name=facts.name,
                expected=facts.digest,
                change=facts.change,
            )
        )
        self._follow(facts, rollback=False)

    def roll_back(self, facts: ServiceFacts, *, title: str, why: str) -> None:
        """Steps that go back to the previous Spec, and follow what comes of it."""
        self._about_rollout(facts)
        self.steps.append(
            RollBackService(
                id=f"rollback-{facts.service_id}",
                title=title,
                why=why,
                danger=_danger(facts.rollout),
                service_id=facts.service_id,
                name=facts.name,
                expected=facts.digest,
                goal=facts.goal,
            )
        )
        self._follow(facts, rollback=True)

    def _follow(self, facts: ServiceFacts, *, rollback: bool) -> None:
        rollout = facts.rollout
        self.steps.append(
            WaitRollout(
                id=f"rollout-{facts.service_id}",
                title=f"Wait until {facts.name} has converged",
                why="A Spec that was taken proves nothing: the tasks must run, and go on running.",
                skippable=True,
                service_id=facts.service_id,
                name=facts.name,
                seconds=self.wait + rollout.seconds,
                rollback=rollback,
                unwatched=bool(rollout.starting) or not rollout.known,
                replicas=facts.wanted,
            )
        )

    def remove(self, facts: ServiceFacts, *, title: str, why: str) -> None:
        """Steps that remove a service, and wait until its tasks have stopped."""
        self.changed.add(facts.service_id)
        self._about_owner(facts)
        name = facts.name
        if facts.rollout.known:
            self._change(f"{name}: {_tasks(facts.rollout.stopping)} {_verb(facts.rollout.stopping, 'stop')}.", "warn")
        if facts.ports:
            self._change(f"{name}: nothing listens on {', '.join(facts.ports)} any more.", "warn")
        self.notes.append(f"{name}: its networks, volumes, secrets and configs stay.")
        self.steps.append(
            RemoveService(
                id=f"remove-{facts.service_id}",
                title=title,
                why=why,
                service_id=facts.service_id,
                name=name,
                expected=facts.digest,
            )
        )
        self.steps.append(
            WaitGone(
                id=f"gone-{facts.service_id}",
                title=f"Wait until the tasks of {name} have stopped",
                why="They get their grace period; until then they hold their ports, volumes and memory.",
                skippable=True,
                service_id=facts.service_id,
                name=name,
                seconds=self.wait,
            )
        )

    # -- what is said ----------------------------------------------------------------------------------------------

    def about_change(self, facts: ServiceFacts) -> None:
        """Says what is different in the Spec."""
        if facts.told:
            self._change(f"{facts.name}: {'; '.join(facts.told)}.")
        image = facts.change.image
        if image and "@" not in image:
            was = " The digest it is pinned to now goes." if "@" in facts.image else ""
            self.notes.append(
                f"{facts.name}: the docker CLI would ask the registry which digest {one_line(image)} stands for; here "
                f"each node pulls what it finds under that name.{was}"
            )
        if secret := [key for key, value in facts.change.env if value is not None and _sounds_secret(key)]:
            self._warn(
                f"{facts.name}: {', '.join(map(one_line, secret))} can be read by everybody who may inspect the "
                "service, and stays in the journal: a Swarm secret is the place for what is secret."
            )

    def _about_rollout(self, facts: ServiceFacts) -> None:
        """Says what restarts, in which order, and what comes of it."""
        self.changed.add(facts.service_id)
        self._about_owner(facts)
        self._about_rollout_under_way(facts)
        rollout, name, config = facts.rollout, facts.name, facts.rollout.config
        if not rollout.known:
            return
        many = rollout.restarting
        if many:
            width = config.parallelism
            how = "all at the same time" if not 0 < width < many else f"{width} at a time"
            apart = f", {config.delay / 1e9:g} s apart" if config.delay and 0 < width < many else ""
            self._change(
                f"{name}: {_tasks(many)} {_verb(many, 'restart')}{f', {how}' if many > 1 else ''}{apart}; "
                + ("each new one runs before" if config.order == "start-first" else "each new one starts after")
                + " the old one "
                + ("stops" if config.order == "start-first" else "has stopped")
                + f". If a new one fails, {ON_FAILURE.get(config.failure_action, 'the engine decides')}."
            )
        if rollout.starting:
            self._change(f"{name}: {_tasks(rollout.starting)} {_verb(rollout.starting, 'start')}.")
        if rollout.stopping:
            self._change(f"{name}: {_tasks(rollout.stopping)} {_verb(rollout.stopping, 'stop')}.", "warn")
        if not (many or rollout.starting or rollout.stopping):
            self._change(f"{name}: no task restarts.")
        if rollout.all_at_once:
            self._warn(f"All {many} tasks of {name} stop at the same time: nothing of it runs until the new ones do.")
        if rollout.held_up:
            self.warnings.append(
                f"The rollout of {name} waits for what has nowhere to go, and never comes to {_tasks(rollout.held_up)} "
                "more."
            )

    def _about_rollout_under_way(self, facts: ServiceFacts) -> None:
        update = facts.update
        if update is None:
            return
        if update.state in ("updating", "rollback_started"):
            self._warn(f"{facts.name} is in the middle of a rollout ({update.state}): this takes its place.")
        elif update.state.endswith("paused"):
            message = one_line(update.message) or "the engine does not say why"
            self._warn(
                f"The last rollout of {facts.name} stands still ({message}): with this the engine goes on, also with "
                "what had not been replaced then."
            )

    def _about_owner(self, facts: ServiceFacts) -> None:
        if facts.stack:
            self.notes.append(
                f"{facts.name} belongs to the stack {one_line(facts.stack)}: deploying that again makes it what its "
                "file says."
            )
        if self.facts.ucp and facts.name.startswith("ucp-"):
            self.rules.append(
                Rule("ucp-service", facts.name, f"{facts.name} is a part of UCP itself, and not for anybody to change.")
            )

    def _change(self, line: str, style: str = "plain") -> None:
        self.changes.append((style, line))

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self.standing.append(text)


def _danger(rollout: Rollout) -> Danger:
    return Danger.DISRUPTIVE if rollout.hurts else Danger.SAFE


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _sounds_secret(key: str) -> bool:
    return any(
        word in key.upper() for word in ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE", "APIKEY", "API_KEY")
    )
