"""The stand-ins' own parts, without a lab."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The program under the name it has in the images."""
    folder = tmp_path_factory.mktemp("standin")
    (folder / "standin").symlink_to(Path(__file__).with_name("program"))
    sys.path.insert(0, str(folder))
    try:
        import standin.pgp
        import standin.pki
        import standin.state
        import standin.table

        yield standin
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "standin"]:
            del sys.modules[name]


def test_what_it_encrypts_gpg_opens(program: Any, tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("there is no gpg")
    plain = bytes(range(256)) * 300
    sealed = program.pgp.encrypt(plain, "correct horse")
    command = [
        "gpg",
        "--homedir",
        str(tmp_path),
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "correct horse",
    ]
    done = subprocess.run([*command, "--decrypt"], input=sealed, capture_output=True, check=False, timeout=60)
    subprocess.run(["gpgconf", "--homedir", str(tmp_path), "--kill", "gpg-agent"], check=False, timeout=20)
    assert done.stdout == plain, done.stderr


def test_only_the_passphrase_opens_it(program: Any) -> None:
    sealed = program.pgp.encrypt(b"volumes", "right")
    assert program.pgp.decrypt(sealed, "right") == b"volumes"
    with pytest.raises(program.pgp.WrongPassphrase):
        program.pgp.decrypt(sealed, "wrong")
    with pytest.raises((program.pgp.WrongPassphrase, program.pgp.NotOpenPgp)):
        program.pgp.decrypt(sealed.replace(b"\n", b"\r\n")[:-1], "right")
    with pytest.raises(program.pgp.NotOpenPgp):
        program.pgp.decrypt(b"INFO[0000] Beginning backup\r\n" + sealed, "right")


@pytest.mark.parametrize(
    ("version", "command", "words"),
    [
        ((2, 2), "backup", ["--file", "x.tar"]),
        ((2, 2), "backup", ["--no-passphrase"]),
        ((3, 2), "backup", ["--id", "x"]),
        ((2, 2), "restore", ["--id", "x"]),
        ((3, 2), "restore", ["--force"]),
        ((2, 2), "install", ["--external-ca"]),
        ((2, 2), "install", ["--force-minimums"]),
        ((3, 0), "restore", ["--force-minimums"]),
        ((2, 2), "join", []),
        ((2, 2), "id", ["--debug"]),
        ((3, 4), "backup", ["--include-logs", "false"]),
        ((2, 2), "install", ["--san"]),
        ((2, 2), "dump-certs", ["--ca=perhaps"]),
    ],
)
def test_what_is_not_documented_is_refused(program: Any, version: Any, command: str, words: list[str]) -> None:
    with pytest.raises(program.table.Usage):
        program.table.parse(version, command, words, {})


def test_a_command_line_is_read_as_go_reads_it(program: Any) -> None:
    words = ["--san", "a", "-D", "--san=b", "--host-address", "10.0.0.1", "-i", "--external-server-cert=false"]
    given = program.table.parse((2, 2), "install", words, {"UCP_ADMIN_PASSWORD": "x"})
    assert given == {
        "san": ["a", "b"],
        "debug": "true",
        "host-address": "10.0.0.1",
        "interactive": "true",
        "external-server-cert": "false",
    }
    given = program.table.parse((3, 2), "install", ["--san", "c"], {"UCP_ADMIN_PASSWORD": "x", "UCP_HOSTNAMES": "a,b"})
    assert given == {"admin-password": "x", "san": ["c"]}


def test_certificates_are_checked_before_they_are_used(program: Any) -> None:
    root, other = program.pki.root("A"), program.pki.root("B")
    cert, key = program.pki.issue(root, "mgr1", ["mgr1", "10.0.0.1"])
    good = {"ca.pem": root["cert.pem"], "cert.pem": cert, "key.pem": key}
    assert program.pki.problem(good) == ""
    assert program.pki.names_in(cert) == {"mgr1", "10.0.0.1"}
    assert program.pki.problem({**good, "key.pem": root["key.pem"]}) == "tls: private key does not match public key"
    assert "unknown authority" in program.pki.problem({**good, "ca.pem": other["cert.pem"]})
    assert program.pki.problem({"ca.pem": b"x"}) == "missing cert.pem"
