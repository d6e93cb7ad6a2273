"""`swarmtui backups import`."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import kind_of
from swarmtui.backups.errors import BackupError
from swarmtui.backups.imports import cluster_in, import_file
from swarmtui.backups.keys import encryption_of, keys_of, ucp_passphrases
from swarmtui.cli.backups.common import SCHEMA, identity_of, in_thread, vault_of, with_identity
from swarmtui.cli.backups.list import as_json
from swarmtui.cli.backups.show import described
from swarmtui.cli.main import Parser, with_config
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.vault import Kind, Secret, Vault, VaultError, shared

if TYPE_CHECKING:
    from swarmtui.backups.dtr.contents import Contents as DtrContents

WHOSE = {"swarm": "the Swarm", "ucp": "UCP", "dtr": "DTR"}


def main(arguments: Sequence[str]) -> int:
    """Imports one file. Returns 0, or raises."""
    parser = Parser(
        "swarmtui backups import",
        description="Takes in an archive that was made by hand: a tar or tar.gz of /var/lib/docker/swarm, also "
        "encrypted with age; or what the backup command of UCP or of DTR wrote. The file stays as it is. A passphrase "
        "is asked for, or read from standard input.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the archive, such as swarm.bkp")
    parser.add_argument(
        "--name", default="", metavar="NAME", help="what people call its cluster, as in the configuration"
    )
    parser.add_argument(
        "--instance", default="", metavar="ID", help="of UCP, where the backup does not tell; one of DTR never does"
    )
    parser.add_argument("--replica", default="", metavar="ID", help="of DTR, that a backup of it was taken from")
    parser.add_argument(
        "--ucp-version", default="", metavar="VERSION", help="of UCP, such as 2.2.5, where a backup of it does not tell"
    )
    parser.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    with_identity(parser)
    with_config(parser)
    options = parser.parse_args(arguments)
    return asyncio.run(_import(options, config.load(options.config)))


async def _import(options: Namespace, known: config.Config) -> int:
    path: Path = options.file
    if await asyncio.to_thread(_is_ucps, path):
        return await _import_ucp(options, known)
    identity = identity_of(options.identity) or await asyncio.to_thread(_passphrase, path)
    if (dtr := await _dtr_in(path, identity)) is not None:
        return await _import_dtr(options, known, dtr, identity=identity)
    cluster_id = await in_thread(lambda stop: cluster_in(path, identity))
    name = options.name or await _name(cluster_id)
    keys = await keys_of(vault_of(known, name), cluster_id)
    settings = known.backups_of(name)
    encryption = await encryption_of(settings.recipients, vault_of(known, name), cluster_id)
    catalogue = Catalogue(config.backups_dir(settings))
    for left in await asyncio.to_thread(catalogue.sweep, cluster_id):
        print(f"swarmtui: {left} It was removed.", file=sys.stderr)
    entry = await in_thread(
        lambda stop: import_file(
            catalogue, path, keys.unlock, identity, encryption=encryption, cluster=name, cancelled=stop
        )
    )
    _tell(entry, as_json_=options.json)
    return 0


def _is_ucps(path: Path) -> bool:
    """Raises BackupError where the file cannot be read."""
    from swarmtui.backups.ucp.imports import is_one

    try:
        return is_one(path)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None


async def _import_ucp(options: Namespace, known: config.Config) -> int:
    from swarmtui.backups.ucp.imports import import_file as import_ucp
    from swarmtui.backups.ucp.imports import look
    from swarmtui.backups.ucp.openpgp import form_of_file

    path: Path = options.file
    sealed = await asyncio.to_thread(form_of_file, path) == "openpgp"
    passphrase = await asyncio.to_thread(_asked, path) if sealed else None
    given = (passphrase,) if passphrase is not None else ()
    if sealed and (dtr := await _dtr_in(path, None, *given)) is not None:
        return await _import_dtr(options, known, dtr, passphrases=given)
    contents = await in_thread(lambda stop: look(path, *given))
    instance = contents.instance_id or options.instance
    name = options.name or (await _name(instance) if instance else "")
    vault, settings = vault_of(known, name), known.backups_of(name)
    catalogue = Catalogue(config.backups_dir(settings))
    encryption = None if sealed else await encryption_of(settings.recipients, vault, instance)
    entry = await in_thread(
        lambda stop: import_ucp(
            catalogue,
            path,
            contents,
            instance=options.instance,
            version=options.ucp_version,
            encryption=encryption,
            cluster=name,
            cancelled=stop,
        )
    )
    if passphrase is not None:
        await _keep(vault, entry, passphrase, name)
    _tell(entry, as_json_=options.json)
    return 0


async def _dtr_in(path: Path, identity: Secret | None, *passphrases: Secret) -> DtrContents | None:
    """What is in a backup of DTR; None for what is none. Raises BackupError."""
    from swarmtui.backups.dtr.imports import look
    from swarmtui.backups.taking_in import explained

    with explained(path):
        return await in_thread(lambda stop: look(path, identity, *passphrases))


async def _import_dtr(
    options: Namespace,
    known: config.Config,
    contents: DtrContents,
    *,
    identity: Secret | None = None,
    passphrases: tuple[Secret, ...] = (),
) -> int:
    from swarmtui.backups.dtr.imports import import_file as import_dtr

    name = options.name or (await _name(options.instance) if options.instance else "")
    settings = known.backups_of(name)
    encryption = await encryption_of(settings.recipients, vault_of(known, name), options.instance)
    entry = await in_thread(
        lambda stop: import_dtr(
            Catalogue(config.backups_dir(settings)),
            options.file,
            contents,
            instance=options.instance,
            replica=options.replica,
            identity=identity,
            passphrases=passphrases,
            encryption=encryption,
            cluster=name,
            cancelled=stop,
        )
    )
    _tell(entry, as_json_=options.json)
    return 0


async def _keep(vault: Vault, entry: Entry, passphrase: Secret, name: str) -> None:
    """Keeps the passphrase of an imported archive: without it nobody restores that. As the cluster's, where it has
    none yet; else for this backup alone."""
    try:
        there = await ucp_passphrases(vault, entry.cluster_id)
        if passphrase in there:
            return
        about = entry.id if there else entry.cluster_id
        if await vault.put(Kind.UCP_PASSPHRASE, about, passphrase, name=name):
            print(f"swarmtui: Its passphrase is kept in the vault, as the ucp-passphrase of {about}.", file=sys.stderr)
        else:
            print(
                f"swarmtui: There is no keyring to keep its passphrase in ({vault.where}), and without it nobody "
                f"restores this. Keep it: swarmtui secrets set ucp-passphrase {about}",
                file=sys.stderr,
            )
    except VaultError as error:
        print(f"swarmtui: Its passphrase could not be kept: {error}", file=sys.stderr)


def _tell(entry: Entry, *, as_json_: bool) -> None:
    if as_json_:
        print(json.dumps({"schema": SCHEMA, **as_json(entry)}, indent=2))
    else:
        print("\n".join(described(entry)))
        print(f"Prove it now: swarmtui backups verify {entry.id}")
    if entry.whole.protected == "":
        print(
            f"swarmtui: It is kept in clear: whoever reads it has every secret of {WHOSE[entry.kind]}. "
            "Name recipients of age in the configuration ([backups] recipients), or: "
            f"swarmtui secrets set backup-passphrase {entry.cluster_id}",
            file=sys.stderr,
        )


def _passphrase(path: Path) -> Secret | None:
    """Asks for the passphrase of a file that has one.

    Raises:
        BackupError: the file cannot be read.
        UsageError: there is nobody to ask.
    """
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(64 << 10))
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    return _asked(path) if kind == "passphrase" else None


def _asked(path: Path) -> Secret:
    """Asks for a passphrase. Raises UsageError where there is nobody to ask, or it is empty."""
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("There is no standard input to read the passphrase from.", "Pipe it in (< FILE).")
    text = getpass.getpass(f"Passphrase of {path}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise UsageError(f"{path} is encrypted with a passphrase, and none was given.", "Pipe it in, or type it.")
    return Secret(text)


async def _name(cluster_id: str) -> str:
    """What the vault calls the cluster; "" where it does not know it."""
    try:
        found = [entry.name for entry in await shared().entries() if entry.about == cluster_id and entry.name]
    except VaultError:
        return ""
    return one_line(found[0]) if found else ""
