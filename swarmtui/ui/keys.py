"""The keys of the console, declared once: bindings, help and README come from here.

Lowercase looks, uppercase changes. A key may mean something else in each view.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from textual.binding import Binding, BindingType

from swarmtui.errors import UsageError
from swarmtui.ui.action import Action as Action
from swarmtui.ui.dtr_keys import DTR_ACTIONS
from swarmtui.ui.log_keys import BINDINGS as LOGS
from swarmtui.ui.screen_keys import FIXED
from swarmtui.ui.screen_keys import REMAPPABLE as SCREENS
from swarmtui.ui.table_keys import BINDINGS as TABLE
from swarmtui.ui.ucp_keys import UCP_ACTIONS


def _node(key: str, runbook: str, label: str, tooltip: str, *asks: str) -> Action:
    return Action(key, runbook, label, tooltip, "nodes", "node", asks)


NODE_ACTIONS = (
    _node("D", "node.drain", "Drain", "Empty the node: its tasks move to others"),
    _node("A", "node.activate", "Activate", "Let the scheduler place tasks there again"),
    _node("S", "node.pause", "Suspend", "Pause: keep its tasks, place nothing new there"),
    _node("P", "node.promote", "Promote", "Make it a manager"),
    _node("M", "node.demote", "Demote", "Make it a worker"),
    _node("L", "node.label", "Labels", "Add, change or remove labels", "label"),
    _node("X", "node.remove", "Remove", "Take it out of the Swarm"),
)
LOCK_ACTIONS = (
    replace(_node("U", "swarm.unlock", "Unlock", "Unlock it after a restart, with the vault's key"), offline=True),
    Action(
        "U",
        "swarm.unlock",
        "Unlock",
        "Unlock every manager that is locked after a restart",
        "swarm",
        id="swarm.unlock-all",
        offline=True,
    ),
    Action(
        "L", "swarm.autolock", "Autolock", "Lock managers on every restart, or no longer", "swarm", asks=("enable",)
    ),
    Action("K", "swarm.rotate-key", "Rotate key", "A new unlock key; the vault keeps the old one too", "swarm"),
    Action(
        "T", "swarm.rotate-tokens", "Rotate tokens", "New join tokens; old ones are refused", "swarm", asks=("role",)
    ),
    Action("C", "swarm.rotate-ca", "Rotate CA", "A new root CA, and a new certificate for every node", "swarm"),
)
SWARM_ACTIONS = (
    Action("E", "swarm.rebalance", "Rebalance", "Spread tasks evenly: restarts them, one service at a time", "nodes"),
)

_UPDATE = (
    "image",
    "env",
    "label",
    "limit-cpu",
    "limit-memory",
    "reserve-cpu",
    "reserve-memory",
    "constraint",
    "parallelism",
    "delay",
    "order",
)
_NETWORK = ("subnet", "gateway", "attachable", "internal", "encrypted")
SERVICE_ACTIONS = (
    Action(
        "S", "service.scale", "Scale", "Let it run more or fewer tasks", "services", "service", ("replicas",), one=True
    ),
    Action(
        "U",
        "service.update",
        "Update",
        "Change what it runs, and how it is replaced",
        "services",
        "service",
        words=_UPDATE,
    ),
    Action("R", "service.restart", "Restart", "Replace every task, with nothing else changed", "services", "service"),
    Action("B", "service.rollback", "Roll back", "Back to what it was before its last update", "services", "service"),
    Action("X", "service.remove", "Remove", "Remove it, and all its tasks", "services", "service"),
)

STACK_ACTIONS = (
    Action(
        "N",
        "stack.deploy",
        "New",
        "Deploy a new stack from a compose file",
        "stacks",
        "",
        ("stack", "file"),
        id="stack.new",
    ),
    Action(
        "U", "stack.deploy", "Deploy", "Deploy it again from a compose file", "stacks", "stack", ("file",), one=True
    ),
    Action(
        "X",
        "stack.remove",
        "Remove",
        "Remove it: its services, networks, secrets, configs",
        "stacks",
        "stack",
        one=True,
    ),
)
OBJECT_ACTIONS = (
    Action("N", "network.create", "New", "Make an overlay network", "networks", "", ("name",), _NETWORK),
    Action("X", "network.remove", "Remove", "Remove it; only when nobody uses it", "networks", "network"),
    Action("N", "secret.create", "New", "Make a secret from a file", "secrets", "", ("name", "file")),
    Action("X", "secret.remove", "Remove", "Remove it; only when nobody uses it", "secrets", "secret"),
    Action("N", "config.create", "New", "Make a config from a file", "configs", "", ("name", "file")),
    Action("X", "config.remove", "Remove", "Remove it; only when nobody uses it", "configs", "config"),
    Action(
        "X",
        "volume.remove",
        "Remove",
        "Remove it from the node in use; only when nobody uses it",
        "volumes",
        "volume",
        one=True,
        here="node",
    ),
)

RESTORE = Action(
    "R",
    "swarm.restore",
    "Restore",
    "Bring the Swarm back from it, where no manager has its state any more",
    "backups",
    "backup",
    ("host",),
    one=True,
    offline=True,
)
"""Through `Recovering`: with a session that only is a way to hosts."""

BACKUP_ACTIONS = (
    replace(
        _node("B", "swarm.backup", "Back up", "Back up the Swarm from here: Docker stops on it for a moment"),
        one=True,
        id="swarm.backup-from",
    ),
    Action("B", "swarm.backup", "Back up", "Back up the Swarm now, from a manager that can be spared", "backups"),
    Action(
        "H",
        "swarm.rehearse",
        "Rehearse",
        "Restore it for real, in an isolated place on another host",
        "backups",
        "backup",
        ("host",),
        one=True,
        offline=True,
    ),
    RESTORE,
    Action("C", "backups.copy", "Copy", "Copy it away from this machine, and check the copy", "backups", tends=True),
    Action("P", "backups.prune", "Prune", "Delete what is not to be kept; shows first what", "backups", tends=True),
    Action("I", "backups.import", "Import", "Take in an archive that was made by hand", "backups", tends=True),
    Action("A", "platform.backup", "Back up all", "Back up Swarm, UCP and DTR, one after the other", "backups"),
)

RUN_ACTIONS = (
    Action(
        "R",
        "journal.resume",
        "Resume",
        "Go on with a run that was cut off or stopped, also one of another machine",
        "journal",
        "run",
        one=True,
        offline=True,
        tends=True,
    ),
)
"""What is done with runs of the journal; no runbook of its own."""

ACTIONS: tuple[Action, ...] = (
    *NODE_ACTIONS,
    *SWARM_ACTIONS,
    *BACKUP_ACTIONS,
    *LOCK_ACTIONS,
    *SERVICE_ACTIONS,
    *STACK_ACTIONS,
    *OBJECT_ACTIONS,
    *UCP_ACTIONS,
    *DTR_ACTIONS,
    *RUN_ACTIONS,
)

# Those with priority are done before the next key is looked at: what is typed after ":" comes in one read with it over
# a slow line, and must not be taken for keys of the table.
LOOK: list[BindingType] = [
    Binding("question_mark", "help", "Keys", key_display="?", id="help", tooltip="The keys of this view"),
    Binding(
        "slash",
        "filter",
        "Filter",
        key_display="/",
        id="filter",
        tooltip="Regex, !, label=KEY[=VALUE], node=NAME, service=NAME, stack=NAME",
        priority=True,
    ),
    Binding("colon", "command", "View", key_display=":", id="command", tooltip="Go to a view by name", priority=True),
    Binding("d", "describe", "Describe", id="describe", tooltip="Everything known about the row"),
    Binding("t", "tasks", "Tasks", id="tasks", tooltip="Tasks of the node, service or stack"),
    Binding("l", "logs", "Logs", id="logs", tooltip="The log of the service or task"),
    Binding("s", "service", "Service", id="task.service", tooltip="The service of the task"),
    Binding("n", "node", "Node", id="task.node", tooltip="The node of the task or replica"),
    Binding("h", "history", "History", id="task.history", tooltip="Also the tasks that came before in each slot"),
    Binding("p", "peek", "Peek", id="swarm.peek", tooltip="Show the join token or the unlock key, for 10 seconds"),
    Binding("o", "backup_inside", "Inside", id="backups.inside", tooltip="What is in the backup: opens it and looks"),
    Binding(
        "p", "backup_verify", "Prove", id="backups.verify", tooltip="Verify it, or all marked ones: would it restore?"
    ),
    Binding(
        "s",
        "backup_diff",
        "Since",
        id="backups.diff",
        tooltip="What changed since it was taken, or from one marked backup to the other",
    ),
    Binding("a", "alarms", "Alarms", id="alarms", tooltip="What is wrong, and what to do about it"),
    Binding(
        "exclamation_mark",
        "recover",
        "What happened",
        show=False,
        key_display="!",
        id="recover",
        tooltip="What happened, and the least destructive way out: looks at every manager over SSH",
    ),
    Binding("y", "raw", "Raw", show=False, id="raw", tooltip="The object as the engine gives it (JSON; y again: YAML)"),
    Binding("f", "faults", "Faults", show=False, id="faults", tooltip="Only rows where something is wrong, or all"),
    Binding("c", "copy", "Copy", show=False, id="copy", tooltip="Copy the name of the row (OSC 52)"),
    Binding("e", "export", "Export", show=False, id="export", tooltip="Write the table as shown to a CSV or JSON file"),
    Binding("z", "zoom", "Zoom", show=False, id="zoom", tooltip="One pane, or all of them"),
    Binding("tab", "next_pane", "Next pane", show=False, id="pane.next", tooltip="Go to the next pane"),
    Binding(
        "shift+tab", "previous_pane", "Previous pane", show=False, id="pane.previous", tooltip="Go to the pane before"
    ),
    Binding(
        "left_square_bracket",
        "go_back",
        "Back",
        show=False,
        key_display="[",
        id="history.back",
        tooltip="Where one was before: view, filter and row",
    ),
    Binding(
        "right_square_bracket",
        "go_forward",
        "Forward",
        show=False,
        key_display="]",
        id="history.forward",
        tooltip="Forward again",
    ),
    Binding(
        "i", "tries", "Connection", show=False, id="connection", tooltip="How the connection stands, and what was tried"
    ),
    Binding("v", "run", "Run", show=False, id="run", tooltip="The operation under way, or the last one"),
    Binding("ctrl+r", "refresh", "Refresh", show=False, id="refresh", tooltip="Ask the cluster now"),
    Binding("escape", "back", "Back", show=False, id="back", tooltip="Drop the filter, then the marks, then go back"),
    Binding(
        "ctrl+o",
        "app.clusters",
        "Clusters",
        show=False,
        id="clusters",
        tooltip="All clusters side by side; open another",
    ),
    Binding("q", "quit", "Quit", id="quit", tooltip="Leave the console"),
]

CHANGE: list[BindingType] = [
    Binding(
        action.key, f"act('{action.called}', '{action.view}')", action.label, id=action.called, tooltip=action.tooltip
    )
    for action in ACTIONS
]

MAIN_IDS = frozenset(each.id for each in (*LOOK, *CHANGE) if isinstance(each, Binding))
"""Ids of the keys of the main screen."""

ONLY: Mapping[str, tuple[str, ...]] = {
    "tasks": ("nodes", "services", "stacks", "ucp"),
    "logs": ("services", "tasks"),
    "service": ("tasks",),
    "node": ("tasks", "dtr"),
    "history": ("tasks",),
    "peek": ("swarm",),
    "backup_inside": ("backups",),
    "backup_verify": ("backups",),
    "backup_diff": ("backups",),
}
"""Keys that look, and the views they work in; all others work everywhere."""


def works_in(action: str, parameters: tuple[object, ...], view: str) -> bool:
    """Whether what a key does can be done in a view."""
    if action == "act":
        return parameters[1:] == (view,)
    return view in ONLY.get(action, (view,))


def bindings(remapped: Mapping[str, str], *, read_only: bool) -> list[Binding]:
    """The bindings of the main screen with the keys a person wants; theirs come before ours where both want a key.

    Textual's own keymaps drop every binding of a key for one of them that is remapped: not for keys that mean
    something else in each view. The last binding of such a key says where it works.
    """
    declared = _made(LOOK if read_only else [*LOOK, *CHANGE])
    wanted = [(binding, remapped.get(binding.id or "", "")) for binding in declared]
    made = _made(replace(binding, key=key, key_display=None) for binding, key in wanted if key)
    made += [binding for binding, key in wanted if not key]
    limited = dict.fromkeys(b.key for b in made if b.action.startswith("act(") or b.action in ONLY)
    return [*made, *(Binding(key, f"elsewhere('{key}')", show=False) for key in limited)]


def _made(declared: Iterable[BindingType]) -> list[Binding]:
    """One binding for each key."""
    return list(Binding.make_bindings(declared))


def where(key: str, made: Iterable[Binding]) -> list[str]:
    """The views in which a key does something."""
    found: dict[str, None] = {}
    for binding in made:
        if binding.key == key:
            acts = [action.view for action in ACTIONS if action.called == binding.id]
            found.update(dict.fromkeys(acts or ONLY.get(binding.action, ())))
    return list(found)


def action_of(called: str) -> Action:
    """The action of a key, by its id. Raises KeyError for an id that no key has."""
    for action in ACTIONS:
        if action.called == called:
            return action
    raise KeyError(called)


def check_keys(keys: Mapping[str, str], path: Path) -> None:
    """Checks the keys a person remapped.

    Raises:
        UsageError: one is for a binding that does not exist.
    """
    mine = {binding.id for binding in (*LOOK, *CHANGE, *TABLE, *LOGS) if isinstance(binding, Binding) and binding.id}
    known = mine | SCREENS
    for name in keys:
        if name in FIXED:
            raise UsageError(
                f"{path}, keys.{name}: the keys of questions, plans and runs cannot be remapped.", "Take it out."
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(sorted(known))}."
            raise UsageError(f'{path}, keys.{name}: there is no key called "{name}".', hint)
