"""Backups of DTR on the command line: taken in, listed, shown, verified; refused where another kind is needed."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pyrage
import pytest

from swarmtui.cli.main import main
from tests.dtr import archives as d
from tests.ucp import archives as a


@pytest.fixture
def config(private_folders: Path, tmp_path: Path) -> Path:
    """Whose backups are encrypted for somebody else."""
    path = tmp_path / "config.toml"
    path.write_text(f'[backups]\nrecipients = ["{pyrage.x25519.Identity.generate().to_public()}"]\n')
    return path


def run(monkeypatch: pytest.MonkeyPatch, config: Path, *words: str, given: str = "") -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    return main(["backups", *words, "--config", str(config)])


def test_taken_in_listed_shown_and_verified(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dtr-metadata-backup.tar"
    path.write_bytes(d.backup("2.9.4", "online"))
    assert run(monkeypatch, config, "import", str(path)) == 1
    assert "does not tell its instance. Give: --instance ID" in capsys.readouterr().err
    assert run(monkeypatch, config, "import", str(path), "--instance", d.UCP, "--replica", d.REPLICA) == 0
    said = capsys.readouterr()
    assert f"of MSR 2.9.4, replica {d.REPLICA}" in said.out
    assert "images: NOT in it" in said.out and "encrypted for recipients of age" in said.out
    assert "kept in clear" not in said.err
    (entry,) = (Path(os.environ["XDG_DATA_HOME"]) / "swarmtui/backups" / d.UCP).iterdir()
    assert run(monkeypatch, config, "list") == 0
    assert "imported, MSR 2.9.4" in capsys.readouterr().out
    assert run(monkeypatch, config, "verify", entry.name, "--json") == 1
    (told,) = json.loads(capsys.readouterr().out)["backups"]
    assert [tier["ok"] for tier in told["verification"]["tiers"]] == [True, None, None, None]
    assert run(monkeypatch, config, "show", "latest") == 2
    assert "There is no backup in" in capsys.readouterr().err


def test_what_gpg_sealed_is_opened_and_kept_without_that(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dtr.bkp"
    path.write_bytes(a.seal(d.backup()))
    words = ("import", str(path), "--instance", d.UCP)
    assert run(monkeypatch, config, *words, given="another one\n") == 1
    refused = capsys.readouterr().err
    assert f"{path} was not imported. It is sealed with a passphrase (OpenPGP), and the one that was given" in refused
    assert "for one of DTR, which DTR itself does not seal, that of whoever ran gpg on it" in refused
    assert "sealed with UCP's passphrase" not in refused and "ucp-passphrase" not in refused
    assert run(monkeypatch, config, *words, given=f"{a.PASSPHRASE}\n") == 0
    said = capsys.readouterr()
    assert "of DTR 2.4.1" in said.out
    assert a.PASSPHRASE not in said.out + said.err
    (entry,) = (Path(os.environ["XDG_DATA_HOME"]) / "swarmtui/backups" / d.UCP).iterdir()
    assert not (entry / "archive.tar").exists()
    assert (entry / "archive.tar.age").read_bytes().startswith(b"age-encryption.org/v1\n-> X25519")


def test_a_damaged_one_is_said_to_be_that(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dtr.bkp"
    path.write_bytes(d.backup()[:3000])
    assert run(monkeypatch, config, "import", str(path), "--instance", d.UCP) == 1
    assert "was not imported. Its tar is cut off" in capsys.readouterr().err
