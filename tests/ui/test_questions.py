"""What an operation asks before it is planned: it begins with what is so now."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.ui.current import current
from swarmtui.ui.questions import completed, path_completed
from tests import builders as b
from tests.ui.test_console import opened

WEB = b.service(
    "web", replicas=6, image="shop/web:1.2@sha256:0123", constraints=["node.role == worker"], cpus=0.25, memory=96 << 20
)
WEB["Spec"]["Labels"] = {"tier": "front", "note": "a,b", "com.docker.stack.namespace": "shop"}
WEB["Spec"]["UpdateConfig"] = {"Parallelism": 2, "Delay": 1_500_000_000, "Order": "start-first"}
AGENT = b.service("agent", mode="global", image="agent:1")
ONE, TWO = b.node("one", labels={"zone": "a", "disk": "ssd"}), b.node("two", labels={"zone": "b"})
SNAPSHOT = b.snapshot([ONE, TWO], [WEB, AGENT])


def test_what_a_service_is_now_is_told_as_it_is_typed() -> None:
    assert current("services", [WEB["ID"]], SNAPSHOT) == {
        "replicas": "6",
        "image": "shop/web:1.2",
        "label": r"note=a\,b,tier=front",
        "reserve-cpu": "0.25",
        "reserve-memory": "96M",
        "constraint": "node.role==worker",
        "parallelism": "2",
        "delay": "1.5s",
        "order": "start-first",
    }


def test_of_a_global_service_no_replicas_are_told_and_of_several_what_they_share() -> None:
    assert "replicas" not in current("services", [AGENT["ID"]], SNAPSHOT)
    both = current("services", [WEB["ID"], AGENT["ID"]], SNAPSHOT)
    assert both["image"] == "differs between them"
    assert current("nodes", [ONE["ID"]], SNAPSHOT) == {"label": "disk=ssd,zone=a"}
    assert current("nodes", ["gone"], SNAPSHOT) == current("stacks", ["shop"], SNAPSHOT) == {}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("im", "image="),
        ("image=", "image=shop/web:1.2"),
        ("order=start-first image=shop/", "order=start-first image=shop/web:1.2"),
        ("image=other", ""),
        ("limit-cpu=", ""),
        ("label=", ""),
        ("", ""),
        ("env=A=b ", ""),
    ],
)
def test_a_word_is_completed_with_what_is_so_now(typed: str, offered: str) -> None:
    now = {"image": "shop/web:1.2", "label": "differs between them"}
    assert completed(typed, ("image", "env", "label", "order", "limit-cpu"), now) == offered


def test_a_path_is_completed_with_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stacks").mkdir()
    for name in ("shop.yml", "shop-old.yml"):
        (tmp_path / "stacks" / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for typed, offered in {
        "st": "stacks/",
        "~/st": "~/stacks/",
        f"{tmp_path}/stacks/shop.": f"{tmp_path}/stacks/shop.yml",
        "stacks/sh": "stacks/shop-old.yml",
        "stacks/": "",
        "": "",
        "nothing/here": "",
        "stacks/shop.yml": "stacks/shop.yml",
        "a\0b": "",
    }.items():
        assert path_completed(typed) == offered


async def test_a_compose_file_is_found_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "hello.yml").write_text("services: {web: {image: 'nginx:1.25'}}\n")
    async with opened(tmp_path) as (_, console):
        await console.here().view("stacks").contains("shop").press("N").at("ask").sees("New stack: ")
        await console.here().answer("hello").at("ask").type(f"{tmp_path}/hel").sees("hello.yml")
        await console.here().press("right", "enter").dialog("Deploy stack hello", f"{tmp_path}/hello.yml")


async def test_a_scale_begins_with_the_number_of_now_and_typing_replaces_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").contains("shop_web").select("shop_web").press("S").at("ask")
        await console.here().sees("how many tasks shall run").press("enter").told("shop_web has 6 replicas already")
        await console.here().press("S").answer("4").dialog("Scale shop_web to 4").leave()
        await console.here().press("S").at("ask").press("end").type("0").press("enter").dialog("Scale shop_web to 60")


async def test_labels_and_updates_tell_what_is_so_now_on_a_small_screen(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (_, console):
        await console.nodes().select("wrk1").press("L").at("ask").sees("Now: ").sees("zone=").leave()
        await console.here().view("services").contains("shop_web").select("shop_web").press("U").at("ask")
        await console.here().sees("image=IMAGE now nginx:1.25", "parallelism=NUMBER now", "enter: go on")
        await console.here().type("image=").sees("image=nginx:1.25").press("right", "backspace")
        await console.here().type("6").press("enter").dialog("nginx:1.25 → nginx:1.26")
