"""The colours. Every meaning is also in words or signs: colour only helps."""

from __future__ import annotations

from textual.theme import Theme

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
