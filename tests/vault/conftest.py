from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vault.keyring import keyring_must_run, secret_service, why_no_keyring


def _need_keyring() -> None:
    if (why := why_no_keyring()) is not None:
        if keyring_must_run():
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture
def keyring_environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to a real, unlocked Secret Service."""
    _need_keyring()
    with secret_service(tmp_path / "k") as environ:
        yield environ


@pytest.fixture
def dead_keyring_environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a Secret Service that is started on demand and never answers."""
    _need_keyring()
    with secret_service(tmp_path / "d", dead=True) as environ:
        yield environ


@pytest.fixture
def keyring_here(keyring_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, for this process."""
    _use(keyring_environ, monkeypatch)
    return keyring_environ


def _use(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
    for name in ("HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.setenv(name, environ[name])
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
