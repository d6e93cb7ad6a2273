"""UCP from end to end on real engines, with its stand-in images: installed, grown, backed up, lost, brought back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.config import load, state_dir
from swarmtui.opening import find
from tests.actions.cli import Cli, Result
from tests.actions.test_ucp_keyboard import ADMIN, JIM, PASSPHRASE, SECRETS, story
from tests.driver import driven
from tests.lab import Lab, standins
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

LONG = 240.0
"""Seconds for one run on the lab."""


@pytest.fixture
def ucp_lab(make_lab: MakeLab) -> Callable[[str], tuple[Lab, Cli]]:
    """A Swarm of mgr1 alone, a second host beside it; both have the images of a version of UCP."""

    def made(version: str) -> tuple[Lab, Cli]:
        lab = make_lab(managers=2, swarm=False)
        first = lab["mgr1"]
        first.api("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": first.address})
        standins.load(lab, (version,))
        folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
        folder.mkdir(parents=True)
        managers = ", ".join(f'"{host.target}"' for host in lab.hosts)
        (folder / "config.toml").write_text(
            f"[clusters.prod]\nmanagers = [{managers}]\n[clusters.prod.secrets]\n{SECRETS}"
        )
        environment = lab.ssh_env(PROD_ADMIN=ADMIN, PROD_PASSPHRASE=PASSPHRASE, JIM=JIM)
        return lab, Cli(environment, "prod")

    return made


def docker(folder: Path, *words: str) -> str:
    """What the stock docker CLI says with an unpacked bundle, as its env.sh sets it up."""
    cli = Cli({"PATH": os.environ["PATH"], "HOME": str(folder)})
    done = cli.sh(f"cd {folder} && . ./env.sh && docker {' '.join(words)}", shell="bash")
    assert done.code == 0, done
    return done.out


def _do(cli: Cli, name: str, *words: str, seconds: float = 280) -> Result:
    result = cli.run(name, *words, "--yes", seconds=seconds)
    assert result.code == 0, result
    for secret in (ADMIN, JIM, PASSPHRASE):
        assert secret not in result.out + result.err
    return result


@pytest.mark.parametrize("version", ["2.2.5", pytest.param("3.4.5", marks=pytest.mark.full)])
def test_ucp_comes_back_from_its_backup(
    ucp_lab: Callable[[str], tuple[Lab, Cli]], tmp_path: Path, version: str
) -> None:
    lab, cli = ucp_lab(version)
    first, second = lab["mgr1"], lab["mgr2"]

    _do(cli, "ucp.install", f"version={version}", f"host-address={first.address}", "san=ucp.example.com")
    _do(cli, "ucp.join", f"host={second.target}", "role=manager")
    _do(cli, "ucp.user", "name=jim", "password-from=env:JIM", "full-name=Jim Doe")
    _do(cli, "ucp.bundle", f"to={tmp_path / 'admin'}")
    _do(cli, "ucp.bundle", "user=jim", "password-from=env:JIM", f"to={tmp_path / 'jim'}")
    assert f"ucp/{version}" in docker(tmp_path / "admin", "version")
    assert docker(tmp_path / "admin", "node", "ls", "--format", "{{.Hostname}}").split() == ["mgr1", "mgr2"]
    assert f"ucp/{version}" in docker(tmp_path / "jim", "version")

    _do(cli, "swarm.backup", "node=mgr1", "--accept", "quorum=mgr1")
    _do(cli, "ucp.backup")

    for host in (first, second):
        host.replace()
        standins.load(host, (version,))
    _do(cli, "swarm.restore", f"host={first.target}")
    _do(cli, "ucp.restore", "host=mgr1")

    _do(cli, "ucp.bundle", "user=jim", "password-from=env:JIM", f"to={tmp_path / 'again'}")
    assert f"ucp/{version}" in docker(tmp_path / "again", "version")
    wait_for("all is healthy", lambda: "unhealthy" not in first.docker("ps").stdout, 30)


@pytest.mark.full
async def test_from_the_keyboard(
    ucp_lab: Callable[[str], tuple[Lab, Cli]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed, a user made, backed up, that user's account lost, and all brought back: keys only."""
    lab, _ = ucp_lab("2.2.5")
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
