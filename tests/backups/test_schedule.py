"""A backup every night: the units, which systemd itself reads, the cron line, who will have the secrets, the night."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.backups import schedule
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.offsite_path import MARK
from swarmtui.backups.schedule import (
    Credential,
    Job,
    credentials_for,
    cron_line,
    custody,
    has_line,
    time_of,
    units,
    with_line,
    without_line,
)
from swarmtui.cli.backups import nightly
from swarmtui.cli.backups import schedule as command
from swarmtui.cli.main import main as swarmtui
from swarmtui.cli.rules import NotBrokenError
from swarmtui.config import load
from swarmtui.demo.serve import Demo
from swarmtui.errors import RefusedError, UnreachableError
from swarmtui.vault.secret import Kind
from tests.backups import shelves

HERE = Path("/etc/credstore.encrypted")
KEY = Credential("swarmtui.unlock-key.prod", HERE / "swarmtui.unlock-key.prod", True)
COMMAND = ("/usr/bin/true", "backups", "nightly", "--target", "prod")
JOB = Job("prod", COMMAND, 3, 30, 900, Path("/root"), True, (KEY,))


# -- what is written ---------------------------------------------------------------------------------------------------


def test_the_units() -> None:
    made = units(JOB)
    assert list(made) == ["swarmtui-backup-prod.service", "swarmtui-backup-prod.timer"]
    service, timer = (text.splitlines() for text in made.values())
    assert "ExecStart=/usr/bin/true backups nightly --target prod" in service
    assert 'Environment="HOME=/root"' in service and "Type=oneshot" in service
    assert f"LoadCredentialEncrypted=swarmtui.unlock-key.prod:{KEY.path}" in service
    assert "OnFailure=" not in "".join(service)
    assert {"OnCalendar=*-*-* 03:30:00", "Persistent=true", "RandomizedDelaySec=900"} <= set(timer)
    assert "WantedBy=timers.target" in timer


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_reads_them(tmp_path: Path) -> None:
    odd = ("/usr/bin/true", "--config", '/home/a b/100%/$HOME/"quoted"\\.toml', "--accept", "x=s3://y/z")
    job = Job("prod", odd, 23, 59, 0, Path("/home/a b/100%"), True, (KEY,), "mail@%n.service")
    for name, text in units(job).items():
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units(job))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0 and not [line for line in ran.stderr.splitlines() if "swarmtui-backup" in line], (
        ran.stderr
    )
    read = subprocess.run(["systemd-analyze", "calendar", job.calendar], capture_output=True, timeout=60, check=False)
    assert read.returncode == 0


def words_of(line: str) -> list[str]:
    """The words of an ExecStart, by systemd.service(5) and systemd.syntax(7): quotes, escapes, %% and $$."""
    words: list[str] = []
    word, quoted, there, at = "", False, False, 0
    while at < len(line):
        letter = line[at]
        if letter == '"':
            quoted, there = not quoted, True
        elif letter == "\\":
            at += 1
            word += line[at]
        elif letter == " " and not quoted:
            if word or there:
                words.append(word)
            word, there = "", False
        else:
            if letter in "%$":
                assert line[at + 1] == letter
                at += 1
            word += letter
        at += 1
    return [*words, word] if word or there else words


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=4))
def test_every_word_comes_through(words: list[str]) -> None:
    job = Job("prod", ("/usr/bin/true", *words), 3, 30, 0, Path("/root"), True)
    [line] = [line for line in units(job)["swarmtui-backup-prod.service"].splitlines() if line.startswith("ExecStart=")]
    assert words_of(line.removeprefix("ExecStart=")) == ["/usr/bin/true", *words]


def test_a_cron_line_comes_and_goes_and_leaves_the_rest() -> None:
    job = Job(
        "prod", (*COMMAND, "50%"), 3, 5, 0, Path("/root"), True, log=Path("/x/a b.log"), folders={"XDG_DATA_HOME": "/d"}
    )
    line = cron_line(job)
    assert line.startswith(
        "5 3 * * * env XDG_DATA_HOME=/d /usr/bin/true backups nightly --target prod 50\\% >>'/x/a b.log' "
    )
    before = "MAILTO=ops\n0 1 * * * /bin/true\n"
    once = with_line(before, job)
    assert with_line(once, job) == once == f"{before}{line}\n" and has_line(once, "prod")
    assert not has_line(once, "pro") and without_line(once, "pro") == once
    assert without_line(once, "prod") == before


@pytest.mark.parametrize(("text", "told"), [("03:30", (3, 30)), ("0:05", (0, 5)), ("23:59", (23, 59))])
def test_times_of_day(text: str, told: tuple[int, int]) -> None:
    assert time_of(text) == told


@pytest.mark.parametrize("text", ["24:00", "3", "03:60", "noon", "", "03:30; reboot"])
def test_no_times_of_day(text: str) -> None:
    with pytest.raises(ValueError, match="no time of day"):
        time_of(text)


# -- custody -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "credentials", "timer", "durable", "words"),
    [
        ([], [], True, False, "no keyring is open then"),
        ([], [KEY], True, True, "/etc/credstore.encrypted/swarmtui.unlock-key.prod"),
        ([], [KEY], False, False, "no keyring is open then"),
        ([], [Credential("swarmtui.unlock-key.abc", HERE / "x", True)], True, True, "/etc/credstore.encrypted/x"),
        ([], [Credential("swarmtui.unlock-key.other", HERE / "x", True)], True, False, "will not have"),
        (["credential:mine"], [], True, False, "will not have"),
        (["credential:mine"], [Credential("mine", HERE / "mine", False)], True, True, "/mine"),
        (["env:KEY"], [], True, True, "environment variable KEY: give it to the run (systemctl edit"),
        (["env:KEY"], [], False, True, "the crontab"),
    ],
)
def test_who_will_have_the_key(
    sources: list[str], credentials: list[Credential], timer: bool, durable: bool, words: str
) -> None:
    told = custody(Kind.UNLOCK_KEY, "prod", "abc", sources, credentials, units=timer)
    assert told.durable == durable and words in told.words
    assert bool(told.next_step) != durable
    if not durable:
        assert "systemd-creds encrypt --name=swarmtui.unlock-key.prod" in told.next_step


def test_only_what_the_run_wants_is_handed_over() -> None:
    names = [
        "swarmtui.unlock-key.prod",
        "swarmtui.unlock-key.test",
        "swarmtui.backup-passphrase.abc",
        "swarmtui.ssh-passphrase.id_ed25519",
        "swarmtui.ucp-password.prod",
        "mine",
        "database",
    ]
    there = [Credential(name, HERE / name, True) for name in names] + [Credential("mine", Path("/plain/mine"), False)]
    chosen = credentials_for(there, "prod", "abc", {"mine"})
    assert [c.name for c in chosen] == [names[0], names[2], names[3], names[5]]
    assert all(c.encrypted for c in chosen)
    assert names[4] in [c.name for c in credentials_for(there, "prod", "abc", set(), ucp=True)]


# -- the command -------------------------------------------------------------------------------------------------------


class Stage:
    """A machine with a systemd and a crontab that write down what they are told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.units = folder / "units"
        self.log = folder / "log"
        self.crontab = folder / "crontab"
        self.autolock = False
        self.stored: list[Credential] = []
        bin_ = folder / "bin"
        bin_.mkdir(parents=True)
        broken = f"[ ! -e {folder}/broken ] || {{ echo no bus >&2; exit 1; }}"
        script = f'#!/bin/sh\necho "systemctl $*" >> {self.log}\n{broken}\n'
        (bin_ / "systemctl").write_text(script)
        (bin_ / "crontab").write_text(
            f'#!/bin/sh\ncase "$1" in\n-l) cat {self.crontab} || exit 1;;\n-) cat > {self.crontab};;\nesac\n'
        )
        for path in bin_.iterdir():
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
        monkeypatch.setattr(command, "_unit_folder", lambda: self.units)
        monkeypatch.setattr(command, "_stored", lambda: self.stored)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(command, "opened", self._opened)
        monkeypatch.setattr(sys, "argv", ["/usr/bin/true"])

    def _opened(self, target: str, known: Any) -> Any:
        """A cluster of which only what a schedule asks is known."""
        assert target == "cluster:prod"
        spec = SimpleNamespace(encryption_config=SimpleNamespace(auto_lock_managers=self.autolock))
        cluster = SimpleNamespace(spec=spec)
        snapshot = SimpleNamespace(info=SimpleNamespace(swarm=SimpleNamespace(cluster=cluster)), cluster_id="abc")

        class Opened:
            async def __aenter__(self) -> Any:
                return SimpleNamespace(snapshot=snapshot)

            async def __aexit__(self, *error: object) -> None:
                return None

        return Opened()

    def configure(self, text: str = "") -> None:
        folder = self.folder.parent / "private" / "config" / "swarmtui"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(f"[clusters.prod]\nmanagers = ['ssh://a']\n{text}")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = swarmtui(["backups", "schedule", "--target", "prod", *arguments])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    @property
    def told(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    made = Stage(tmp_path / "stage", monkeypatch, capsys)
    made.configure()
    return made


def test_a_timer_is_shown_written_and_removed(stage: Stage) -> None:
    code, out, _ = stage.run("--at", "04:15", "--dry-run")
    assert code == 0 and "OnCalendar=*-*-* 04:15:00" in out and not stage.units.exists() and stage.told == []
    assert stage.run("--at", "04:15", "--yes", "--on-failure", "mail.service")[0] == 0
    service = (stage.units / "swarmtui-backup-prod.service").read_text()
    assert "backups nightly --target prod --config " in service and "OnFailure=mail.service" in service
    assert (stage.units / "swarmtui-backup-prod.timer").stat().st_mode & 0o777 == 0o644
    assert stage.told == ["systemctl daemon-reload", "systemctl enable --now swarmtui-backup-prod.timer"]
    stage.log.unlink()
    code, out, _ = stage.run("--remove", "--yes")
    assert code == 0 and list(stage.units.iterdir()) == []
    assert stage.told == ["systemctl disable --now swarmtui-backup-prod.timer", "systemctl daemon-reload"]
    code, out, _ = stage.run("--remove", "--yes")
    assert code == 0 and "Nothing is scheduled for prod here." in out


def test_a_cron_line_is_written_and_removed(stage: Stage) -> None:
    stage.crontab.write_text("0 1 * * * /bin/true\n")
    assert stage.run("--cron", "--yes", "--no-prune")[0] == 0
    lines = stage.crontab.read_text().splitlines()
    assert lines[0] == "0 1 * * * /bin/true" and "--spread 900 --no-prune" in lines[1] and len(lines) == 2
    assert stage.told == []
    assert stage.run("--remove", "--yes")[0] == 0
    assert stage.crontab.read_text() == "0 1 * * * /bin/true\n"


def test_an_autolocked_cluster_needs_a_key_in_custody(stage: Stage) -> None:
    stage.autolock = True
    code, _, err = stage.run("--yes")
    assert code == 4 and "--accept schedule-without-custody=prod" in err and "systemd-creds encrypt" in err
    assert not stage.units.exists()
    assert stage.run("--yes", "--accept", "schedule-without-custody=prod")[0] == 0
    service = (stage.units / "swarmtui-backup-prod.service").read_text()
    assert "schedule-without-custody" not in service and "LoadCredential" not in service
    stage.stored = [KEY]
    code, out, _ = stage.run("--yes")
    assert code == 0 and f"The unlock-key comes from the systemd credential {KEY.path}." in out
    assert KEY.line in (stage.units / "swarmtui-backup-prod.service").read_text()
    assert stage.run("--cron", "--yes")[0] == 4


def test_ucp_is_backed_up_only_by_a_run_that_has_its_passphrase(stage: Stage) -> None:
    code, _, err = stage.run("--ucp", "--yes")
    assert code == 4 and "schedule-without-custody=prod" in err and "--name=swarmtui.ucp-passphrase.prod" in err
    sealed = Credential("swarmtui.ucp-passphrase.prod", HERE / "swarmtui.ucp-passphrase.prod", True)
    login = Credential("swarmtui.ucp-password.abc", HERE / "swarmtui.ucp-password.abc", True)
    stage.stored = [sealed]
    code, out, _ = stage.run("--ucp", "--yes")
    assert code == 0 and "WARNING: UCP's accounts will not be noted" in out
    stage.stored = [sealed, login]
    code, out, _ = stage.run("--ucp", "--yes")
    service = (stage.units / "swarmtui-backup-prod.service").read_text()
    assert code == 0 and "WARNING" not in out and {sealed.line, login.line} <= set(service.splitlines())
    assert " --ucp" in next(line for line in service.splitlines() if line.startswith("ExecStart="))
    assert stage.run("--yes")[0] == 0
    assert "--ucp" not in (stage.units / "swarmtui-backup-prod.service").read_text()


@pytest.mark.parametrize("missing", [[], ["DTR"], ["UCP", "DTR"]], ids=lambda missing: "-".join(missing) or "all")
def test_a_platform_is_backed_up_only_by_a_run_that_can_log_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    async def found(session: object) -> list[str]:
        return missing

    monkeypatch.setattr(command, "_missing", found)
    sealed = Credential("swarmtui.ucp-passphrase.prod", HERE / "swarmtui.ucp-passphrase.prod", True)
    login = Credential("swarmtui.ucp-password.abc", HERE / "swarmtui.ucp-password.abc", True)
    stage.stored = [sealed]
    code, _, err = stage.run("--platform", "--yes")
    assert code == 4 and "DTR is backed up as UCP's administrator" in err and "schedule-without-custody=prod" in err
    stage.stored = [sealed, login]
    code, out, _ = stage.run("--platform", "--yes")
    service = (stage.units / "swarmtui-backup-prod.service").read_text().splitlines()
    assert code == 0 and {sealed.line, login.line} <= set(service)
    [start] = [line for line in service if line.startswith("ExecStart=")]
    assert " --platform" in start and "--ucp" not in start
    told = f"WARNING: No {' and no '.join(missing)} can be found on this cluster now" if missing else "WARNING"
    assert (told in out) is bool(missing)


def test_copies_that_would_not_be_encrypted(stage: Stage) -> None:
    stage.configure("[backups]\ncopies = ['/mnt/nas/', 's3://night']\n")
    code, _, err = stage.run("--yes")
    assert code == 4 and "--accept unencrypted-copy=/mnt/nas" in err
    accept = ("--accept", "unencrypted-copy=/mnt/nas", "--accept", "unencrypted-copy=s3://night")
    assert stage.run("--yes", *accept)[0] == 0
    assert " ".join(accept) in (stage.units / "swarmtui-backup-prod.service").read_text()
    key = "age1" + "q" * 58
    stage.configure(f"[backups]\ncopies = ['/mnt/nas']\nrecipients = ['{key}']\n")
    code, out, _ = stage.run("--yes")
    assert code == 0 and "WARNING: The run will not be able to look into the encrypted backups" in out


def test_a_person_who_is_not_root_gets_a_unit_of_their_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("USER", "nobody-lingers")
    stage.autolock, stage.stored = True, [KEY]
    code, out, err = stage.run("--yes")
    # The system's credentials are not for user units.
    assert code == 4 and "schedule-without-custody=prod" in err
    code, out, _ = stage.run("--yes", "--accept", "schedule-without-custody=prod")
    assert code == 0 and "loginctl enable-linger" in out
    assert stage.told == ["systemctl --user daemon-reload", "systemctl --user enable --now swarmtui-backup-prod.timer"]
    assert "network-online" not in (stage.units / "swarmtui-backup-prod.service").read_text()


def test_where_units_and_credentials_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert command._unit_folder() == Path("/etc/systemd/system")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command._unit_folder() == tmp_path / "private" / "config" / "systemd" / "user"
    sealed, plain = tmp_path / "sealed", tmp_path / "plain"
    sealed.mkdir()
    (sealed / "one").write_text("planted")
    monkeypatch.setattr(schedule, "STORES", ((str(sealed), True), (str(plain), False)))
    assert command._stored() == [Credential("one", sealed / "one", True)]


def test_what_systemd_does_not_take_is_told(stage: Stage) -> None:
    (stage.folder / "broken").touch()
    code, _, err = stage.run("--yes")
    assert code == 1 and "systemctl daemon-reload failed: no bus." in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--at", "25:00"), "no time of day"),
        (("--cron", "--on-failure", "x.service"), "cron starts no unit"),
        (("--yes", "--dry-run"), "Only one of"),
        ((), "no terminal"),
        (("--on-failure", "x; reboot"), "no name of a service"),
        (("--target", "none"), 'no cluster "none"'),
        (("--ucp", "--platform"), "not allowed with"),
    ],
)
def test_wrong_usage(stage: Stage, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    code, _, err = stage.run(*arguments)
    assert code == 2 and words in err and not stage.units.exists()


# -- the night ---------------------------------------------------------------------------------------------------------


class Night:
    """A night whose stages end as the test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.ran: list[str] = []
        self.ends: dict[str, int | Exception] = {}
        self.capsys = capsys
        self.takes: dict[str, str] = {}
        """Kind → verdict, of the set that the next backup takes."""
        self.looked = True
        """Whether it looks into each."""
        self.catalogue = folder / "private" / "data" / "swarmtui"
        self.metrics = folder / "swarmtui.prom"
        for name in ("_backup", "_verify", "_copies", "_prune"):
            monkeypatch.setattr(nightly, name, self._stage(name.strip("_")))
        config = folder / "private" / "config" / "swarmtui"
        config.mkdir()
        (config / "config.toml").write_text(
            f"[clusters.prod]\nmanagers = ['ssh://a']\n[backups]\ncopies = ['/nas']\nmetrics = '{self.metrics}'\n"
        )

    def _stage(self, name: str) -> Callable[..., int]:
        def end(*arguments: object, **more: object) -> int:
            ran = {"ucp.backup": "ucp", "platform.backup": "platform"}.get(str(arguments[0]), name)
            self.ran.append(ran)
            if ran == "platform":
                self._take()
            told = self.ends.get(ran, 0)
            if isinstance(told, Exception):
                raise told
            return told

        return end

    def _take(self) -> None:
        self.catalogue.mkdir(mode=0o700, exist_ok=True)
        now = time.time()
        for number, (kind, verdict) in enumerate(self.takes.items()):
            at = now + 1 if self.looked else now - 3600
            shelves.put(
                Catalogue(self.catalogue / "backups"),
                now + number,
                verdict,
                kind=kind,
                set=f"platform-{now}",
                verified=at,
            )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.ran.clear()
        code = swarmtui(["backups", "nightly", "--target", "prod", *arguments])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def metric(self, name: str) -> float:
        [line] = [
            line for line in self.metrics.read_text().splitlines() if line.startswith(f"swarmtui_backup_{name}{{")
        ]
        return float(line.rpartition(" ")[2])


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Night:
    return Night(monkeypatch, capsys, tmp_path)


def test_a_good_night(night: Night) -> None:
    code, out, err = night.run()
    assert (code, err) == (0, "") and night.ran == ["backup", "verify", "copies", "prune"]
    assert out.endswith("Night of prod: backup 0, verify 0, copy 0, prune 0, record 0. Exit 0.\n")
    assert night.metric("run_exit_code") == 0
    assert night.metric("run_success_timestamp_seconds") == night.metric("run_timestamp_seconds") > 1.7e9


@pytest.mark.parametrize(
    ("ends", "code", "ran"),
    [
        ({}, 0, ["backup", "verify", "ucp", "copies", "prune"]),
        ({"ucp": 1}, 1, ["backup", "verify", "ucp", "copies"]),
        ({"backup": 4}, 4, ["backup", "ucp", "copies"]),
    ],
)
def test_a_night_with_ucp(night: Night, ends: dict[str, int | Exception], code: int, ran: list[str]) -> None:
    night.ends = ends
    assert night.run("--ucp")[0] == code and night.ran == ran


@pytest.mark.parametrize(
    ("ends", "code", "ran"),
    [
        ({"backup": 1}, 1, ["backup", "copies"]),
        ({"backup": UnreachableError("Nobody answers.")}, 3, ["backup", "copies"]),
        ({"backup": RefusedError("A rule.")}, 4, ["backup", "copies"]),
        ({"verify": 1}, 1, ["backup", "verify", "copies"]),
        ({"verify": 2}, 1, ["backup", "verify", "copies"]),
        ({"copies": 3}, 1, ["backup", "verify", "copies", "prune"]),
        ({"prune": UnreachableError("Nobody answers.")}, 1, ["backup", "verify", "copies", "prune"]),
    ],
)
def test_a_bad_night_is_seen_and_prunes_nothing(
    night: Night, ends: dict[str, int | Exception], code: int, ran: list[str]
) -> None:
    night.run()
    good = night.metric("run_success_timestamp_seconds")
    night.ends = ends
    done, _, err = night.run()
    assert (done, night.ran) == (code, ran) and "did not go well" in err
    assert night.metric("run_exit_code") == code
    assert night.metric("run_success_timestamp_seconds") == good


WHOLE = {"swarm": "yes", "ucp": "not proved", "dtr": "not proved"}
"""What a whole set is worth: only DTR and UCP themselves prove more of theirs, when they restore it."""


def test_a_night_of_a_platform_is_one_set(night: Night) -> None:
    night.takes = WHOLE
    code, out, _ = night.run("--platform")
    assert code == 0 and night.ran == ["platform", "verify", "copies", "prune"]
    assert "is whole: Swarm (" in out and out.count("looked into by the run itself") == 2
    assert out.endswith("Night of prod: backup 0, set 0, verify 0, copy 0, prune 0, record 0. Exit 0.\n")
    assert night.metric("last_whole_set_timestamp_seconds") == pytest.approx(time.time(), abs=60)
    first = night.metric("last_whole_set_timestamp_seconds")
    night.takes = {"swarm": "yes", "ucp": "not proved"}
    night.run("--platform")
    assert night.metric("last_whole_set_timestamp_seconds") == first, "a partial one is none"


@pytest.mark.parametrize(
    ("takes", "ends", "code", "words"),
    [
        # The run ended well and the set is partial all the same: its DTR was not seen.
        ({"swarm": "yes", "ucp": "not proved"}, {}, 1, ("Swarm (", "in it, and DTR is not. Nothing is pruned.")),
        ({**WHOLE, "ucp": "no"}, {"platform": 1}, 1, ("Swarm (", "in it, and UCP is not. Nothing is pruned.")),
        ({"dtr": "not proved"}, {"platform": 1}, 1, ("is in it, and Swarm, UCP are not.",)),
        ({}, {"platform": 1}, 1, ("No set was taken.",)),
        ({}, {"platform": RefusedError("A rule.")}, 4, ("A rule.", "No set was taken.")),
    ],
    ids=["dtr-unseen", "ucp-bad", "only-dtr", "nothing", "refused"],
)
def test_a_partial_set_is_told_as_that_and_prunes_nothing(
    night: Night, takes: dict[str, str], ends: dict[str, int | Exception], code: int, words: tuple[str, ...]
) -> None:
    night.takes = WHOLE
    night.run("--platform")  # an earlier set that is whole says nothing of tonight's
    night.takes, night.ends = takes, ends
    done, out, err = night.run("--platform")
    assert done == code and night.ran == ["platform", "copies"]
    assert all(one in err for one in words) and "is whole" not in out
    assert "set 1, copy 0, record 0." in out and night.metric("run_exit_code") == code


def test_what_the_run_did_not_look_into_is_verified_and_counts(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    from swarmtui.cli.backups import verify

    asked: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        asked.append(arguments)
        return 1

    monkeypatch.setattr(verify, "main", main)
    night.takes, night.looked = WHOLE, False
    code, _, _ = night.run("--platform")
    assert code == 1 and night.ran == ["platform", "verify", "copies"]
    assert [words[1:] for words in asked] == [["--cluster", shelves.CLUSTER]] * 2


def test_nothing_is_pruned_where_that_is_asked(night: Night) -> None:
    assert night.run("--no-prune")[0] == 0 and night.ran == ["backup", "verify", "copies"]


def test_metrics_that_cannot_be_written_are_a_bad_night(night: Night) -> None:
    night.metrics.mkdir()
    code, _, err = night.run()
    assert code == 1 and "The metrics cannot be written" in err


def test_two_nights_do_not_overlap(night: Night) -> None:
    with nightly._alone("prod"):
        code, _, err = night.run()
    assert code == 4 and "under way" in err and night.ran == []


def test_what_is_accepted_need_not_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule accepted once and for all is broken on some nights only."""
    from swarmtui.cli import run

    asked: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        asked.append(arguments)
        if "quorum=mgr2" in arguments:
            raise NotBrokenError("quorum=mgr2", [])
        return 0

    monkeypatch.setattr(run, "main", main)
    assert nightly._backup("swarm.backup", "prod", ["quorum=mgr2"], []) == 0
    assert asked[1] == ["swarm.backup", "--target", "cluster:prod", "--yes"]


def test_the_metrics_tell_of_what_there_is(night: Night, private_folders: Path) -> None:
    root = private_folders / "data" / "swarmtui"
    root.mkdir(mode=0o700)
    catalogue = Catalogue(root / "backups")
    shelves.put(catalogue, "2026-11-21T03:30:00", "yes")
    shelves.put(catalogue, "2026-11-20T03:30:00", cluster=shelves.OTHER)
    night.run()
    told = night.metrics.read_text()
    for name, cluster_id in (("prod", shelves.CLUSTER), ("other", shelves.OTHER)):
        assert f'swarmtui_backup_count{{cluster="{name}",cluster_id="{cluster_id}"}} 1\n' in told
    assert told.count("swarmtui_backup_run_exit_code{") == 1


def test_what_the_run_itself_proved_is_not_asked_again(
    private_folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Encrypted for somebody else, it could only be found not proved."""
    from swarmtui.cli.backups import verify

    asked: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        asked.append(arguments)
        return 1

    monkeypatch.setattr(verify, "main", main)
    root = private_folders / "data" / "swarmtui"
    root.mkdir(mode=0o700)
    catalogue = Catalogue(root / "backups")
    entry = shelves.put(catalogue, "2026-11-21T03:30:00", "yes", verified=1000.0)
    known = load()
    assert nightly._verify(known, "prod", 1000.0, []) == 0 and asked == []
    assert f"{entry.id}: proved by the run itself, tier 4" in capsys.readouterr().out
    assert nightly._verify(known, "prod", 1000.5, []) == 1 and asked == [["latest", "--cluster", "prod"]]
    shelves.verify(catalogue, entry, "not proved", 2000.0)
    assert nightly._verify(known, "prod", 1000.0, []) == 1


async def test_a_whole_night_on_a_simulated_swarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nas, kept, metrics = tmp_path / "nas", tmp_path / "kept", tmp_path / "swarmtui.prom"
    nas.mkdir()
    (nas / MARK).touch()
    kept.mkdir(mode=0o700)
    async with Demo("calm", speed=20, seed=1) as demo:
        config = tmp_path / "config.toml"
        config.write_text(
            f"{Path(demo.config).read_text()}\n[backups]\nfolder = '{kept}'\n"
            f"copies = ['{nas}']\nmetrics = '{metrics}'\n"
        )
        night = ["backups", "nightly", "--target", "simulated", "--config", str(config)]
        refused = await asyncio.to_thread(swarmtui, night)
        said = capsys.readouterr()
        assert refused == 1 and "backup 0, verify 0, copy 4, prune 0, record 0. Exit 1." in said.out
        assert f"--accept unencrypted-copy={nas}" in said.err
        # The second rule is one that is not broken tonight: it was accepted once and for all.
        accepted = ["--accept", f"unencrypted-copy={nas}", "--accept", "quorum=mgr2"]
        code = await asyncio.to_thread(swarmtui, [*night, *accepted])
        said = capsys.readouterr()
    assert code == 0 and "backup 0, verify 0, copy 0, prune 0, record 0. Exit 0." in said.out
    entries = Catalogue(kept).entries()
    assert [entry.would_restore for entry in entries] == ["yes", "yes"]
    for entry in entries:
        assert [copy.where for copy in entry.copies] == [str(nas)]
        assert (nas / entry.cluster_id / entry.id / "archive.tar").read_bytes() == entry.archive.read_bytes()
    labels = f'{{cluster="simulated",cluster_id="{entries[0].cluster_id}"}}'
    assert f"swarmtui_backup_count{labels} 2\n" in metrics.read_text()
    assert f"swarmtui_backup_run_exit_code{labels} 0\n" in metrics.read_text()
