"""The keys of a log. Each has an id, so that the configuration can remap it, and a tooltip for the help screen."""

from __future__ import annotations

from textual.binding import Binding, BindingType

BINDINGS: list[BindingType] = [
    Binding("escape,q", "back", "Back", id="logs.back", tooltip="Leave the line being typed, then the log"),
    Binding("f", "follow", "Follow", id="logs.follow", tooltip="Stay at the newest line, or where it is"),
    Binding("p,space", "pause", "Pause", id="logs.pause", tooltip="Hold everything still; lines wait, up to a bound"),
    Binding("slash", "search", "Search", key_display="/", id="logs.search", tooltip="Find a regular expression"),
    Binding("n", "again(1)", "Next", id="logs.next", tooltip="The next match, towards the newest line"),
    Binding("N", "again(-1)", "Previous", show=False, id="logs.previous", tooltip="The match before, towards the past"),
    Binding("ampersand", "filter", "Only", key_display="&", id="logs.filter", tooltip="Show only lines that match"),
    Binding("s", "since", "Since", id="logs.since", tooltip="From when on: 30s, 5m, 1h, 2d, a time, or all"),
    Binding("t", "timestamps", "Times", id="logs.timestamps", tooltip="Show the time of each line (UTC), or not"),
    Binding("w", "wrap", "Wrap", id="logs.wrap", tooltip="Break long lines, or move sideways with left and right"),
    Binding("ctrl+s", "save", "Save", id="logs.save", tooltip="Write what is shown to a file that only you can read"),
    Binding("question_mark", "help", "Keys", key_display="?", id="logs.help", tooltip="The keys of this view"),
    Binding("up,k", "move(-1)", "Up", show=False, id="logs.up", tooltip="One line up"),
    Binding("down,j", "move(1)", "Down", show=False, id="logs.down", tooltip="One line down"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="logs.page-up", tooltip="One page up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="logs.page-down", tooltip="One page down"),
    Binding("ctrl+u", "page(-0.5)", "Half up", show=False, id="logs.half-up", tooltip="Half a page up"),
    Binding("ctrl+d", "page(0.5)", "Half down", show=False, id="logs.half-down", tooltip="Half a page down"),
    Binding("home,g", "top", "Top", show=False, id="logs.top", tooltip="The oldest line that is kept"),
    Binding("end,G", "bottom", "Bottom", show=False, id="logs.bottom", tooltip="The newest line, and follow"),
    Binding("left", "sideways(-1)", "Left", show=False, id="logs.left", tooltip="Scroll to the left"),
    Binding("right", "sideways(1)", "Right", show=False, id="logs.right", tooltip="Scroll to the right"),
]
