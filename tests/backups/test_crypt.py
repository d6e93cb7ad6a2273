"""Encryption at rest: readable by the stock `age`, streamed, and every way it can fail in one sentence."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pyrage
import pytest

from swarmtui.backups import age_stream, crypt
from swarmtui.backups.crypt import (
    Encryption,
    Encryptor,
    NoIdentityError,
    WrongIdentityError,
    decrypt,
    encrypt,
    identity_file,
    kind_of,
)
from swarmtui.backups.errors import ArchiveError
from swarmtui.errors import UsageError
from swarmtui.vault import Secret

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
CONTENT = os.urandom(200_000) + bytes(100_000)
PASSPHRASE = Secret("correct horse battery staple")
AGE = shutil.which("age")
stock = pytest.mark.skipif(AGE is None, reason="the stock age is not installed (apt-get install age)")


def opened(content: bytes, identity: Secret | None) -> bytes:
    out: list[bytes] = []
    decrypt(io.BytesIO(content), out.append, identity)
    return b"".join(out)


@pytest.fixture(scope="module")
def sealed() -> bytes:
    """For a recipient."""
    return encrypt(CONTENT, Encryption((RECIPIENT,)))


@pytest.fixture(scope="module")
def locked() -> bytes:
    """With a passphrase."""
    return encrypt(CONTENT, Encryption(passphrase=PASSPHRASE))


def test_for_recipients_it_is_the_same_age_that_others_read_and_write(sealed: bytes) -> None:
    assert pyrage.decrypt(sealed, [IDENTITY]) == CONTENT
    assert opened(sealed, Secret(str(IDENTITY))) == CONTENT
    assert opened(pyrage.encrypt(CONTENT, [IDENTITY.to_public()], armored=True), Secret(str(IDENTITY))) == CONTENT
    assert kind_of(sealed) == "recipients"


def test_with_a_passphrase_as_well(locked: bytes) -> None:
    assert pyrage.passphrase.decrypt(locked, PASSPHRASE.reveal()) == CONTENT
    assert opened(locked, PASSPHRASE) == CONTENT
    assert kind_of(locked) == "passphrase"
    armored = pyrage.passphrase.encrypt(b"x", PASSPHRASE.reveal(), armored=True)
    assert kind_of(armored) == "passphrase"
    assert opened(armored, PASSPHRASE) == b"x"


@stock
def test_the_stock_tool_opens_it(tmp_path: Path, sealed: bytes) -> None:
    (tmp_path / "key.txt").write_text(f"{IDENTITY}\n")
    done = subprocess.run([AGE or "", "-d", "-i", tmp_path / "key.txt"], input=sealed, capture_output=True, check=True)
    assert done.stdout == CONTENT
    made = subprocess.run([AGE or "", "-r", RECIPIENT], input=CONTENT, capture_output=True, check=True)
    assert opened(made.stdout, Secret(str(IDENTITY))) == CONTENT


def test_ssh_keys_are_recipients_too(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    encryption = Encryption.for_recipients([str(tmp_path / "id.pub"), RECIPIENT])
    assert len(encryption.recipients) == 2
    content = encrypt(b"x", encryption)
    assert opened(content, identity_file(key)) == b"x"
    assert opened(content, Secret(str(IDENTITY))) == b"x"
    with pytest.raises(WrongIdentityError):
        opened(content, identity_file(other))


def test_an_identity_file_may_have_comments_and_several_identities(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"# created: today\n{pyrage.x25519.Identity.generate()}\n# mine\n{IDENTITY}\n")
    assert opened(sealed, identity_file(path)) == CONTENT


def test_it_is_streamed() -> None:
    """64 MB go through without being held."""
    written = 0

    def count(data: bytes) -> None:
        nonlocal written
        written += len(data)

    chunk = os.urandom(1 << 20)
    encryptor = Encryptor(Encryption((RECIPIENT,)), count)
    tracemalloc.start()
    try:
        for _ in range(64):
            encryptor.write(chunk)
        encryptor.close()
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
        encryptor.abort()
    assert written > 64 << 20


def test_what_writing_raises_comes_out() -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    for encryption in (Encryption(), Encryption((RECIPIENT,)), Encryption(passphrase=PASSPHRASE)):
        encryptor = Encryptor(encryption, full)
        with pytest.raises(OSError, match="No space left"):  # it may come with any of them
            for _ in range(40):
                encryptor.write(bytes(1 << 20) if encryption.recipients else b"x")
            encryptor.close()
        encryptor.abort()


def children() -> set[str]:
    """Ids of this process's children; a lab of other tests may be among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_one_that_is_aborted_leaves_no_thread_and_no_child() -> None:
    import threading

    before = threading.active_count(), children()
    for encryption in (Encryption((RECIPIENT,)), Encryption(passphrase=PASSPHRASE)):
        for pieces in (0, 1, 30):
            encryptor = Encryptor(encryption, lambda data: None)
            for _ in range(pieces):
                encryptor.write(bytes(100_000))
            encryptor.abort()
            encryptor.abort()
    assert (threading.active_count(), children()) == before


@pytest.mark.parametrize("cut", [0.0, 0.0002, 0.001, 0.3, 0.66, 0.999])
def test_a_cut_off_file_is_named(sealed: bytes, cut: float) -> None:
    content = sealed[: int(len(sealed) * cut)]
    with pytest.raises(ArchiveError, match="damaged or cut off: age cannot open it to its end") as raised:
        opened(content, Secret(str(IDENTITY)))
    assert type(raised.value) is ArchiveError


