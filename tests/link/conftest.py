from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.link.support import FakeEngine, FakeHost


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: no test sees, or writes, the user's keys, known hosts and contexts."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    return folder


@pytest.fixture(scope="session")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def user_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def with_key(home: Path, user_key: asyncssh.SSHKey) -> Iterator[asyncssh.SSHKey]:
    """The user's key lies, unencrypted, where ssh looks for it."""
    user_key.write_private_key(home / ".ssh" / "id_ed25519")
    yield user_key


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    fake = await FakeEngine().on(tmp_path / "docker.sock")
    yield fake
    await fake.stop()


@pytest.fixture
async def host(
    tmp_path: Path, host_key: asyncssh.SSHKey, user_key: asyncssh.SSHKey, engine: FakeEngine
) -> AsyncIterator[FakeHost]:
    fake = await FakeHost(host_key, tmp_path, {"op": [user_key]}, socket=tmp_path / "docker.sock").start()
    (tmp_path / "known_hosts").write_text(fake.known())
    yield fake
    await fake.stop()
