"""The shell scripts of a job that archives the Swarm directory of a manager: plain POSIX sh, one command a line.

`job.sh` does the work. `after.sh` starts Docker again, and may be called as often as one likes: by the script itself,
by systemd when the script was killed (ExecStopPost), by `guard.sh` where there is no systemd, by us on coming back.

`status` gets one line for each thing that happened: seconds since 1970, seconds since the host was booted, a word.
Downtime is told by the second number: nobody sets that clock. Docker's own words go into `err`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

STOP_SECONDS = 300
"""Docker stops its tasks first: their grace periods (10 s as a rule) and what systemd allows (90 s) are well below."""
START_SECONDS = 300
NAME = "archive.tar"


@dataclass(frozen=True, slots=True)
class Archiving:
    """What a job has to archive.

    Attributes:
        folder: the job's own folder on the host, absolute.
        root: the daemon's data root, whose folder `swarm` is archived.
        seconds: how long tar may take.
        hot: leave Docker alone: the archive may be inconsistent.
        systemd: whether the host has it; else `service` is used.
        raw_holes: whether its tar can look for holes by reading.
    """

    folder: str
    root: str
    seconds: int
    hot: bool = False
    systemd: bool = True
    raw_holes: bool = False

    @property
    def tar(self) -> str:
        """The command that makes the archive: owners by number, modes, holes and extended attributes as they are."""
        holes = "--sparse --hole-detection=raw" if self.raw_holes else "--sparse"
        return (
            f"tar --create --file={shlex.quote(f'{self.folder}/{NAME}')} {holes} --xattrs --numeric-owner "
            f"--directory={shlex.quote(self.root)} swarm"
        )


def head(folder: str) -> list[str]:
    """How every script of a job begins: in its folder, with `note`, which writes a line of `status`."""
    return [
        "set -u",
        "umask 077",
        f"cd {shlex.quote(folder)} || exit 10",
        'note() { read -r up idle < /proc/uptime; echo "$(date +%s) $up $*" >> status; }',
    ]


def job(work: Archiving) -> str:
    """job.sh."""
    lines = [
        *head(work.folder),
        'fail() { trap "" HUP INT TERM; rm -f archive.tar; sh after.sh; note "failed $1"; exit 1; }',
        "trap 'fail interrupted' HUP INT TERM",
        "note begin",
    ]
    if not work.hot:
        lines += _stop(work.systemd)
    # Without systemd nobody ends tar when this script is killed: it must stay in the script's process group.
    timeout = "timeout" if work.systemd else "timeout --foreground"
    lines += [
        "note archiving",
        "code=0",
        f"said=$({timeout} {work.seconds} {work.tar} 2>&1) || code=$?",
        # tar says 1 where a file changed while it was read: on a running Docker that is to be expected.
        *(['[ "$code" -ne 1 ] || code=0'] if work.hot else []),
        # Of a full disk nothing can be said before what filled it is gone.
        '[ "$code" -eq 0 ] || rm -f archive.tar',
        '[ "$code" -eq 0 ] || echo "$said" >> err',
        '[ "$code" -eq 0 ] || fail "tar $code"',
        "note archived",
    ]
    if not work.hot:
        lines.append("sh after.sh || fail start")
    lines += ["sha256sum archive.tar > sum || fail digest", "note done $(wc -c < archive.tar)"]
    return "\n".join(lines) + "\n"


def _stop(systemd: bool) -> list[str]:
    if not systemd:
        return [
            "service docker status > /dev/null 2>&1 || fail not-running",
            "echo docker > units || fail units",
            "note stopping",
            f"timeout {STOP_SECONDS} service docker stop >> err 2>&1 || fail stop",
            "note stopped",
        ]
    return [
        "systemctl is-active --quiet docker.service || fail not-running",
        # What did not run before is not started. The socket too: else anybody's next `docker` starts it in the middle.
        "systemctl is-active --quiet docker.socket && echo docker.socket > units",
        "echo docker.service >> units || fail units",
        "note stopping",
        f"timeout {STOP_SECONDS} systemctl stop $(cat units) 2>> err || fail stop",
        "systemctl is-active --quiet docker.service && fail stop",
        "note stopped",
    ]


def after(work: Archiving) -> str:
    """after.sh: Docker runs again, whatever happened before."""
    start = "systemctl start $(cat units)" if work.systemd else "service docker start"
    start = f"timeout {START_SECONDS} {start} >> err 2>&1"
    again = ["sleep 5", "systemctl reset-failed docker.service"] if work.systemd else ["sleep 5"]
    return (
        "\n".join(
            [
                *head(work.folder),
                # Half an archive is none; and Docker may need the room.
                "grep -q ' archived$' status || rm -f archive.tar",
                "[ -f units ] || exit 0",
                "[ -f started ] && exit 0",
                f"{start} || {{ {'; '.join(again)}; {start}; }} || {{ note start-failed; exit 1; }}",
                ": > started",
                "note started",
            ]
        )
        + "\n"
    )


def guard(folder: str) -> str:
    """guard.sh, where there is no systemd: waits for the job in a session of its own, and then starts Docker."""
    return (
        "\n".join(
            [
                f"cd {shlex.quote(folder)} || exit 10",
                "setsid sh job.sh &",
                "job=$!",
                'wait "$job"',
                # What the script left behind when it was killed: tar, still writing.
                'kill -9 "-$job"',
                "sh after.sh",
            ]
        )
        + "\n"
    )
