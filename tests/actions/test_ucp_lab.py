"""UCP from end to end on real engines, with its stand-in images: installed, grown, backed up, lost, brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.config import load, state_dir
from swarmtui.opening import find
from tests.actions.test_ucp_keyboard import story
from tests.actions.ucp_stage import ADMIN, JIM, PASSPHRASE, docker, done, prepared
from tests.driver import driven
from tests.lab import standins
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

LONG = 240.0
"""Seconds for one run on the lab."""


@pytest.mark.full("3.4.5", "26.1")
@pytest.mark.parametrize(("version", "engine"), [("2.2.5", "20.10"), ("3.4.5", "20.10"), ("2.2.5", "26.1")])
def test_ucp_comes_back_from_its_backup(make_lab: MakeLab, tmp_path: Path, version: str, engine: str) -> None:
    lab, cli = prepared(make_lab, version, engine)
    first, second = lab["mgr1"], lab["mgr2"]

    done(cli, "ucp.install", f"version={version}", f"host-address={first.address}", "san=ucp.example.com")
    done(cli, "ucp.join", f"host={second.target}", "role=manager")
    done(cli, "ucp.user", "name=jim", "password-from=env:JIM", "full-name=Jim Doe")
    done(cli, "ucp.bundle", f"to={tmp_path / 'admin'}")
    done(cli, "ucp.bundle", "user=jim", "password-from=env:JIM", f"to={tmp_path / 'jim'}")
    assert f"ucp/{version}" in docker(tmp_path / "admin", "version")
    assert docker(tmp_path / "admin", "node", "ls", "--format", "{{.Hostname}}").split() == ["mgr1", "mgr2"]
    assert f"ucp/{version}" in docker(tmp_path / "jim", "version")
    done(cli, "ucp.revoke", "user=jim", f"bundle={tmp_path / 'jim'}")
    docker(tmp_path / "jim", "version", code=1)

    done(cli, "swarm.backup", "node=mgr1", "--accept", "quorum=mgr1")
    done(cli, "ucp.backup")

    for host in (first, second):
        host.replace()
        standins.load(host, (version,))
    done(cli, "swarm.restore", f"host={first.target}")
    done(cli, "ucp.restore", "host=mgr1")

    done(cli, "ucp.bundle", "user=jim", "password-from=env:JIM", f"to={tmp_path / 'again'}")
    assert f"ucp/{version}" in docker(tmp_path / "again", "version")
    wait_for("all is healthy", lambda: "unhealthy" not in first.docker("ps").stdout, 30)


@pytest.mark.full
async def test_from_the_keyboard(make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed, a user made, backed up, that user's account lost, and all brought back: keys only."""
    lab, _ = prepared(make_lab, "2.2.5")
    for name, value in {"HOME": str(lab.home), "PROD_ADMIN": ADMIN, "PROD_PASSPHRASE": PASSPHRASE}.items():
        monkeypatch.setenv(name, value)
    first = lab["mgr1"]
    opening = find("prod", load(), bundles=tmp_path / "bundles")
    async with driven(opening, state_dir() / "journal") as console:
        await console.nodes().live().view("ucp").sees("No UCP (MKE) manages this Swarm")
        await console.here().press("I").answer("2.2.5").answer(f"host-address={first.address}")
        await story(console, "prod", tmp_path / "jim", LONG)
        assert "ucp/2.2.5" in docker(tmp_path / "jim", "version")
        assert not any(secret in told for secret in (ADMIN, JIM, PASSPHRASE) for told in console.app.told)
