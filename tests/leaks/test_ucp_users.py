"""Users and client bundles of UCP: passwords and keys go to UCP and into the folder of the bundle, and nowhere else."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.conftest import Served, start, stop
from tests.leaks.harness import Leaks
from tests.leaks.test_runs import Program, Simulated


@pytest.fixture
def platform(private_folders: Path) -> Iterator[Served]:
    served = start("--scenario", "platform", "--speed", "20", "--seed", "1", folder=Path("/tmp"))
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(Path(served.line["config"]).read_text())
    yield served
    stop(served)


def test_passwords_and_keys_of_users(platform: Served, leaks: Leaks) -> None:
    admin = leaks.secret("the administrator's password", str(platform.line["platform"]["admin"]["password"]))
    bob = leaks.secret("bob's password", secrets.token_urlsafe(24))
    swarmtui = Program(Simulated(platform.line), leaks)
    # The administrator's is asked for first.
    words = ("ucp.user", "name=bob", "--target", "simulated")
    swarmtui("run", *words, "--dry-run", "--json", given=f"{admin}\n{bob}\n")
    swarmtui("run", *words, "--yes", given=f"{admin}\nleft\n")
    wrong = swarmtui("run", "ucp.bundle", "user=bob", "to=/tmp/x/y", "--dry-run", "--target", "simulated",
                     given=f"{bob}\n", code=1)  # fmt: skip
    assert "does not let bob in" in wrong, "its password is the one that was given when it was created"
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        swarmtui("run", "ucp.bundle", f"to={folder}/admin", "--yes", "--target", "simulated", given=f"{admin}\n")
        key = (Path(folder) / "admin" / "key.pem").read_text().splitlines()[2]
        leaks.secret("the key of a bundle", key)
    swarmtui("journal")
