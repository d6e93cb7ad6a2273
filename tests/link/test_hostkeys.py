from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import asyncssh
import pytest

from swarmtui.link.hostkeys import HostKey, append, fingerprint, known_as, look_up

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine")


@pytest.fixture(scope="module")
def keys() -> list[HostKey]:
    made = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)]
    return [HostKey(key.get_algorithm(), key.public_data) for key in made]


def line(names: str, key: HostKey) -> str:
    return f"{names} {key.line.decode()} a comment\n"


@pytest.mark.parametrize(
    ("names", "host", "port", "found"),
    [
        ("mgr1", "mgr1", 22, True),
        ("mgr1", "MGR1", 22, True),
        ("mgr1", "mgr10", 22, False),
        ("mgr1,10.77.0.1", "10.77.0.1", 22, True),
        ("*.example.org", "a.example.org", 22, True),
        ("mgr?", "mgr1", 22, True),
        ("*.example.org,!bad.example.org", "bad.example.org", 22, False),
        ("!bad.example.org,*.example.org", "bad.example.org", 22, False),
        ("[mgr1]:2222", "mgr1", 2222, True),
        ("[mgr1]:2222", "mgr1", 22, False),
        ("[mgr1]:2222", "mgr1", 2223, False),
        ("[*]:2222", "mgr1", 2222, True),
        ("fd00::1", "fd00::1", 22, True),
        ("[fd00::1]:2222", "fd00::1", 2222, True),
    ],
)
def test_names(names: str, host: str, port: int, found: bool, keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line(names, keys[0]))
    own, _ = look_up([file], host, port)
    assert own.keys == ([keys[0]] if found else [])


def test_another_port_falls_back_to_the_bare_name(keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("mgr1", keys[0]) + line("[mgr1]:2222", keys[1]))
    own, bare = look_up([file], "mgr1", 2222)
    assert (own.keys, bare.keys) == ([keys[1]], [keys[0]])
    own, bare = look_up([file], "mgr1", 22)
    assert (own.keys, bare.keys) == ([keys[0]], [])


def test_markers_and_several_files(keys: list[HostKey], tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("# a comment\n\n" + "@revoked " + line("*", keys[0]))
    second.write_text("@cert-authority " + line("*.example.org", keys[1]) + line("m.example.org", keys[2]))
    own, _ = look_up([first, tmp_path / "missing", second], "m.example.org", 22)
    assert (own.keys, own.authorities, own.revoked, own.file) == ([keys[2]], [keys[1]], [keys[0]], second)


def test_what_cannot_be_understood_is_passed_over(keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(
        b"\xff\xfe garbage\nmgr1\nmgr1 ssh-rsa\nmgr1 ssh-rsa !!!\n@strange mgr1 ssh-rsa AAAA\n|1|x|y ssh-rsa AAAA\n"
        + line("mgr1", keys[0]).encode()
    )
    own, _ = look_up([file], "mgr1", 22)
    assert own.keys == [keys[0]] and not own.revoked


@needs_ssh_keygen
def test_reads_what_ssh_keygen_hashes(keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("mgr1", keys[0]) + line("[10.77.0.1]:2222", keys[1]))
    subprocess.run(["ssh-keygen", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "mgr1" not in file.read_text()
    assert look_up([file], "mgr1", 22)[0].keys == [keys[0]]
    assert look_up([file], "10.77.0.1", 2222)[0].keys == [keys[1]]
    assert look_up([file], "mgr2", 22)[0].keys == []


@needs_ssh_keygen
def test_ssh_keygen_reads_what_we_write(keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "fresh" / "known_hosts"
    append(file, "Mgr1", 22, keys[0])
    append(file, "10.77.0.1", 2222, keys[1])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for name, key in (("mgr1", keys[0]), (known_as("10.77.0.1", 2222), keys[1])):
        found = subprocess.run(["ssh-keygen", "-F", name, "-f", str(file)], check=True, capture_output=True, text=True)
        assert key.line.decode() in found.stdout
        printed = subprocess.run(["ssh-keygen", "-l", "-F", name, "-f", str(file)], capture_output=True, text=True)
        assert fingerprint(key.blob) in printed.stdout


def test_appends_after_a_line_without_an_end(keys: list[HostKey], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("other", keys[1]).rstrip("\n"))
    file.chmod(0o644)
    append(file, "mgr1", 22, keys[0])
    assert look_up([file], "mgr1", 22)[0].keys == [keys[0]]
    assert look_up([file], "other", 22)[0].keys == [keys[1]]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
