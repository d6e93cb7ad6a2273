"""A plan, whole, and the one question whether to run it.

The answer is bound to what is shown: the caller plans anew after a yes and asks again if the binding differs.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Input, Static

from swarmtui.runbooks.render import plan_lines
from swarmtui.runbooks.runbook import Plan
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.screens.reading import styled


class ConfirmScreen(Screen[bool]):
    """Shows a plan; dismissed with True when it is confirmed.

    Args:
        changed: whether the person saw another plan a moment ago, which no longer holds.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes, run it", id="confirm.yes"),
        Binding("escape,n", "no", "No", id="confirm.no"),
        Binding("c", "copy", "Copy commands", id="confirm.copy", tooltip="Copy the commands (OSC 52)"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="confirm.down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="confirm.up"),
        Binding("pagedown,space", "scroll(10)", "Page down", show=False, id="confirm.page-down"),
        Binding("pageup", "scroll(-10)", "Page up", show=False, id="confirm.page-up"),
    ]

    DEFAULT_CSS = """
    ConfirmScreen { background: $surface; }
    ConfirmScreen > #confirm-head { height: auto; background: $panel; padding: 0 1; text-style: bold; }
    ConfirmScreen > #confirm-head.changed { background: #875f00; color: white; }
    ConfirmScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    ConfirmScreen > #confirm-ask { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    ConfirmScreen > Input { height: 1; border: none; padding: 0 1; background: $panel; }
    """

    def __init__(self, plan: Plan, cluster: str, *, changed: bool) -> None:
        super().__init__()
        self.plan = plan
        self._cluster = cluster
        self._changed = changed

    def compose(self) -> ComposeResult:
        head = f"On {self._cluster}"
        if self._changed:
            head += ": the cluster changed while you looked; this is the plan now."
        yield Static(head, id="confirm-head", classes="changed" if self._changed else "", markup=False)
        with VerticalScroll():
            yield Static(styled(list(plan_lines(self.plan))), id="confirm-plan", markup=False)
        if self.plan.typed:
            yield Static(
                f'Type "{self.plan.typed}" and press enter to run it; esc leaves it.', id="confirm-ask", markup=False
            )
            yield Input(placeholder=self.plan.typed, id="confirm-word", compact=True)
        else:
            yield Static("Run this? y runs it; esc leaves it.", id="confirm-ask", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        if self.plan.typed:
            self.query_one(Input).focus()
        else:
            self.query_one(VerticalScroll).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "yes" and self.plan.typed)

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

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(shown.as_sh for step in self.plan.steps for shown in step.shown))
        self.app.notify("The commands are copied.", markup=False, timeout=2)
