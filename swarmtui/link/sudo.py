"""`sudo -n` where sudo wants a password that the vault has: given on standard input, never as an argument.

The commands stay what they are shown as. Before them, in the same shell, sudo is told the password and remembers it:
without a terminal it remembers by the parent process (timestamp_type in sudoers(5)), so the commands must be children
of that shell too, and it must not turn into the last of them. The password is in a variable of the shell that is not
exported, so in no process's environment, and it goes to sudo through a pipe.
"""

from __future__ import annotations

from swarmtui.link.person import Person, SudoPerson

ASKS = "sudo -n "
REFUSED = "swarmtui: sudo did not take the password"

_BEFORE = (
    "IFS= read -r swarmtui_password; sudo -n -v 2>/dev/null || "
    "printf '%s\\n' \"$swarmtui_password\" | sudo -S -p '' -v >/dev/null 2>&1 || "
    f"echo '{REFUSED}' >&2; unset swarmtui_password; "
)


class Sudo:
    """The sudo password of one login, asked of the vault when the first command needs it.

    Args:
        person: who may know it.
        label: user@host.
    """

    def __init__(self, person: Person, label: str) -> None:
        self._person = person if isinstance(person, SudoPerson) else None
        self._label = label

    async def prepared(self, command: str) -> tuple[str, bytes]:
        """The command as it is to be run, and what it must read before anything else; both as they were where no
        password is known."""
        if self._person is None or ASKS not in command:
            return command, b""
        password = await self._person.sudo_password(self._label)
        if password is None or "\n" in password:
            return command, b""
        return f"{_BEFORE}{{ {command}\n}}; exit $?", password.encode() + b"\n"

    def heard(self, err: str) -> str:
        """What a command said on its standard error, without our own word that sudo refused the password: then it is
        not tried again, since sudo and its host count such tries and may lock the user out."""
        if REFUSED not in err:
            return err
        if self._person is not None:
            self._person.sudo_refused(self._label)
        return "".join(line for line in err.splitlines(keepends=True) if REFUSED not in line)
