"""The keys of the screen at its foot, as many lines as they need: nothing a tired person could press is hidden."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.events import Resize
from textual.widget import Widget


class KeyBar(Widget):
    """Shows the bindings of the screen that are worth a place; they wrap where the line is too short."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """

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
        change: list[tuple[str, str]] = []
        seen: set[str] = set()
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled and binding.action not in seen:
                seen.add(binding.action)
                (change if binding.key.isupper() else look).append(
                    (self.app.get_key_display(binding), binding.description)
                )
        lines = _wrap([*look, *change], width)
        if len(lines) > 1 and change:
            lines = _wrap(look, width) + _wrap(change, width)
        if lines != self._lines:
            self._lines = lines
            self.styles.height = len(lines)
            self.refresh(layout=True)

    def render(self) -> Text:
        return Text("\n").join(self._lines)


def _wrap(keys: list[tuple[str, str]], width: int) -> list[Text]:
    """Puts keys and their words on as few lines of this many cells as they need."""
    lines, used = [Text()], 0
    for key, words in keys:
        length = cell_len(key) + 1 + cell_len(words)
        if used and used + 2 + length > width:
            lines.append(Text())
            used = 0
        if used:
            lines[-1].append("  ")
            used += 2
        lines[-1].append(key, "bold #ffd75f").append(f" {words}")
        used += length
    return lines
