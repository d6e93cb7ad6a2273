"""What the other tools can do, done at the keyboard; docker's own word on what came of it."""

from __future__ import annotations

import ast
import base64
import json
from pathlib import Path

import pytest

from tests.peers.proved import ALL
from tests.peers.support import Docker, needs_docker
from tests.ui.test_console import opened

TESTS = Path(__file__).resolve().parents[1]


@needs_docker
async def test_scale_force_and_roll_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        before = (await docker.service("shop_cart"))["Spec"]
        await console.here().view("services").select("shop_cart").press("S").at("ask").press("ctrl+u")
        await console.here().answer("3").dialog("replicas 5 → 3").confirm().until_done()
        await console.here().shows("shop_cart", "3/3")
        scaled = (await docker.service("shop_cart"))["Spec"]
        assert scaled == {**before, "Mode": {"Replicated": {"Replicas": 3}}}

        await console.here().select("shop_cart").press("R").confirm().until_done()
        forced = await docker.service("shop_cart")
        assert forced["Spec"]["TaskTemplate"].pop("ForceUpdate") == scaled["TaskTemplate"].pop("ForceUpdate", 0) + 1
        assert forced["Spec"] == scaled

        await console.here().select("shop_cart").press("U").at("ask").press("ctrl+u")
        await console.here().answer("image=shop/cart:2.5.0").dialog("shop/cart:2.5.0").confirm().until_done()
        assert (await docker.service("shop_cart"))["Spec"]["TaskTemplate"]["ContainerSpec"][
            "Image"
        ] == "shop/cart:2.5.0"
        await console.here().select("shop_cart").press("B").dialog("Roll back shop_cart").confirm().until_done()
        back = await docker.service("shop_cart")
        assert back["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "shop/cart:2.4.1"


@needs_docker
async def test_stacks_are_listed_deployed_changed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "hello.yml"
    compose = 'version: "3.8"\nservices:\n  web:\n    image: nginx:1.25\n    deploy:\n      replicas: {}\n'
    file.write_text(compose.format(2))
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        await console.here().view("stacks").contains("shop", "mon", "edge").press("N").answer("hello")
        await console.until("the second question", lambda: "compose" in console.words)
        await console.here().answer(str(file)).dialog("+ hello_web").confirm().until_done()
        await console.here().shows("hello", "1", "2/2")
        assert "hello" in await docker.names("stack")
        assert (await docker("stack", "services", "--format", "{{.Replicas}}", "hello")).startswith("2/2")

        file.write_text(compose.format(3))
        await console.here().select("hello").press("U").answer(str(file)).dialog("replicas: 2 → 3")
        await console.here().confirm().until_done()
        await console.here().shows("hello", "3/3").press("t").title("filter: stack=hello").contains("hello_web.3")
        assert len((await docker("stack", "ps", "-q", "-f", "desired-state=running", "hello")).split()) == 3

        await console.here().view("stacks").select("hello").press("X").confirm("hello").until_done()
        await console.here().lacks("hello")
        assert "hello" not in await docker.names("stack") and "hello_web" not in await docker.names("service")


@needs_docker
@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_secrets_and_configs_are_made_used_and_removed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "content").write_text("hunter2\n")
    known = {"secret": "shop_db-password", "config": "shop_nginx-conf"}[kind]
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        await console.here().view(f"{kind}s").contains(known).press("N").answer("made-here")
        await console.until("the second question", lambda: "standard input" in console.words)
        await console.here().answer(str(tmp_path / "content")).dialog(f"docker {kind} create")
        assert "hunter2" not in console.text
        await console.here().confirm().until_done()
        (made,) = json.loads(await docker(kind, "inspect", "made-here"))
        assert made["Spec"]["Name"] == "made-here"
        if kind == "config":
            assert base64.b64decode(made["Spec"]["Data"]) == b"hunter2\n"
        before = await docker.names(kind)
        if kind == "secret":
            # What is used stays, and its users are told. No service of the shop uses a config.
            await console.here().select(known).press("X").told(f"{known} is used by shop_db")
            assert await docker.names(kind) == before
        await console.here().select("made-here").press("X").confirm("made-here").until_done()
        await console.here().lacks("made-here")
        assert await docker.names(kind) == before - {"made-here"}


@needs_docker
async def test_networks_are_made_and_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo, "mgr1")
        await console.here().view("networks").contains("shop_back").press("N").answer("made-here")
        await console.here().at("ask").sees("Anything else?").type("subnet=10.99.0.0/24").press("enter")
        await console.here().dialog("--subnet 10.99.0.0/24").confirm().until_done()
        (made,) = json.loads(await docker("network", "inspect", "made-here"))
        assert (made["Driver"], made["IPAM"]["Config"][0]["Subnet"]) == ("overlay", "10.99.0.0/24")
        await console.here().select("shop_back").press("X").told("shop_")
        await console.here().select("made-here").press("X").confirm("made-here").until_done()
        assert {"made-here", "shop_back"} & await docker.names("network") == {"shop_back"}


@pytest.mark.parametrize("row", ALL)
def test_what_is_proved_elsewhere_is(row: str) -> None:
    assert ALL[row]
    for place in ALL[row]:
        file, _, name = place.partition("::")
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        tests = {node.name for node in functions if node.name.startswith("test_")}
        assert name in tests if name != "*" else tests, f"{row}: there is no {place} any more"
