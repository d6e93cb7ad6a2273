"""The colours. Every meaning is also in words or signs: colour only helps."""

from __future__ import annotations

import difflib
from typing import Any

from rich.color import Color
from rich.terminal_theme import TerminalTheme
from textual.app import App
from textual.theme import Theme

from swarmtui.errors import UsageError

DARK = Theme(
    name="swarmtui",
    primary="#5fafff",
    secondary="#87afaf",
    accent="#ffd75f",
    foreground="#d0d0d0",
    background="#101418",
    surface="#101418",
    panel="#1c232b",
    success="#5fd787",
    warning="#ffaf5f",
    error="#ff6b6b",
    dark=True,
    variables={"footer-key-foreground": "#ffd75f", "footer-background": "#1c232b"},
)
LIGHT = Theme(
    name="swarmtui-light",
    primary="#005faf",
    secondary="#3a6b6b",
    accent="#7a4f00",
    foreground="#1c1c1c",
    background="#fbfbf8",
    surface="#fbfbf8",
    panel="#e6e6e0",
    success="#00662e",
    warning="#8a4b00",
    error="#b00020",
    dark=False,
    variables={"footer-key-foreground": "#7a4f00", "footer-background": "#e6e6e0"},
)
CONTRAST = Theme(
    name="swarmtui-contrast",
    primary="#00d7ff",
    secondary="#ffffff",
    accent="#ffff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
    success="#00ff5f",
    warning="#ffd700",
    error="#ff8787",
    dark=True,
    variables={"footer-key-foreground": "#ffff00", "footer-background": "#303030"},
)
THEMES = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST}
"""What `[ui] theme = …` and `:theme …` take."""


def _palette(theme: Theme) -> TerminalTheme:
    """What the names of colours in our texts ("bold red") mean in a theme.

    Textual's own palettes are for listings: their red has so little light that it cannot be read without colours
    (NO_COLOR), nor on a red header.
    """
    names = (
        theme.background,
        theme.error,
        theme.success,
        theme.warning,
        theme.primary,
        theme.accent,
        theme.primary,
        theme.foreground,
    )
    colours: list[tuple[int, int, int]] = [Color.parse(name or "default").get_truecolor() for name in names]
    return TerminalTheme(colours[0], colours[-1], colours, colours)


def use(app: App[Any], name: str) -> None:
    """Gives an app a theme.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in THEMES:
        close = difflib.get_close_matches(name, THEMES, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Themes: {', '.join(THEMES)}."
        raise UsageError(f'There is no theme "{name}".', hint)
    theme = THEMES[name]
    app.register_theme(theme)
    if theme.dark:
        app.ansi_theme_dark = _palette(theme)
    else:
        app.ansi_theme_light = _palette(theme)
    app.theme = theme.name
