"""The runbooks on services from the command line, on the simulated Swarm; the docker CLI tells what came of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actions.cli import Cli, Result
from tests.demo.conftest import Served, start, stop


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shop of the demo, at ten times its pace."""
    running = start("--scenario", "calm", "--speed", "10", "--seed", "1", folder=Path("/tmp"))
    yield running
    stop(running)


class Shop:
    """The command line on it, and docker's own word."""

    def __init__(self, served: Served, home: Path) -> None:
        self._config = str(served.line["config"])
        self._socket = served.socket("mgr2")
        self._cli = Cli({"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "simulated")

    def run(self, name: str, *arguments: str, code: int = 0) -> Result:
        result = self._cli.run(name, *arguments, "--config", self._config)
        assert result.code == code, result
        return result

    def docker(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "-H", self._socket, *words], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def spec(self, name: str) -> Any:
        return json.loads(self.docker("service", "inspect", "-f", "{{json .Spec}}", name))


@pytest.fixture
def shop(served: Served, tmp_path: Path) -> Shop:
    return Shop(served, tmp_path)


def test_a_plan_can_be_read_by_people_and_programs_and_changes_nothing(shop: Shop) -> None:
    before = shop.spec("shop_web")
    plan = json.loads(shop.run("service.update", "service=shop_web", "reserve-cpu=7", "--dry-run", "--json").out)
    assert plan["steps"][0]["commands"][0]["line"] == "docker service update --detach --reserve-cpu 7 shop_web"
    (service,) = plan["services"]
    assert service["stuck"] == 1 and "a task reserves 7 CPU" in service["why"]
    shown = shop.run("service.restart", "service=shop_web", "--dry-run").out
    assert "6 tasks restart, 1 at a time, 2 s apart; each new one runs before the old one stops." in shown
    assert "belongs to the stack shop" in shown
    assert shop.run("service.scale", "service=shop_web", "replicas=1", "--markdown").out.startswith("# Scale shop_web")
    assert shop.spec("shop_web") == before


def test_what_cannot_be_meant_is_refused_with_its_own_exit_code(shop: Shop) -> None:
    assert 'Did you mean "shop_web"' in shop.run("service.scale", "service=shop_wbe", "replicas=1", code=2).err
    assert "global service" in shop.run("service.scale", "service=mon_logs", "replicas=1", code=4).err
    assert "told nothing to change" in shop.run("service.update", "service=shop_web", "--yes", code=2).err
    assert "no terminal" in shop.run("service.remove", "service=shop_web", code=2).err


def test_services_are_changed_as_asked(shop: Shop) -> None:
    shop.run("service.scale", "service=shop_cart", "replicas=3", "--yes")
    assert shop.docker("service", "ls", "-f", "name=shop_cart", "--format", "{{.Replicas}}").startswith("3/3")
    was = shop.spec("shop_cart")
    shop.run("service.update", "service=shop_cart", "image=shop/cart:2.5.0", r"env=HOSTS=a\,b", "--yes")
    was["TaskTemplate"]["ContainerSpec"] |= {"Image": "shop/cart:2.5.0", "Env": ["HOSTS=a,b"]}
    assert shop.spec("shop_cart") == was
    shop.run("service.restart", "service=shop_cart,mon_logs", "--yes")
    assert [shop.spec(name)["TaskTemplate"]["ForceUpdate"] for name in ("shop_cart", "mon_logs")] == [1, 1]
    shop.run("service.remove", "service=shop_jobs", "--yes")
    assert "shop_jobs" not in shop.docker("service", "ls", "--format", "{{.Name}}").split()


def test_a_bad_release_fails_with_its_reason_and_is_rolled_back(shop: Shop) -> None:
    failed = shop.run("service.update", "service=shop_catalog", "image=shop/catalog:3.3-broken", "--yes", code=1)
    assert "The engine paused the rollout of shop_catalog" in failed.err
    assert "failed: task: non-zero exit (1)" in failed.err
    back = shop.run("service.rollback", "service=shop_catalog", "--yes")
    assert "shop_catalog is rolling back" in back.out
    assert shop.spec("shop_catalog")["TaskTemplate"]["ContainerSpec"]["Image"] == "shop/catalog:3.2.0"
