"""What is typed wrong is told in one sentence, with the exit codes of the design. No cluster is needed to find out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.cli.main import main
from tests.actions.cli import Cli, Result

NOWHERE = "ssh://root@127.0.0.1:1"  # nothing listens there
Plain = Callable[..., Result]


@pytest.fixture
def plain(capsys: pytest.CaptureFixture[str]) -> Plain:
    """The command line in this process: what is told before anything is connected needs no process of its own."""

    def run(*arguments: str) -> Result:
        code = main(arguments)
        return Result(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run node.drian node=a @", ('no runbook "node.drian"', 'Did you mean "node.drain"?')),
        ("run node.drain nod=a @", ('no parameter "nod"', 'Did you mean "node"?')),
        ("run node.drain @", ("node.drain needs node=",)),
        ("run node.drain wrk1 @", ('"wrk1" is not KEY=VALUE',)),
        ("run node.drain node= @", ("is empty",)),
        ("run node.drain node=a wait=soon @", ("wait='soon' is no number of seconds",)),
        ("run node.label node=a label=zone @", ("neither KEY=VALUE nor KEY-",)),
        ("run node.label node=a label=a=1,a- @", ('the label "a" twice',)),
        ("run node.remove node=a force=maybe @", ("neither true nor false",)),
        ("run node.drain node=a", ("Say which cluster",)),
        ("run node.drain node=a --target nosuch", ('"nosuch" is no cluster of',)),
        ("run node.drain node=a --target ftp://x", ("ftp",)),
        ("run node.drain node=a --dry-run --yes @", ("Only one of",)),
        ("run node.drain node=a --frobnicate @", ("Unrecognized arguments: --frobnicate",)),
        ("run --resume nosuch --yes", ('There is no run "nosuch"',)),
        ("run", ("Say which operation",)),
        ("journal nosuch", ('There is no run "nosuch"',)),
        ("nosuch", ("The console needs a terminal",)),
        ("", ("Say which cluster",)),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(plain: Plain, line: str, words: tuple[str, ...]) -> None:
    result = plain(*line.replace("@", f"--target {NOWHERE}").split())

    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("swarmtui: ") and result.err.count("\n") == 1
    for word in words:
        assert word in result.err


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["--frobnicate"], ["ssh://"], ["a", "b"], [NOWHERE]])
def test_status_is_unknown_when_it_was_asked_wrongly_or_nobody_answers(plain: Plain, arguments: list[str]) -> None:
    result = plain("status", *arguments)

    assert result.code == 3, result
    assert result.out == ""
    assert result.err.startswith("swarmtui: ") and result.err.count("\n") == 1


@pytest.mark.parametrize("how", ["--yes", "--dry-run", "--script", "--markdown"])
def test_a_cluster_that_does_not_answer_is_exit_3(plain: Plain, how: str) -> None:
    result = plain("run", "node.drain", "node=a", "--target", NOWHERE, how)

    assert result.code == 3, result
    assert "127.0.0.1 refuses connections on port 1." in result.err


def test_a_wrong_configuration_names_file_line_and_key(plain: Plain, tmp_path: Path) -> None:
    file = tmp_path / "clusters.toml"
    file.write_text('[clusters.prod]\nmanagers = ["ssh://root@10.0.0.1"]\nproducton = true\n')

    for arguments in (["status", "prod"], ["run", "node.drain", "node=a", "--target", "prod"]):
        result = plain(*arguments, "--config", str(file))
        assert result.code == (3 if arguments[0] == "status" else 2), result
        assert f'{file}, line 3, clusters.prod.producton: unknown key "producton"' in result.err


def test_every_operation_is_listed_with_its_parameters(plain: Plain) -> None:
    listed = json.loads(plain("run", "--list", "--json").out)

    names = {runbook["name"]: {param["name"] for param in runbook["params"]} for runbook in listed["runbooks"]}
    assert listed["schema"] == 1
    for verb in ("drain", "activate", "pause", "promote", "demote", "remove", "label"):
        assert {"node", "wait"} <= names[f"node.{verb}"]
    assert "label" in names["node.label"] and "force" in names["node.remove"]
    text = plain("run", "--list").out
    assert all(f"{name}: " in text for name in names)
    # One of them, alone.
    text = plain("run", "node.label", "--help").out
    assert text.startswith("node.label: ") and "    label=" in text and "node.drain" not in text
    assert plain("run", "--help").out.startswith("usage: swarmtui run")
    assert plain("run", "node.lable", "-h").code == 2


def test_a_journal_of_nothing(plain: Plain) -> None:
    assert plain("journal").out == "Nothing was done yet.\n"
    assert json.loads(plain("journal", "--json").out) == []


def test_the_program_ends_with_that_exit_code(private_folders: Path) -> None:
    process = Cli(os.environ, NOWHERE)

    assert process("run", "node.drian").code == 2
    assert process("status", "nosuch").code == 3
    assert process("run", "--list").code == 0
