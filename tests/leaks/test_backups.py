"""Backups from end to end on real hosts: no key that opens the Swarm or a backup may be seen or left anywhere.

Where one must be: in the archive, encrypted; in what `backups unlock` was asked to write; in the credentials and the
identity that the operator keeps. Those lie outside of what is searched, and everything else is searched.
"""

from __future__ import annotations

import base64
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.vault.secret import Secret
from tests.actions.backups import check_calm, some_content, taken
from tests.actions.cli import PROGRAM, SECONDS, Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for
from tests.leaks.harness import Leaks, watched
from tests.leaks.needles import found_in

KEY_FILE = "swarm/certificates/swarm-node.key"
JOBS = "/var/lib/swarmtui/jobs"
CALLED = "prod"
pytestmark = pytest.mark.lab


class Operator:
    """`swarmtui` with a vault of systemd credentials; everything that it says is looked at."""

    def __init__(self, cli: Cli, leaks: Leaks, folder: Path) -> None:
        self.leaks, self.folder = leaks, folder
        self.credentials = folder / "credentials"
        self.credentials.mkdir(mode=0o700)
        self.environment = {**cli.environment, "CREDENTIALS_DIRECTORY": str(self.credentials)}
        self.config = folder / "config.toml"
        self.target = cli.target
        self.configure()

    def configure(self, recipient: str = "") -> None:
        """A cluster with a name, and for whom its backups are encrypted."""
        backups = f'[backups]\nrecipients = ["{recipient}"]\n' if recipient else ""
        self.config.write_text(f'{backups}[clusters.{CALLED}]\nmanagers = ["{self.target}"]\n')

    def has(self, kind: str, secret: str) -> None:
        """The vault has this secret of the cluster."""
        (self.credentials / f"swarmtui.{kind}.{CALLED}").write_text(secret)

    def __call__(self, *words: str, code: int = 0, given: str = "") -> str:
        """Runs a command line to its end."""
        done = subprocess.run(
            [*PROGRAM, *words, *(("--config", str(self.config)) if words[0] != "journal" else ())],
            input=given.encode(),
            capture_output=True,
            timeout=2 * SECONDS,
            env=self.environment,
        )
        for stream, told in (("stdout", done.stdout), ("stderr", done.stderr)):
            self.leaks.seen(f"{stream} of swarmtui {' '.join(words[:2])}", told)
        assert done.returncode == code, (words, done.returncode, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode() + done.stderr.decode()

    def backs_up(self, node: str) -> str:
        """Takes a backup; returns its id."""
        self("run", "swarm.backup", f"node={node}", "--yes", "--target", CALLED)
        return taken()[-1].folder.name


def parts_of(leaks: Leaks, pem: bytes) -> None:
    """Names what is secret in a key file in clear, in every form that it is kept in."""
    head, _, body = pem.decode().partition("\n\n")
    (header,) = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("raft-dek:")]
    raft_key = base64.b64decode(header)[2:]
    assert len(raft_key) == 32
    leaks.secret("raft's key as the key file has it", header)
    leaks.secret("raft's key", base64.b64encode(raft_key).decode())
    leaks.secret("raft's key in hex", raft_key.hex())
    lines = "".join(line for line in body.splitlines() if not line.startswith("-----"))
    # What is before it says only that it is a key of P-256, and is the same in every one.
    leaks.secret("the private key", lines[48:92])


@pytest.fixture
def operator(cli: Cli, leaks: Leaks, tmp_path: Path) -> Operator:
    return Operator(cli, leaks, tmp_path)


@pytest.fixture
def locked(lab: Lab, leaks: Leaks, operator: Operator) -> str:
    """A Swarm with autolock; its key is in the vault, and looked for everywhere else."""
    leaks.below(lab.home)
    now = lab["mgr1"].api("GET", "/swarm")
    spec = now["Spec"] | {"EncryptionConfig": {"AutoLockManagers": True}}
    lab["mgr1"].api("POST", f"/swarm/update?version={now['Version']['Index']}", spec)
    key = leaks.secret("the unlock key", lab.unlock_key)
    for role, token in now["JoinTokens"].items():
        leaks.secret(f"the {role} token", token)
    for name in ("mgr2", "mgr3"):
        path = lab[name].docker_folder / KEY_FILE
        wait_for(f"{name} is locked", lambda path=path: b"ENCRYPTED" in path.read_bytes())  # type: ignore[misc]
        parts_of(leaks, unlocked_key(path.read_bytes(), Secret(key)))
        leaks.host(lab[name])
    operator.has("unlock-key", key)
    return key


