"""`swarmtui backups`, as a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.files import FolderFiles
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.raft import read
from swarmtui.backups.records import Copy, TierResult, judged
from swarmtui.demo.serve import Demo
from swarmtui.model.inventory import Inventory
from swarmtui.vault import Secret, fingerprint
from tests.actions.cli import PROGRAM, Cli
from tests.backups.tars import generation, taken, tar_of

PLAIN, BEFORE, LOCKED, OTHER = (generation(name) for name in ("plain", "plain-before", "locked", "other"))
IDENTITY = pyrage.x25519.Identity.generate()
KEYS = {"PROD_KEY": LOCKED.key, "PROD_BACKUPS": str(IDENTITY)}
SEALED = Encryption((str(IDENTITY.to_public()),))
PASSPHRASE = "needle-pass-118"


@pytest.fixture
def catalogue(private_folders: Path) -> Catalogue:
    """Where the program looks by itself."""
    return Catalogue()


@pytest.fixture
def cli(private_folders: Path) -> Cli:
    """With a configuration that names where the keys of "prod" are."""
    config = private_folders / "config/swarmtui/config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(
        '[clusters.prod]\nmanagers = ["ssh://root@192.0.2.1"]\n'
        'secrets.unlock-key = "env:PROD_KEY"\nsecrets.backup-passphrase = "env:PROD_BACKUPS"\n'
    )
    return Cli({**os.environ, **KEYS})


def told(cli: Cli, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = cli("backups", *arguments, "--json")
    assert result.code == code, result
    document = json.loads(result.out)
    assert document["schema"] == 1
    assert isinstance(document, dict)
    return document


# -- list and show ---------------------------------------------------------------------------------------------------


def test_list_says_what_there_is_the_newest_first(cli: Cli, catalogue: Catalogue) -> None:
    empty = cli("backups", "list")
    assert (empty.code, empty.out) == (
        0,
        f"There is no backup in {catalogue.root}. Take one: swarmtui run swarm.backup --target TARGET\n",
    )
    now = time.time()
    old = taken(catalogue, BEFORE, at=now - 30 * 86400, cold=False)
    good = [TierResult(tier, True, ("fine",)) for tier in (1, 2, 3, 4)]
    catalogue.add_verification(old, judged(good, now))
    catalogue.set_copies(
        old, [Copy(where="/mnt/x", at=1.0, digest=""), Copy(where="s3://b", at=1.0, digest="", trouble="It is gone.")]
    )
    new = taken(catalogue, LOCKED, at=now - 7200, encryption=SEALED)
    broken = taken(catalogue, PLAIN, at=now - 3600)
    (broken.folder / "manifest.json").unlink()
    result = cli("backups", "list")
    assert result.code == 0, result
    lines = result.out.splitlines()
    assert " ".join(lines[0].split()) == "ID AGE CLUSTER NODE SIZE TAKEN ENCRYPTED TIER WOULD RESTORE COPIES"
    assert [line.split()[0] for line in lines[1::2]] == [broken.id, new.id, old.id]
    assert lines[2] == "    it has no manifest"
    assert lines[3].split()[1:6] == ["2", "h", "prod", "mgr2", "205"]
    assert "recipients" in lines[3]
    assert "not proved" in lines[3]
    assert lines[4] == "    it was never verified"
    assert "30 d" in lines[5]
    assert "hot" in lines[5]
    assert "NO" in lines[5]
    assert "4 of 5" in lines[5]
    assert lines[5].endswith("yes            1 (1 bad)")
    assert lines[6].endswith("possibly inconsistent: taken while Docker was running")
    document = told(cli, "list", "--cluster", "prod")
    assert [(each["id"], each["would_restore"]) for each in document["backups"]] == [
        (new.id, "not proved"),
        (old.id, "yes"),
    ] or len(document["backups"]) == 3
    assert document["backups"][-1]["copies"][1]["trouble"] == "It is gone."
    nobody = cli("backups", "list", "--cluster", "nobody")
    assert nobody.code == 2
    assert 'There is no backup of a cluster "nobody"' in nobody.err


def test_list_names_what_a_dead_program_left(cli: Cli, catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN)
    left = entry.folder.parent / f".new-{os.uname().nodename}-99999-00112233"
    left.mkdir()
    result = cli("backups", "list")
    assert f"{left} is an unfinished backup, left behind 0 min ago by process 99999" in result.err
    assert told(cli, "list")["leftovers"][0]["pid"] == 99999


def test_show_is_the_manifest_in_words(cli: Cli, catalogue: Catalogue) -> None:
    entry = taken(catalogue, LOCKED, leader=False, engine_version="20.10.24", quorum="2 of 3 stayed")
    result = cli("backups", "show", entry.id[:16])
    assert result.code == 0, result
    for words in (
        f"Backup {entry.id}\n  would restore: not proved, because it was never verified",
        f"cluster: prod ({entry.cluster_id})",
        "not the leader, Docker 20.10.24",
        "cold: Docker was down on that manager for 1.5 s",
        "quorum: 2 of 3 stayed",
        f"autolock: on, locked with key {fingerprint(Secret(LOCKED.key))}, version {entry.whole.kek_version}",
        "NOT ENCRYPTED",
        "had: 3 nodes, 3 services, 3 networks, 2 secrets, 3 configs",
    ):
        assert words in result.out, words
    document = told(cli, "show")
    assert document["manifest"]["cluster"] == "prod"
    assert "inventory" not in document
    assert LOCKED.key not in result.out + json.dumps(document)


def test_show_inventory_reads_the_archive_itself(cli: Cli, catalogue: Catalogue) -> None:
    taken(catalogue, LOCKED, encryption=SEALED, inventory=None)
    result = cli("backups", "show", "--inventory")
    assert result.code == 0, result
    assert "As the archive itself says: 3 nodes, 3 services, 3 networks, 2 secrets, 3 configs" in result.out
    for kind in ("services", "secrets", "configs", "networks", "nodes"):
        for one in LOCKED.api[kind]:
            name = one.get("Name") or one.get("Spec", {}).get("Name") or one["Description"]["Hostname"]
            shown = f" {kind[:-1]} {name} ("
            assert (shown in result.out) == (kind != "networks" or one["Scope"] == "swarm"), shown
    assert "  service web (" in result.out
    assert "alpine:latest, 4 replicas" in result.out
    document = told(cli, "show", "--inventory")
    assert document["inventory_from"] == "archive"
    assert msgspec.convert(document["inventory"], Inventory).services == LOCKED.inventory.services


def test_show_inventory_without_a_key_says_from_where_it_is(cli: Cli, catalogue: Catalogue) -> None:
    taken(catalogue, LOCKED)
    locked = Cli({name: value for name, value in cli.environment.items() if name not in KEYS})
    result = locked("backups", "show", "--inventory")
    assert result.code == 0, result
    assert "As the manifest says; the archive was not read (It is locked" in result.out
    assert "PROD_KEY, named in the configuration" in result.err


def test_clusters_with_folders_of_their_own(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    config = Path(cli.environment["XDG_CONFIG_HOME"]) / "swarmtui/config.toml"
    own = tmp_path / "own"
    config.write_text(f'{config.read_text()}[clusters.prod.backups]\nfolder = "{own}"\n')
    here, there = taken(catalogue, OTHER, cluster="other"), taken(Catalogue(own), PLAIN, at=time.time() - 9000)
    assert [each["id"] for each in told(cli, "list")["backups"]] == [here.id, there.id]
    assert [each["id"] for each in told(cli, "list", "--cluster", "prod")["backups"]] == [there.id]
    assert told(cli, "show", there.id)["folder"] == str(there.folder)
    assert told(cli, "show", "--cluster", "prod")["id"] == there.id
    both = cli("backups", "show")
    assert (both.code, "There are several backups" in both.err) == (2, True), both
    verified = told(cli, "verify", "--cluster", "prod")
    assert verified["backups"][0]["id"] == there.id
    assert len(Catalogue(own).entry(None, there.id).verifications) == 1


# -- verify ------------------------------------------------------------------------------------------------------------


def test_verify_says_each_tier_and_keeps_it(cli: Cli, catalogue: Catalogue) -> None:
    entry = taken(catalogue, LOCKED, encryption=SEALED)
    result = cli("backups", "verify")
    assert result.code == 0, result
    assert result.out.splitlines()[-1] == (
        "Would restore: yes, because it is whole and complete, its key opens it, and it has what the cluster had."
    )
    for line in (
        "1 digest and structure: yes",
        "2 complete: yes",
        "3 the vault's key opens it: yes",
        "4 contents equal",
    ):
        assert f"  {line}" in result.out
    assert catalogue.entry(None, entry.id).tier == 4
    assert not any(secret in result.out + result.err for secret in KEYS.values())


def test_verify_exits_with_what_it_found(cli: Cli, catalogue: Catalogue) -> None:
    good = taken(catalogue, PLAIN)
    stranger = Encryption((str(pyrage.x25519.Identity.generate().to_public()),))
    sealed = taken(catalogue, PLAIN, encryption=stranger)
    assert cli("backups", "verify", good.id).code == 0
    unopened = cli("backups", "verify", sealed.id)
    assert (unopened.code, unopened.out.splitlines()[-1]) == (
        1,
        "Would restore: not proved, because the identity at hand is none of its recipients'.",
    )
    everything = cli("backups", "verify", "--all")
    assert everything.code == 1
    assert everything.out.splitlines()[1].startswith(f"2/2 {good.id}: yes, because ")
    content = bytearray(good.archive.read_bytes())
    content[5000] ^= 1
    good.archive.write_bytes(content)
    assert cli("backups", "verify", good.id).code == 2
    assert cli("backups", "verify", "--all").code == 2
    document = told(cli, "verify", "--all", code=2)
    assert [each["would_restore"] for each in document["backups"]] == ["not proved", "no"]
    (good.folder / "manifest.json").unlink()
    assert cli("backups", "verify", good.id).code == 2


def test_verify_with_an_identity_file(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    taken(catalogue, PLAIN, encryption=SEALED)
    (tmp_path / "key.txt").write_text(f"# mine\n{IDENTITY}\n")
    assert cli("backups", "verify", "--identity", str(tmp_path / "key.txt")).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify"], "There is no backup in"),
        (["verify", "--all"], "There is no backup to verify."),
        (["verify", "x", "--all"], "--all is every backup"),
        (["verify", "--identity", "/nowhere"], "The identity file /nowhere cannot be read"),
        (["verify", "--nonsense"], "Unrecognized arguments"),
    ],
)
def test_what_could_not_be_tried_is_3_never_2(cli: Cli, catalogue: Catalogue, arguments: list[str], words: str) -> None:
    if "--identity" in arguments:
        taken(catalogue, PLAIN)
    result = cli("backups", *arguments)
    assert result.code == 3, result
    assert words in result.err


def test_a_folder_that_others_may_write_to_is_refused(cli: Cli, catalogue: Catalogue) -> None:
    taken(catalogue, PLAIN)
    catalogue.root.chmod(0o777)
    for command, code in (("list", 1), ("show", 1), ("verify", 3)):
        result = cli("backups", command)
        assert result.code == code, result
        assert result.err == (
            f"swarmtui: Others may write to {catalogue.root}, so no backup in it can be trusted. "
            f"chmod 700 {catalogue.root}\n"
        )


def test_ctrl_c_keeps_what_was_verified(cli: Cli, catalogue: Catalogue) -> None:
    """The last one (the oldest) takes seconds: its passphrase is stretched by scrypt."""
    sealed = Encryption(passphrase=Secret(PASSPHRASE))
    now = time.time()
    slow = taken(catalogue, PLAIN, at=now - 90000, encryption=sealed)
    quick = [taken(catalogue, PLAIN, at=now - 3600 * hours) for hours in (1, 2, 3)]
    with subprocess.Popen(
        [*PROGRAM, "backups", "verify", "--all"],
        env={**cli.environment, "PROD_BACKUPS": PASSPHRASE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests in the background had Ctrl-C ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for number in (1, 2, 3):
            assert running.stdout.readline().startswith(f"{number}/4 ")
        os.killpg(running.pid, signal.SIGINT)
        code, said = running.wait(timeout=30), running.stderr.read()
    assert code == 130, said
    assert said == "swarmtui: Stopped: 3 of 4 were verified, and that is kept.\n"
    assert [len(catalogue.entry(None, entry.id).verifications) for entry in (*quick, slow)] == [1, 1, 1, 0]


def test_a_rehearsal_that_could_not_be_done_is_no_verdict(cli: Cli, catalogue: Catalogue) -> None:
    """Not the yes of the other tiers, and not the 2 that says that it would not restore."""
    entry = taken(catalogue, PLAIN)
    result = cli("backups", "verify", entry.id, "--rehearse", "ssh://root@127.0.0.1:1")
    assert result.code == 3, result
    assert "127.0.0.1" in result.err
    after = catalogue.entry(None, entry.id)
    assert (after.would_restore, after.tier) == ("yes", 4)
    assert cli("backups", "verify", "--all", "--rehearse", "local").code == 3
    mixed = cli("backups", "verify", entry.id, "--rehearse", "local", "--identity", "/nowhere")
    assert mixed.code == 3 and "from the vault only" in mixed.err


# -- diff --------------------------------------------------------------------------------------------------------------


def test_diff_names_what_changed_between_two_backups(cli: Cli, catalogue: Catalogue) -> None:
    now = time.time()
    old, new = taken(catalogue, BEFORE, at=now - 86400), taken(catalogue, PLAIN, at=now)
    result = cli("backups", "diff", old.id, new.id)
    assert result.code == 0, result
    for line in (
        "  changed  node mgr2: label zone: a → b",
        "  changed  service api: image: alpine:latest → busybox:latest",
        "  changed  service web: replicas: 3 → 5",
        "  removed  secret old-token",
        "  added    config later.yml",
    ):
        assert line in result.out.splitlines(), result.out
    back = cli("backups", "diff", new.id, old.id).out
    assert "  removed  config later.yml" in back
    assert cli("backups", "diff", new.id, new.id).out == f"From {new.id} to {new.id}:\n  Nothing changed.\n"
    document = told(cli, "diff", old.id, new.id)
    assert {(each["kind"], each["name"], each["what"]) for each in document["differences"]} >= {
        ("secret", "old-token", "removed"),
        ("config", "later.yml", "added"),
    }


def test_diff_of_two_clusters_is_refused(cli: Cli, catalogue: Catalogue) -> None:
    mine, other = taken(catalogue, PLAIN, at=time.time() - 9000), taken(catalogue, OTHER)
    result = cli("backups", "diff", mine.id, other.id)
    assert result.code == 4, result
    assert f"The backup {other.id} is of another cluster: prod ({other.cluster_id})" in result.err
    assert cli("backups", "diff", mine.id).code == 2


def test_diff_reads_the_archive_where_the_manifest_does_not_say(cli: Cli, catalogue: Catalogue) -> None:
    now = time.time()
    old = taken(catalogue, BEFORE, at=now - 86400, inventory=None)
    new = taken(catalogue, LOCKED, at=now, inventory=None)
    assert "  added    config later.yml" in cli("backups", "diff", old.id, new.id).out
    locked = Cli({name: value for name, value in cli.environment.items() if name not in KEYS})
    result = locked("backups", "diff", old.id, new.id)
    assert result.code == 2
    assert f"Nobody knows what is in {new.id}" in result.err


async def test_diff_with_the_cluster_as_it_is_now(cli: Cli, catalogue: Catalogue) -> None:
    """The oracle is what the simulated engine lists."""

    async def listed(demo: Demo, path: str) -> list[dict[str, Any]]:
        socket = demo.hosts[0]["docker"].removeprefix("unix://")
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(f"GET /v1.40{path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        found = json.loads(body)
        assert isinstance(found, list)
        return found

    async with Demo("calm", speed=20, seed=1) as demo:

        def run(*arguments: str) -> Any:
            return cli("backups", "diff", *arguments, "--config", str(demo.config))

        other = taken(catalogue, PLAIN, at=time.time() - 9000)
        refused = await asyncio.to_thread(run, other.id, "--live", "simulated")
        assert refused.code == 2, refused
        assert f"The backup {other.id} is of the cluster {other.cluster_id}, and simulated is " in refused.err
        cluster_id = demo.world.clusters[0].id
        assert cluster_id in refused.err
        with catalogue.begin(cluster_id, "20261121T000000Z-mgr1") as draft:
            draft.write(tar_of(PLAIN.files))
            empty = Inventory(cluster_id=cluster_id)
            draft.commit(Manifest(cluster_id=cluster_id, node="mgr1", taken_at=1.0, cold=True, inventory=empty))
        result = await asyncio.to_thread(run, "20261121T000000Z", "--live", "simulated")
        assert result.code == 0, result
        for kind, names in (
            ("node", [host["name"] for host in demo.hosts]),
            ("service", [service["Spec"]["Name"] for service in await listed(demo, "/services")]),
        ):
            shown = {
                line.split()[2].rstrip(":")
                for line in result.out.splitlines()
                if line.startswith(f"  added    {kind} ")
            }
            assert shown == set(names)


# -- import ------------------------------------------------------------------------------------------------------------


def test_import_takes_one_in_and_says_what_it_is(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "swarm.bkp"
    path.write_bytes(tar_of(LOCKED.files, packed=True))
    bare = Cli({name: value for name, value in cli.environment.items() if name not in KEYS})
    result = bare("backups", "import", str(path))
    assert result.code == 0, result
    (entry,) = catalogue.entries()
    assert f"Backup {entry.id}" in result.out
    assert "imported from swarm.bkp" in result.out
    assert "The manifest was made from the archive itself" in result.out
    assert f"Prove it now: swarmtui backups verify {entry.id}" in result.out
    assert "It is kept in clear" in result.err
    assert bare("backups", "verify").code == 1
    again = bare("backups", "import", str(path))
    assert (again.code, f"It is in the catalogue already, as {entry.id}" in again.err) == (1, True)


def test_import_encrypts_as_the_configuration_says(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "swarm.bkp"
    path.write_bytes(tar_of(LOCKED.files))
    config = Path(cli.environment["XDG_CONFIG_HOME"]) / "swarmtui/config.toml"
    config.write_text(config.read_text() + f'[backups]\nrecipients = ["{IDENTITY.to_public()}"]\n')
    document = json.loads(cli("backups", "import", str(path), "--name", "prod", "--json").out)
    assert document["manifest"]["encrypted"] == "recipients"
    assert document["manifest"]["key_fingerprint"] == fingerprint(Secret(LOCKED.key)), "the vault's key was tried"
    config.write_text(config.read_text().partition("[backups]")[0])
    path.write_bytes(tar_of(PLAIN.files))
    with_passphrase = Cli({**cli.environment, "PROD_BACKUPS": PASSPHRASE})
    document = json.loads(with_passphrase("backups", "import", str(path), "--name", "prod", "--json").out)
    assert document["manifest"]["encrypted"] == "passphrase", "the vault has one for this cluster"


def test_import_reads_a_passphrase_from_standard_input(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "swarm.bkp.age"
    path.write_bytes(pyrage.passphrase.encrypt(tar_of(PLAIN.files), "needle-import-4"))
    none = cli("backups", "import", str(path))
    assert (none.code, "is encrypted with a passphrase, and none was given" in none.err) == (2, True)
    done = subprocess.run(
        [*PROGRAM, "backups", "import", str(path)],
        input=b"needle-import-4\n",
        capture_output=True,
        env=dict(cli.environment),
    )
    assert done.returncode == 0, done.stderr
    assert len(catalogue.entries()) == 1
    assert b"needle" not in done.stdout + done.stderr


def test_import_says_why_it_does_not(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "swarm.bkp"
    path.write_bytes(b"not a tar at all" * 100)
    result = cli("backups", "import", str(path))
    assert result.code == 1
    assert result.err.startswith(f"swarmtui: {path} was not imported. It is no tar, or its beginning is damaged")
    assert cli("backups", "import", str(tmp_path / "nowhere")).code == 1
    assert cli("backups", "import").code == 2


# -- unlock ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(catalogue: Catalogue) -> Iterator[str]:
    yield taken(catalogue, LOCKED).id


def unlocked(folder: Path) -> None:
    contents = read(FolderFiles(folder))
    assert (contents.locked, contents.opened, contents.fatal) == (False, True, ())
    assert contents.inventory is not None
    assert contents.inventory.services == LOCKED.inventory.services


def test_unlock_into_a_folder(cli: Cli, locked: str, tmp_path: Path) -> None:
    out = tmp_path / "swarm"
    result = cli("backups", "unlock", locked, "--to", str(out))
    assert result.code == 0, result
    assert result.out == (f"{out} holds the Swarm's directory of {locked}, unlocked. Whoever reads it has the Swarm.\n")
    unlocked(out)
    assert not (out / "docker-state.json").exists()
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [out, *out.rglob("*")] if path.is_dir()} == {0o700}
    again = cli("backups", "unlock", locked, "--to", str(out))
    assert (again.code, f"{out} is there already, and is not written over." in again.err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private", "swarm"], "nothing is left beside"


def test_unlock_into_a_file_and_onto_standard_output(cli: Cli, locked: str, tmp_path: Path) -> None:
    out = tmp_path / "swarm.tar.gz"
    result = cli("backups", "unlock", locked, "--to", str(out))
    assert result.code == 0, result
    assert out.stat().st_mode & 0o777 == 0o600
    piped = subprocess.run(
        [*PROGRAM, "backups", "unlock", locked, "--output", "-"], capture_output=True, env=dict(cli.environment)
    )
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == out.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(piped.stdout), mode="r:gz") as tar:
        tar.extractall(tmp_path / "swarm", filter="data")
    unlocked(tmp_path / "swarm")
    assert cli("backups", "unlock", locked, "--to", str(out)).code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private", "swarm", "swarm.tar.gz"]


def test_unlock_without_the_key_writes_nothing(cli: Cli, locked: str, tmp_path: Path) -> None:
    bare = Cli({name: value for name, value in cli.environment.items() if name not in KEYS})
    for name in ("swarm", "swarm.tgz"):
        result = bare("backups", "unlock", locked, "--to", str(tmp_path / name))
        assert result.code == 1, result
        assert f"{locked} was not unlocked. The archive is locked, and no key is known" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private"]


def test_what_is_not_locked_comes_out_as_it_was(cli: Cli, catalogue: Catalogue, tmp_path: Path) -> None:
    entry = taken(catalogue, PLAIN)
    result = cli("backups", "unlock", entry.id, "--to", str(tmp_path / "out"))
    assert "as it was: it is not locked." in result.out
    key = "certificates/swarm-node.key"
    assert (tmp_path / "out" / key).read_bytes() == PLAIN.files[key]


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_said(cli: Cli) -> None:
    nothing = cli("backups")
    assert (nothing.code, nothing.err.startswith("swarmtui: Say which: list, show")) == (2, True)
    assert cli("backups", "nonsense").code == 2
    shown = cli("backups", "--help")
    assert shown.code == 0
    assert "unlock" in shown.out
    for name in ("list", "show", "verify", "diff", "import", "unlock"):
        assert cli("backups", name, "--help").code == 0
    assert "backups list|show" in cli("--help").out


def test_the_console_does_not_load_any_of_it() -> None:
    """What the first table waits for is measured."""
    code = (
        "import sys, swarmtui.cli.main\n"
        "sys.exit(any(name.startswith(('swarmtui.backups', 'pyrage', 'nacl')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
