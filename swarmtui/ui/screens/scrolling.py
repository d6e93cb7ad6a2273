"""What screens have in common whose text may be longer than they are."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.screen import Screen, ScreenResultType


class ScrollingScreen(Screen[ScreenResultType]):
    """A screen with one scroll; keys name its actions."""

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 1), animate=False)

    def action_top(self) -> None:
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_bottom(self) -> None:
        self.query_one(VerticalScroll).scroll_end(animate=False)
