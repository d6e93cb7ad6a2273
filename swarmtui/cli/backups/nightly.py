"""`swarmtui backups nightly`: what the schedule runs. Asks nobody anything."""

from __future__ import annotations

import fcntl
import os
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from swarmtui import config
from swarmtui.backups.errors import BackupError
from swarmtui.backups.metrics import Night, Seen, render, write
from swarmtui.cli.backups.common import all_entries, name_of
from swarmtui.cli.backups.night_sets import look_into, sets_of, tell_set
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.rules import NotBrokenError, with_accept
from swarmtui.config import Config
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError

_RUNBOOKS = {False: "swarm.backup", True: "platform.backup"}


def main(arguments: Sequence[str]) -> int:
    """Backs up, verifies, copies and prunes. Returns 0 all of it went well, 1 a later stage failed; else the backup's
    own code: 1 failed, 2 wrong usage, 3 unreachable, 4 refused by a safety rule."""
    parser = Parser(
        "swarmtui backups nightly",
        description="What the schedule runs: takes a backup, verifies it (with --ucp also one of UCP; with --platform "
        "one set of Swarm, UCP and DTR), copies all that is not copied yet, prunes. "
        "Says the exit code of each. Exit 0 all went well; else the backup's code, or 1 where a later stage failed. "
        "A backup that was not taken or not proved prunes nothing, nor does a set that lacks one of the three.",
    )
    parser.add_argument("--target", required=True, metavar="NAME", help="which cluster, by its name")
    also = parser.add_mutually_exclusive_group()
    also.add_argument("--ucp", action="store_true", help="back UCP (MKE) up as well, after the Swarm")
    also.add_argument(
        "--platform", action="store_true", help="back up Swarm, UCP and DTR (MSR), in that order, as one set"
    )
    parser.add_argument("--no-prune", action="store_true", help="keep everything")
    parser.add_argument("--prune-copies", action="store_true", help="prune the copies in other places too")
    parser.add_argument("--spread", type=int, default=0, metavar="SECONDS", help="begin by chance up to so much later")
    with_accept(parser)
    with_config(parser)
    options = parser.parse_args(arguments)
    known = config.load(options.config)
    if options.target not in known.clusters:
        raise UsageError(
            f'There is no cluster "{options.target}" in {known.path}.', f"Named: {', '.join(known.clusters) or 'none'}."
        )
    with _alone(options.target):
        if options.spread > 0:
            time.sleep(random.uniform(0.0, options.spread))  # no secret hangs on it
        return _night(options, known)


def _night(options: Namespace, known: Config) -> int:
    began, stages = time.time(), dict[str, int]()
    name, settings = options.target, known.backups_of(options.target)
    more = ["--config", str(options.config)] if options.config is not None else []
    of_run = [each for each in options.accept if not each.startswith("unencrypted-copy=")]
    of_copy = [each for each in options.accept if each.startswith("unencrypted-copy=")]

    def stage(title: str, work: Callable[[], int]) -> bool:
        print(f"== {title}", flush=True)
        try:
            stages[title] = work()
        except SwarmtuiError as error:
            print(f"swarmtui: {error}", file=sys.stderr, flush=True)
            stages[title] = error.exit_code
        return stages[title] == 0

    def verify() -> int:
        swarm = _verify(known, name, began, more)
        return max(swarm, look_into(before, sets_of(known, name), began, more)) if options.platform else swarm

    before = sets_of(known, name) if options.platform else {}
    taken = stage("backup", lambda: _backup(_RUNBOOKS[options.platform], name, of_run, more))
    if options.platform:
        taken = stage("set", lambda: tell_set(before, sets_of(known, name))) and taken
    proved = taken and stage("verify", verify)
    if options.ucp:
        # Opened and looked into by the run itself. In the documented order: first the Swarm, then UCP.
        proved = stage("ucp", lambda: _backup("ucp.backup", name, of_run, more)) and proved
    if settings.copies:
        stage("copy", lambda: _copies(name, of_copy, more))
    if proved and not options.no_prune:
        stage("prune", lambda: _prune(name, more, copies=options.prune_copies))
    later = 1 if any(stages.values()) else 0
    code = stages["backup"] or later
    now = time.time()
    last = read_night(name)
    success = now if code == 0 else last.success_at if last is not None else 0.0
    if not stage("record", lambda: _record(known, Night(name, now, now - began, code, dict(stages), success))):
        code = code or 1
    told = ", ".join(f"{title} {each}" for title, each in stages.items())
    print(f"Night of {name}: {told}. Exit {code}.", flush=True)
    if code:
        print(f"swarmtui: The nightly backup of {name} did not go well: {told}.", file=sys.stderr, flush=True)
    return code


