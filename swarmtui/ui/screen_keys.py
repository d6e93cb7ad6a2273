"""The keys of the start page, and of the screens that lie over a table."""

from __future__ import annotations

from textual.binding import Binding, BindingType

QUIT = "app.quit"
"""Leaves whatever is shown, from anywhere."""

CLUSTERS: list[BindingType] = [
    Binding("o", "open", "Open", key_display="enter 1-9", id="clusters.open", tooltip="Open the cluster: o does too"),
    *(
        Binding(str(number), f"open_number({number})", "Open", show=False, id=f"clusters.{number}")
        for number in range(1, 10)
    ),
    Binding("d,a,i", "describe", "Describe", id="clusters.describe", tooltip="Alarms, and what was tried"),
    Binding("ctrl+r", "again", "Try again", id="clusters.again", tooltip="Ask all of them again, now"),
    Binding("N", "build", "Build", id="clusters.build", tooltip="Build a new Swarm from bare hosts"),
    Binding("v", "watch", "Watch", id="clusters.watch", tooltip="Watch the build that is under way, or the last one"),
    Binding("question_mark", "help", "Keys", key_display="?", id="clusters.help", tooltip="These keys"),
    Binding("q", "app.leave", "Quit", id="clusters.quit", tooltip="Leave"),
]

ASK: list[BindingType] = [Binding("escape", "leave", "Leave", id="ask.leave", priority=True)]

READING: list[BindingType] = [
    Binding("escape,q", "close", "Back", id="reading.back"),
    Binding("c", "copy", "Copy", id="reading.copy", tooltip="Copy all of it (OSC 52)"),
    Binding("down,j", "scroll(1)", "Down", show=False, id="reading.down"),
    Binding("up,k", "scroll(-1)", "Up", show=False, id="reading.up"),
    Binding("pagedown,space", "page(1)", "Page down", show=False, id="reading.page-down"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="reading.page-up"),
    Binding("home,g", "top", "Top", show=False, id="reading.top"),
    Binding("end,G", "bottom", "Bottom", show=False, id="reading.bottom"),
]

PREFLIGHT: list[BindingType] = [
    Binding("escape,q", "close", "Leave", id="preflight.leave", tooltip="Look no further; nothing was changed"),
    Binding("r", "again", "Look again", id="preflight.again"),
    Binding("o", "options", "With options", id="preflight.options", tooltip="Say what it lacks, and look again"),
    Binding("c", "copy", "Copy", id="preflight.copy", tooltip="Copy all of it (OSC 52)"),
    Binding("down,j", "scroll(1)", "Down", show=False, id="preflight.down"),
    Binding("up,k", "scroll(-1)", "Up", show=False, id="preflight.up"),
    Binding("pagedown,space", "scroll(10)", "Page down", show=False, id="preflight.page-down"),
    Binding("pageup", "scroll(-10)", "Page up", show=False, id="preflight.page-up"),
]

RAW: list[BindingType] = [
    Binding("y", "other", "JSON or YAML", id="raw.other", tooltip="As YAML, or as JSON again"),
]

RECOVER: list[BindingType] = [
    Binding(
        "enter", "begin(1)", "Begin", key_display="1-9", id="recover.begin", tooltip="Show the plan of the way out"
    ),
    *(
        Binding(str(number), f"begin({number})", "Begin", show=False, id=f"recover.begin-{number}")
        for number in range(1, 10)
    ),
    Binding(
        "o", "begin(1, True)", "With options", id="recover.options", tooltip="Say more about the first way, then plan"
    ),
    Binding("x", "declare", "Lost for good", id="recover.dead", tooltip="Name managers that never come back"),
    Binding("r", "again", "Look again", id="recover.again"),
]

