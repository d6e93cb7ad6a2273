"""Why a host we are logged in to does not hand out its Docker socket.

sshd refuses with one and the same error, whatever is wrong. So the host is asked, with plain commands that any shell
and any user can run and an operator would type; they change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.together import together
from swarmtui.model.text import one_line

if TYPE_CHECKING:
    from swarmtui.link.ssh import Completed, SshHost

SOCKET = "/var/run/docker.sock"
SECONDS = 15.0
DIAL = "docker system dial-stdio"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the host said.

    Attributes:
        opens: sshd opened the socket for us.
        exists: the path is a socket.
        permitted: this user may write to it.
        listening: somebody listens on it; None where the host cannot tell.
        cli: there is a docker command.
        unit: state of docker.service (active, inactive, failed, masked, …); "" without systemd or without it.
    """

    opens: bool
    exists: bool
    permitted: bool
    listening: bool | None
    cli: bool
    unit: str

    def trouble(self, host: SshHost) -> LinkError | None:
        """The error that these findings amount to; None where only forwarding can be at fault."""
        facts = {"path": SOCKET, "host": host.label.rpartition("@")[2], "user": host.user}
        down = self.unit in ("inactive", "failed", "deactivating", "activating", "masked")
        because = f"docker.service is {self.unit}" if down else "nothing listens on its socket"
        if down and (self.opens or not self.exists or not self.listening):
            return LinkError(Reason.DOCKER_DOWN, host.label, because=because, **facts)
        if not self.exists:
            return LinkError(Reason.NO_SOCKET, host.label, **facts)
        if self.opens:
            return LinkError(Reason.DOCKER_DOWN, host.label, because="its socket opens, but nobody answers", **facts)
        if not self.permitted:
            return LinkError(Reason.SOCKET_DENIED, host.label, **facts)
        if self.listening is False:
            return LinkError(Reason.DOCKER_DOWN, host.label, because=because, **facts)
        return None


async def look(host: SshHost) -> Findings:
    """Asks the host, all questions at once.

    Raises:
        LinkError: the connection was lost meanwhile.
    """
    commands = (
        f"test -S {SOCKET}",
        f"test -w {SOCKET}",
        "systemctl show --property=LoadState,ActiveState docker.service",
        "grep -c docker.sock /proc/net/unix",
        "docker --version",
    )
    opens, *answers = await together(
        host.probe_socket(SOCKET), *(host.run(command, timeout=SECONDS) for command in commands)
    )
    exists, permitted, unit, listening, cli = answers
    return Findings(
        opens=opens,
        exists=exists.code == 0,
        permitted=permitted.code == 0,
        listening=_listening(listening),
        cli=cli.code == 0,
        unit=_unit(unit),
    )


def _unit(shown: Completed) -> str:
    if shown.code != 0:
        return ""
    state = dict(line.partition("=")[::2] for line in shown.out.splitlines())
    match state.get("LoadState"):
        case "loaded":
            return one_line(state.get("ActiveState", ""))
        case "masked":
            return "masked"
        case _:
            # Not found; or nothing left of it but a drop-in, which reads as bad-setting.
            return ""


def _listening(found: Completed) -> bool | None:
    # grep: 0 found, 1 not found, anything else no /proc or no grep.
    return found.code == 0 if found.code in (0, 1) else None


async def other_way(host: SshHost, settings: SshSettings) -> str:
    """Finds the command that talks to the engine in place of a forwarded socket.

    Raises:
        LinkError: there is none; says why.
    """
    findings = await look(host)
    trouble = findings.trouble(host)
    if trouble is not None and not (trouble.reason is Reason.SOCKET_DENIED and settings.sudo):
        raise trouble
    facts = {"host": host.label.rpartition("@")[2], "user": host.user}
    if not findings.cli:
        reason = Reason.FORWARDING_REFUSED if trouble is None else Reason.DOCKER_CLI_MISSING
        raise LinkError(reason, host.label, **facts)
    if trouble is None:
        return DIAL
    allowed = await host.run(f"sudo -n {DIAL} --help", timeout=SECONDS)
    if allowed.code != 0:
        raise LinkError(Reason.SUDO_REFUSED, host.label, because=one_line(allowed.err).removeprefix("sudo: "), **facts)
    return f"sudo -n {DIAL}"
