"""The operator's own checks: commands of the configuration, run here, shown, and never trusted with a secret."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import pytest

from swarmtui.config import ClusterConfig, RecoveryConfig, load
from swarmtui.errors import UsageError
from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.runbooks.swarm.recovery.restore_checks import Checks, OperatorCheck, check_steps, checks_of
from swarmtui.session import Session
from tests import builders as b
from tests.runbooks.support import session


def opened(**cluster: object) -> Session:
    return session(b.snapshot([]), cluster=ClusterConfig(**cluster))  # type: ignore[arg-type]


async def run(line: str, *, seconds: int = 5, on: Session | None = None) -> list[str]:
    """Runs one check as its step does; returns what it said."""
    (step,) = check_steps(Checks((line,), seconds))
    said: list[str] = []
    voice = Voice(said.append, lambda done, total, text: None)
    await step.run(on or opened(), {}, voice)
    await step.verify(on or opened(), {}, voice)
    return said


async def test_a_check_is_run_here_and_what_it_says_is_shown() -> None:
    assert await run("echo one; echo two >&2") == ["one", "two", "The check passed."]


async def test_a_check_that_fails_says_why() -> None:
    with pytest.raises(StepError, match=r"The check `.*` failed with exit code 7: shop is down") as caught:
        await run("echo asking; echo shop is down; exit 7")
    assert "skip it with a reason" in caught.value.next_step


async def test_a_check_that_hangs_ends_with_what_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StepError, match="did not end within 1 s"):
        await run(f"sh -c 'sleep 30; touch {tmp_path}/late' & echo $! >{tmp_path}/pid; wait", seconds=1)
    assert time.monotonic() - began < 15
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    assert not child.exists() or child.read_text().split()[2] == "Z"


async def test_a_check_gets_no_input_and_cannot_take_the_terminals_keys() -> None:
    assert await run("cat; echo end") == ["end", "The check passed."]


async def test_what_a_check_says_does_nothing_to_a_terminal() -> None:
    (line, _) = await run("printf '\\033[31mred\\033]0;title\\007'")
    assert "\x1b" not in line and "\x07" not in line and "red" in line


async def test_a_secret_of_the_environment_does_not_get_into_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_KEY", "SWMKEY-1-secret")
    monkeypatch.setenv("PROD_UCP", "geheim")
    monkeypatch.setenv("SHOP", "https://shop.example.org")
    on = opened(secrets={"unlock-key": "env:PROD_KEY", "ucp-password": {"admin": "env:PROD_UCP"}})
    said = await run('env | grep -c -e SWMKEY -e geheim; echo "$SHOP ${PROD_KEY-none} ${PROD_UCP-none}"', on=on)
    assert said[:2] == ["0", "https://shop.example.org none none"]


async def test_a_lot_of_output_is_cut() -> None:
    said = await run("yes line | head -n 2000000; echo last")
    assert len(said) == 21 and said[-2] == "last"


def test_each_check_is_a_step_that_may_be_skipped_and_is_run_again_by_a_resume() -> None:
    steps = [cast(OperatorCheck, step) for step in check_steps(Checks(("true", "curl -f http://x"), 9))]
    assert [(step.id, step.line, step.seconds, step.skippable) for step in steps] == [
        ("check-1", "true", 9, True),
        ("check-2", "curl -f http://x", 9, True),
    ]
    assert [shown.here for step in steps for shown in step.shown] == [True, True]


# -- the configuration -------------------------------------------------------------------------------------------------

HEAD = '[clusters.prod]\nmanagers = ["ssh://root@10.0.0.1"]\n[clusters.prod.recovery]\n'


def written(folder: Path, table: str) -> Path:
    file = folder / "config.toml"
    file.write_text(HEAD + table)
    return file


def test_checks_come_from_the_table_of_their_cluster(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, 'checks = ["true", "curl -f http://x"]\ncheck_seconds = 9\n')).clusters["prod"]
    assert cluster.recovery == RecoveryConfig(("true", "curl -f http://x"), 9)
    assert checks_of(session(b.snapshot([]), cluster=cluster)) == Checks(("true", "curl -f http://x"), 9)
    assert checks_of(opened()) == Checks()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('cheks = ["true"]\n', r'line 4, clusters\.prod\.recovery\.cheks: unknown key "cheks"'),
        ('checks = "true"\n', r"line 4, clusters\.prod\.recovery\.checks: .*expected `array`, got `str`"),
        ('checks = ["true", " "]\n', r"line 4, .*a check is one line of sh"),
        ('checks = ["a\\nb"]\n', r"line 4, .*a check is one line of sh"),
        ("check_seconds = 0\n", r"line 4, clusters\.prod\.recovery\.check_seconds"),
    ],
)
def test_a_mistake_names_its_line_and_key(table: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        load(written(tmp_path, table))


def test_the_table_must_be_one(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[clusters.prod]\nmanagers = ["ssh://root@10.0.0.1"]\nrecovery = ["true"]\n')
    with pytest.raises(UsageError, match="recovery"):
        load(file)
