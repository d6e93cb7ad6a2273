"""`swarmtui secrets`: what the vault keeps. Values come by standard input or are asked for, never as arguments."""

from __future__ import annotations

import asyncio
import getpass
import io
import json
import re
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from swarmtui import config
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import opened
from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.text import one_line
from swarmtui.vault import HOW_TO_GET_ONE, Entry, KeyState, Kind, Secret, Sources, UnlockKey, Vault, VaultError, shared
from swarmtui.vault.escrow import check_recipients, encrypted, gather, sheet, write_new
from swarmtui.vault.sources import about_of

SCHEMA = 1
LONGEST = 4096
"""Characters of a value."""
LONGEST_KEY_FILE = 1 << 16
LONGEST_DIRECTORY = 256 << 20
"""Bytes."""

_CLUSTER_ID = re.compile(r"[a-z0-9]{25}")
_UNLOCK_KEY = re.compile(r"SWMKEY-1-[A-Za-z0-9+/]{43}")
_ABOUT = "a cluster's id or name for unlock-key and passwords of UCP and DTR, a key file, or user@host"


class _Discreet(Parser):
    """Never tells an argument back: it may be a secret in the wrong place."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            message = "Say which: list, set, remove, export, open-key-file or renew-certificate"
        elif "argument" in message and "required" not in message:
            message = "An option is used as it cannot be"
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See: {self.prog} --help")


def main(arguments: Sequence[str]) -> int:
    """Lists, keeps, forgets or exports secrets. Returns 0, or raises."""
    options, more = _parser().parse_known_args(arguments)
    if more:
        # Never told back: somebody may have written the secret itself.
        raise UsageError(
            "There is an argument too many, and a secret is never one (it would be in the shell's history).",
            "Pipe the value in, or type it when asked. See: swarmtui secrets --help",
        )
    known = config.load(options.config)
    does = {
        "list": _list,
        "set": _set,
        "remove": _remove,
        "export": _export,
        "open-key-file": _open,
        "renew-certificate": _renew,
    }[options.what]
    return asyncio.run(does(options, known))


def _parser() -> Parser:
    parser = _Discreet(
        "swarmtui secrets",
        description="What is kept in the OS keyring: unlock keys with their history, passwords, passphrases.",
    )
    metavar = "list | set | remove | export | open-key-file | renew-certificate"
    whats = parser.add_subparsers(dest="what", metavar=metavar, required=True)
    shown = whats.add_parser("list", help="what is kept, and where; never the values")
    shown.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    put = whats.add_parser(
        "set",
        help="keep a value: from standard input, or asked for",
        description="Keeps a value. It is read from standard input, or asked for on a terminal. "
        "Example: docker swarm unlock-key -q | swarmtui secrets set unlock-key CLUSTER_ID",
    )
    gone = whats.add_parser("remove", help="forget a value")
    for sub in (put, gone):
        sub.add_argument("kind", metavar="KIND", help=", ".join(Kind))
        sub.add_argument("about", metavar="ABOUT", help=_ABOUT)
    put.add_argument("--previous", action="store_true", help="an older unlock key, which some managers may still need")
    put.add_argument("--name", default="", metavar="NAME", help="what people call the cluster, for lists")
    gone.add_argument("--yes", action="store_true", help="forget an unlock key without being asked")
    out = whats.add_parser(
        "export",
        help="an escrow sheet, encrypted with age",
        description="Writes what a recovery needs (unlock keys, backup passphrases, passwords of UCP and DTR) as a "
        "text for print or a password manager, encrypted for recipients of age. Open it with: age -d -i KEY FILE",
    )
    out.add_argument(
        "--age",
        action="append",
        required=True,
        metavar="RECIPIENT",
        help="age1…, ssh-ed25519 …, ssh-rsa …, or a file with such lines; several are possible",
    )
    out.add_argument("--out", type=Path, metavar="FILE", help="a new file instead of standard output")
    opened_file = whats.add_parser(
        "open-key-file",
        help="unlock a manager's key file with the vault's key",
        description="Reads a locked certificates/swarm-node.key from standard input, and writes it unlocked to "
        "standard output, which must be no terminal: whoever has it has the Swarm. For recoveries done by hand.",
    )
    renewed = whats.add_parser(
        "renew-certificate",
        help="sign a manager's expired certificate anew",
        description="Reads a tar of a manager's swarm/certificates and swarm/raft from standard input, and writes its "
        "certificate, signed anew with the CA key in that raft log, to standard output. For recoveries done by hand.",
    )
    for sub in (opened_file, renewed):
        sub.add_argument("about", metavar="CLUSTER", help="the cluster's id, or its name")
    for sub in (shown, put, gone, out, opened_file, renewed):
        with_config(sub)
    return parser


# -- list ------------------------------------------------------------------------------------------------------------


async def _list(options: Namespace, known: config.Config) -> int:
    vault = shared()
    entries = await _entries(vault, known)
    if options.json:
        print(json.dumps(await _as_json(vault, entries), indent=2))
        return 0
    rows = [await _row(vault, entry) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if not vault.durable:
        print(f"swarmtui: No keyring could be looked into: {vault.why_not_durable}. {HOW_TO_GET_ONE}", file=sys.stderr)
    elif not rows:
        print("Nothing is kept.")
    return 0


async def _entries(vault: Vault, known: config.Config) -> tuple[Entry, ...]:
    """What is kept, and what each cluster of the configuration has outside."""
    entries = list(await vault.entries())
    for name, cluster in known.clusters.items():
        outside = await vault.with_sources(Sources.of(name, cluster.secrets)).entries()
        entries += [entry for entry in outside if not any(_same(entry, other) for other in entries)]
    return tuple(entries)


def _same(one: Entry, other: Entry) -> bool:
    return (one.kind, one.about, one.where) == (other.kind, other.about, other.where)


async def _keys(vault: Vault, entry: Entry) -> list[Mapping[str, Any]]:
    if not entry.keys:
        return []
    return [
        {"fingerprint": key.fingerprint, "state": key.state, "stored_at": key.stored_at}
        for key in await vault.unlock_keys(entry.about)
    ]


async def _row(vault: Vault, entry: Entry) -> tuple[str, ...]:
    about = f"{entry.about} ({entry.name})" if entry.name not in ("", entry.about) else entry.about
    keys = ", ".join(f"{key['state']} {key['fingerprint']}" for key in await _keys(vault, entry))
    when = datetime.fromtimestamp(entry.stored_at).strftime("%Y-%m-%d %H:%M") if entry.stored_at else "-"
    return (str(entry.kind), one_line(about), when, one_line(entry.where), keys)


async def _as_json(vault: Vault, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "where": vault.where,
        "durable": vault.durable,
        "why_not_durable": vault.why_not_durable,
        "secrets": [
            {
                "kind": str(entry.kind),
                "about": entry.about,
                "name": entry.name,
                "stored_at": entry.stored_at or None,
                "where": entry.where,
                "durable": entry.durable,
                "unlock_keys": await _keys(vault, entry),
            }
            for entry in entries
        ],
    }


# -- set and remove ----------------------------------------------------------------------------------------------------


async def _set(options: Namespace, known: config.Config) -> int:
    kind = _kind(options.kind)
    if options.previous and kind is not Kind.UNLOCK_KEY:
        raise UsageError("Only unlock keys have previous ones.", "Leave --previous out.")
    vault = shared()
    await vault.open()
    if not vault.durable:
        raise VaultError(f"There is no keyring to keep it in: {vault.why_not_durable}.", HOW_TO_GET_ONE)
    about = await _about(vault, kind, options.about, known)
    value = _value(kind, about)
    # The name on the command line, and else the one by which the cluster was named.
    name = options.name or (options.about if options.about in known.clusters else "")
    if kind is Kind.UNLOCK_KEY:
        state: KeyState = "previous" if options.previous else "current"
        kept = await vault.store_unlock_key(about, value, state, time.time(), name=name)
    else:
        kept = await vault.put(kind, about, value, name=name)
    if not kept:
        raise VaultError(f"It could not be kept: {vault.why_not_durable}.", "Mend the keyring, then set it again.")
    print(f"The {kind} of {one_line(about)} is kept in {vault.where}.")
    return 0


async def _remove(options: Namespace, known: config.Config) -> int:
    kind = _kind(options.kind)
    vault = shared()
    await vault.open()
    if not vault.durable:
        raise VaultError(f"There is no keyring to look into: {vault.why_not_durable}.", HOW_TO_GET_ONE)
    about = await _about(vault, kind, options.about, known)
    if not any((entry.kind, entry.about) == (kind, about) for entry in await vault.entries()):
        raise UsageError(f"No {kind} of {one_line(about)} is kept.", "See what is: swarmtui secrets list")
    if kind is Kind.UNLOCK_KEY and not options.yes:
        _confirm(about)
    await vault.remove(kind, about)
    print(f"The {kind} of {one_line(about)} is forgotten.")
    return 0


def _confirm(about: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to confirm on.", "Add --yes if it is meant.")
    print(
        "All unlock keys of this cluster are forgotten, the previous ones too. If no copy is elsewhere and autolock is "
        f'on, the cluster is lost when its managers restart.\nType "{one_line(about)}" to forget them: ',
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip() != about:
        raise RefusedError("Not confirmed.", "Nothing was forgotten.")


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        # Not told back: it may be a secret in the wrong place.
        raise UsageError("That is no kind of secret.", f"Kinds: {', '.join(Kind)}.") from None


async def _about(vault: Vault, kind: Kind, text: str, known: config.Config) -> str:
    """What the secret is about, as it is kept: a cluster by its id, a key file by its path.

    Raises:
        UsageError: nobody knows the id of the cluster.
        LinkError: the cluster has a name in the configuration, and cannot be asked for its id.
    """
    if kind is not Kind.UNLOCK_KEY:
        return about_of(kind, text)
    if _CLUSTER_ID.fullmatch(text):
        return text
    ids = {entry.about for entry in await vault.entries() if entry.kind is kind and entry.name == text}
    if len(ids) == 1:
        return ids.pop()
    if not ids and text in known.clusters:
        async with opened(f"cluster:{text}", known) as session:
            return session.snapshot.cluster_id
    what = "is the name of several Swarms" if ids else "is no id of a Swarm, and no name of one whose key is kept"
    raise UsageError(
        f'"{one_line(text[:40])}" {what}.' if not _UNLOCK_KEY.search(text) else "An unlock key is never an argument.",
        "Unlock keys belong to a Swarm's id: docker info --format '{{.Swarm.Cluster.ID}}'; add --name for its name.",
    )


def _value(kind: Kind, about: str) -> Secret:
    """Asks for the value without showing it, or reads it from standard input.

    Raises:
        UsageError: it is empty, more than a line, or cannot be what it is for.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("There is no standard input to read the value from.", "Pipe it in (< FILE).")
    if sys.stdin.isatty():
        text = getpass.getpass(f"{kind} of {one_line(about)}: ")
        if kind is not Kind.UNLOCK_KEY and getpass.getpass("Once more: ") != text:
            raise UsageError("The two are not the same.", "Nothing was kept; try again.")
    else:
        try:
            text = sys.stdin.read(LONGEST + 2)
        except UnicodeDecodeError:
            raise UsageError("Standard input is no text.", "Pipe the value in, nothing else.") from None
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("The value is empty.", "Nothing was kept.")
    if len(text) > LONGEST or not text.isprintable():
        raise UsageError(
            f"The value must be one line of at most {LONGEST} characters.", "Pipe in the value alone, nothing else."
        )
    if kind is Kind.UNLOCK_KEY and not _UNLOCK_KEY.fullmatch(text):
        raise UsageError(
            "This is no unlock key: SWMKEY-1- and 43 characters.",
            "Copy it whole, as docker swarm unlock-key -q prints it.",
        )
    return Secret(text)