CONFIRM: list[BindingType] = [
    Binding("y", "yes", "Yes, run it", id="confirm.yes"),
    Binding("escape,n", "no", "No", id="confirm.no"),
    Binding("c,f3", "copy", "Copy commands", id="confirm.copy", tooltip="Copy the commands (OSC 52)"),
    Binding("e,f4", "save", "Print", id="confirm.save", tooltip="Write the plan to a file: Markdown, or a script"),
    # A word to type takes the letters: there these have other keys.
    Binding(
        "w,f2", "whole", "Whole commands", id="confirm.whole", tooltip="Also those that only wait, or in words again"
    ),
    Binding("down,j", "scroll(1)", "Down", show=False, id="confirm.down"),
    Binding("up,k", "scroll(-1)", "Up", show=False, id="confirm.up"),
    Binding("pagedown,space", "scroll(10)", "Page down", show=False, id="confirm.page-down"),
    Binding("pageup", "scroll(-10)", "Page up", show=False, id="confirm.page-up"),
]

RUN: list[BindingType] = [
    Binding("escape,q", "close", "Back", id="run.back", tooltip="Leave the screen; the run goes on"),
    Binding("g", "go", "Go on", id="run.go", tooltip="Let the next step begin; or verify what was done by hand"),
    Binding("r", "retry", "Retry", id="run.retry"),
    Binding("h", "by_hand", "By hand", id="run.by-hand", tooltip="Do the step yourself; it is verified here"),
    Binding("k", "skip", "Skip", id="run.skip"),
    Binding("n", "leave", "Next part", id="run.leave", tooltip="Leave the part that failed; go on with the next one"),
    Binding("p", "hold", "Step by step", id="run.hold", tooltip="Ask before each step, or no longer"),
    Binding("s", "stop", "Stop here", id="run.stop"),
    Binding("c", "copy", "Copy", id="run.copy", tooltip="Copy the commands of this step (OSC 52)"),
    Binding("C", "copy('all')", "Copy all", show=False, id="run.copy-all", tooltip="Copy the commands of all steps"),
    Binding("e", "save", "Report", id="run.save", tooltip="Write the report to a file"),
    Binding("w", "whole", "Whole command", id="run.whole", tooltip="Also of what only waits, or in words again"),
    Binding("up", "step(-1)", "Step up", show=False, id="run.up"),
    Binding("down", "step(1)", "Step down", show=False, id="run.down"),
    Binding("pagedown,space", "scroll(10)", "Page down", show=False, id="run.page-down"),
    Binding("pageup", "scroll(-10)", "Page up", show=False, id="run.page-up"),
]

WORK: list[BindingType] = [
    Binding("escape,q", "close", "Back", id="work.back", tooltip="Leave the screen; the work goes on"),
    Binding("s", "stop", "Stop", id="work.stop"),
    Binding("c", "copy", "Copy", id="work.copy", tooltip="Copy all of it (OSC 52)"),
    Binding("down,j", "scroll(1)", "Down", show=False, id="work.down"),
    Binding("up,k", "scroll(-1)", "Up", show=False, id="work.up"),
    Binding("pagedown,space", "page(1)", "Page down", show=False, id="work.page-down"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="work.page-up"),
    Binding("home,g", "top", "Top", show=False, id="work.top"),
    Binding("end,G", "bottom", "Bottom", show=False, id="work.bottom"),
]

DECIDE: list[BindingType] = [
    Binding("escape", "no", "No", id="decide.no"),
    Binding("down", "scroll(1)", "Down", show=False, id="decide.down"),
    Binding("up", "scroll(-1)", "Up", show=False, id="decide.up"),
    Binding("pagedown", "scroll(10)", "Page down", show=False, id="decide.page-down"),
    Binding("pageup", "scroll(-10)", "Page up", show=False, id="decide.page-up"),
]

FIXED = frozenset(
    binding.id
    for binding in (*ASK, *PREFLIGHT, *RECOVER, *CONFIRM, *RUN, *WORK, *DECIDE)
    if isinstance(binding, Binding) and binding.id
)
"""Ids of the keys of questions, plans and runs, which stay: what these say names them, and a hand that is used to y and
esc must never find them to mean something else."""
REMAPPABLE = frozenset(
    binding.id for binding in (*CLUSTERS, *READING, *RAW) if isinstance(binding, Binding) and binding.id
) | {QUIT}
"""Ids of the keys here that the configuration may remap."""
