"""A plan, whole, and the one question whether to run it.

The answer is bound to what is shown: the caller plans anew after a yes and asks again if the binding differs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from swarmtui.errors import UsageError
from swarmtui.runbooks.render import can_fold, plan_lines
from swarmtui.runbooks.runbook import Plan
from swarmtui.ui import printing
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import CONFIRM
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.screens.scrolling import ScrollingScreen
from swarmtui.ui.title import Title


class ConfirmScreen(ScrollingScreen[bool]):
    """Shows a plan; dismissed with True when it is confirmed.

    Args:
        changed: whether the person saw another plan a moment ago, which no longer holds.
        production: the cluster is one, and the head says so in words and colour.
    """

    BINDINGS: ClassVar[list[BindingType]] = CONFIRM

    DEFAULT_CSS = """
    ConfirmScreen { background: $surface; }
    ConfirmScreen > #confirm-head.changed { background: #875f00; color: white; }
    ConfirmScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    ConfirmScreen > #confirm-ask { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    ConfirmScreen > Input { height: 1; border: none; padding: 0 1; background: $panel; }
    ConfirmScreen > Input:focus { border: none; }
    """

    def __init__(self, plan: Plan, cluster: str, *, changed: bool, production: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self._cluster = cluster
        self._changed = changed
        self._production = production
        self._folded = can_fold(plan.steps)

    def compose(self) -> ComposeResult:
        head = f"On {self._cluster}"
        if self._changed:
            head += ": the cluster changed while you looked; this is the plan now."
        yield Title(head, production=self._production, id="confirm-head", classes="changed" if self._changed else "")
        with VerticalScroll():
            yield Prose(self._lines(), id="confirm-plan")
        if self.plan.typed:
            yield Static(
                f'Type "{self.plan.typed}" and press enter to run it; esc leaves it.', id="confirm-ask", markup=False
            )
            yield Input(placeholder=self.plan.typed, id="confirm-word")
        else:
            yield Static("Run this? y runs it; esc leaves it.", id="confirm-ask", markup=False)
        yield KeyBar()

    def _lines(self) -> list[tuple[str, str]]:
        return list(plan_lines(self.plan, folded=self._folded))

    def on_mount(self) -> None:
        if self.plan.typed:
            self.query_one(Input).focus()
        else:
            self.query_one(VerticalScroll).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return can_fold(self.plan.steps) if action == "whole" else not (action == "yes" and self.plan.typed)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.plan.typed:
            self.dismiss(True)
        else:
            self.app.notify(f'That is not "{self.plan.typed}": nothing was done.', severity="warning", markup=False)
            event.input.clear()

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def action_whole(self) -> None:
        """Shows the commands that wait, whole or in words."""
        self._folded = not self._folded
        self.query_one("#confirm-plan", Prose).show(self._lines())

    def action_save(self) -> None:
        """Writes the plan to a file, to print it or to hand it on."""

        def save(path: str | None) -> None:
            if path is None:
                return
            try:
                file = printing.write_plan(path, self.plan)
            except UsageError as error:
                self.app.notify(str(error), severity="error", markup=False)
            else:
                self.app.notify(f"The plan is in {file}.", markup=False)

        endings = (printing.MARKDOWN, printing.SCRIPT)
        question = "Write the plan to which file? .md is a runbook to read, .sh a shell script with the same effect."
        suggested = str(Path.cwd() / f"{self.plan.runbook}{printing.MARKDOWN}")
        check = partial(printing.wrong_with, endings=endings)
        self.app.push_screen(AskScreen(question, value=suggested, check=check), save)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(shown.as_sh for step in self.plan.steps for shown in step.shown))
        self.app.notify("The commands are copied.", markup=False, timeout=2)