def test_one_cut_off_between_two_chunks_is_named() -> None:
    """Each chunk is authenticated on its own; the last one says that it is."""
    content = encrypt(bytes(3 * 65536), Encryption((RECIPIENT,)))
    header = len(content) - 3 * (65536 + 16) - 16
    for chunks in (1, 2):
        with pytest.raises(ArchiveError, match="damaged or cut off"):
            opened(content[: header + 16 + chunks * (65536 + 16)], Secret(str(IDENTITY)))


def test_a_flipped_bit_is_named(sealed: bytes, locked: bytes) -> None:
    for at in (30, 100, 190, 400, len(sealed) // 2, len(sealed) - 1):
        damaged = bytearray(sealed)
        damaged[at] ^= 4
        with pytest.raises(ArchiveError):
            opened(bytes(damaged), Secret(str(IDENTITY)))
    damaged = bytearray(locked)
    damaged[len(locked) // 2] ^= 4
    with pytest.raises(ArchiveError, match="damaged or cut off"):
        opened(bytes(damaged), PASSPHRASE)


def test_nothing_or_the_wrong_thing_to_open_it_with(sealed: bytes, locked: bytes) -> None:
    other = Secret(str(pyrage.x25519.Identity.generate()))
    cases: list[tuple[bytes, Secret | None, type[ArchiveError], str]] = [
        (
            sealed,
            None,
            NoIdentityError,
            "It is encrypted for recipients of age, and no identity is at hand to open it.",
        ),
        (locked, None, NoIdentityError, "It is encrypted with a passphrase, and the vault has none for this cluster."),
        (sealed, other, WrongIdentityError, "The identity at hand is none of its recipients'."),
        (locked, Secret("hunter2-needle"), WrongIdentityError, "The passphrase does not open it: it is another one"),
        (sealed, PASSPHRASE, WrongIdentityError, "and what is at hand is a passphrase."),
        (locked, other, WrongIdentityError, "and what is at hand is an identity of age."),
        (
            sealed,
            Secret("AGE-SECRET-KEY-1QQQ"),
            WrongIdentityError,
            "The identity of age at hand is damaged or not whole.",
        ),
    ]
    for content, identity, kind, words in cases:
        with pytest.raises(kind) as raised:
            opened(content, identity)
        assert words in raised.value.what
        assert raised.value.next_step.endswith((".", "FILE", "CLUSTER_ID"))
        if identity is not None:
            assert identity.reveal() not in str(raised.value)


@pytest.mark.parametrize("busy", [1, 9])
def test_a_machine_too_busy_for_a_passphrase_is_no_damage(
    locked: bytes, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """age reckons by the machine's speed of that moment whether a passphrase takes too long."""
    by_child = crypt._opened_by_child
    times: list[int] = []

    def slow(*given: Any) -> str:
        times.append(len(times))
        return "Decryption would take around 34 seconds" if len(times) <= busy else by_child(*given)

    monkeypatch.setattr(crypt, "_opened_by_child", slow)
    monkeypatch.setattr(crypt, "BUSY_SECONDS", 0.0)
    if busy == 1:
        assert opened(locked, PASSPHRASE) == CONTENT
    else:
        with pytest.raises(WrongIdentityError, match="too long"):
            opened(locked, PASSPHRASE)
        assert len(times) == 1 + crypt.BUSY_TRIES


def test_recipients_that_are_none_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("# nobody\n")
    secret = str(IDENTITY)
    cases: list[tuple[list[str], str]] = [
        ([], "There is no recipient to encrypt for."),
        ([secret], "A secret key of age is no recipient"),
        (["age1planted"], "This is no recipient of age: age1planted"),
        (["ssh-ed25519 AAAA"], "This is no recipient of age: ssh-ed25519 AAAA"),
        (["/nowhere/at/all"], "as a file it cannot be read: No such file or directory."),
        ([str(empty)], "names no recipient."),
    ]
    for told, words in cases:
        with pytest.raises(UsageError) as raised:
            Encryption.for_recipients(told)
        assert words in raised.value.what
        assert secret not in str(raised.value)
    with pytest.raises(UsageError, match="not with both"):
        Encryption((RECIPIENT,), PASSPHRASE)


def test_a_file_that_is_no_identity_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        identity_file(path)
    path.write_text("hunter2")
    with pytest.raises(UsageError, match="is no identity of age") as raised:
        identity_file(path)
    assert "hunter2" not in str(raised.value)


def test_the_passphrase_reaches_nothing_but_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        seen.append(repr((command, options)))
        child: subprocess.Popen[bytes] = real(command, **options)  # type: ignore[call-overload]
        proc = Path(f"/proc/{child.pid}")
        seen.append((proc / "cmdline").read_text() + (proc / "environ").read_text())
        return child

    monkeypatch.setattr(age_stream.subprocess, "Popen", popen)
    secret = Secret("planted-needle-5521 Grüße \"\\ \u20ac\t'$x")
    assert opened(encrypt(b"x", Encryption(passphrase=secret)), secret) == b"x"
    assert len(seen) == 4
    assert not any("needle" in each for each in seen)
    assert "needle" not in repr(Encryption(passphrase=secret))
