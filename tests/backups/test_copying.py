"""`swarmtui backups copy` and `prune`: what they show, do, write down and refuse, and their exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite_path import MARK
from swarmtui.cli.main import main as swarmtui
from tests.backups import shelves

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def catalogue(private_folders: Path) -> Catalogue:
    root = private_folders / "data" / "swarmtui" / "backups"
    root.parent.mkdir(mode=0o700)
    return Catalogue(root)


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    folder.mkdir()
    (folder / MARK).touch()
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def go(*arguments: str, typed: str | None = None) -> tuple[int, str, str]:
        class Input:
            def isatty(self) -> bool:
                return typed is not None

            def readline(self) -> str:
                return f"{typed}\n"

        monkeypatch.setattr(sys, "stdin", Input())
        code = swarmtui(["backups", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go


def configure(private_folders: Path, text: str) -> None:
    folder = private_folders / "config" / "swarmtui"
    folder.mkdir()
    (folder / "config.toml").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# -- copy --------------------------------------------------------------------------------------------------------------


def test_a_copy_is_made_told_and_written_down(catalogue: Catalogue, nas: Path, run: Run) -> None:
    entry = shelves.put(catalogue, "2026-11-21T03:30:00", "yes", encrypted=True)
    code, out, err = run("copy", "--to", str(nas))
    assert (code, err) == (0, "")
    assert f"{entry.id} → {nas}: " in out and "KB sent, sha256 " in out
    [copy] = catalogue.entries()[0].copies
    assert entry.manifest is not None
    assert (copy.where, copy.digest, copy.trouble) == (str(nas), entry.manifest.stored_digest, "")
    code, out, _ = run("copy", "latest", "--to", str(nas), "--json")
    [again] = json.loads(out)["copies"]
    assert (code, again["ok"], again["sent"], again["copy"]["at"]) == (0, True, 0, copy.at)


def test_what_is_not_encrypted_leaves_only_by_name(catalogue: Catalogue, nas: Path, run: Run) -> None:
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes")
    code, _, err = run("copy", "--to", str(nas))
    assert code == 4 and f"--accept unencrypted-copy={nas}" in err and "all secrets" in err
    assert names(nas) == []
    code, _, err = run("copy", "--to", str(nas), "--accept", "unencrypted-copy=/elsewhere")
    assert code == 2 and names(nas) == []
    code, _, err = run("copy", "--to", str(nas), "--accept", f"unencrypted-copy={nas}")
    assert code == 0 and names(nas) == [shelves.CLUSTER]


def test_the_configuration_names_the_places_of_each_cluster(
    catalogue: Catalogue, nas: Path, run: Run, private_folders: Path, tmp_path: Path
) -> None:
    configure(
        private_folders,
        f"[backups]\ncopies = ['{tmp_path}/away']\n[clusters.prod]\nmanagers = ['ssh://a']\n"
        f"[clusters.prod.backups]\ncopies = ['{nas}']\n",
    )
    shelves.put(catalogue, "2026-11-20T03:30:00", "yes", encrypted=True)
    shelves.put(catalogue, "2026-11-21T03:30:00", encrypted=True)
    code, _, err = run("copy", "--all")
    assert (code, err) == (0, "") and len(names(nas / shelves.CLUSTER)) == 2


def test_a_place_that_is_away_stops_no_other(catalogue: Catalogue, nas: Path, run: Run, tmp_path: Path) -> None:
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes", encrypted=True)
    away = str(tmp_path / "away")
    code, out, err = run("copy", "--to", away, "--to", str(nas))
    assert code == 3 and "There is no folder" in err and f"→ {nas}" in out
    assert [copy.where for copy in catalogue.entries()[0].copies] == [str(nas)]


def test_a_check_tells_what_was_altered_and_a_copy_mends_it(catalogue: Catalogue, nas: Path, run: Run) -> None:
    entry = shelves.put(catalogue, "2026-11-21T03:30:00", "yes", encrypted=True)
    assert run("copy", "--check")[0] == 2
    run("copy", "--to", str(nas))
    assert run("copy", "--check")[:2] == (
        0,
        f"{entry.id} → {nas}: as it was, sha256 {catalogue.entries()[0].copies[0].digest[:12]}… there\n",
    )
    far = nas / shelves.CLUSTER / entry.id / "archive.tar.age"
    content = far.read_bytes()
    far.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out, _ = run("copy", "--check", "--all")
    assert code == 1 and "NO COPY: archive.tar.age was altered there" in out
    assert catalogue.entries()[0].copies[0].trouble == "archive.tar.age was altered there"
    assert run("copy", "--to", str(nas))[0] == 0
    assert run("copy", "--check")[0] == 0 and catalogue.entries()[0].copies[0].trouble == ""
    (nas / MARK).unlink()
    code, _, err = run("copy", "--check")
    assert code == 3 and "has no mark" in err and catalogue.entries()[0].copies[0].trouble == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "No place for copies"),
        (("--to", "sftp://me:planted@vault/x"), "holds no password"),
        (("--to", "mnt"), "named from the root"),
        (("latest", "--all"), "every backup"),
        (("nothing", "--to", "/x"), "There is no backup"),
    ],
)
def test_wrong_usage_of_copy(catalogue: Catalogue, run: Run, arguments: tuple[str, ...], words: str) -> None:
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes", encrypted=True)
    code, _, err = run("copy", *arguments)
    assert code == 2 and words in err and "planted" not in err


# -- prune -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def nights(catalogue: Catalogue) -> list[Entry]:
    """Six nights, the newest last; the second is the last one that is proved."""
    verdicts = ["yes", "yes", "not proved", "no", "not proved", "not proved"]
    return [
        shelves.put(catalogue, f"2026-11-{day}T03:30:00", verdict, encrypted=True, content=b"x" * 512)
        for day, verdict in zip(range(16, 22), verdicts, strict=True)
    ]


RULES = ("--last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0")


def left(catalogue: Catalogue) -> list[str]:
    return [entry.id[6:8] for entry in catalogue.entries()]


def test_it_shows_first_and_removes_nothing(catalogue: Catalogue, nights: list[Entry], run: Run) -> None:
    code, out, _ = run("prune", "--dry-run", *RULES)
    assert code == 0 and len(left(catalogue)) == 6
    lines = {line.split()[0]: line for line in out.splitlines()[2:]}
    assert "kept: last 1" in lines[nights[5].id]
    assert "kept: the newest that is proved" in lines[nights[1].id]
    assert "kept: would not restore, but nothing newer is proved" in lines[nights[3].id]
    assert [("GOES: no rule keeps it" in lines[night.id]) for night in nights] == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    code, _, err = run("prune", *RULES)
    assert code == 2 and "no terminal" in err and len(left(catalogue)) == 6
    code, _, err = run("prune", *RULES, typed="no")
    assert code == 4 and "Nothing was removed" in err and len(left(catalogue)) == 6


@pytest.mark.parametrize("typed", [None, "yes"])
def test_it_removes_what_it_showed(catalogue: Catalogue, nights: list[Entry], run: Run, typed: str | None) -> None:
    code, out, _ = run("prune", *RULES, *(() if typed else ("--yes",)), typed=typed)
    assert code == 0 and left(catalogue) == ["21", "19", "17"]
    assert out.count("removed ") == 3
    assert sorted(path.name for path in (catalogue.root / shelves.CLUSTER).iterdir()) == sorted(
        entry.id for entry in catalogue.entries()
    )
    code, out, _ = run("prune", *RULES, "--yes")
    assert code == 0 and "Nothing goes." in out


def test_what_was_proved_while_somebody_looked_stays(
    catalogue: Catalogue, nights: list[Entry], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what was shown and the removal the verdicts change: what is the newest proved now is not removed."""
    from swarmtui.cli.backups import prune

    async def meanwhile(goes: int) -> None:
        shelves.verify(catalogue, nights[4], "yes")

    monkeypatch.setattr(prune, "_confirm", meanwhile)
    run("prune", *RULES, typed="yes")
    assert "20" in left(catalogue)