def test_backups_of_a_locked_swarm(lab: Lab, truth: Truth, locked: str, operator: Operator, tmp_path: Path) -> None:
    """Taken, verified, shown, compared, unlocked, imported; encrypted for a recipient, and with a passphrase."""
    some_content(truth)
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    identity = pyrage.x25519.Identity.generate()
    operator.leaks.secret("the identity", str(identity).removeprefix("AGE-SECRET-KEY-1"))
    (tmp_path / "identity").write_text(f"{identity}\n")
    (tmp_path / "identity").chmod(0o600)
    opened = ("--identity", str(tmp_path / "identity"))

    operator.configure(str(identity.to_public()))
    first = operator.backs_up("mgr2")
    assert (taken()[-1].folder / "archive.tar.age").exists()
    operator("backups", "verify", first, code=1)
    operator("backups", "show", first, "--inventory", "--json", *opened)
    operator("backups", "unlock", first, "--to", str(out / "first.tar.gz"), *opened)

    passphrase = operator.leaks.secret("the passphrase", secrets.token_urlsafe(24))
    operator.has("backup-passphrase", passphrase)
    operator.configure()
    second = operator.backs_up("mgr3")
    operator("backups", "verify", second, "--json")
    operator("backups", "diff", first, second, *opened)
    operator("backups", "diff", second, "--live", CALLED)
    operator("backups", "unlock", second, "--to", str(out / "second"))

    sealed = tmp_path / "swarm.bkp.age"
    subprocess.run(["tar", "-czf", sealed, "-C", lab["mgr2"].docker_folder, "swarm"], check=True)
    sealed.write_bytes(pyrage.passphrase.encrypt(sealed.read_bytes(), passphrase))
    other = operator.leaks.secret("another passphrase", secrets.token_urlsafe(24))
    operator("backups", "import", str(sealed), "--name", CALLED, given=f"{other}\n", code=1)
    operator("backups", "import", str(sealed), "--name", CALLED, "--json", given=f"{passphrase}\n")
    wrong = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    operator.has("unlock-key", operator.leaks.secret("another unlock key", f"SWMKEY-1-{wrong}"))
    operator("backups", "unlock", second, "--to", str(out / "none"), code=1)
    operator("journal")

    # What the unlocked ones hold is looked for everywhere else.
    with tarfile.open(out / "first.tar.gz") as tar:
        (member,) = [member for member in tar.getmembers() if member.name.endswith("swarm-node.key")]
        stream = tar.extractfile(member)
        assert stream is not None
        in_clear = stream.read()
    (key_file,) = (out / "second").rglob("swarm-node.key")
    for pem in (in_clear, key_file.read_bytes()):
        assert b"BEGIN PRIVATE KEY" in pem and b"kek-version: 0" in pem
        parts_of(
            operator.leaks, pem
        )  # as it was archived: with autolock dockerd takes another raft key, a little later
        assert {name for name, _ in found_in(pem, operator.leaks._secrets[-4:], wrapped=False)} >= {
            "raft's key as the key file has it",
            "the private key",
        }
    assert not (out / "none").exists()
    check_calm(lab, truth)


@pytest.fixture
def planted(lab: Lab) -> Iterator[Leaks]:
    with watched() as leaks:
        leaks.host(lab["mgr3"])
        yield leaks


def test_what_a_backup_could_leave_behind_is_found(
    lab: Lab, cli: Cli, planted: Leaks, private_folders: Path, tmp_path: Path
) -> None:
    """Planted: the folder of a job, its unit's journal, the catalogue in clear, an error."""
    pem = (lab["mgr3"].docker_folder / KEY_FILE).read_bytes()  # not locked here
    parts_of(planted, pem)
    planted.below(private_folders)
    host = lab["mgr3"]
    subprocess.run([*PROGRAM, "run", "swarm.backup", "node=mgr3", "--yes", "--target", cli.target],
                   check=True, capture_output=True, env=cli.environment, timeout=2 * SECONDS)  # fmt: skip
    host.sh(f"mkdir -p -m 700 {JOBS}/left && cat >{JOBS}/left/archive.tar", data=pem)
    host.sh(f"systemd-run -q --unit swarmtui-job-left cat {JOBS}/left/archive.tar; sleep 0.5")
    planted.error(ValueError(f"it cannot be opened: {pem.decode()}"))
    try:
        found = {find.where for find in planted.finds() if find.secret == "the private key"}
    finally:
        host.sh(f"rm -rf {JOBS}/left")
    assert f"file of mgr3:{JOBS}/left/archive.tar" in found
    assert "journal of mgr3" in found and "exception" in found
    assert any(where.endswith("/archive.tar") and where.startswith("file /") for where in found), found
