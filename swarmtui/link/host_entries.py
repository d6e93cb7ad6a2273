"""Which hosts an OpenSSH client configuration names. How each is reached is asyncssh's to find out (`route`)."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

DEPTH = 16
"""How deep files may include files (OpenSSH, readconf.c: READCONF_MAX_DEPTH)."""
_LINE = re.compile(r"\s*(host|match|include)(?:\s*=\s*|\s+)(.+)", re.IGNORECASE)


def has_host_entry(config_file: Path | None, name: str) -> bool:
    """Whether an OpenSSH client configuration has a Host line that names exactly this host, without a wildcard.

    Files that it includes count as ssh reads them (ssh_config(5)): relative ones are in ~/.ssh, wildcards stand for any
    number of files, one that cannot be read for none, and an Include in a block counts for the hosts of that block.
    """
    return config_file is not None and any(name in hosts for hosts in _entries(config_file, name, DEPTH))


def _entries(file: Path, name: str, depth: int) -> Iterator[list[str]]:
    """The patterns of each Host line that is read for a host of this name."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return
    holds = True
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        words = _words(found[2])
        match found[1].lower():
            case "host":
                holds = _matches(words, name)
                yield words
            case "match":
                # What else a Match may ask (a user, a command that is run) is not known here.
                holds = [word.lower() for word in words] == ["all"]
            case _ if holds and depth:
                for word in words:
                    for included in _files(word):
                        yield from _entries(Path(included), name, depth - 1)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.replace('"', " ").split()


def _matches(patterns: list[str], name: str) -> bool:
    if any(fnmatchcase(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _files(pattern: str) -> list[str]:
    path = os.path.expanduser(pattern)  # noqa: PTH111  # Path.expanduser raises for an unknown user
    return sorted(glob.glob(os.path.join(os.path.expanduser("~/.ssh"), path)))  # noqa: PTH111, PTH118, PTH207
