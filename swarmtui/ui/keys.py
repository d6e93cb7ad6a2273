"""The keys of the console, declared once: bindings, help and README come from here.

Lowercase looks, uppercase changes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.binding import Binding, BindingType

from swarmtui.errors import UsageError
from swarmtui.ui.table_keys import BINDINGS as TABLE


@dataclass(frozen=True, slots=True)
class NodeAction:
    """A key that makes a plan for the marked nodes, or the one under the cursor."""

    key: str
    runbook: str
    label: str
    tooltip: str
    asks: str = ""
    """Name of the parameter to ask for first; "" for none."""


NODE_ACTIONS = (
    NodeAction("D", "node.drain", "Drain", "Empty the node: its tasks move to others"),
    NodeAction("A", "node.activate", "Activate", "Let the scheduler place tasks there again"),
    NodeAction("S", "node.pause", "Suspend", "Pause: keep its tasks, place nothing new there"),
    NodeAction("P", "node.promote", "Promote", "Make it a manager"),
    NodeAction("M", "node.demote", "Demote", "Make it a worker"),
    NodeAction("L", "node.label", "Labels", "Add, change or remove labels", asks="label"),
    NodeAction("X", "node.remove", "Remove", "Take it out of the Swarm"),
)

LOOK: list[BindingType] = [
    Binding("question_mark", "help", "Keys", key_display="?", id="help", tooltip="The keys of this view"),
    Binding(
        "slash", "filter", "Filter", key_display="/", id="filter", tooltip="Regex, !, label=KEY[=VALUE], node=NAME"
    ),
    Binding("colon", "command", "View", key_display=":", id="command", tooltip="Go to a view by name"),
    Binding("d", "describe", "Describe", id="describe", tooltip="Everything known about the row"),
    Binding("y", "raw", "Raw", show=False, id="raw", tooltip="The object as the engine gives it (JSON)"),
    Binding("a", "alarms", "Alarms", id="alarms", tooltip="What is wrong, and what to do about it"),
    Binding("c", "copy", "Copy", show=False, id="copy", tooltip="Copy the name of the row (OSC 52)"),
    Binding("z", "zoom", "Zoom", show=False, id="zoom", tooltip="One pane, or all of them"),
    Binding("tab", "next_pane", "Next pane", show=False, id="pane.next", tooltip="Go to the next pane"),
    Binding(
        "shift+tab", "previous_pane", "Previous pane", show=False, id="pane.previous", tooltip="Go to the pane before"
    ),
    Binding(
        "i", "tries", "Connection", show=False, id="connection", tooltip="How the connection stands, and what was tried"
    ),
    Binding("v", "run", "Run", show=False, id="run", tooltip="The operation under way, or the last one"),
    Binding("ctrl+r", "refresh", "Refresh", show=False, id="refresh", tooltip="Ask the cluster now"),
    Binding("escape", "back", "Back", show=False, id="back", tooltip="Drop the filter, then the marks"),
    Binding("q", "quit", "Quit", id="quit", tooltip="Leave the console"),
]

CHANGE: list[BindingType] = [
    Binding(action.key, f"node('{action.runbook}')", action.label, id=action.runbook, tooltip=action.tooltip)
    for action in NODE_ACTIONS
]


def action_of(runbook: str) -> NodeAction:
    """The key's action by the name of its runbook. Raises KeyError for a runbook that has no key."""
    return next(action for action in NODE_ACTIONS if action.runbook == runbook)


def check_keys(keys: Mapping[str, str], path: Path) -> None:
    """Checks the keys a person remapped.

    Raises:
        UsageError: one is for a binding that does not exist.
    """
    known = {binding.id for binding in (*LOOK, *CHANGE, *TABLE) if isinstance(binding, Binding)}
    for name in keys:
        if name not in known:
            close = difflib.get_close_matches(name, [k for k in known if k], 1)
            hint = f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(sorted(k for k in known if k))}."
            raise UsageError(f'{path}, keys.{name}: there is no key called "{name}".', hint)
