"""`swarmtui backups schedule`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmtui import config
from swarmtui.backups import schedule as plans
from swarmtui.backups.schedule import Credential, Custody, Job, credentials_for, custody
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import opened
from swarmtui.cli.rules import check_rules, with_accept
from swarmtui.config import ClusterConfig, Config
from swarmtui.config.backups import copy_target
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.runbooks.runbook import Rule
from swarmtui.session import Session
from swarmtui.vault.secret import Kind

COMMAND_SECONDS = 60.0
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
"""Where these lead somewhere else than usual, the run has to go there too."""


@dataclass
class Draft:
    """What is about to be written.

    Attributes:
        files: path → text; None: it is removed.
        crontab: the whole crontab as it will be; None where it stays.
        commands: run in this order after the files are written (before, where they are removed).
        notes: what to know.
        warnings: what may go wrong.
    """

    files: dict[Path, str | None] = field(default_factory=dict)
    crontab: str | None = None
    commands: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Schedules nightly backups, or ends that. Returns 0; or raises: 1, 2 usage, 3 unreachable, 4 refused."""
    parser = Parser(
        "swarmtui backups schedule",
        description="A backup every night: writes a systemd timer (of the system as root, else of your own manager) or "
        "a cron line that runs `swarmtui backups nightly`, which takes a backup, verifies, copies and prunes. Shows "
        "first what is written. No secret is in it.",
    )
    parser.add_argument("--target", required=True, metavar="NAME", help="which cluster, by its name")
    parser.add_argument("--at", default="03:30", metavar="HH:MM", help="when, by this machine's clock (default 03:30)")
    parser.add_argument("--cron", action="store_true", help="a line in your crontab instead of a timer")
    parser.add_argument("--on-failure", default="", metavar="UNIT", help="a unit that is started when a night fails")
    also = parser.add_mutually_exclusive_group()
    also.add_argument("--ucp", action="store_true", help="the run backs UCP (MKE) up as well")
    also.add_argument("--platform", action="store_true", help="the run backs Swarm, UCP and DTR (MSR) up as one set")
    parser.add_argument("--no-prune", action="store_true", help="the run keeps everything")
    parser.add_argument("--prune-copies", action="store_true", help="the run prunes the copies in other places too")
    parser.add_argument("--remove", action="store_true", help="end it")
    parser.add_argument("--dry-run", action="store_true", help="show only")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    with_accept(parser)
    with_config(parser)
    options = parser.parse_args(arguments)
    if options.yes and options.dry_run:
        raise UsageError("Only one of --dry-run and --yes can be meant.", "Leave the other out.")
    if options.cron and options.on_failure:
        raise UsageError("cron starts no unit when a run fails; it mails what went wrong.", "Leave --on-failure out.")
    known = config.load(options.config)
    if options.target not in known.clusters:
        raise UsageError(
            f'There is no cluster "{options.target}" in {known.path}: a schedule needs one with a name.',
            f"Name it: swarmtui clusters add; named: {', '.join(known.clusters) or 'none yet'}.",
        )
    return asyncio.run(_schedule(options, known))


async def _schedule(options: Namespace, known: Config) -> int:
    draft = _removal(options) if options.remove else await _plan(options, known)
    if not draft.files and draft.crontab is None:
        print(f"Nothing is scheduled for {options.target} here.")
        return 0
    _show(draft)
    check_rules(draft.rules, options.accept)
    if options.dry_run:
        return 0
    if not options.yes:
        await _confirm()
    await asyncio.to_thread(_apply, draft, removing=options.remove)
    if options.remove:
        print(f"Nothing is scheduled for {options.target} any more.")
    else:
        print(f"{options.target} is backed up every night at {options.at}.")
    return 0


# -- what is to be -----------------------------------------------------------------------------------------------------


async def _plan(options: Namespace, known: Config) -> Draft:
    cluster = known.clusters[options.target]
    try:
        hour, minute = plans.time_of(options.at)
    except ValueError as error:
        raise UsageError(f"{error}.", "Write it as 03:30.") from None
    try:
        on_failure = plans.unit_of(options.on_failure) if options.on_failure else ""
    except ValueError as error:
        raise UsageError(f"{error}.", "For instance: --on-failure mail-ops@%n.service") from None
    async with opened(f"cluster:{options.target}", known) as session:
        swarm = session.snapshot.info.swarm.cluster
        cluster_id = session.snapshot.cluster_id
        autolock = swarm is not None and swarm.spec.encryption_config.auto_lock_managers
        missing = await _missing(session) if options.platform else []
    system = os.geteuid() == 0
    there = _stored() if system and not options.cron else []
    job = Job(
        options.target,
        _command(options, known),
        hour,
        minute,
        plans.SPREAD,
        Path.home(),
        system,
        tuple(credentials_for(there, options.target, cluster_id, _named(cluster), ucp=options.ucp or options.platform)),
        on_failure,
        config.state_dir() / f"nightly-{options.target}.log",
        {name: os.environ[name] for name in _FOLDERS if os.environ.get(name)},
    )
    draft = _cron(job) if options.cron else _timer(job)
    _judge(draft, options, known, job, cluster_id, autolock=autolock)
    if missing:
        draft.warnings.append(
            f"No {' and no '.join(missing)} can be found on this cluster now: a night in which that is so is told as "
            "partial, and prunes nothing. Where there is none at all, schedule without --platform, or with --ucp."
        )
    return draft


