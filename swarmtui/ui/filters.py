"""What people type after `/`: a regular expression, `!` before it for the opposite, `label=KEY[=VALUE]`,
`node=NAME`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from swarmtui.errors import UsageError
from swarmtui.ui.cells import Row
from swarmtui.ui.panes.nodes import THROUGH

Labels = Callable[[str], Mapping[str, str]]
"""Labels of the object with this id."""


def parse(text: str, labels: Labels) -> Callable[[str, Row], bool] | None:
    """Turns what was typed into a predicate over (id, row); all words must hold. None for nothing typed.

    Raises:
        UsageError: a word is no regular expression.
    """
    tests = [_test(word, labels) for word in text.split()]
    if not tests:
        return None
    return lambda key, row: all(test(key, row) for test in tests)


def _test(word: str, labels: Labels) -> Callable[[str, Row], bool]:
    if word.startswith("!") and len(word) > 1:
        opposite = _test(word[1:], labels)
        return lambda key, row: not opposite(key, row)
    kind, equals, rest = word.partition("=")
    if equals and kind == "label":
        name, with_value, value = rest.partition("=")
        if with_value:
            return lambda key, row: labels(key).get(name) == value
        return lambda key, row: name in labels(key)
    if equals and kind == "node":
        return lambda key, row: rest.lower() in row[0].text.lower()
    try:
        pattern = re.compile(word, re.IGNORECASE)
    except re.error as error:
        raise UsageError(
            f'"{word}" is no regular expression: {error}.', "Escape special characters with a backslash."
        ) from None
    return lambda key, row: any(pattern.search(cell.text.removesuffix(THROUGH)) for cell in row)
