"""The Debian mirrors that the machine's own apt sources name. The lab names none itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import run, which

APT = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Source:
    """One archive: where it is, and the suites and components taken from it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def one_line(text: str) -> Iterator[Source]:
    """Sources in a `sources.list` (`deb [options] URI SUITE COMPONENT…`)."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[\w/.-]+)*)\s*(?:#.*)?$", line)
        if match:
            yield Source(match[1], (match[2],), tuple(match[3].split()))


def deb822(text: str) -> Iterator[Source]:
    """Sources in a `.sources` file (stanzas of `Key: value`, a value may go on in indented lines)."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[key] = fields.get(key, "") + " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false"):
            suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
            for uri in fields.get("uris", "").split():
                yield Source(uri, tuple(suites), tuple(components))


def sources(apt: Path = APT) -> list[Source]:
    """Every archive in the machine's apt sources."""
    found: list[Source] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.is_file() and file.suffix in (".list", ".sources"):
            found += (deb822 if file.suffix == ".sources" else one_line)(file.read_text(errors="replace"))
    return found


def mirrors(apt: Path = APT) -> list[str]:
    """Addresses of Debian's main archive, in the order of the apt sources.

    It is told from security archives, backports and strangers by its suites: a plain code name or class of
    Debian's own, with the component main.
    """
    plain = {"buster", "bullseye", "bookworm", "trixie", "forky", "sid"}
    plain |= {"oldoldstable", "oldstable", "stable", "testing", "unstable"}
    found = [
        source.uri.rstrip("/")
        for source in sources(apt)
        if plain & set(source.suites)
        and "main" in source.components
        and source.uri.startswith(("http://", "https://", "file:"))
    ]
    return list(dict.fromkeys(found))


def proxy_environment() -> dict[str, str]:
    """The environment for debootstrap, with the proxy that apt is configured for."""
    environment = dict(os.environ)
    if which("apt-config"):
        shell = run(["apt-config", "shell", "H", "Acquire::http::Proxy", "S", "Acquire::https::Proxy"]).stdout
        for line in shell.splitlines():
            name, _, value = line.partition("=")
            value = value.strip("'")
            if value and value != "DIRECT":
                environment["http_proxy" if name == "H" else "https_proxy"] = value
    return environment
