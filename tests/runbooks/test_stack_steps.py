"""What the steps on stacks run on a manager, and how they judge what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from swarmtui.config import ClusterConfig
from swarmtui.runbooks import stack_steps
from swarmtui.runbooks.compose_files import load
from swarmtui.runbooks.runbook import ConflictError, StepError, Voice
from swarmtui.runbooks.stack_steps import DeployStack, RemoveStack, WaitTasksGone
from tests.builders import node, snapshot
from tests.runbooks.support import Completed, FakeSession

MANAGER = node("mgr1", manager="leader")
LABELS = {"com.docker.stack.namespace": "shop"}


@dataclass
class Shell:
    """A manager's shell: gives its answers in turn, and keeps what it was asked and given."""

    answers: list[Completed] = field(default_factory=list)
    ran: list[tuple[str, bytes]] = field(default_factory=list)

    async def run(self, command: str, *, stdin: bytes | None = None, timeout: float) -> Completed:
        self.ran.append((command, stdin or b""))
        return self.answers.pop(0) if self.answers else Completed()


class Manager(FakeSession):
    """A session over SSH whose engine tells from `lists` what there is; each look takes the next."""

    def __init__(self, *answers: Completed, sudo: bool = False, **lists: list[Any]) -> None:
        super().__init__(snapshot([MANAGER]), through=MANAGER["ID"], cluster=ClusterConfig(sudo=sudo))
        self.shell = Shell(list(answers))
        self.hosts[MANAGER["ID"]] = self.shell  # type: ignore[assignment]
        self.lists = {"services": [], "networks": [], "secrets": [], "configs": [], "tasks": [], **lists}

    async def get(self, path: str, params: Any = None, *, clean: bool = True) -> bytes:
        return json.dumps(self.lists[path.removeprefix("/")]).encode()


def voice() -> Voice:
    return Voice(lambda line: None, lambda done, total, text: None)


def service(name: str, image: str = "nginx:1@sha256:0") -> dict[str, Any]:
    template = {"ContainerSpec": {"Image": image}}
    return {"Spec": {"Name": name, "Labels": LABELS, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 1}}}}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PW", "s3cret")
    path = tmp_path / "shop.yml"
    path.write_text("services: {web: {image: 'nginx:1', environment: {PW: $PW}}}")
    return path


def deploy(file: Path, **more: Any) -> DeployStack:
    digest = load(file, "shop", {"PW": "s3cret"}).digest
    values: dict[str, Any] = {"wanted": {"shop_web": ("nginx:1", "replicated")}, **more}
    return DeployStack(
        id="deploy", title="", why="", stack="shop", file=str(file), digest=digest, options=("--prune",), **values
    )


@pytest.mark.parametrize("sudo", [False, True])
async def test_the_manager_gets_the_file_on_its_standard_input(file: Path, sudo: bool) -> None:
    session: Any = Manager(sudo=sudo)
    await deploy(file).run(session, {}, voice())
    ((command, stdin),) = session.shell.ran
    assert command == f"{'sudo -n ' if sudo else ''}docker stack deploy --compose-file - --prune shop"
    assert json.loads(stdin)["services"]["web"] == {"image": "nginx:1", "environment": {"PW": "s3cret"}}


async def test_what_changed_after_it_was_confirmed_is_not_deployed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = Manager()
    step = deploy(file)
    monkeypatch.setenv("PW", "another")
    with pytest.raises(ConflictError, match="a variable in it changed after you confirmed"):
        await step.run(session, {}, voice())
    assert session.shell.ran == []


async def test_what_docker_says_last_is_the_reason(file: Path) -> None:
    session: Any = Manager(Completed(1, "Creating service shop_web\n", "failed to create service: port 80 in use\n"))
    with pytest.raises(StepError, match=r"failed on mgr1: failed to create service: port 80 in use\."):
        await deploy(file).run(session, {}, voice())


@pytest.mark.parametrize(
    ("services", "pruned", "told"),
    [
        ([service("shop_web")], (), ""),
        ([], (), "shop_web is not there"),
        ([service("shop_web", "nginx:2")], (), "does not run as the file says: it is replicated, with image nginx:2"),
        ([service("shop_web"), service("shop_old")], ("shop_old",), "they are not in the file: shop_old"),
    ],
)
async def test_a_deploy_is_proved_from_the_engine(
    file: Path, services: list[Any], pruned: tuple[str, ...], told: str
) -> None:
    session: Any = Manager(services=services)
    step = deploy(file, pruned=pruned)
    if told:
        with pytest.raises(StepError, match=told):
            await step.verify(session, {}, voice())
    else:
        await step.verify(session, {}, voice())


async def test_a_service_of_another_stack_is_no_proof(file: Path) -> None:
    """An old engine may leave the filter by label out."""
    foreign = service("shop_web")
    foreign["Spec"]["Labels"] = {}
    session: Any = Manager(services=[foreign])
    with pytest.raises(StepError, match="shop_web is not there"):
        await deploy(file).verify(session, {}, voice())


def removal() -> RemoveStack:
    return RemoveStack(id="remove", title="", why="", stack="shop")


async def test_a_network_that_tasks_still_hold_is_removed_at_the_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_steps, "RETRY_SECONDS", 0.0)
    busy = Completed(
        1, "", "failed to remove network: in use by task\nFailed to remove some resources from stack: shop\n"
    )
    session: Any = Manager(busy, networks=[{"Id": "n", "Name": "shop_default", "Labels": LABELS}])
    await removal().run(session, {}, voice())
    assert [command for command, _ in session.shell.ran] == ["docker stack rm shop"] * 2


async def test_a_removal_that_never_works_fails_with_dockers_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_steps, "REMOVE_SECONDS", 0)
    session: Any = Manager(Completed(1, "", "in use by task x\n"), services=[service("shop_web")])
    with pytest.raises(StepError, match=r"`docker stack rm` failed on mgr1: in use by task x\."):
        await removal().run(session, {}, voice())
    with pytest.raises(StepError, match="Still there: service shop_web"):
        await removal().verify(session, {}, voice())


async def test_what_is_gone_is_not_removed_twice() -> None:
    gone: Any = Manager(services=[])
    there: Any = Manager(secrets=[{"ID": "s", "Spec": {"Name": "shop_pw", "Labels": LABELS}}])
    assert await removal().already_done(gone, {}) == "Nothing of the stack shop is there any more."
    assert await removal().already_done(there, {}) == ""


async def test_tasks_that_do_not_end_are_told() -> None:
    session: Any = Manager(tasks=[{"ID": "t"}])
    step = WaitTasksGone(id="gone", title="", why="", stack="shop", seconds=0)
    assert await step.already_done(session, {}) == ""
    with pytest.raises(StepError, match="1 tasks of shop have not ended within 0 s"):
        await step.run(session, {}, voice())
    session.lists["tasks"] = []
    assert await step.already_done(session, {})
