"""Stacks from the command line: deployed with the differences first, proved by the docker CLI, and removed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.demo.conftest import Served, start, stop
from tests.lab import Lab

FILE = """
version: "3.8"
x-service: &service
  image: alpine
  command: sleep 1d
  stop_grace_period: 1s
  networks: [host]
services:
  web:
    <<: *service
    environment: {PW: "${PW:?}"}
    env_file: web.env
    secrets: [pw]
    configs: [conf]
    deploy: {replicas: "${REPLICAS:-2}", endpoint_mode: dnsrr, placement: {constraints: [node.role==worker]}}
  job:
    <<: *service
    deploy: {endpoint_mode: dnsrr, labels: {price: "5$$"}}
networks:
  host: {external: true}
secrets:
  pw: {file: pw}
configs:
  conf: {file: conf}
"""
SECRETS = ("s3cret-variable", "s3cret-env-file", "s3cret-file")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "web.env").write_text("FROM_FILE=s3cret-env-file\n")
    (tmp_path / "pw").write_text("s3cret-file")
    (tmp_path / "conf").write_text("listen 80\n")
    path = tmp_path / "shop.yml"
    path.write_text(FILE)
    return path


def journalled(cli: Cli) -> str:
    """All that the journals hold."""
    state = Path(cli.environment.get("XDG_STATE_HOME") or Path(cli.environment["HOME"]) / ".local/state")
    found = [one.read_text() for one in state.rglob("*.jsonl")]
    assert found
    return "\n".join(found)


def check_nothing_leaked(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text
    assert "czNjcmV0" not in text  # their beginning in base64


def with_variables(cli: Cli, **variables: str) -> Cli:
    return Cli({**cli.environment, **variables}, cli.target)


def service(truth: Truth, name: str) -> dict[str, Any]:
    (found,) = json.loads(truth.docker("service", "inspect", name))
    spec: dict[str, Any] = found["Spec"]
    return spec


def test_a_stack_is_deployed_changed_pruned_and_removed(swarm: Lab, cli: Cli, truth: Truth, file: Path) -> None:
    cli = with_variables(cli, PW="s3cret-variable")
    deploy = ("stack.deploy", "stack=shop", f"file={file}", "resolve-image=never")

    planned = cli.plan(*deploy)
    assert [change for change in planned["changes"] if change[0] in "+-~"] == [
        "+ shop_job",
        "+ shop_web",
        "+ config shop_conf",
        "+ secret shop_pw",
    ]
    assert truth.docker("service", "ls", "-q") == ""  # looking changed nothing

    first = cli.do(*deploy)
    assert "Done and verified." in first.out
    assert truth.placed("shop_web") and set(truth.placed("shop_web")) <= {"wrk1", "wrk2"}
    assert len(truth.placed("shop_web")) == 2 and len(truth.placed("shop_job")) == 1
    web = service(truth, "shop_web")
    assert sorted(web["TaskTemplate"]["ContainerSpec"]["Env"]) == ["FROM_FILE=s3cret-env-file", "PW=s3cret-variable"]
    assert service(truth, "shop_job")["Labels"]["price"] == "5$"
    inside = next(host for host in ("wrk1", "wrk2") if truth.containers(host))
    container = next(name for name in truth.containers(inside) if name.startswith("shop_web"))
    secret = swarm[inside].docker("exec", container, "cat", "/run/secrets/pw").stdout
    assert (secret, swarm[inside].docker("exec", container, "cat", "/conf").stdout) == ("s3cret-file", "listen 80\n")

    # Made uneven with the file by hand: the plan says what the file takes back, and the deploy does it.
    truth.docker("service", "update", "-q", "--detach", "--no-resolve-image", "--replicas", "1", "shop_web")
    again = with_variables(cli, PW="other", REPLICAS="3")
    assert again.plan(*deploy)["changes"] == [
        "= shop_job",
        "~ shop_web",
        "replicas: 1 → 3",
        "environment: PW differs",
    ]
    second = again.do(*deploy)
    assert len(truth.placed("shop_web")) == 3
    assert "PW=other" in service(truth, "shop_web")["TaskTemplate"]["ContainerSpec"]["Env"]

    without = file.with_name("less.yml")
    without.write_text(FILE.partition("  job:")[0] + "networks:" + FILE.partition("\nnetworks:")[2])
    kept = again.do("stack.deploy", "stack=shop", f"file={without}", "resolve-image=never")
    assert truth.docker("service", "ls", "--format", "{{.Name}}").split() == ["shop_job", "shop_web"]
    again.do("stack.deploy", "stack=shop", f"file={without}", "resolve-image=never", "prune=true")
    assert truth.docker("service", "ls", "--format", "{{.Name}}") == "shop_web"

    gone = again.do("stack.remove", "stack=shop")
    for kind in ("service", "secret", "config"):
        assert truth.docker(kind, "ls", "-q") == ""
    assert truth.docker("network", "ls", "-q", "-f", "label=com.docker.stack.namespace=shop") == ""
    assert all(truth.containers(host) == [] for host in truth.names())
    check_nothing_leaked("".join(map(str, (first, second, kept, gone))) + journalled(cli))


@pytest.mark.lab
def test_a_task_that_fails_is_told_and_the_run_fails(lab: Lab, cli: Cli, truth: Truth, tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(
        """
