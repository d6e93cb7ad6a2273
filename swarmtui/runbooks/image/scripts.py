"""The shell scripts of a job that runs an image's command: plain POSIX sh, one command a line.

The secrets lie in a file of root's on a file system that is memory (/run), and only until the script has read them: not
on the disk, in no argument of ours, and gone also when the job was killed. `status` is as link/jobs.py reads it; what
the command says goes into `log`, what it writes into `archive.tar`, which nobody but root may read.
"""

from __future__ import annotations

import shlex
from typing import Final

from swarmtui.link.job_scripts import NAME, head
from swarmtui.runbooks.image.command import ImageCommand

MEMORY: Final = "/run/swarmtui-secrets"
"""A folder of its own that only root may enter: that of the locks (/run/swarmtui) is open to everybody."""
LOG: Final = "log"
STDIN: Final = "in"
"""What the command shall read on standard input, in the job's folder, where a step put something there."""


def secrets_file(job_id: str) -> str:
    """Where a job's secrets lie until it has read them."""
    return f"{MEMORY}/{job_id}"


def job(command: ImageCommand, job_id: str, folder: str) -> str:
    """job.sh: reads the secrets, runs the command once, and writes down how it ended."""
    file = secrets_file(job_id)
    lines = [
        *head(folder),
        f'fail() {{ rm -f {file}; note "failed $1"; exit 1; }}',
        "note begin",
        # The docker CLI looks for its configuration there, and a unit has none.
        "HOME=/root",
        "export HOME",
    ]
    if command.hidden:
        reads = " && ".join(value.reading for value in command.hidden)
        lines += [f"{{ {reads}; }} < {file} || fail secrets", f"rm -f {file}"]
        if command.exported:
            lines.append(f"export {' '.join(command.exported)}")
    source = shlex.quote(command.stdin) if command.stdin else "/dev/null"
    lines += [
        "note running",
        "code=0",
        f"{command.plain} > {NAME} 2> {LOG} < {source} || code=$?",
        'note "ended $code"',
        f"sha256sum {NAME} > sum || fail digest",
        f"note done $(wc -c < {NAME})",
    ]
    return "\n".join(lines) + "\n"


def after(job_id: str) -> str:
    """after.sh: no secret is left behind, whatever became of the job."""
    return f"rm -f {secrets_file(job_id)}\n"
