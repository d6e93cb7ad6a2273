"""A scroll view that knows what each of its screen lines shows and repaints only what differs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from swarmtui.ui.cells import Span, fit_text, plain


class Line(NamedTuple):
    """What one screen line shows; equal lines look the same.

    Attributes:
        width: cells of the screen line.
        base: component class of the line's background, or "" for the widget's own style.
        parts: text and style names of each part.
        spans: where each part goes; shared by lines of one layout.
        frozen: how many cells from the left stay in place when the line scrolls sideways.
        offset: how many cells the rest is scrolled.
        tail: text at the right edge of the screen, over everything else.
    """

    width: int
    base: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    spans: tuple[Span, ...] = ()
    frozen: int = 0
    offset: int = 0
    tail: str = ""


class LineView(ScrollView):
    """Draws `lines_at` for the screen's lines. Call `sync_soon` after a change: it compares with what was last drawn,
    and asks for a repaint of the differing parts only (an unchanged screen gets 0 bytes).
    """

    STYLE_PREFIX: ClassVar[str] = ""
    """Goes in front of a style name to make its component class."""
    MUTED: ClassVar[frozenset[str]] = frozenset()
    """Style names that are hard to read on a line with a background of its own: there they are plain."""
    ELLIPSIS: str = "…"
    """Where text is cut."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._sync_asked = False
        self._painted: dict[int, Line] = {}
        self._strips: LRUCache[Line, Strip] = LRUCache(128)
        self._style_cache: dict[tuple[str, str], Style] = {}

    def lines_at(self, lines: range) -> Iterable[Line]:
        """Returns what these lines of the screen (0 is the top one) show now."""
        raise NotImplementedError

    def sync(self) -> None:
        """Repaints what looks different from what was last drawn."""
        if not self.is_mounted or not self.scrollable_size:
            return
        regions = []
        for y, new in enumerate(self.lines_at(range(self.scrollable_size.height))):
            old = self._painted.get(y)
            if new != old and (region := _difference(old, new, y)):
                regions.append(region)
        if regions:
            self.refresh(*regions)

    def sync_soon(self) -> None:
        """Calls `sync` once after the current message, however often it is asked for until then."""
        if self.is_running and not self._sync_asked:
            self._sync_asked = True
            self.call_next(self._sync_now)

    def _sync_now(self) -> None:
        self._sync_asked = False
        self.sync()

    def render_line(self, y: int) -> Strip:
        """Draws one screen line (Textual's Line API)."""
        (line,) = self.lines_at(range(y, y + 1))
        self._painted[y] = line
        strip = self._strips.get(line)
        if strip is None:
            strip = self._strips[line] = self._draw(line)
        return strip

    def notify_style_update(self) -> None:
        """Called by Textual when styles change."""
        super().notify_style_update()
        self._strips.clear()
        self._style_cache.clear()

    def style_for(self, names: str, base: str) -> Style:
        """Returns the style of a part: the line's own, with the colour and attributes of each named style on top.

        Names without a component class are plain: what a cluster reports must not break the screen.
        """
        style = self._style_cache.get((names, base))
        if style is None:
            style = self.get_component_rich_style(base) if base else self.rich_style
            for name in names.split():
                component = self.STYLE_PREFIX + name
                if component in self.COMPONENT_CLASSES and not (base and name in self.MUTED):
                    full = self.get_component_rich_style(component)
                    rules = self.get_component_styles(component)
                    style += rules.text_style
                    if rules.has_rule("color") and not style.reverse:  # else it would be the background
                        style += Style(color=full.color)
            self._style_cache[(names, base)] = style
        return style

    def _draw(self, line: Line) -> Strip:
        base, width = self.style_for("", line.base), line.width
        segments: list[Segment] = []
        text, style, at = "", base, 0
        for (content, names), (start, size, align, cut) in zip(line.parts, line.spans, strict=False):
            fitted = fit_text(plain(content), size, align, self.ELLIPSIS, cut)
            blank = " " * (start - at)
            at = start + size
            if content:
                own = self.style_for(names, line.base) if names else base
            else:  # a blank needs no colour of its own: fewer sequences to send
                own = base if style.underline or style.reverse or style.strike or style.overline else style
            if own == style:
                text += blank + fitted
            else:
                segments.append(Segment(text + blank, style))
                text, style = fitted, own
        segments.append(Segment(text, style))
        if at < width + line.offset:
            segments.append(Segment(" " * (width + line.offset - at), base))
        strip = Strip([segment for segment in segments if segment.text], max(at, width + line.offset))
        if strip.cell_length == width and not line.tail:
            return strip
        frozen = strip.crop(0, line.frozen)
        edge = max(line.frozen, width - len(line.tail))
        tail = Segment(line.tail[: width - edge], self.style_for("accent", line.base))
        return Strip.join([frozen, strip.crop(line.frozen + line.offset, edge + line.offset), Strip([tail])])


def _difference(old: Line | None, new: Line, y: int) -> Region | None:
    """Returns the part of screen line y that looks different, if any. One part: Textual 8 sends a line from its start
    to the end of the part, so two of them would send the first one twice.
    """
    if old is None or old._replace(parts=new.parts) != new or len(old.parts) != len(new.parts):
        return Region(0, y, new.width, 1)
    left, right = new.width, 0
    for before, after, (start, size, *_) in zip(old.parts, new.parts, new.spans, strict=False):
        if before != after:
            moves = start >= new.frozen
            first = max(start - new.offset, new.frozen) if moves else start
            end = min(start + size - (new.offset if moves else 0), new.width)
            if first < end:
                left, right = min(left, first), max(right, end)
    return Region(left, y, right - left, 1) if left < right else None
