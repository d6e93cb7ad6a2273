"""swarm.restore on real hosts: a locked, encrypted backup is opened here and lives again; no key is seen anywhere."""

from __future__ import annotations

import secrets

import pytest

from tests.actions.backups import some_content
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.leaks.test_backups import Operator, locked, operator

__all__ = ["locked", "operator"]
pytestmark = pytest.mark.lab

WIPE = "systemctl stop docker.socket docker && rm -rf /var/lib/docker/swarm && systemctl start docker"


def test_a_locked_swarm_from_an_encrypted_backup(lab: Lab, truth: Truth, locked: str, operator: Operator) -> None:
    """Planned, printed, refused without the key, run; then the new key is looked for as well."""
    some_content(truth)
    operator.has("backup-passphrase", operator.leaks.secret("the passphrase", secrets.token_urlsafe(24)))
    operator.backs_up("mgr2")
    lab.each(lambda host: host.sh(WIPE), [lab[name] for name in ("mgr1", "mgr2", "mgr3")])

    words = ("run", "swarm.restore", f"host={lab['mgr2'].target}", "--target", "prod")
    for form in (("--script",), ("--markdown",), ("--dry-run", "--json")):
        operator(*words, *form)
    key = operator.credentials / "swarmtui.unlock-key.prod"
    away = key.rename(operator.folder / "away")
    assert "no key is known" in operator(*words, "--yes", code=4)
    away.rename(key)
    operator(*words, "--yes", "--accept", "key-without-custody=prod")
    operator("journal")

    truth.by = "mgr2"
    assert truth.managers() == ["mgr1", "mgr2", "mgr3"]
    new = truth.docker("swarm", "unlock-key", "-q")
    assert new != locked
    operator.leaks.secret("the new unlock key", new)
    for role in ("worker", "manager"):
        operator.leaks.secret(f"the {role} token of the end", truth.docker("swarm", "join-token", "-q", role))
