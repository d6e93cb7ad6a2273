"""The keys of the screen at its foot, as many lines as they need: nothing a tired person could press is hidden."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.events import Resize
from textual.widget import Widget

from swarmtui.ui.keys import CHANGE

PLACES = {binding.id: place for place, binding in enumerate(CHANGE) if isinstance(binding, Binding)}
"""Keys that change something, in the order in which they are declared."""


class KeyBar(Widget):
    """Shows the bindings of the screen that are worth a place; they wrap where the line is too short."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    KeyBar > .keybar--key { color: $text-accent; text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keybar--key"}

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Text] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda screen: self.renew())
        self.renew()

    def on_resize(self, event: Resize) -> None:
        self.renew()

    def renew(self) -> None:
        """Looks at the bindings again; paints only if they differ."""
        if not self.is_attached or self.app.screen is not self.screen:
            return
        width = max(10, self.size.width or self.app.size.width - 2)
        look: list[tuple[str, str]] = []
        acts: list[tuple[int, tuple[str, str]]] = []
        seen: set[str] = set()
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled and binding.action not in seen:
                seen.add(binding.action)
                shown = (self.app.get_key_display(binding), binding.description)
                if binding.id in PLACES:
                    acts.append((PLACES[binding.id], shown))
                else:
                    look.append(shown)
        change = [shown for _, shown in sorted(acts)]
        style = self.get_component_rich_style("keybar--key", partial=True)
        lines = _wrap([*look, *change], width, style)
        if len(lines) > 1 and change:
            lines = _wrap(look, width, style) + _wrap(change, width, style)
        if lines != self._lines:
            self._lines = lines
            self.styles.height = len(lines)
            self.refresh(layout=True)

    def notify_style_update(self) -> None:
        """Called by Textual when styles change: another theme has other colours."""
        super().notify_style_update()
        if self.is_running:
            self.call_next(self.renew)

    def render(self) -> Text:
        return Text("\n").join(self._lines)


def _wrap(keys: list[tuple[str, str]], width: int, style: Style) -> list[Text]:
    """Puts keys and their words on as few lines of this many cells as they need; closer together if that saves one."""
    loose, close = (_lines(keys, width, style, gap) for gap in (2, 1))
    return close if len(close) < len(loose) else loose


def _lines(keys: list[tuple[str, str]], width: int, style: Style, gap: int) -> list[Text]:
    lines, used = [Text()], 0
    for key, words in keys:
        length = cell_len(key) + 1 + cell_len(words)
        if used and used + gap + length > width:
            lines.append(Text())
            used = 0
        if used:
            lines[-1].append(" " * gap)
            used += gap
        lines[-1].append(key, style).append(f" {words}")
        used += length
    return lines