version: "3.8"
services:
  bad:
    image: alpine
    command: sh -c 'exit 3'
    networks: [host]
    deploy: {endpoint_mode: dnsrr}
networks: {host: {external: true}}
"""
    )
    failed = cli.do("stack.deploy", "stack=bad", f"file={file}", "resolve-image=never", "wait=8", code=1)
    assert "non-zero exit (3)" in failed.err
    assert truth.docker("service", "ls", "--format", "{{.Name}}") == "bad_bad"  # it is there, as docker leaves it
    cli.do("stack.remove", "stack=bad")
    assert truth.docker("service", "ls", "-q") == ""


@pytest.mark.lab
def test_the_script_reaches_the_same_state(lab: Lab, cli: Cli, truth: Truth, file: Path) -> None:
    cli = with_variables(cli, PW="s3cret-variable")
    script = cli.script("stack.deploy", "stack=byhand", f"file={file}", "resolve-image=never")
    check_nothing_leaked(script)
    done = cli.sh(script)
    assert done.code == 0, done
    cli.do("stack.deploy", "stack=byrun", f"file={file}", "resolve-image=never")

    def plain(stack: str) -> Any:
        specs = [service(truth, f"{stack}_{name}") for name in ("web", "job")]
        ids = [truth.docker(kind, "ls", "-q", "-f", f"name={stack}_") for kind in ("secret", "config")]
        text = json.dumps(specs, sort_keys=True).replace(stack, "STACK")
        for id in ids:
            text = text.replace(id, "ID")
        return text

    assert plain("byhand") == plain("byrun")
    removal = cli.sh(cli.script("stack.remove", "stack=byhand"))
    assert removal.code == 0, removal
    cli.do("stack.remove", "stack=byrun")
    assert truth.docker("service", "ls", "-q") + truth.docker("secret", "ls", "-q") == ""


@pytest.mark.lab
def test_the_network_of_a_stack_comes_and_goes_with_it(lab: Lab, cli: Cli, truth: Truth, tmp_path: Path) -> None:
    file = tmp_path / "net.yml"
    file.write_text(
        """
version: "3.8"
services:
  web:
    image: alpine
    command: sleep 1d
    stop_grace_period: 3s
    networks: [back]
    deploy: {replicas: 3, endpoint_mode: dnsrr}
networks:
  back: {driver: overlay, attachable: true}
"""
    )
    deploy = ("stack.deploy", "stack=net", f"file={file}", "resolve-image=never")
    assert "+ network net_back" in cli.plan(*deploy)["changes"]
    cli.do(*deploy)
    assert len(truth.placed("net_web")) == 3
    label = ("-q", "-f", "label=com.docker.stack.namespace=net")
    assert truth.docker("network", "ls", *label) != ""
    assert cli.plan(*deploy)["changes"] == ["= net_web"]

    cli.do("stack.remove", "stack=net")  # the tasks take 3 s to stop, and hold the network as long

    assert truth.docker("network", "ls", *label) + truth.docker("service", "ls", *label) == ""
    assert all(truth.containers(host) == [] for host in truth.names())


# -- on the simulator, over its socket and the stock docker command of this machine --------------------------------


@pytest.fixture
def served() -> Iterator[Served]:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command here")
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        found = start("--speed", "20", folder=Path(folder))
        yield found
        stop(found)


def test_a_bad_file_touches_nothing_and_a_good_one_is_deployed_through_a_local_socket(
    served: Served, file: Path
) -> None:
    cli = Cli({**os.environ, "PW": "s3cret-variable"}, served.socket("mgr1"))
    deploy = ("stack.deploy", "stack=new", f"file={file}")

    bad = Cli(dict(os.environ), cli.target).run(*deploy, "--yes")
    assert bad.code == 2
    assert f"{file}, line 11: services.web.environment.PW needs the variable PW: it is not set." in bad.err
    file.write_text(FILE.replace("image: alpine", "image: alpine\n  imagee: x"))
    worse = cli.run(*deploy, "--yes")
    assert (worse.code, "imagee is no key that docker stack knows here" in worse.err) == (2, True)
    assert "new_" not in served.ssh("mgr1", "docker service ls").stdout

    file.write_text(FILE)
    done = cli.do(*deploy)
    assert "new_web" in served.ssh("mgr1", "docker service ls").stdout
    removed = cli.do("stack.remove", "stack=new")
    assert "new_" not in served.ssh("mgr1", "docker service ls").stdout
    assert "new_pw" not in served.ssh("mgr1", "docker secret ls").stdout
    check_nothing_leaked("".join(map(str, (bad, worse, done, removed))) + journalled(cli))
