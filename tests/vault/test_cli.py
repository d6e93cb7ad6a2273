"""`swarmtui secrets` as a program of its own, over a real Secret Service."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from swarmtui.demo.serve import Demo

CLUSTER = "kmm8u0o7ky9bs9axfidsilwhq"
KEY = "SWMKEY-1-" + "planted+" * 5 + "abc"
OLD = "SWMKEY-1-" + "0ldplant" * 5 + "abc"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(keyring_environ: dict[str, str]) -> Run:
    """Runs `swarmtui secrets`; checks that no argument of the process ever holds what came on standard input."""

    def run(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "swarmtui", "secrets", *arguments],
            env={**keyring_environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        seen: list[bytes] = []

        def watch() -> None:
            while process.poll() is None:
                try:
                    seen.extend(Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
                except OSError:
                    return
                time.sleep(0.05)

        watching = threading.Thread(target=watch)
        watching.start()
        out, err = process.communicate(stdin, timeout=100)
        watching.join()
        assert any(b"secrets" in text for text in seen)
        if stdin.strip():
            assert not [text for text in seen if stdin.strip().encode() in text]
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def outcome(ended: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return ended.returncode, ended.stdout, ended.stderr


def test_keep_list_and_forget(run: Run) -> None:
    assert outcome(run("list")) == (0, "Nothing is kept.\n", "")
    kept = run("set", "unlock-key", CLUSTER, "--name", "prod", stdin=f"{KEY}\n")
    assert outcome(kept) == (0, f"The unlock-key of {CLUSTER} is kept in the OS keyring (Secret Service).\n", "")
    # By its name from now on, and the older one beside it.
    assert run("set", "unlock-key", "prod", "--previous", stdin=OLD).returncode == 0
    assert run("set", "sudo-password", "ops@mgr1", stdin="pässwörd-planted\r\n").returncode == 0
    assert run("set", "ssh-passphrase", "~/.ssh/id_ed25519", stdin="planted").returncode == 0

    listed = run("list")
    assert (listed.returncode, listed.stderr) == (0, "")
    key_row, ssh_row, sudo_row = listed.stdout.splitlines()
    assert key_row.startswith(f"unlock-key      {CLUSTER} (prod)")
    assert "current" in key_row and "previous" in key_row
    assert "/.ssh/id_ed25519 " in ssh_row and "~" not in ssh_row
    assert "ops@mgr1" in sudo_row
    told = json.loads(run("list", "--json").stdout)
    assert (told["schema"], told["durable"], told["where"]) == (1, True, "the OS keyring (Secret Service)")
    assert [(one["kind"], one["about"].rpartition("/")[2]) for one in told["secrets"]] == [
        ("unlock-key", CLUSTER),
        ("ssh-passphrase", "id_ed25519"),
        ("sudo-password", "ops@mgr1"),
    ]
    assert [key["state"] for key in told["secrets"][0]["unlock_keys"]].count("current") == 1
    assert not [word for word in ("planted", KEY, OLD) if word in listed.stdout + json.dumps(told)]

    assert outcome(run("remove", "sudo-password", "ops@mgr1")) == (
        0,
        "The sudo-password of ops@mgr1 is forgotten.\n",
        "",
    )
    assert outcome(run("remove", "sudo-password", "ops@mgr1")) == (
        2,
        "",
        "swarmtui: No sudo-password of ops@mgr1 is kept. See what is: swarmtui secrets list\n",
    )
    assert outcome(run("remove", "unlock-key", "prod")) == (
        2,
        "",
        "swarmtui: There is no terminal to confirm on. Add --yes if it is meant.\n",
    )
    assert run("remove", "unlock-key", "prod", "--yes").returncode == 0
    assert "unlock-key" not in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["set", "unlock-key", CLUSTER, KEY], "", "a secret is never one"),
        (["set", "unlock-key", KEY], "", "An unlock key is never an argument."),
        (["set", KEY, CLUSTER], "", "That is no kind of secret. Kinds: unlock-key, "),
        ([KEY], "", "Say which: list, set, remove, export, open-key-file or renew-certificate."),
        (["set", "unlock-key", CLUSTER, f"--value={KEY}"], "", "a secret is never one"),
        (["set", "unlock-key", CLUSTER, f"--previous={KEY}"], "", "An option is used as it cannot be."),
        (["set", "unlock-key", "prod"], KEY, '"prod" is no id of a Swarm, and no name of one whose key is kept.'),
        (["set", "unlock-key", CLUSTER], "", "The value is empty."),
        (["set", "unlock-key", CLUSTER], KEY[:-1], "This is no unlock key: SWMKEY-1- and 43 characters."),
        (["set", "unlock-key", CLUSTER], f"To unlock:\n\n    {KEY}\n", "The value must be one line"),
        (["set", "sudo-password", "a@b"], f"{KEY}\x1b[31m", "The value must be one line"),
        (["set", "sudo-password", "a@b", "--previous"], KEY, "Only unlock keys have previous ones."),
        (["set", "sudo-password", "a\nb"], KEY, "must be about something that can be written in one line"),
        (["set"], "", "The following arguments are required: KIND, ABOUT."),
        (["export"], "", "The following arguments are required: --age."),
        (["export", "--age", "AGE-SECRET-KEY-1PLANTED"], "", "That is a secret key of age"),
        (["export", "--age", "age1planted"], "", "This is no recipient of age: age1planted"),
        (["export", "--age", "/nowhere/at/all"], "", "as a file it cannot be read: No such file or directory."),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence_that_holds_no_secret(
    run: Run, arguments: list[str], stdin: str, said: str
) -> None:
    ended = run(*arguments, stdin=stdin)
    assert ended.stdout == ""
    assert said in ended.stderr
    assert ended.stderr.startswith("swarmtui: ")
    assert ended.stderr.count("\n") == 1
    assert KEY not in ended.stderr and KEY[:-1] not in ended.stderr and "PLANTED" not in ended.stderr
    assert ended.returncode == (1 if "one line of at most 255" in ended.stderr else 2)


def test_without_a_keyring_nothing_is_pretended(run: Run) -> None:
    null = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    ended = run("set", "unlock-key", CLUSTER, stdin=KEY, **null)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(
        "swarmtui: There is no keyring to keep it in: PYTHON_KEYRING_BACKEND chooses keyring.backends.null.Keyring, "
        "which is no keyring of the operating system. On a host without a desktop, install gnome-keyring"
    )
    listed = run("list", "--json", **null)
    assert json.loads(listed.stdout)["durable"] is False
    told = run("list", **null)
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr.startswith("swarmtui: No keyring could be looked into: PYTHON_KEYRING_BACKEND chooses")


def test_a_dead_keyring_is_said_and_the_program_ends(dead_keyring_environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "swarmtui", "secrets", "set", "unlock-key", CLUSTER],
        env=dead_keyring_environ,
        input=KEY,
        capture_output=True,
        text=True,
        timeout=100,  # a call to a dead service blocks for 120 s
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "There is no keyring to keep it in: the keyring did not answer within 10 s." in ended.stderr


def test_on_a_terminal_it_is_asked_for_and_not_shown(keyring_environ: dict[str, str]) -> None:
    def typed(*lines: str) -> tuple[int, str]:
        """Runs it on a terminal of its own, and answers each question."""
        pid, terminal = pty.fork()
        if pid == 0:
            command = [sys.executable, "-m", "swarmtui", "secrets", "set", "sudo-password", "ops@mgr1"]
            os.execve(sys.executable, command, keyring_environ)
        screen = b""
        for line in lines:
            while not screen.endswith(b": "):
                screen += os.read(terminal, 1024)
            os.write(terminal, line.encode() + b"\n")
            screen += b"|"
        try:
            while chunk := os.read(terminal, 1024):
                screen += chunk
        except OSError:  # the other side is gone
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()

    code, screen = typed("planted-pw", "planted-pv")
    assert (code, "planted" in screen) == (2, False)
    assert "The two are not the same. Nothing was kept; try again." in screen
    code, screen = typed("planted-pw", "planted-pw")
    assert (code, "planted" in screen) == (0, False)
    assert "sudo-password of ops@mgr1: |" in screen
    assert "is kept in the OS keyring (Secret Service)." in screen


def test_the_escrow_sheet(run: Run, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    nothing = run("export", "--age", recipient)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("swarmtui: Nothing is kept that a sheet could hold. Keep a cluster's key first")

    config = tmp_path / "config.toml"
    config.write_text(
        '[clusters.prod]\nmanagers = ["ssh://root@192.0.2.1"]\n'
        '[clusters.other]\nmanagers = ["ssh://root@192.0.2.2"]\nsecrets.backup-passphrase = "env:OTHER_BACKUPS"\n'
    )
    run("set", "unlock-key", CLUSTER, "--name", "prod", stdin=OLD)
    run("set", "unlock-key", CLUSTER, stdin=KEY)
    run("set", "ucp-password", "prod", stdin="ucp-planted")
    run("set", "sudo-password", "ops@mgr1", stdin="not-for-the-sheet")
    ssh_key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh_key], check=True)
    out = tmp_path / "sheet.age"
    arguments = ["export", "--config", str(config), "--age", recipient, "--age", f"{ssh_key}.pub"]
    ended = run(*arguments, "--out", str(out), OTHER_BACKUPS="other-planted")
    assert outcome(ended) == (
        0,
        f"{out} holds the secrets of 3 clusters, encrypted.\nTry now that you can open it: age -d -i KEY_FILE {out}\n",
        "",
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    sealed = out.read_bytes()
    assert sealed.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert b"planted" not in sealed
    text = pyrage.decrypt(sealed, [identity]).decode()
    assert text == pyrage.decrypt(sealed, [pyrage.ssh.Identity.from_buffer(ssh_key.read_bytes())]).decode()
    lines = [line.strip() for line in text.splitlines()]
    assert f"Cluster prod (id {CLUSTER})" in lines
    key, old = lines.index(KEY), lines.index(OLD)
    assert lines[key - 1].startswith("unlock key, current, kept 20")
    assert lines[old - 1].startswith("unlock key, previous, kept 20")
    assert {"ucp-planted", "other-planted", "Cluster other"} <= set(lines)
    assert "docker swarm unlock" in text
    assert "not-for-the-sheet" not in text

    again = run(*arguments, "--out", str(out))
    assert outcome(again) == (2, "", f"swarmtui: {out} exists already, and is not written over. Choose another name.\n")
    assert out.read_bytes() == sealed
    piped = run(*arguments)
    assert KEY in pyrage.decrypt(piped.stdout.encode(), [identity]).decode()


def test_what_a_cluster_has_outside_is_listed(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[clusters.prod]\nmanagers = ["ssh://root@192.0.2.1"]\n'
        '[clusters.prod.secrets]\nunlock-key = "env:PROD_KEY"\nucp-password = "env:NOT_SET"\n'
    )
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "swarmtui.backup-passphrase.prod").write_text("planted-backup")
    told = run("list", "--json", "--config", str(config), PROD_KEY=KEY, CREDENTIALS_DIRECTORY=str(folder))
    assert "planted" not in told.stdout
    assert {
        (one["kind"], one["about"], one["where"], one["durable"]) for one in json.loads(told.stdout)["secrets"]
    } == {
        ("unlock-key", "prod", "the environment variable PROD_KEY", True),
        ("backup-passphrase", "prod", "the systemd credential swarmtui.backup-passphrase.prod", True),
    }


async def test_a_cluster_is_named_as_in_the_configuration_and_kept_by_its_id(run: Run) -> None:
    async with Demo("calm", seed=1) as demo:
        command = ("set", "unlock-key", "simulated", "--config", str(demo.config))
        kept = await asyncio.to_thread(run, *command, stdin=KEY)
        (entry,) = json.loads((await asyncio.to_thread(run, "list", "--json")).stdout)["secrets"]
        assert entry["name"] == "simulated"
        assert entry["about"] == demo.world.clusters[0].id
        assert outcome(kept) == (
            0,
            f"The unlock-key of {entry['about']} is kept in the OS keyring (Secret Service).\n",
            "",
        )
