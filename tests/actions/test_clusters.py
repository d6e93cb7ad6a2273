"""`swarmtui clusters`: names are given and taken, and nothing a person wrote around them is touched."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.cli import config_file
from swarmtui.cli.main import main
from swarmtui.config import load
from tests.actions.cli import Result

PERSON = """\
# Ours. Ask Ada before you touch prod.

[keys]            # habits
"node.drain" = "ctrl+d"

# The shop. Somebody is paid at three in the morning for this one.
[clusters.prod]
managers = [
    "ssh://root@10.0.0.1",  # the old one ]
    "ssh://root@10.0.0.2",
]
production = true
# sudo = true

[clusters.prod.addresses]
mgr1 = "ssh://admin@gate:2201"

# Nobody is paid for this one.
[clusters."lab.1"]
managers = ['unix:///var/run/docker.sock']   # here
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
def clusters(file: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`swarmtui clusters … --config FILE` in this process."""

    def run(*arguments: str, file: Path = file) -> Result:
        where = ["--config", str(file)] if arguments else []
        code = main(["clusters", *arguments[:1], *where, *arguments[1:]])
        return Result(code, *capsys.readouterr())

    return run


def settled(file: Path) -> list[str]:
    """What lies beside the file, which nothing unfinished may."""
    return sorted(path.name for path in file.parent.glob("*config*") if path != file)


# -- list ----------------------------------------------------------------------------------------------------------


def test_all_are_listed_in_the_order_of_the_file(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(PERSON)
    result = clusters("list")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "prod   ssh://root@10.0.0.1 ssh://root@10.0.0.2  (production)",
        "lab.1  unix:///var/run/docker.sock",
    ]


def test_the_json_has_a_version_and_every_setting(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(PERSON)
    told = json.loads(clusters("list", "--json").out)
    assert told["schema"] == 1 and told["config"] == str(file)
    assert told["clusters"][0] == {
        "name": "prod",
        "managers": ["ssh://root@10.0.0.1", "ssh://root@10.0.0.2"],
        "context": None,
        "bundle": None,
        "addresses": {"mgr1": "ssh://admin@gate:2201"},
        "zone_label": "zone",
        "production": True,
        "read_only": False,
        "sudo": False,
    }
    assert [cluster["name"] for cluster in told["clusters"]] == ["prod", "lab.1"]


def test_no_name_yet_is_no_error(
    clusters: Callable[..., Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clusters", "list"]) == 0
    assert "No cluster has a name" in capsys.readouterr().out
    assert main(["clusters", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clusters"] == []


# -- add -----------------------------------------------------------------------------------------------------------


def test_the_first_name_makes_the_file_for_nobody_else(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new" / "config"))
    assert main(["clusters", "add", "prod", "ssh://root@10.0.0.1", "ssh://root@10.0.0.2", "--production"]) == 0
    made = tmp_path / "new" / "config" / "swarmtui" / "config.toml"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600 and stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    prod = load().clusters["prod"]
    assert prod.managers == ("ssh://root@10.0.0.1", "ssh://root@10.0.0.2") and prod.production and not prod.sudo
    assert "swarmtui status prod" in capsys.readouterr().out


def test_what_a_person_wrote_stays_as_it_is(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(PERSON)
    file.chmod(0o640)
    added = clusters("add", "eu.west", "ssh://10.1.0.1", "--read-only", "--sudo", "--zone-label", "dc")
    assert (added.code, added.err) == (0, "")
    assert file.read_text() == (
        f'{PERSON}\n[clusters."eu.west"]\nmanagers = ["ssh://10.1.0.1"]\nread_only = true\nsudo = true\n'
        'zone_label = "dc"\n'
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o640 and settled(file) == []


def test_windows_line_ends_and_a_missing_last_one_are_kept(clusters: Callable[..., Result], file: Path) -> None:
    file.write_bytes(b'[clusters.a]\r\nmanagers = ["ssh://a"]')
    assert clusters("add", "b", "ssh://b").code == 0
    assert file.read_bytes() == (
        b'[clusters.a]\r\nmanagers = ["ssh://a"]\r\n\r\n[clusters.b]\r\nmanagers = ["ssh://b"]\r\n'
    )


def test_a_link_stays_a_link(clusters: Callable[..., Result], file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "swarmtui.toml"
    real.parent.mkdir()
    real.write_text(PERSON)
    file.symlink_to(real)
    assert clusters("add", "b", "ssh://b").code == 0
    assert clusters("remove", "prod").code == 0
    assert file.is_symlink() and list(load(real).clusters) == ["lab.1", "b"]


def test_texts_are_written_so_that_they_read_the_same(clusters: Callable[..., Result], file: Path) -> None:
    odd = 'a "b" \\ é 😀\t\x7f'
    assert clusters("add", "a", "ssh://a", "--ssh-config", odd).code == 0
    assert load(file).clusters["a"].ssh_config == odd


def test_a_context_and_a_bundle_are_named_too(clusters: Callable[..., Result], file: Path, tmp_path: Path) -> None:
    context("desk", "ssh://root@10.0.0.9")
    assert "docker context has the same name" not in clusters("add", "mine", "desk").out
    assert "cluster:desk or context:desk" in clusters("add", "desk", "context:desk").out
    assert {load(file).clusters[name].context for name in ("mine", "desk")} == {"desk"}
    (tmp_path / "desk").mkdir()
    empty = clusters("add", "bundle", f"bundle:{tmp_path / 'desk'}")
    assert empty.code == 2 and "bundle" in empty.err


def context(name: str, host: str) -> None:
    """Makes a docker context as the docker CLI does."""
    import hashlib

    folder = Path(os.environ["DOCKER_CONFIG"]) / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ("list | add | remove",)),
        ("rename a b", ("invalid choice", "rename")),
        ("add", ("NAME",)),
        ("add x", ("TARGET",)),
        ("add prod ssh://b", ("prod is in", "already", "clusters remove prod")),
        ("add run ssh://b", ('"run" is a subcommand',)),
        ("add -- -x ssh://b", ('"-x" is no name for a cluster',)),
        ("add ä ssh://b", ('"ä" is no name for a cluster',)),
        ("add x tcp://b:2375", ("without TLS",)),
        ("add x ssh://root:secret@b", ("A password does not belong",)),
        ("add x ssh://", ("names no host",)),
        ("add x unix://relative", ("no absolute path",)),
        ("add x nosuch", ('"nosuch" is no address, no docker context and no client bundle',)),
        ("add x context:nosuch", ('no docker context "nosuch"',)),
        ("add x ssh://b nosuch", ("only addresses can be several",)),
        ("add x ssh://b ssh://b", ("given twice",)),
        ("add x /nosuch.zip", ("/nosuch.zip",)),
        ("remove nosuch", ('no cluster "nosuch"', "prod, lab.1")),
        ("remove", ("NAME",)),
        ("remove prod --yes", ("Unrecognized arguments",)),
    ],
)
def test_wrong_usage_is_one_sentence_and_changes_nothing(
    clusters: Callable[..., Result], file: Path, line: str, words: tuple[str, ...]
) -> None:
    file.write_text(PERSON)
    before = file.stat().st_mtime_ns, file.read_text()
    result = clusters(*line.split())
    assert (result.code, result.out) == (2, ""), result
    assert result.err.startswith("swarmtui: ") and result.err.count("\n") == 1
    for word in words:
        assert word in result.err
    assert "secret" not in result.err
    assert (file.stat().st_mtime_ns, file.read_text()) == before and settled(file) == []


def test_hostile_words_reach_no_terminal(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(PERSON)
    for line in (["add", "x\x1b[31m", "ssh://a"], ["add", "x", "\x1b[31m"], ["remove", "\x1b[31m"]):
        result = clusters(*line)
        assert result.code == 2 and "\x1b" not in result.err


@pytest.mark.parametrize("what", [["list"], ["add", "x", "ssh://b"], ["remove", "a"]])
def test_a_file_that_cannot_be_meant_is_told_and_left(
    clusters: Callable[..., Result], file: Path, what: list[str]
) -> None:
    file.write_text("[clusters.a]\nmanagers = 'ssh://a'\n")
    result = clusters(*what)
    assert result.code == 2 and f"{file}, line 2, clusters.a.managers" in result.err
    assert file.read_text() == "[clusters.a]\nmanagers = 'ssh://a'\n" and settled(file) == []


def test_clusters_written_in_one_line_are_told_to_be_edited_by_hand(
    clusters: Callable[..., Result], file: Path
) -> None:
    text = "clusters = { a = { managers = ['ssh://a'] }, b = { managers = ['ssh://b'] } }\n"
    file.write_text(text)
    for line in (["add", "x", "ssh://b"], ["remove", "a"]):
        result = clusters(*line)
        assert result.code == 2 and "by hand" in result.err and result.err.count("\n") == 1
        assert str(file.parent / ".config") not in result.err
    assert file.read_text() == text and settled(file) == []


def test_a_change_by_somebody_else_meanwhile_is_not_overwritten(
    clusters: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(PERSON)
    check = config_file._check

    def meanwhile(*arguments: object) -> None:
        check(*arguments)  # type: ignore[arg-type]
        file.write_text(PERSON + "# mine\n")

    monkeypatch.setattr(config_file, "_check", meanwhile)
    result = clusters("add", "x", "ssh://b")
    assert result.code == 2 and "changed by somebody else" in result.err
    assert file.read_text() == PERSON + "# mine\n" and settled(file) == []


def test_a_folder_that_cannot_be_written_is_told(clusters: Callable[..., Result]) -> None:
    result = clusters("add", "x", "ssh://b", file=Path("/proc/nosuch/config.toml"))
    assert result.code == 1 and "/proc/nosuch/config.toml cannot be written" in result.err
    assert result.err.count("\n") == 1


# -- remove --------------------------------------------------------------------------------------------------------


def test_a_name_is_taken_with_its_tables_and_comments_and_the_rest_stays(
    clusters: Callable[..., Result], file: Path
) -> None:
    file.write_text(PERSON)
    result = clusters("remove", "prod")
    assert (result.code, result.err) == (0, "")
    assert file.read_text() == (
        "# Ours. Ask Ada before you touch prod.\n\n"
        '[keys]            # habits\n"node.drain" = "ctrl+d"\n\n'
        "# Nobody is paid for this one.\n"
        '[clusters."lab.1"]\n'
        "managers = ['unix:///var/run/docker.sock']   # here\n"
    )
    assert "paid at three" in result.out and "# sudo = true" in result.out
    old = file.with_name("config.toml.old")
    assert old.read_text() == PERSON and str(old) in result.out and settled(file) == ["config.toml.old"]


HEAD = "# ours\n\n"
A = "managers = ['ssh://a']\n"
REMOVALS = [
    # before, after
    (f"[clusters.a]\n{A}", ""),
    (f'[clusters."a"]\n{A}', ""),
    (f"[ clusters . 'a' ]  # c\n{A}\n\n# something else\n", "# something else\n"),
    (f"clusters.a.{A}clusters.a.sudo = true\n[keys]\nhelp = 'x'\n", "[keys]\nhelp = 'x'\n"),
    ("[clusters]\na = { managers = ['ssh://a'] } # inline\n\n# end\n", "[clusters]\n# end\n"),
    (f"[clusters]\na.{A}b.{A}", f"[clusters]\nb.{A}"),
    (f"[clusters.a]\n{A}# about b\n[clusters.b]\n{A}", f"# about b\n[clusters.b]\n{A}"),
    (f"[clusters.aa]\n{A}[clusters.a]\n{A}", f"[clusters.aa]\n{A}"),
    (f"[clusters.a]\n{A}[keys]\n[clusters.a.addresses]\nn = 'ssh://n'\n", "[keys]\n"),
    ('[clusters.a]\nssh_config = """\n[clusters.b]\n"""\nmanagers = ["ssh://a", #]\n"ssh://b"]\n[keys]\n', "[keys]\n"),
    (f"[clusters.a]\nssh_config = '''\\\n[keys]\nhelp = 1'''\n{A}[keys]\n", "[keys]\n"),
    (f"[clusters.a]\nssh_config = '#[' # [\n{A}[keys]\n", "[keys]\n"),
]


@pytest.mark.parametrize(("before", "after"), REMOVALS)
def test_every_way_of_writing_a_table_can_be_taken_out(
    clusters: Callable[..., Result], file: Path, before: str, after: str
) -> None:
    file.write_text(HEAD + before)
    known = load(file)
    assert clusters("remove", "a").code == 0
    assert file.read_text() == HEAD + after
    assert load(file).clusters == {name: each for name, each in known.clusters.items() if name != "a"}


def test_a_comment_at_the_top_is_about_the_file(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(f"# ours\n[clusters.a]\n{A}")
    assert clusters("remove", "a").code == 0
    assert file.read_text() == "# ours\n"


def test_what_was_added_is_taken_out_without_a_trace(clusters: Callable[..., Result], file: Path) -> None:
    file.write_text(PERSON)
    assert clusters("add", "x", "ssh://b").code == 0
    assert tomllib.loads(file.read_text())["clusters"]["x"] == {"managers": ["ssh://b"]}
    assert clusters("remove", "x").code == 0
    assert file.read_text().rstrip("\n") == PERSON.rstrip("\n")