# -- export ------------------------------------------------------------------------------------------------------------


async def _export(options: Namespace, known: config.Config) -> int:
    check_recipients(options.age)
    if options.out is not None and options.out.exists():
        raise UsageError(f"{options.out} exists already, and is not written over.", "Choose another name.")
    vault = shared()
    lines = list(await gather(vault))
    for name, cluster in known.clusters.items():
        outside = await gather(vault.with_sources(Sources.of(name, cluster.secrets)))
        lines += [line for line in outside if not any(_same(line.entry, other.entry) for other in lines)]
    if not lines:
        because = f" ({vault.why_not_durable})" if vault.why_not_durable else ""
        raise VaultError(
            f"Nothing is kept that a sheet could hold{because}.",
            "Keep a cluster's key first: docker swarm unlock-key -q | swarmtui secrets set unlock-key CLUSTER_ID",
        )
    content = encrypted(sheet(lines, time.time()), options.age)
    if options.out is None:
        sys.stdout.write(content.decode("ascii"))
        return 0
    write_new(options.out, content)
    clusters = len({line.entry.about for line in lines})
    print(f"{options.out} holds the secrets of {clusters} {'cluster' if clusters == 1 else 'clusters'}, encrypted.")
    print(f"Try now that you can open it: age -d -i KEY_FILE {options.out}")
    return 0