async def _missing(session: Session) -> list[str]:
    """Which of UCP and DTR cannot be found. Raises LinkError, EngineError."""
    from swarmtui.model.ucp.status import runs_ucp
    from swarmtui.runbooks.platform.backup import runs_dtr

    if not runs_ucp(await session.refresh()):
        return ["UCP", "DTR"]
    return [] if await runs_dtr(session) else ["DTR"]


def _command(options: Namespace, known: Config) -> tuple[str, ...]:
    ours = Path(sys.argv[0])
    start = [str(ours.absolute())] if ours.name == "swarmtui" else [sys.executable, "-m", "swarmtui"]
    words = [*start, "backups", "nightly", "--target", options.target]
    words += ["--config", str(known.path.absolute())]
    if options.cron:
        words += ["--spread", str(plans.SPREAD)]
    words += ["--ucp"] if options.ucp else ["--platform"] if options.platform else []
    words += ["--no-prune"] if options.no_prune else []
    words += ["--prune-copies"] if options.prune_copies else []
    for rule in options.accept:
        words += ["--accept", rule] if rule.startswith("unencrypted-copy=") else []
    return tuple(words)


def _timer(job: Job) -> Draft:
    if shutil.which("systemctl") is None:
        raise UsageError("There is no systemd here.", "Use cron: --cron")
    folder = _unit_folder()
    manager = ["systemctl"] if job.system else ["systemctl", "--user"]
    return Draft(
        files={folder / name: text for name, text in plans.units(job).items()},
        commands=[[*manager, "daemon-reload"], [*manager, "enable", "--now", f"{job.name}.timer"]],
        notes=[f"Try it now: {' '.join(manager)} start {job.name}.service; its log: journalctl -u {job.name}"],
        warnings=[] if job.system or _lingers() else [_NO_LINGER],
    )


_NO_LINGER = "Your own systemd runs only while you are logged in. Let it stay: loginctl enable-linger"


def _cron(job: Job) -> Draft:
    text = plans.with_line(_crontab(), job)
    notes = [f"Its log: {job.log}. What goes wrong is mailed by cron (MAILTO)."]
    return Draft(crontab=text, notes=notes)


def _judge(draft: Draft, options: Namespace, known: Config, job: Job, cluster_id: str, *, autolock: bool) -> None:
    """Says which secrets the run will have, and which rules that breaks."""
    cluster, settings = known.clusters[options.target], known.backups_of(options.target)

    def held(kind: Kind) -> Custody:
        sources = _sources(cluster, kind)
        units = job.system and not options.cron
        return custody(kind, options.target, cluster_id, sources, job.credentials, units=units)

    if autolock:
        key = held(Kind.UNLOCK_KEY)
        if key.durable:
            draft.notes.append(key.words)
        else:
            what = f"Autolock is on. {key.words} The manager would stay locked after each backup. {key.next_step}"
            draft.rules.append(Rule("schedule-without-custody", options.target, what))
    if options.ucp or options.platform:
        sealed, login = held(Kind.UCP_PASSPHRASE), held(Kind.UCP_PASSWORD)
        _judge_ucp(draft, options.target, sealed, login, dtr=options.platform)
    opens = held(Kind.BACKUP_PASSPHRASE)
    if opens.durable:
        draft.notes.append(opens.words)
    elif settings.recipients:
        draft.warnings.append(
            f"The run will not be able to look into the encrypted backups, so none will be proved. {opens.words} "
            f"{opens.next_step}"
        )
    if not settings.recipients and not opens.durable:
        for place in map(str, map(copy_target, settings.copies)):
            what = f"The run's backups are not encrypted, and would go to {place}: they hold all secrets there are."
            draft.rules.append(Rule("unencrypted-copy", place, what))
    if os.environ.get("SSH_AUTH_SOCK"):
        draft.warnings.append(
            "The run has no ssh agent: the keys it logs in with must be files without a passphrase, or their "
            "passphrases credentials (swarmtui.ssh-passphrase.*)."
        )


