"""A platform on the lab for DTR: a manager with UCP, and workers with nothing on them."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.actions.cli import Cli
from tests.actions.ucp_stage import ADMIN, JIM, PASSPHRASE, SECRETS
from tests.lab import Lab, standins
from tests.lab.fixtures import MakeLab
from tests.lab.host import Host
from tests.lab.machine import wait_for
from tests.lab.standins.balancer import Balancer
from tests.lab.standins.run import docker_run

UCP_OF = {"2.4.1": "2.2.5", "2.7.6": "3.2.5", "2.9.4": "3.4.5"}
"""The UCP beside each version of DTR."""


def platform(make_lab: MakeLab, version: str, workers: int, managers: int = 1) -> tuple[Lab, Cli, Balancer]:
    """A Swarm under UCP, whose hosts have the images of a version of DTR; the command line; a load balancer."""
    lab = make_lab(managers=managers, workers=workers)
    first, ucp = lab["mgr1"], UCP_OF[version]
    bring(lab, version)
    credentials = f"--admin-username admin --admin-password {ADMIN}"
    first.sh(docker_run(ucp, f"install {credentials} --host-address {first.address}"), timeout=200)
    token = ask(first, "/auth/login", {"username": "admin", "password": ADMIN})[1]["auth_token"]

    def settled() -> bool:
        nodes = ask(first, "/nodes", token=token)[1]
        return all(node["Status"]["Message"].startswith("Healthy") for node in nodes)

    wait_for("UCP is on every node", settled, 120)
    # A host that is off is known to be after 9 s and not after 15: where some are lost, most of a test would be that.
    first.sh("docker swarm update --dispatcher-heartbeat 3s")
    balancer = Balancer(f"{lab.network.prefix}.254")
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    targets = ", ".join(f'"{host.target}"' for host in lab.hosts[:managers])
    (folder / "config.toml").write_text(f"[clusters.prod]\nmanagers = [{targets}]\n[clusters.prod.secrets]\n{SECRETS}")
    return lab, Cli(lab.ssh_env(PROD_ADMIN=ADMIN, PROD_PASSPHRASE=PASSPHRASE, JIM=JIM), "prod"), balancer


def bring(where: Lab | Host, version: str) -> None:
    """The images of this DTR and its UCP."""
    standins.load(where, (UCP_OF[version],))
    standins.load_dtr(where, (version,))


def ask(host: Host, path: str, body: Any = None, *, token: str = "", method: str | None = None) -> tuple[int, Any]:
    """One request to what listens on a host; certificates are not looked at. The status is 0 where nobody answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    login = f"Bearer {token}" if token else f"Basic {b64encode(f'admin:{ADMIN}'.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"https://{host.address}{path}", data, {"Authorization": login}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=15, context=context) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return 0, None


def health(host: Host) -> dict[str, str]:
    """The replicas as the one on a host tells of them; {} where it cannot."""
    told = ask(host, "/api/v0/meta/cluster_status")[1]
    return dict(told["replica_health"]) if told else {}


def tags(host: Host) -> list[str]:
    """The tags of the one repository, as the replica on a host knows them."""
    told = ask(host, "/api/v0/repositories/admin/app/tags")[1]
    return [tag["name"] for tag in told or []]


def push(host: Host, tag: str) -> None:
    """Make a tag of the one repository, and the repository before the first one."""
    ask(host, "/api/v0/repositories/admin", {"name": "app"})
    assert ask(host, f"/api/v0/repositories/admin/app/tags/{tag}", method="PUT")[0] == 201
