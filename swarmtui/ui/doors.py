"""How the web server of UCP or DTR is shown: its cells in a table, and its lines where one of them is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from swarmtui.model.finding import Severity
from swarmtui.model.text import one_line
from swarmtui.model.ucp.status import Certificate, Door
from swarmtui.ui.ages import DAY, age
from swarmtui.ui.cells import Cell
from swarmtui.ui.describe import fact_lines

if TYPE_CHECKING:
    from swarmtui.model.finding import Finding
    from swarmtui.ui.derive import Derived


def ping_cell(door: Door | None) -> Cell:
    """What its `/_ping` answered."""
    if door is None:
        return Cell("-", "dim", 0)
    if door.status:
        return Cell(str(door.status), "good" if door.ok else "bad", door.status)
    return Cell("none", "bad", 1)


def days_left(door: Door | None, now: float) -> int | None:
    """Until its certificate expires; None where it shows none."""
    shown = door.certificate if door is not None else None
    return int((shown.expires - now) // DAY) if shown is not None else None


def certificate_cell(days: int | None) -> Cell:
    """How long its certificate is good."""
    if days is None:
        return Cell("-", "dim", 1 << 30)
    return Cell("expired" if days < 0 else f"{days}d", "bad" if days < 2 else "warn" if days < 30 else "", days)


def took_cell(door: Door | None) -> Cell:
    """How long it took to answer."""
    return Cell(f"{door.took:.1f} s" if door is not None and door.at else "-", "dim", door.took if door else 0.0)


def door_lines(door: Door | None, now: float) -> Iterator[tuple[str, str]]:
    """Everything known of it."""
    yield "heading", "Web server"
    if door is None:
        yield "dim", "  not looked at yet"
        return
    answer = f"{door.status}, after {door.took:.1f} s" if door.status else "none"
    yield "good" if door.ok else "bad", one_line(f"  /_ping: {answer}, {age(max(0.0, now - door.at))} ago")
    if not door.ok:
        yield "bad", one_line(f"  {door.why}")
    yield from fact_lines({"address": door.url})
    yield from fact_lines(_shown(door.certificate))


def _shown(certificate: Certificate | None) -> dict[str, str]:
    if certificate is None:
        return {"certificate": "none was shown"}
    ends = f"{datetime.fromtimestamp(certificate.expires, UTC):%Y-%m-%d %H:%M} UTC"
    signed = "by itself" if certificate.itself else certificate.issuer
    return {"certificate": f"until {ends}", "signed by": signed, "made out to": ", ".join(certificate.names)}


def wrong_lines(derived: Derived, about: Callable[[Finding], bool]) -> Iterator[tuple[str, str]]:
    """The findings that are about something."""
    yield "heading", "What is wrong"
    mine = [one for one in derived.findings if about(one)]
    for finding in mine:
        style = {Severity.CRITICAL: "bad", Severity.WARNING: "warn"}.get(finding.severity, "plain")
        yield style, one_line(f"  {finding.what} {finding.advice}")
    if not mine:
        yield "dim", "  nothing"