# -- open-key-file -----------------------------------------------------------------------------------------------------


async def _open(options: Namespace, known: config.Config) -> int:
    # Only here: it brings cryptography with it.
    from swarmtui.runbooks.swarm.recovery.key_file import opened_with

    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UsageError("The key file is read from standard input.", "Pipe it in (< swarm-node.key).")
    if sys.stdout.isatty():
        raise UsageError("An unlocked key file is never shown.", "Pipe it to where it belongs: a file of mode 0600.")
    pem = sys.stdin.buffer.read(LONGEST_KEY_FILE + 1)
    if len(pem) > LONGEST_KEY_FILE:
        raise UsageError("That is no key file: it is too long.", "Pipe in certificates/swarm-node.key alone.")
    about, keys = await _unlock_keys(options, known)
    found = await asyncio.to_thread(opened_with, pem, keys)
    if found is None:
        raise RefusedError(
            "None of the keys that are kept of this cluster opens it.",
            f"Keep its unlock key first: swarmtui secrets set unlock-key {about}",
        )
    sys.stdout.buffer.write(found[0])
    return 0


async def _unlock_keys(options: Namespace, known: config.Config) -> tuple[str, list[UnlockKey]]:
    """The id of the cluster that was named, and the unlock keys that are kept of it."""
    cluster = known.clusters.get(options.about)
    vault = shared().with_sources(Sources.of(options.about, cluster.secrets)) if cluster is not None else shared()
    about = await _about(vault, Kind.UNLOCK_KEY, options.about, known)
    return about, list(await vault.unlock_keys(about))


# -- renew-certificate -------------------------------------------------------------------------------------------------


async def _renew(options: Namespace, known: config.Config) -> int:
    # Only here: it brings cryptography with it.
    from swarmtui.backups.archive import ArchiveFiles
    from swarmtui.backups.raft.authority import authority
    from swarmtui.backups.raft.certificates import NODE

    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UsageError("The tar is read from standard input.", "Pipe it in: tar -C /var/lib/docker -cf - swarm | …")
    taken = io.BytesIO(sys.stdin.buffer.read(LONGEST_DIRECTORY + 1))
    if taken.getbuffer().nbytes > LONGEST_DIRECTORY:
        raise UsageError("That is no Swarm directory: it is too long.", "Pipe in swarm/certificates and swarm/raft.")
    _, keys = await _unlock_keys(options, known)
    files = await asyncio.to_thread(ArchiveFiles, taken)
    if NODE not in files.names():
        raise UsageError("There is no certificate in it.", "Pipe in swarm/certificates and swarm/raft of a manager.")
    signer = await asyncio.to_thread(authority, files, [key.secret for key in keys])
    sys.stdout.buffer.write(await asyncio.to_thread(signer.renewed, files.read(NODE)))
    return 0
