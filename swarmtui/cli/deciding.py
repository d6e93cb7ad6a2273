"""Who decides about a step on a terminal: retry it, do it by hand, skip it with a reason, stop there."""

from __future__ import annotations

import asyncio
import sys

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.runbooks.parts import can_leave
from swarmtui.runbooks.runbook import Plan, Step
from swarmtui.runbooks.runner import Choice, Decision

KEYS = {
    Choice.GO: "g",
    Choice.RETRY: "r",
    Choice.BY_HAND: "h",
    Choice.SKIP: "k",
    Choice.LEAVE: "n",
    Choice.STOP: "s",
}


class Terminal:
    """Asks a person on the terminal (Decider). The end of the input is a stop.

    Attributes:
        plan: as far as it is drafted by now.

    Raises:
        UsageError: there is no terminal.
    """

    def __init__(self, plan: Plan) -> None:
        if not sys.stdin.isatty():
            raise UsageError("There is no terminal to ask on.", "Leave out --ask and --hold.")
        self.plan = plan

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision:
        self._say(f"It failed: {error}")
        self._stands(step)
        leave = {Choice.LEAVE: "leave this part, on with the next"} if can_leave(self.plan, step) else {}
        words = {Choice.RETRY: "retry", **self._with_step(step), **leave, Choice.STOP: "stop here"}
        return await self._asked(words)

    async def held(self, step: Step) -> Decision:
        self._say(f"Next: {step.title}. {step.why}")
        for shown in step.shown:
            self._say(f"  $ {shown.as_sh}")
        self._stands(step)
        return await self._asked({Choice.GO: "let it run", **self._with_step(step), Choice.STOP: "stop here"})

    async def by_hand(self, step: Step) -> Decision:
        self._say("It is yours: type these commands yourself.")
        for shown in step.shown:
            self._say(f"  $ {shown.as_sh}")
        done = "it is done: verify it"
        return await self._asked({Choice.GO: done, Choice.RETRY: "let swarmtui do it", Choice.STOP: "stop here"})

    def _with_step(self, step: Step) -> dict[Choice, str]:
        hand = {Choice.BY_HAND: "do it by hand"} if step.shown else {}
        return {**hand, Choice.SKIP: "REASON skip it"} if step.skippable else hand

    def _stands(self, step: Step) -> None:
        if stands := self.plan.if_stopped_before(step):
            self._say(f"If you stop here: {stands}")

    async def _asked(self, words: dict[Choice, str]) -> Decision:
        """Asks until the answer is one of these; a skip has its reason on the same line."""
        while True:
            print(
                f"{' · '.join(f'{KEYS[choice]} {word}' for choice, word in words.items())}: ", end="", file=sys.stderr
            )
            sys.stderr.flush()
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                return Decision(Choice.STOP)
            key, _, rest = line.strip().partition(" ")
            for choice in words:
                if key == KEYS[choice] and (rest.strip() or choice is not Choice.SKIP):
                    return Decision(choice, rest.strip())

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr)
