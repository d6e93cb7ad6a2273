"""A plain container on a node, as `docker ps` tells it: UCP and DTR are made of those. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from swarmtui.model.text import one_line

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_EXITED = re.compile(r"(?:Exited|Restarting) \((\d+)\)")


class Container(Struct, frozen=True):
    """One container.

    Attributes:
        status: as `docker ps` says it: "Up 3 hours (healthy)".
    """

    name: str
    image: str = ""
    state: str = ""
    status: str = ""

    @property
    def health(self) -> str:
        """healthy, unhealthy or starting; "" for one without a health check."""
        found = _HEALTH.search(self.status)
        return found[1].removeprefix("health: ") if found is not None else ""

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs, or where it was never started."""
        found = _EXITED.match(self.status)
        return int(found[1]) if found is not None else None

    @property
    def trouble(self) -> str:
        """What is wrong with it, in a few words; "" where nothing is."""
        if self.health == "unhealthy":
            return "is unhealthy"
        if self.state == "running":
            return ""
        code = self.exit_code
        return f"has ended ({code})" if code is not None else f"is {one_line(self.state) or 'not running'}"
