"""The first line of a screen on which something is done: whose cluster that is must never be missed."""

from __future__ import annotations

from textual.widgets import Static


class Title(Static):
    """Shows a title; on production says so in words and colour, as the header of the main screen does."""

    DEFAULT_CSS = """
    Title { height: auto; background: $panel; padding: 0 1; text-style: bold; }
    Title.production { background: #5f0000; color: #ffffff; }
    Title.production:light { background: #ffc9c9; color: #1c1c1c; }
    """

    def __init__(self, text: str, *, production: bool, id: str, classes: str = "") -> None:
        words, colour = (f"PRODUCTION  {text}", "production") if production else (text, "")
        super().__init__(words, markup=False, id=id, classes=f"{colour} {classes}")