def test_the_configurations_rules_and_each_cluster_by_itself(
    catalogue: Catalogue, nights: list[Entry], run: Run, private_folders: Path
) -> None:
    configure(private_folders, "[backups]\nlast = 2\ndaily = 0\nweekly = 0\nmonthly = 0\n")
    other = shelves.put(catalogue, "2026-01-01T00:00:00", cluster=shelves.OTHER, content=b"x" * 512)
    code, out, _ = run("prune", "--yes", "--json")
    told = {place["cluster_id"]: place for place in json.loads(out)["places"]}
    assert code == 0 and [b["removed"] for b in told[shelves.CLUSTER]["backups"]] == [
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert told[shelves.OTHER]["backups"] == [
        {
            "id": other.id,
            "keep": True,
            "because": ["the newest; none is proved", "last 1"],
            "removed": False,
        }
    ]


def test_copies_are_pruned_only_when_that_is_asked(
    catalogue: Catalogue, nights: list[Entry], nas: Path, run: Run
) -> None:
    run("copy", "--all", "--to", str(nas))
    run("prune", *RULES, "--yes")
    assert len(names(nas / shelves.CLUSTER)) == 6
    code, out, _ = run("prune", *RULES, "--yes", "--copies")
    assert code == 0 and out.count(f" from {nas}") == 3
    assert names(nas / shelves.CLUSTER) == sorted(entry.id for entry in catalogue.entries())
    assert all(entry.copies for entry in catalogue.entries())


def test_a_lost_catalogue_does_not_cost_its_copies(
    catalogue: Catalogue, nights: list[Entry], nas: Path, run: Run, private_folders: Path
) -> None:
    """What is here now is new; the copies are judged by what lies beside them."""
    run("copy", "--all", "--to", str(nas))
    for entry in nights:
        catalogue.remove(entry)
    configure(private_folders, f"[backups]\ncopies = ['{nas}']\n")
    shelves.put(catalogue, "2026-11-22T03:30:00", encrypted=True)
    code, _, _ = run("prune", *RULES, "--yes", "--copies")
    assert code == 0
    assert [name[6:8] for name in names(nas / shelves.CLUSTER)] == ["17", "19", "21"]


def test_half_a_copy_is_left_alone(catalogue: Catalogue, nights: list[Entry], nas: Path, run: Run) -> None:
    run("copy", "--all", "--to", str(nas))
    half = nas / shelves.CLUSTER / "20200101T000000Z-mgr1"
    half.mkdir()
    (half / "archive.tar").write_bytes(b"half")
    code, out, _ = run("prune", *RULES, "--yes", "--copies")
    assert code == 0 and half.exists() and "it has no manifest there" in out


def test_a_place_that_is_away_is_told(catalogue: Catalogue, nights: list[Entry], nas: Path, run: Run) -> None:
    run("copy", "--all", "--to", str(nas))
    (nas / MARK).unlink()
    code, _, err = run("prune", *RULES, "--yes", "--copies")
    assert code == 3 and "has no mark" in err and len(names(nas / shelves.CLUSTER)) == 6
    assert left(catalogue) == ["21", "19", "17"]


@pytest.mark.parametrize("arguments", [("--last", "-1"), ("--daily", "many"), ("--yes", "--dry-run")])
def test_wrong_usage_of_prune(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("prune", *arguments)[0] == 2


def test_there_is_nothing(run: Run, catalogue: Catalogue) -> None:
    code, out, _ = run("prune", "--yes")
    assert (code, out) == (0, "There is no backup.\n")
