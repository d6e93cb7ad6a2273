"""An object as the engine gives it: JSON, or YAML for those who read that more easily."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from textual.binding import BindingType

from swarmtui.ui.describe import raw_lines
from swarmtui.ui.screen_keys import RAW
from swarmtui.ui.screens.reading import ReadingScreen


def as_json(value: Any) -> str:
    """The object as JSON, in the engine's own order."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: Any) -> str:
    """The object as YAML, in the engine's own order."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000
    )
    return text


class RawScreen(ReadingScreen):
    """Shows an object as JSON; `y` turns it into YAML and back.

    Args:
        value: the object, decoded.
    """

    BINDINGS: ClassVar[list[BindingType]] = RAW

    def __init__(self, title: str, value: Any) -> None:
        super().__init__(title, lambda: raw_lines(self._text))
        self._value = value
        self._text = as_json(value)
        self._yaml = False

    def action_other(self) -> None:
        """Turns JSON into YAML, or back."""
        self.run_worker(self._turn(), exit_on_error=False, exclusive=True)

    async def _turn(self) -> None:
        self._yaml = not self._yaml
        self._text = await asyncio.to_thread(as_yaml if self._yaml else as_json, self._value)
        self.renew()
