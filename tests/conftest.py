"""What every test gets: folders of its own, so that nobody's keys, contexts, journals or keyring are touched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from textual import constants
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from tests.lab.groups import LabsApart, group

# A strip keeps the sequences it was first written as, and blank ones are shared by all apps of a process: with two
# kinds of terminal in one worker, one would see the other's colours. In the module too: a plugin imported it before.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
setattr(constants, "COLOR_SYSTEM", "truecolor")  # noqa: B010  # a Final, to mypy

# Where this is set, no `swarmtui` that a test starts would find its modules compiled: 1.5 s of work instead of 0.5,
# hundreds of times. Nor would the next run find the tests themselves compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = ["tests.lab.fixtures"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest-xdist looks at the groups."""
    group(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Labs on few workers, and what needs none on all (`--dist loadgroup`)."""
    return LabsApart(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why a test was tried again: who mends it has only what CI printed."""
    for report in terminalreporter.stats.get("rerun", ()):
        crash = getattr(report.longrepr, "reprcrash", None)
        where, said = (f"{crash.path}:{crash.lineno}", crash.message) if crash else ("", report.longreprtext)
        terminalreporter.write_line(f"WHY RERUN {report.nodeid} {where}\n  {' '.join(said.split())[:600]}")


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private HOME with configuration, state and docker contexts in it; no agent, no keyring."""
    home = tmp_path / "private"
    for name, folder in (
        ("HOME", home),
        ("XDG_CONFIG_HOME", home / "config"),
        ("XDG_STATE_HOME", home / "state"),
        ("XDG_DATA_HOME", home / "data"),
        ("XDG_CACHE_HOME", home / "cache"),
        ("DOCKER_CONFIG", home / "docker"),
    ):
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for name in ("SSH_AUTH_SOCK", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    return home
