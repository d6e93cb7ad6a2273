"""The keys of a table. Each has an id, so that the configuration can remap it, and a tooltip for the help screen."""

from __future__ import annotations

from textual.binding import Binding, BindingType

BINDINGS: list[BindingType] = [
    Binding("up,k", "move(-1)", "Up", show=False, id="table.up", tooltip="One row up"),
    Binding("down,j", "move(1)", "Down", show=False, id="table.down", tooltip="One row down"),
    Binding("home,g", "first", "First", show=False, id="table.first", tooltip="First row"),
    Binding("end,G", "last", "Last", show=False, id="table.last", tooltip="Last row"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="table.page-up", tooltip="One page up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="table.page-down", tooltip="One page down"),
    Binding("ctrl+u", "page(-0.5)", "Half up", show=False, id="table.half-up", tooltip="Half a page up"),
    Binding("ctrl+d", "page(0.5)", "Half down", show=False, id="table.half-down", tooltip="Half a page down"),
    Binding("left", "sideways(-1)", "Left", show=False, id="table.left", tooltip="Scroll to the left"),
    Binding("right", "sideways(1)", "Right", show=False, id="table.right", tooltip="Show columns that have no room"),
    Binding("w", "wide", "Wide", show=False, id="table.wide", tooltip="All columns, or those with room"),
    Binding("space", "mark", "Mark", show=False, id="table.mark", tooltip="Mark; an action takes all marked"),
    Binding("*", "mark_all", "Mark all", show=False, id="table.mark-all", tooltip="Mark all visible rows"),
    Binding("\\", "unmark", "Unmark", show=False, id="table.unmark", tooltip="Remove all marks"),
    Binding("<", "sort_next(-1)", "Sort left", show=False, id="table.sort-left", tooltip="Sort column left"),
    Binding(">", "sort_next(1)", "Sort right", show=False, id="table.sort-right", tooltip="Sort column right"),
    Binding("r", "reverse", "Reverse", show=False, id="table.reverse", tooltip="Reverse the order"),
    Binding("enter", "select", "Open", show=False, id="table.select", tooltip="Open the row"),
]
