"""Backups of UCP on the command line: taken in, listed, shown, verified; refused where a Swarm's is needed."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from swarmtui.cli.main import main
from tests.ucp import archives as a


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(a.seal(a.tar(a.files())))
    return path


@pytest.fixture
def credentials(private_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the operator keeps secrets; empty."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: str, given: str = "") -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    return main(["backups", *words])


def taken_in(monkeypatch: pytest.MonkeyPatch, path: Path) -> str:
    assert run(monkeypatch, "import", str(path), given=f"{a.PASSPHRASE}\n") == 0
    (entry,) = (Path(os.environ["XDG_DATA_HOME"]) / "swarmtui/backups" / a.INSTANCE).iterdir()
    return entry.name


def test_taken_in_listed_shown_and_verified(
    credentials: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = taken_in(monkeypatch, sealed)
    said = capsys.readouterr()
    assert "of UCP 2.2.5" in said.out and "sealed by UCP with its passphrase" in said.out
    assert "kept in clear" not in said.err and "There is no keyring to keep its passphrase in" in said.err
    assert a.PASSPHRASE not in said.err + said.out
    assert run(monkeypatch, "list") == 0
    assert "UCP 2.2.5" in capsys.readouterr().out
    (credentials / f"swarmtui.ucp-passphrase.{a.INSTANCE}").write_text(a.PASSPHRASE)
    assert run(monkeypatch, "verify", name, "--json") == 1
    (told,) = json.loads(capsys.readouterr().out)["backups"]
    assert [tier["ok"] for tier in told["verification"]["tiers"]] == [True, True, True, None]
    assert run(monkeypatch, "show", name) == 0
    assert "only a restore by UCP itself proves more" in capsys.readouterr().out


def test_the_wrong_passphrase_takes_nothing_in(
    credentials: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "import", str(sealed), given="not the one\n") != 0
    said = capsys.readouterr()
    assert "does not open it" in said.err and "not the one" not in said.err + said.out
    assert run(monkeypatch, "import", str(sealed), given="\n") != 0
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "swarmtui/backups").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("unlock", "{}", "--to", "out"), "there is no Swarm's directory in it"),
        (("diff", "{}", "{}"), "there is no Swarm's directory in it"),
        (("verify", "latest"), "There is no backup"),
    ],
    ids=["unlock", "diff", "latest"],
)
def test_what_needs_a_swarms_refuses_it(
    credentials: Path,
    sealed: Path,
    words: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    name = taken_in(monkeypatch, sealed)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run(monkeypatch, *(word.format(name) for word in words)) != 0
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
