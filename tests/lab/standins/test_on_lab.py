"""The stand-ins on real engines: the documented pitfalls happen by themselves."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.lab import standins
from tests.lab.fixtures import MakeLab
from tests.lab.host import Host
from tests.lab.machine import wait_for
from tests.lab.standins.run import docker_run

pytestmark = [pytest.mark.lab, pytest.mark.full]

PASSWORD = "lab-admin-1"


def ping(host: Host) -> int:
    """The status of a manager's `/_ping`; 0 where nobody listens."""
    return ask(host, "/_ping")[0]


def ask(host: Host, path: str, body: Any = None) -> tuple[int, bytes]:
    """One request to a manager's controller; certificates are not looked at here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"https://{host.address}{path}", data), timeout=10, context=context
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def test_the_pitfalls_of_ucp_2_2(make_lab: MakeLab) -> None:
    """One manager: a failed install, a terminal, a wrong version, a second run, a killed backup, a restore."""
    host = make_lab(managers=1)["mgr1"]
    standins.load(host, ("2.2.5", "2.2.4"))
    credentials = f"--admin-username admin --admin-password {PASSWORD} --host-address {host.address}"

    standins.switch(host, "install-fails")
    failed = host.sh(docker_run("2.2.5", f"install {credentials}"), check=False)
    assert failed.returncode == 1 and "reconcile exited with non-zero status: 1" in failed.stderr
    standins.switch(host, "install-fails", on=False)
    assert host.sh("docker ps -aq --filter name=ucp-").stdout, "a failed install leaves containers behind"
    again = host.sh(docker_run("2.2.5", f"install {credentials}"), check=False)
    assert again.returncode == 1 and "already installed" in again.stderr
    host.sh("docker rm -f $(docker ps -aq --filter name=ucp-); docker volume rm $(docker volume ls -q | grep ^ucp-)")

    host.sh(docker_run("2.2.5", f"install {credentials}"), timeout=120)
    wait_for("UCP is healthy", lambda: ping(host) == 200, 30)
    identity = host.sh(docker_run("2.2.5", "id")).stdout.strip()
    assert identity == host.api("GET", "/swarm")["ID"]

    backup = f"backup --id {identity} --passphrase pass-1"
    host.sh(f"script -qec '{docker_run('2.2.5', 'id', tty=True)}' /root/typed")
    assert host.sh("cat -v /root/typed | grep -c '\\^M'").stdout.strip() != "0", "a terminal rewrites line ends"
    wrong = host.sh(docker_run("2.2.4", backup), check=False)
    assert wrong.returncode == 1 and "docker/ucp:2.2.5" in wrong.stderr
    standins.switch(host, "fatal-exits-zero")
    wrong = host.sh(docker_run("2.2.5", "backup --id other --passphrase x"), check=False)
    assert wrong.returncode == 0 and "level=fatal" in wrong.stderr
    standins.switch(host, "fatal-exits-zero", on=False)

    host.sh(f"({docker_run('2.2.5', backup)} >/dev/null 2>/root/log) & sleep 0; true")
    wait_for("a backup runs", lambda: "Temporarily" in host.sh("cat /root/log", check=False).stdout, 20)
    second = host.sh(docker_run("2.2.5", "id"), check=False)
    assert second.returncode == 125 and 'The container name "/ucp" is already in use' in second.stderr
    host.sh("docker kill ucp")
    assert ping(host) != 200, "a killed backup leaves UCP's containers stopped"
    host.sh(docker_run("2.2.5", "restart"), timeout=120)
    wait_for("UCP is healthy again", lambda: ping(host) == 200, 30)

    host.sh(f"{docker_run('2.2.5', backup)} >/root/ucp.tar", timeout=120)
    host.sh(docker_run("2.2.5", f"uninstall-ucp --id {identity}"), timeout=120)
    assert host.sh("docker ps -aq").stdout == "" and ping(host) == 0
    assert host.sh("docker volume ls -q").stdout.split() == ["ucp-controller-server-certs"]
    bad = host.sh(docker_run("2.2.5", "restore --passphrase pass-2") + " </root/ucp.tar", check=False)
    assert bad.returncode == 1 and "incorrect key" in bad.stderr
    host.sh(docker_run("2.2.5", "restore --passphrase pass-1") + " </root/ucp.tar", timeout=120)
    assert ask(host, "/auth/login", {"username": "admin", "password": PASSWORD})[0] == 200
    assert Path(host.docker_folder, "volumes/ucp-auth-store-data").is_dir()