def _judge_ucp(draft: Draft, target: str, sealed: Custody, login: Custody, *, dtr: bool) -> None:
    """What a run needs to back UCP up: its passphrase, without which nobody restores; a login, to note the accounts,
    and without which DTR is not backed up at all."""
    if sealed.durable:
        draft.notes.append(sealed.words)
    else:
        what = f"{sealed.words} UCP's backups would be sealed with one that nobody keeps. {sealed.next_step}"
        draft.rules.append(Rule("schedule-without-custody", target, what))
    if login.durable:
        draft.notes.append(login.words)
    elif dtr:
        what = f"DTR is backed up as UCP's administrator. {login.words} No set would be whole. {login.next_step}"
        draft.rules.append(Rule("schedule-without-custody", target, what))
    else:
        draft.warnings.append(f"UCP's accounts will not be noted with its backups. {login.words} {login.next_step}")


def _sources(cluster: ClusterConfig, kind: Kind) -> list[str]:
    told = cluster.secrets.get(kind, "")
    return [told] if isinstance(told, str) and told else list(told.values()) if isinstance(told, dict) else []


def _named(cluster: ClusterConfig) -> set[str]:
    """Names of the credentials that the configuration speaks of."""
    sources = [source for kind in Kind for source in _sources(cluster, kind)]
    return {source.removeprefix("credential:") for source in sources if source.startswith("credential:")}


def _stored() -> list[Credential]:
    found = []
    for folder, encrypted in plans.STORES:
        with contextlib.suppress(OSError):
            found += [Credential(path.name, path, encrypted) for path in sorted(Path(folder).iterdir())]
    return found


def _removal(options: Namespace) -> Draft:
    draft = Draft()
    name = f"swarmtui-backup-{options.target}"
    files = [_unit_folder() / f"{name}.timer", _unit_folder() / f"{name}.service"]
    if any(path.exists() for path in files):
        manager = ["systemctl"] if os.geteuid() == 0 else ["systemctl", "--user"]
        draft.files = {path: None for path in files if path.exists()}
        draft.commands = [[*manager, "disable", "--now", f"{name}.timer"], [*manager, "daemon-reload"]]
    if shutil.which("crontab") is not None and plans.has_line(before := _crontab(), options.target):
        draft.crontab = plans.without_line(before, options.target)
    return draft


def _unit_folder() -> Path:
    if os.geteuid() == 0:
        return Path("/etc/systemd/system")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _lingers() -> bool:
    return Path("/var/lib/systemd/linger", os.environ.get("USER", "")).is_file()


# -- showing, asking, writing ------------------------------------------------------------------------------------------


def _show(draft: Draft) -> None:
    for path, text in draft.files.items():
        print(f"remove {path}" if text is None else f"write {path}:\n{_indented(text)}")
    if draft.crontab is not None:
        print(f"your crontab will be:\n{_indented(draft.crontab)}")
    for command in draft.commands:
        print(f"run {' '.join(command)}")
    for note in draft.notes:
        print(note)
    for warning in draft.warnings:
        print(f"WARNING: {warning}")


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines()).rstrip("\n")


async def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to confirm on.", "Add --yes if it is meant, or --dry-run to look only.")
    print('\nType "yes" to do this, anything else to leave it: ', end="", file=sys.stderr, flush=True)
    if (await asyncio.to_thread(sys.stdin.readline)).strip() != "yes":
        raise RefusedError("Not confirmed.", "Nothing was written.")


def _apply(draft: Draft, *, removing: bool) -> None:
    if removing:
        for command in draft.commands[:1]:
            _run(command)
    else:
        _try_out(draft)
    try:
        for path, text in draft.files.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                _put(path, text)
    except OSError as error:
        raise SwarmtuiError(
            f"{error.filename} cannot be written: {error.strerror}.", "Look at its permissions."
        ) from error
    for command in draft.commands[1:] if removing else draft.commands:
        _run(command)
    if draft.crontab is not None:
        _run(["crontab", "-"], draft.crontab)


def _try_out(draft: Draft) -> None:
    """Has systemd read the units before they are in their place, where it can."""
    if not draft.files or shutil.which("systemd-analyze") is None:
        return
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        paths = []
        for path, text in draft.files.items():
            if text is not None:
                beside = Path(folder) / path.name
                beside.write_text(text, "utf-8")
                paths.append(str(beside))
        _run(["systemd-analyze", "verify", "--man=no", *paths])


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, 0o644)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _crontab() -> str:
    try:
        ran = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except FileNotFoundError:
        raise UsageError("There is no cron here.", "Leave --cron out where there is systemd.") from None
    except subprocess.TimeoutExpired:
        raise SwarmtuiError("crontab does not answer.", "Look at it by hand: crontab -l") from None
    # Without a crontab it says so, and fails.
    return ran.stdout if ran.returncode == 0 else ""


def _run(command: list[str], text: str | None = None) -> None:
    try:
        ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SwarmtuiError(f"{' '.join(command)} did not work: {error}.", "Run it by hand.") from error
    if ran.returncode:
        told = " ".join((ran.stderr or ran.stdout).split())[:400]
        raise SwarmtuiError(f"{' '.join(command)} failed: {told.rstrip('.')}.", "Mend that, and run this again.")
