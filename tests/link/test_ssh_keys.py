"""Keys, the agent and passwords, against real asyncssh servers on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from tests.link.support import SECRET, Asked, AskedForPassword, FakeHost, refused, settings, write_locked


async def test_an_encrypted_key_is_asked_for_once_a_session(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    path = write_locked(home, user_key)
    person, chosen = Asked(passphrases=["wrong", SECRET], think=0.4), settings(tmp_path, connect_timeout=0.7)
    for _ in range(2):
        ssh = await SshHost.connect(host.target(), chosen, person)
        assert ssh.user == "op"
        await ssh.close()
    assert person.keys == [str(path)] * 2
    assert SECRET not in repr(chosen)


async def test_an_encrypted_key_without_a_public_half(host: FakeHost, tmp_path: Path, home: Path) -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    host.users["op"].append(key)
    path = home / ".ssh" / "id_rsa"
    key.write_private_key(path, "pkcs1-pem", passphrase=SECRET)
    person = Asked(passphrases=[SECRET])
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    assert person.keys == [str(path)]


async def test_an_encrypted_key_that_the_host_does_not_know_is_not_asked_for(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    write_locked(home, asyncssh.generate_private_key("ssh-ed25519"))
    person = Asked(passphrases=[SECRET])
    error = await refused(host.target(), tmp_path, person)
    assert error.reason is Reason.AUTH_FAILED and person.keys == []
    user_key.write_private_key(home / ".ssh" / "id_rsa")
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    assert person.keys == []


async def test_without_a_passphrase_the_error_names_the_key_and_never_the_secret(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    path = write_locked(home, user_key)
    for person in (Nobody(), Asked(passphrases=[None]), Asked(passphrases=[SECRET + "x"] * 3)):
        error = await refused(host.target(), tmp_path, person)
        assert error.reason is Reason.KEY_ENCRYPTED and str(path) in error.what
        texts = []
        cause: BaseException | None = error
        while cause is not None:
            texts.append(f"{cause!r} {cause}")
            cause = cause.__cause__ or cause.__context__
        assert SECRET not in " ".join(texts) + caplog.text
    # The planted case: were it there, this would see it.
    assert SECRET in f"{LinkError(Reason.UNREACHABLE, 'x', because=SECRET)}"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    if shutil.which("ssh-agent") is None:
        pytest.skip("no ssh-agent on this machine")
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        yield path
    finally:
        process.terminate()
        process.wait()


async def test_the_agent_is_used_before_anybody_is_asked(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_locked(home, user_key)
    plain = tmp_path / "plain"
    user_key.write_private_key(plain)
    plain.chmod(0o600)
    environment = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    await asyncio.to_thread(subprocess.run, ["ssh-add", "-q", str(plain)], env=environment, check=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    person = Asked()
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    assert person.keys == []
    # IdentitiesOnly: of the agent's keys, only those that the configuration names.
    config = tmp_path / "ssh_config"
    config.write_text(f"Host *\n  IdentitiesOnly yes\n  IdentityFile {home}/.ssh/id_ed25519\n")
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(tmp_path / "other")
    config.write_text(f"Host *\n  IdentitiesOnly yes\n  IdentityFile {tmp_path}/other\n")
    assert (await refused(host.target(), tmp_path, person)).reason is Reason.AUTH_FAILED


async def test_files_that_are_no_keys_are_passed_over(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    (home / ".ssh" / "id_rsa").write_text("not a key\n")
    (home / ".ssh" / "id_ecdsa").mkdir()
    error = await refused(host.target(), tmp_path)
    assert error.reason is Reason.AUTH_FAILED and "op" in error.what
    user_key.write_private_key(home / ".ssh" / "id_ed25519")
    ssh = await SshHost.connect(host.target(), settings(tmp_path), Nobody())
    await ssh.close()


async def test_passwords(host: FakeHost, tmp_path: Path) -> None:
    host.passwords = {"op": SECRET}
    person, chosen = AskedForPassword(passwords=["wrong", SECRET]), settings(tmp_path)
    for _ in range(2):
        ssh = await SshHost.connect(host.target(), chosen, person)
        await ssh.close()
    assert person.logins == [f"op@127.0.0.1:{host.port}"] * 2
    for nobody in (Asked(), AskedForPassword(passwords=[None]), AskedForPassword(passwords=["a", "b", "c"])):
        error = await refused(host.target(), tmp_path, nobody)
        assert error.reason is Reason.AUTH_FAILED


async def test_a_password_where_the_passphrase_is_not_given(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    write_locked(home, user_key)
    host.passwords = {"op": SECRET}
    person = AskedForPassword(passwords=[SECRET])
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    assert len(person.keys) == len(person.logins) == 1


async def test_several_encrypted_keys_of_which_nobody_can_tell(host: FakeHost, tmp_path: Path, home: Path) -> None:
    wrong, right = asyncssh.generate_private_key("ssh-rsa"), asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    host.users["op"] = [wrong]
    right.write_private_key(home / ".ssh" / "id_ecdsa", "pkcs8-pem", passphrase=SECRET)
    wrong.write_private_key(home / ".ssh" / "id_rsa", "pkcs1-pem", passphrase=SECRET)
    person = Asked(passphrases=[SECRET, SECRET])
    ssh = await SshHost.connect(host.target(), settings(tmp_path), person)
    await ssh.close()
    assert [Path(key).name for key in person.keys] == ["id_ecdsa", "id_rsa"]


async def test_no_password_is_asked_for_where_none_is_taken(host: FakeHost, tmp_path: Path) -> None:
    person = AskedForPassword(passwords=["x"])
    assert (await refused(host.target(), tmp_path, person)).reason is Reason.AUTH_FAILED
    assert person.logins == []
