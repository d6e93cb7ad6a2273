"""UCP's stand-in images on a lab, the command line that has its secrets, and what every run with them must keep to."""

from __future__ import annotations

import os
from pathlib import Path

from tests.actions.cli import Cli, Result
from tests.lab import Lab, standins
from tests.lab.fixtures import MakeLab

ADMIN, JIM, PASSPHRASE = "admin-pass-1", "jim-pass-1", "twelve-chars-or-more"
SECRETS = 'ucp-password = "env:PROD_ADMIN"\nucp-passphrase = "env:PROD_PASSPHRASE"\n'


def prepared(make_lab: MakeLab, version: str, engine: str = "20.10", hosts: int = 2) -> tuple[Lab, Cli]:
    """A Swarm of mgr1 alone, other hosts beside it; all have the images of a version of UCP. The cluster is "prod"."""
    lab = make_lab(managers=hosts, engine=engine, swarm=False)
    first = lab["mgr1"]
    first.api("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": first.address})
    standins.load(lab, (version,))
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    managers = ", ".join(f'"{host.target}"' for host in lab.hosts)
    (folder / "config.toml").write_text(f"[clusters.prod]\nmanagers = [{managers}]\n[clusters.prod.secrets]\n{SECRETS}")
    return lab, Cli(lab.ssh_env(PROD_ADMIN=ADMIN, PROD_PASSPHRASE=PASSPHRASE, JIM=JIM), "prod")


def done(cli: Cli, name: str, *words: str, code: int = 0) -> Result:
    """A run that must end with this exit code, and tells no secret."""
    return quiet(cli.run(name, *words, "--yes", seconds=280), code)


def gone_on(cli: Cli, run_id: str) -> Result:
    """A run that is gone on with, to its end."""
    return quiet(cli("run", "--resume", run_id, "--yes", "--target", cli.target, seconds=280))


def quiet(result: Result, code: int = 0) -> Result:
    """How a command line ended: with this exit code, and without a secret in what it said."""
    assert result.code == code, result
    for secret in (ADMIN, JIM, PASSPHRASE):
        assert secret not in result.out + result.err
    return result


def kept() -> list[Path]:
    """The backups of UCP that are whole."""
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    return sorted(path.parent for path in root.glob("*/*-ucp-*/manifest.json"))


def docker(folder: Path, *words: str, code: int = 0) -> str:
    """What the stock docker CLI says with an unpacked bundle, as its env.sh sets it up."""
    cli = Cli({"PATH": os.environ["PATH"], "HOME": str(folder)})
    ran = cli.sh(f"cd {folder} && . ./env.sh && docker {' '.join(words)}", shell="bash")
    assert ran.code == code, ran
    return ran.out