def _backup(runbook: str, name: str, accept: list[str], more: list[str]) -> int:
    from swarmtui.cli.run import main as run

    # What is accepted once and for all need not be broken every night.
    accept = list(accept)
    while True:
        arguments = [runbook, "--target", f"cluster:{name}", "--yes", *more]
        try:
            return run([*arguments, *(word for rule in accept for word in ("--accept", rule))])
        except NotBrokenError as error:
            accept.remove(error.named)


def _verify(known: Config, name: str, began: float, more: list[str]) -> int:
    from swarmtui.cli.backups.verify import main as verify

    newest = next(entry for _, entry in all_entries(known, name) if entry.kind == "swarm")
    last = newest.last_verified
    if last is not None and last.at >= began and newest.would_restore == "yes":
        # The run looked into it while it was still in clear; once it is encrypted perhaps nobody here can.
        print(f"{newest.id}: proved by the run itself, tier {newest.tier}", flush=True)
        return 0
    return verify(["latest", "--cluster", name, *more])


def _copies(name: str, accept: list[str], more: list[str]) -> int:
    from swarmtui.cli.backups.copy import main as copy

    accept = list(accept)
    while True:
        try:
            return copy(["--all", "--cluster", name, *more, *(word for rule in accept for word in ("--accept", rule))])
        except NotBrokenError as error:
            accept.remove(error.named)


def _prune(name: str, more: list[str], *, copies: bool) -> int:
    from swarmtui.cli.backups.prune import main as prune

    return prune(["--yes", "--cluster", name, *(["--copies"] if copies else []), *more])


# -- what is remembered ------------------------------------------------------------------------------------------------


def _folder() -> Path:
    folder = config.state_dir() / "nightly"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def read_night(name: str) -> Night | None:
    """How the last scheduled run of a cluster ended; None where none is remembered."""
    try:
        return msgspec.json.decode((_folder() / f"{name}.json").read_bytes(), type=Night)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _record(known: Config, night: Night) -> int:
    """Writes down how the night went, and the metrics where a file for them is named."""
    path = _folder() / f"{night.cluster}.json"
    beside = path.with_suffix(f".{os.getpid()}")
    try:
        beside.write_bytes(msgspec.json.encode(night))
        beside.replace(path)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}.", "Look at its disk.") from error
    write_metrics(known)
    return 0


def write_metrics(known: Config) -> None:
    """Writes every metrics file that the configuration names, with what there is of the clusters that name it.

    Raises:
        BackupError: the catalogue cannot be read, or a file not be written.
    """
    pairs = all_entries(known, None)
    seen: list[Seen] = []
    for cluster_id in dict.fromkeys(entry.cluster_id for _, entry in pairs):
        entries = tuple(entry for _, entry in pairs if entry.cluster_id == cluster_id)
        name = next((name_of(entry) for entry in entries if name_of(entry)), "")
        seen.append(Seen(cluster_id, name, known.backups_of(name), entries, _night_of(name, known)))
    told = {each.name for each in seen}
    for name in known.clusters:
        night = _night_of(name, known)
        if name not in told and night is not None:
            seen.append(Seen("", name, known.backups_of(name), (), night))
    for path in dict.fromkeys(each.settings.metrics for each in seen if each.settings.metrics):
        write(Path(path).expanduser(), render([each for each in seen if each.settings.metrics == path], time.time()))


def _night_of(name: str, known: Config) -> Night | None:
    # A name in a manifest is whatever somebody wrote there; those of the configuration can be names of files.
    return read_night(name) if name in known.clusters else None


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Two nights of one cluster do not overlap: cron starts the next one whatever became of the last."""
    descriptor = os.open(_folder() / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"Another nightly run of {name} is under way.", "Let it end.") from None
        yield
    finally:
        os.close(descriptor)
