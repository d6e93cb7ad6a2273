"""The fixtures: time that stands still, and pictures to compare with."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension, normalize_svg
from syrupy import SnapshotAssertion

from tests.driver import Driver
from tests.ui.snapshots.stage import SIZES, SMALL, Stage, drawn, freeze

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_TEXT = re.compile(r'<text [^>]*?x="([\d.]+)"[^>]*?clip-path="url\(#terminal-line-(\d+)\)">(.*?)</text>')
CELL = 12.2
"""Width of a cell in an SVG of rich's."""

Compare = Callable[..., Awaitable[None]]


class Picture(SVGImageExtension):
    """An SVG without the fonts, which are only addresses of somebody else's files."""

    def serialize(self, data: Any, **options: Any) -> Any:
        return _FONTS.sub("", str(super().serialize(data, **options)))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return freeze(monkeypatch)


@pytest.fixture
def compare(snapshot: SnapshotAssertion, tmp_path: Path) -> Compare:
    """Compares the screen with its stored picture at each size: `await compare(console, "drain", SIZES[:2])`."""
    pictures = snapshot.use_extension(Picture)

    async def one(driver: Driver, name: str) -> str:
        svg = await drawn(driver)
        if pictures(name=name) == svg:
            return ""
        kept = tmp_path / f"{name}.svg"
        kept.write_text(svg, "utf-8")
        before = list(pictures.executions.values())[-1].recalled_data
        return f"{name}: {_difference(before, normalize_svg(svg))}\nThe picture as it is now: {kept}"

    async def every(driver: Driver, name: str = "", sizes: Sequence[tuple[int, int]] = SIZES) -> None:
        wrong = []
        for width, height in sizes:
            await driver.pilot.resize_terminal(width, height)
            wrong.append(await one(driver, f"{name}-{width}x{height}".removeprefix("-")))
        await driver.pilot.resize_terminal(*SMALL)
        if told := "\n\n".join(filter(None, wrong)):
            pytest.fail(f"{told}\nIf it shall look so: pytest tests/ui/snapshots --snapshot-update", pytrace=False)

    return every


def _difference(before: Any, now: str) -> str:
    if before is None:
        return "there is no stored picture of it"
    told = list(unified_diff(lines(str(before)), lines(now), "stored", "now", n=0, lineterm=""))
    return "\n".join(told) or "the same words in other colours or places"


def lines(svg: str) -> list[str]:
    """The words of a picture, line by line."""
    found: dict[int, dict[int, str]] = {}
    for x, line, text in _TEXT.findall(svg):
        found.setdefault(int(line), {})[round(float(x) / CELL)] = html.unescape(text).replace("\xa0", " ")
    return [_line(found.get(number, {})) for number in range(max(found, default=-1) + 1)]


def _line(pieces: dict[int, str]) -> str:
    made = ""
    for x, text in sorted(pieces.items()):
        made = made.ljust(x) + text
    return made.rstrip()
