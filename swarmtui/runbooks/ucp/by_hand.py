"""The calls to UCP as a person would type them: curl, with its authority, and no secret in an argument.

The password is asked for on the terminal, the token of the one login lies in a 0600 file until the logout.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.ucp.access import Access, Door, dump_certs

CA = "ucp-ca.pem"
TOKEN = "ucp-login"
_JSON = "-H 'Content-Type: application/json' -d @-"


def authority(known: Access, door: Door) -> Shown:
    """Saves UCP's authority."""
    shown = dump_certs(known.release).shown(door.at)
    return Shown(f"{shown.as_sh} > {CA}", here=True)


def asked(variable: str, what: str) -> Shown:
    """Asks for a secret on the terminal."""
    prompt = shlex.quote(f"{what}: ")
    line = (
        f"printf %s {prompt} >/dev/tty; stty -echo </dev/tty; IFS= read -r {variable} </dev/tty; "
        f"stty echo </dev/tty; echo >/dev/tty; export {variable}"
    )
    return Shown(line, here=True)


def login(url: str, user: str) -> tuple[Shown, ...]:
    """Logs in once."""
    body = f"jq -n --arg user {shlex.quote(user)} '{{username: $user, password: env.UCP_PASSWORD}}'"
    header = 'jq -r \'"header = \\"Authorization: Bearer \\(.auth_token)\\""\''
    line = f"(umask 077; {body} | curl -fsS --cacert {CA} {_JSON} {url}/auth/login | {header} > {TOKEN})"
    return (asked("UCP_PASSWORD", f"Password of {user}"), Shown(line, here=True))


def call(url: str, path: str, *, method: str = "", body: str = "", into: str = "") -> Shown:
    """One call of whoever is logged in.

    Args:
        body: the command that writes the body.
        into: a file for the answer.
    """
    words = [f"{body} |" if body else "", "curl -fsS", f"--cacert {CA} -K {TOKEN}", f"-X {method}" if method else ""]
    words += [_JSON if body else "", shlex.quote(f"{url}{path}"), f"-o {shlex.quote(into)}" if into else ""]
    return Shown(" ".join(word for word in words if word), here=True)


def logout(url: str) -> Shown:
    """Ends the login."""
    return Shown(f"curl -fsS --cacert {CA} -K {TOKEN} -X POST {url}/id/logout; rm -f {TOKEN}", here=True)


def document(values: Mapping[str, str | bool], secret: tuple[str, str]) -> str:
    """The command that writes a JSON document.

    Args:
        values: what is in it.
        secret: key of what comes out of an environment variable, and that one's name.
    """
    key, variable = secret
    words = ["jq", "-n"]
    fields = []
    for name, value in values.items():
        if isinstance(value, bool):
            fields.append(f"{name}: {str(value).lower()}")
        else:
            words += ["--arg", name, shlex.quote(value)]
            fields.append(f"{name}: ${name}")
    fields.append(f"{key}: env.{variable}")
    return f"{' '.join(words)} '{{{', '.join(fields)}}}'"
