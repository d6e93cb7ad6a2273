"""Names and labels are data: a node that calls itself a control sequence, or markup, does no harm anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.actions.cli import Cli
from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x9b31m"
MARKUP = "[red]x[/red] [@click=app.exit]y[/]"
LABELS = {"zone": f"a{CLEAR}b", "markup": MARKUP, "bidi": "abc\u202etxt", "crlf": "one\r\ntwo"}
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_the_pattern_would_catch_them() -> None:
    for text in (TITLE, CLEAR, LABELS["bidi"], LABELS["crlf"]):
        assert HARMFUL.search(text)
    assert not HARMFUL.search(MARKUP)


@pytest.fixture
def hostile(lab: Lab, truth: Truth) -> Iterator[str]:
    """A worker that calls itself markup and an escape sequence, with labels to match; gives its id."""
    node = truth.id("wrk1")
    for key, value in LABELS.items():
        truth.docker("node", "update", "--label-add", f"{key}={value}", "wrk1")
    # Past hostname(1), which would refuse it: the kernel, and a rogue node, do not.
    lab["wrk1"].sh("cat >/proc/sys/kernel/hostname", data=f"[b]{TITLE}w1".encode())
    lab["wrk1"].restart_docker()
    wait_for("the Swarm knows the name", lambda: TITLE in truth.node(node)["Description"]["Hostname"], every=0.1)
    yield node
    lab["wrk1"].sh("cat >/proc/sys/kernel/hostname", data=b"wrk1")
    lab["wrk1"].restart_docker()
    wait_for("the Swarm knows the name", lambda: truth.node(node)["Description"]["Hostname"] == "wrk1", every=0.1)


async def test_they_are_shown_harmless_everywhere_and_stay_as_they_are(
    lab: Lab, cli: Cli, truth: Truth, console: Open, hostile: str
) -> None:
    truth.docker("node", "update", "--availability", "pause", hostile)  # so that status has something to say of it
    outputs = {
        "status": cli("status", cli.target),
        "status --json": cli("status", cli.target, "--json"),
        **{how: cli.run("node.drain", f"node={hostile}", how) for how in ("--dry-run", "--script", "--markdown")},
        "label": cli.run("node.label", f"node={hostile}", "label=zone=c", "--dry-run"),
        "did you mean": cli.run("node.drain", "node=w1", "--dry-run"),
        "run": cli.do("node.drain", f"node={hostile}"),
        "journal": cli("journal"),
    }
    for what, result in outputs.items():
        assert not HARMFUL.search(result.out + result.err), (what, result)
    (told,) = [node for node in json.loads(outputs["status --json"].out)["nodes"] if node["id"] == hostile]
    assert told["labels"]["markup"] == MARKUP
    assert "[b]" in told["name"]
    assert cli.sh(outputs["--script"].out).code == 0

    async with console() as driver:
        await driver.nodes().live()
        await driver.nodes().sees("[b]\ufffd]0;owned\ufffdw1 ready")
        await driver.here().press("w", *["right"] * 20).sees("markup=[red]x[/red]").press("w")
        await driver.here().press("home").press("d").at("reading").sees(f"markup={MARKUP}", "bidi=abc\ufffdtxt")
        assert not HARMFUL.search(driver.text.replace("\n", ""))
        await driver.here().leave().press("y").at("reading").sees(MARKUP)
        assert not HARMFUL.search(driver.text.replace("\n", ""))
        await driver.here().leave().press("A").dialog("Activate").confirm().until_done()

    # Only the availability was changed: what is shown harmless is not written back so.
    assert truth.availability(hostile) == "active"
    assert truth.labels(hostile) == LABELS
