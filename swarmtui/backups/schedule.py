"""A backup every night, as a systemd timer or a cron line: what is written, and which secrets the run will have. Pure.

No secret is in a unit: systemd hands credentials over from its own stores (systemd.exec(5), CREDENTIALS).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmtui.vault.secret import Kind

STORES = (("/etc/credstore.encrypted", True), ("/etc/credstore", False))
"""Where systemd keeps credentials for system units, and whether they are encrypted there."""
HOURS = 4
"""How long a night may take before systemd ends it."""
SPREAD = 900
"""Seconds over which runs of many machines are spread by chance."""
MARK = "# swarmtui backups schedule"
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Credential:
    """A systemd credential that is there on this machine.

    Attributes:
        path: of the file; what is in it is not looked at.
        encrypted: with systemd-creds.
    """

    name: str
    path: Path
    encrypted: bool

    @property
    def line(self) -> str:
        """The unit's line that hands it over."""
        return f"LoadCredential{'Encrypted' if self.encrypted else ''}={self.name}:{_percent(str(self.path))}"


@dataclass(frozen=True, slots=True)
class Job:
    """What runs every night.

    Attributes:
        cluster: its name in the configuration.
        command: the command, word by word.
        hour, minute: when, by this machine's clock and time zone.
        spread: seconds by which it may begin later.
        home: the folder of whose configuration it is.
        system: a unit of the system; else of the user's own manager.
        credentials: handed over by systemd.
        on_failure: a unit to start when a night fails, as `unit_of` gives it; "" for none.
        log: where a cron line's output goes.
        folders: variables that say where configuration, catalogue and state are, where they are set.
    """

    cluster: str
    command: tuple[str, ...]
    hour: int
    minute: int
    spread: int
    home: Path
    system: bool
    credentials: tuple[Credential, ...] = ()
    on_failure: str = ""
    log: Path = Path("/dev/null")
    folders: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its units are called."""
        return f"swarmtui-backup-{self.cluster}"

    @property
    def calendar(self) -> str:
        return f"*-*-* {self.hour:02}:{self.minute:02}:00"


def time_of(text: str) -> tuple[int, int]:
    """Hour and minute of "03:30". Raises ValueError."""
    told = _TIME.fullmatch(text)
    if told is None:
        raise ValueError(f'"{text}" is no time of day')
    return int(told[1]), int(told[2])


def unit_of(text: str) -> str:
    """The name of a unit, which may have specifiers such as %n. Raises ValueError."""
    if not re.fullmatch(r"[\w:.@%-]+\.(service|target)", text, re.ASCII):
        raise ValueError(f'"{text}" is no name of a service or target')
    return text


def units(job: Job) -> dict[str, str]:
    """File name → text, of the service and its timer."""
    wants = ["Wants=network-online.target", "After=network-online.target"] if job.system else []
    failure = [f"OnFailure={job.on_failure}"] if job.on_failure else []
    service = [
        MARK,
        "[Unit]",
        f"Description=Nightly backup of the Swarm {_percent(job.cluster)}: taken, verified, copied, pruned",
        *wants,
        *failure,
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(_word(word) for word in job.command)}",
        *(f"Environment={_quoted(_percent(f'{name}={path}'))}" for name, path in _environment(job).items()),
        *(credential.line for credential in job.credentials),
        "UMask=0077",
        f"TimeoutStartSec={HOURS}h",
        "",
    ]
    timer = [
        MARK,
        "[Unit]",
        f"Description=Nightly backup of the Swarm {_percent(job.cluster)}",
        "",
        "[Timer]",
        f"OnCalendar={job.calendar}",
        f"RandomizedDelaySec={job.spread}",
        # A machine that was off at that time makes up for it.
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
    ]
    return {f"{job.name}.service": "\n".join(service), f"{job.name}.timer": "\n".join(timer)}


def cron_line(job: Job) -> str:
    """The line for a crontab. What goes wrong is on stderr, which cron mails."""
    environment = [f"{name}={path}" for name, path in job.folders.items()]
    command = shlex.join(["env", *environment, *job.command] if environment else job.command).replace("%", "\\%")
    log = shlex.quote(str(job.log)).replace("%", "\\%")
    return f"{job.minute} {job.hour} * * * {command} >>{log} {MARK} {job.cluster}"


def _environment(job: Job) -> dict[str, str]:
    # A service of the system has no HOME of its own.
    return {"HOME": str(job.home), **job.folders}


def with_line(crontab: str, job: Job) -> str:
    """A crontab with the line, in the place of the one there was."""
    return f"{without_line(crontab, job.cluster)}{cron_line(job)}\n"


def without_line(crontab: str, cluster: str) -> str:
    """A crontab without the line of a cluster; all else as it was."""
    return "".join(line for line in crontab.splitlines(keepends=True) if not _ours(line, cluster))


def has_line(crontab: str, cluster: str) -> bool:
    """Whether the crontab has a line of a cluster."""
    return any(_ours(line, cluster) for line in crontab.splitlines())


def _ours(line: str, cluster: str) -> bool:
    return line.rstrip("\n").endswith(f" {MARK} {cluster}")


def _word(word: str) -> str:
    """One word of an ExecStart: no specifier and no variable in it is expanded (systemd.service(5), COMMAND LINES)."""
    escaped = _percent(word).replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", escaped, re.ASCII) else _quoted(escaped)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


# -- custody -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Custody:
    """Whether a run that nobody attends will have a secret.

    Attributes:
        words: one sentence.
        next_step: how to give it one; "" where it will.
    """

    durable: bool
    words: str
    next_step: str = ""


def credentials_for(
    there: Sequence[Credential], cluster: str, cluster_id: str, named: set[str], *, ucp: bool = False
) -> list[Credential]:
    """Those that a cluster's run may want: by name swarmtui.KIND.ABOUT of the cluster or of no cluster, and those that
    its configuration names. Of one name, the encrypted one.

    Args:
        ucp: it backs UCP up too, whose accounts its administrator is asked for, and perhaps DTR as that one.
    """
    chosen: dict[str, Credential] = {}
    kinds = (Kind.UNLOCK_KEY, Kind.BACKUP_PASSPHRASE, Kind.UCP_PASSPHRASE, *((Kind.UCP_PASSWORD,) if ucp else ()))
    cluster_kinds = {f"swarmtui.{kind}." for kind in kinds}
    host_kinds = {f"swarmtui.{kind}." for kind in (Kind.SSH_PASSPHRASE, Kind.SUDO_PASSWORD)}
    for credential in there:
        about = {prefix: credential.name.removeprefix(prefix) for prefix in cluster_kinds | host_kinds}
        ours = any(credential.name == f"{prefix}{name}" for prefix in cluster_kinds for name in (cluster, cluster_id))
        hosts = any(about[prefix] != credential.name for prefix in host_kinds)
        if ours or hosts or credential.name in named:
            chosen.setdefault(credential.name, credential)
    return list(chosen.values())


def custody(
    kind: Kind, cluster: str, cluster_id: str, sources: Sequence[str], credentials: Sequence[Credential], *, units: bool
) -> Custody:
    """Whether the run will have a secret of the cluster.

    The OS keyring does not count: it is open while somebody is logged in, and nobody is at half past three.

    Args:
        sources: what the configuration names for it: env:NAME, credential:NAME.
        credentials: those that the unit will get.
        units: whether it is a systemd unit; a cron job gets no credentials.
    """
    got = {credential.name: credential for credential in credentials} if units else {}
    for source in sources:
        way, _, name = source.partition(":")
        if way == "env":
            how = f"systemctl edit swarmtui-backup-{cluster}.service, EnvironmentFile=" if units else "the crontab"
            return Custody(True, f"The {kind} comes from the environment variable {name}: give it to the run ({how}).")
        if name in got:
            return Custody(True, f"The {kind} comes from the systemd credential {got[name].path}.")
    for about in (cluster_id, cluster):
        found = got.get(f"swarmtui.{kind}.{about}")
        if found is not None:
            return Custody(True, f"The {kind} comes from the systemd credential {found.path}.")
    name = f"swarmtui.{kind}.{cluster}"
    make = f"systemd-creds encrypt --name={name} - {STORES[0][0]}/{name} (the {kind} on its standard input)"
    return Custody(
        False,
        f"A run that nobody attends will not have the {kind}: no keyring is open then.",
        f"As root: {make}." if units else f"Use a timer of the system instead of cron. As root: {make}.",
    )
