"""What is asked of a person about SSH: only what is needed, and never in the way of a confirmation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarmtui.config import load
from tests.actions.cli import Cli
from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture
def only_mgr1(lab: Lab, tmp_path: Path) -> Path:
    """A configuration with a cluster `night`, whose known hosts hold mgr1 and nobody else."""
    lines = (lab.home / ".ssh/known_hosts").read_text().splitlines()
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{line}\n" for line in lines if line.startswith("mgr1,")))
    config = tmp_path / "config.toml"
    config.write_text(f'[clusters.night]\nmanagers = ["{lab["mgr1"].target}"]\nknown_hosts = "{known}"\n')
    return config


async def test_a_plan_asks_nothing_about_hosts_it_only_looks_at(
    lab: Lab, truth: Truth, console: Open, only_mgr1: Path
) -> None:
    async with console("night", config=load(only_mgr1)) as driver:
        await driver.nodes().live().select("wrk1").press("D")
        await driver.until("a plan, or a question", lambda: driver.screen in ("confirm", "ask"))
        assert driver.screen == "confirm", driver.text
        await driver.here().confirm().until_done()
        assert truth.availability("wrk1") == "drain"

        # To leave the Swarm on the host is another thing: that needs the host, so that is asked about, with its print.
        await driver.nodes().press("X").dialog("docker swarm leave").confirm("wrk1")
        await driver.here().at("ask").sees("The host key of", "is not known.", "SHA256:", "ssh-keygen -lf")
        shown = next(word for word in driver.words.split() if word.startswith("SHA256:"))
        keys = lab["wrk1"].sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").stdout
        assert shown in keys.split()
        await driver.here().answer("yes").at("run")
        await asyncio.to_thread(wait_for, "wrk1 has left", lambda: lab["wrk1"].swarm_state() == "inactive", 60, 0.5)


def test_the_line_typed_after_a_plan_is_the_confirmation(lab: Lab, cli: Cli, truth: Truth, only_mgr1: Path) -> None:
    with cli.at_terminal("run", "node.drain", "node=wrk1", "--target", "night", "--config", str(only_mgr1)) as terminal:
        terminal.until('Type "yes" to do this')
        assert "is not known" not in terminal.text
        terminal.type("yes")
        assert terminal.end(30).code == 0
    assert truth.availability("wrk1") == "drain"


def test_without_a_person_an_unknown_host_key_is_refused(lab: Lab, cli: Cli, truth: Truth, only_mgr1: Path) -> None:
    only_mgr1.with_name("known_hosts").write_text("")

    refused = cli("run", "node.drain", "node=wrk1", "--yes", "--target", "night", "--config", str(only_mgr1))

    assert refused.code == 3, refused
    assert f"The host key of {lab['mgr1'].address} is not known here: ssh-ed25519 SHA256:" in refused.err
    assert truth.availability("wrk1") == "active"
