"""Plans as text, as Markdown and as a shell script that a shell really takes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.runbooks import params, registry, render
from swarmtui.runbooks.runbook import Danger, Plan, Shown
from tests import builders as b
from tests.runbooks.support import plan

MGR = b.node("mgr1", id="mgr1id", manager="leader")
ALL: list[tuple[str, dict[str, str]]] = [
    ("node.drain", {"node": "mgr2,wrk1"}),
    ("node.pause", {"node": "wrk1"}),
    ("node.activate", {"node": "resting"}),
    ("node.promote", {"node": "wrk1"}),
    ("node.demote", {"node": "mgr2"}),
    ("node.remove", {"node": "wrk1,mgr3"}),
    ("node.remove", {"node": "wrk1", "force": "true"}),
    ("node.label", {"node": "wrk1", "label": "zone=b"}),
]


def cluster() -> Any:
    nodes = [MGR, *(b.node(f"mgr{i}", manager="reachable", addr=f"10.0.0.{i}") for i in (2, 3))]
    wrk, resting = b.node("wrk1", addr="10.0.1.1"), b.node("resting", availability="pause")
    db = b.service("db", mounts=[{"Type": "volume", "Source": "pg"}], constraints=["node.hostname==wrk1"])
    api, agent = b.service("api", replicas=2), b.service("agent", mode="global")
    tasks = [b.task(db, wrk), b.task(api, wrk, 1), b.task(api, nodes[1], 2), b.task(agent, wrk), b.task(agent, MGR)]
    return b.snapshot([*nodes, wrk, resting], [db, api, agent], tasks)


async def made(name: str, given: dict[str, str]) -> Plan:
    return await plan(name, cluster(), through="", **given)


def accepted_by_sh(text: str) -> bool:
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, timeout=10, check=False)
    return done.returncode == 0


DOCKER = """#!/bin/sh
printf "%s\\n" docker "$@" "<end>" >> LOG
case "$*" in
  *"service ps"*) echo "Running 5 seconds ago"; echo "Running 5 seconds ago";;
  *.Status.State*) echo down;;
  *.Reachability*) echo reachable;;
esac
"""
"""A `docker` that notes its arguments, and answers every wait as if it were so."""


EFFECT = re.compile(r"docker \w+ (?:update|rm|remove|promote|demote|create|deploy|scale|rollback|leave)\b")


def run_script(text: str, folder: Path) -> list[list[str]]:
    """Runs a script with such a `docker`, and an `ssh` that only notes; returns what was called."""
    log = folder / "log"
    log.write_text("")
    for name, content in (("docker", DOCKER), ("ssh", '#!/bin/sh\nprintf "%s\\n" ssh "$@" "<end>" >> LOG\n')):
        tool = folder / name
        tool.write_text(content.replace("LOG", shlex.quote(str(log))))
        tool.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["sh"], input=text, text=True, env=env, cwd=folder, capture_output=True, timeout=20, check=False)
    return [call.splitlines() for call in log.read_text().split("<end>\n") if call]


def test_the_shells_check_is_one() -> None:
    assert not accepted_by_sh("echo 'open") and not accepted_by_sh("if true")


@pytest.mark.parametrize(("name", "given"), ALL)
async def test_a_script_is_one_that_a_shell_takes_and_has_every_command(name: str, given: dict[str, str]) -> None:
    of = await made(name, given)
    script = render.script(of)
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh" and "set -eu" in lines and script.endswith("\n")
    assert accepted_by_sh(script)
    shown = [shown.as_sh for step in of.steps for shown in step.shown]
    assert shown and [line for line in lines if line in shown] == shown  # all of them, in their order
    before, _, _ = script.partition("set -eu")
    assert all(line.startswith("#") for line in before.splitlines())


@pytest.mark.parametrize(("name", "given"), ALL)
async def test_text_and_markdown_have_every_command_and_all_that_is_said(name: str, given: dict[str, str]) -> None:
    of = await made(name, given)
    text, markdown = "\n".join(line for _, line in render.plan_lines(of)), render.markdown(of)
    for step in of.steps:
        assert step.title in text and step.title in markdown and step.why in markdown
        for shown in step.shown:
            assert shown.line in text and (not shown.host or f"on {shown.host}" in text)
            assert shown.as_sh in markdown
    for said in [*of.warnings, *of.notes, *(rule.what for rule in of.rules), *(str(rule) for rule in of.rules)]:
        assert said in text and said in markdown
    assert of.title in text and of.why in text


@pytest.mark.parametrize(("name", "given"), ALL)
async def test_folded_only_what_waits_is_told_in_words(name: str, given: dict[str, str]) -> None:
    of = await made(name, given)
    whole, folded = ([line.strip() for _, line in render.plan_lines(of, folded=fold)] for fold in (False, True))
    for shown in (shown for step in of.steps for shown in step.shown):
        waits = shown.line.startswith("i=0; until ") and not EFFECT.search(shown.line)
        assert bool(shown.words) is waits
        place = f"on {shown.host}" if shown.host else "on a manager"
        assert f"{place}$ {shown.line}" in whole
        told = f"{place}: {shown.words}" if waits else f"{place}$ {shown.line}"
        assert told in folded
        assert not waits or re.fullmatch(r"wait .*, at most \d+ s", shown.words)
    assert len(whole) == len(folded)
    assert render.can_fold(of.steps) is (whole != folded)


async def test_what_moves_is_told_in_words() -> None:
    text = "\n".join(line for _, line in render.plan_lines(await made("node.drain", {"node": "wrk1"})))
    assert "db: DROPS TO ZERO" in text and "with nowhere to go: no suitable node (" in text
    assert "data stays behind on the node: volume pg" in text
    assert "api: 1 task may move to" in text
    assert "agent: 1 task of a global service leaves" in text


async def test_rules_and_losses_come_in_the_style_of_what_is_bad() -> None:
    lines = list(render.plan_lines(await made("node.demote", {"node": "mgr2"})))
    assert [style for style, line in lines if line.startswith("SAFETY RULE tolerance=mgr2")] == ["bad"]
    assert ("plain", "  now:   3/3 managers, survives 1 loss") in lines
    assert ("plain", "  after: 2/2 managers, survives no loss") in lines
    drained = list(render.plan_lines(await made("node.drain", {"node": "wrk1"})))
    assert [style for style, line in drained if "DROPS TO ZERO" in line] == ["bad"]


async def test_nothing_known_is_not_nothing_moves() -> None:
    unread = b.snapshot([MGR, b.node("wrk1")], unread=["tasks"])
    text = "\n".join(line for _, line in render.plan_lines(await plan("node.drain", unread, node="wrk1")))
    assert "not known" in text and "No task moves" not in text
    empty = b.snapshot([MGR, b.node("wrk1")])
    assert "No task moves" in render.markdown(await plan("node.drain", empty, node="wrk1"))


async def test_nothing_to_do_is_said_everywhere() -> None:
    idle = await plan("node.pause", cluster(), node="resting")
    for text in ("\n".join(line for _, line in render.plan_lines(idle)), render.markdown(idle), render.script(idle)):
        assert "resting already is paused" in text
    assert accepted_by_sh(render.script(idle))
    assert render.plan_json(idle)["nothing"]


@pytest.mark.parametrize(("name", "given"), ALL)
async def test_the_way_back_is_shown_only_where_nothing_is_destroyed(name: str, given: dict[str, str]) -> None:
    of = await made(name, given)
    destroys = any(step.danger is Danger.DESTRUCTIVE for step in of.steps)
    assert destroys is (name == "node.remove")
    assert bool(list(render.undo_lines(of))) is not destroys
    assert ("To take it back" in render.markdown(of)) is not destroys
    assert any(line == "To take it back" for _, line in render.plan_lines(of)) is not destroys


async def test_the_way_back_goes_backwards() -> None:
    assert list(render.undo_lines(await made("node.drain", {"node": "mgr2,wrk1"}))) == [
        "docker node update --availability active wrk1",
        "docker node update --availability active mgr2",
    ]
    assert list(render.undo_lines(await made("node.demote", {"node": "mgr2"}))) == ["docker node promote mgr2"]


HOSTILE = [
    "two words",
    'a"b',
    "it's",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned #",
    "a && touch owned",
    "\\",
    "*",
    "~",
    "-rf",
    "$HOME",
    "!!",
    "größe",
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_hostile_labels_reach_docker_as_they_are_and_run_nothing(value: str, tmp_path: Path) -> None:
    runbook = registry.runbook("node.label")
    given = params.parse("node.label", runbook.params, {"node": "wrk1", "label": f"k={value}"})
    assert given["label"] == (("k", value),)
    calls = run_script(render.script(await plan("node.label", cluster(), node="wrk1", label=f"k={value}")), tmp_path)
    assert ["docker", "node", "update", "--label-add", f"k={value}", "wrk1"] in calls
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "key", ["$(touch${IFS}owned)", "`touch${IFS}owned`", "a;touch${IFS}owned", "--label-add", "it's"]
)
async def test_hostile_keys_of_labels_too(key: str, tmp_path: Path) -> None:
    labelled = [MGR, b.node("wrk1", labels={key: "x"})]
    calls = run_script(
        render.script(await plan("node.label", labelled, node="wrk1", label=f"{key}-,new{key}=y")), tmp_path
    )
    assert ["docker", "node", "update", "--label-rm", key, "--label-add", f"new{key}=y", "wrk1"] in calls
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\x1b[31m", "a\x00b"])
def test_control_characters_in_labels_are_refused_before_any_plan(value: str) -> None:
    with pytest.raises(UsageError, match="control characters"):
        params.parse("node.label", registry.runbook("node.label").params, {"node": "wrk1", "label": f"k={value}"})


def hostile_cluster(text: str) -> tuple[Any, str]:
    """A cluster all of whose names are this text; returns it and the id of the node to act on."""
    bad = b.node(text, id="goodid1", labels={text: text}, addr="10.0.1.1", message=text)
    through = b.node("mgr1", id="mgr1id", manager="leader")
    of = b.service(text, constraints=[f"node.labels.x=={text}"], mounts=[{"Type": "bind", "Source": text}])
    nodes = [through, b.node("mgr2", manager="reachable"), b.node("mgr3", manager="reachable"), bad]
    return b.snapshot(nodes, [of], [b.task(of, bad)]), "goodid1"


@pytest.mark.parametrize("name", ["node.drain", "node.remove", "node.promote", "node.label"])
@pytest.mark.parametrize(
    "text", ["x\ntouch owned\n", "x'; touch owned; '", "$(touch owned)", "\n#\r\ntouch owned", "```\ntouch owned\n```"]
)
async def test_whatever_things_are_called_a_script_runs_nothing_but_its_commands(
    name: str, text: str, tmp_path: Path
) -> None:
    now, node_id = hostile_cluster(text)
    given = {"label": "zone=b"} if name == "node.label" else {}
    wait = {"wait": "1"}
    script = render.script(await plan(name, now, node=node_id, **given, **wait))
    assert accepted_by_sh(script)
    calls = run_script(script, tmp_path)
    assert not (tmp_path / "owned").exists()
    last = {"node.drain": "drain", "node.remove": "rm", "node.promote": "promote", "node.label": "zone=b"}[name]
    assert [call for call in calls if last in call and node_id in call], "the script did not get to its last command"


async def test_a_canary_would_be_seen(tmp_path: Path) -> None:
    """The planted case of the checks around it: a name that is not quoted does run."""
    run_script("#!/bin/sh\n: x; touch owned;\n", tmp_path)
    assert (tmp_path / "owned").exists()


async def test_an_id_that_a_lying_engine_made_up_runs_nothing(tmp_path: Path) -> None:
    evil = "x; touch owned;"
    nodes = [b.node(f"m{i}", manager="leader" if i == 0 else "reachable") for i in range(4)]
    nodes.append(b.node("a b", id=evil, manager="reachable"))
    script = render.script(await plan("node.demote", nodes, node="a b", through=evil, wait="1"))
    run_script(script, tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_host_command_is_one_argument_of_ssh() -> None:
    shown = Shown("docker swarm leave && echo 'left'", "root@10.0.0.5", 2222)
    words = shlex.split(shown.as_sh)
    assert words[0] == "ssh" and words[-2:] == ["root@10.0.0.5", "docker swarm leave && echo 'left'"]
    assert words[words.index("-p") + 1] == "2222"
    assert "-p" not in shlex.split(Shown("docker swarm leave", "root@10.0.0.5").as_sh)
    assert Shown("docker node ls").as_sh == "docker node ls"


def test_an_address_that_looks_like_an_option_is_none_for_ssh() -> None:
    """A node's address comes from the cluster; "-oProxyCommand=…" would run a command on the operator's own machine."""
    words = shlex.split(Shown("docker swarm leave", "-oProxyCommand=touch owned").as_sh)
    assert "--" in words and words.index("--") < words.index("-oProxyCommand=touch owned")


async def test_the_json_of_a_plan_is_json_and_has_all_of_it() -> None:
    of = await made("node.demote", {"node": "mgr2"})
    told = json.loads(json.dumps(render.plan_json(of)))
    assert told["schema"] == 1
    assert (told["runbook"], told["touches"], told["danger"]) == ("node.demote", ["mgr2"], "disruptive")
    assert told["rules"][0] == {"rule": "tolerance", "object": "mgr2", "what": of.rules[0].what}
    assert told["managers"] == {
        "before": {"voters": 3, "reachable": 3, "needed": 2, "slack": 1},
        "after": {"voters": 2, "reachable": 2, "needed": 2, "slack": 0},
    }
    assert [step["id"] for step in told["steps"]] == [step.id for step in of.steps]
    assert told["steps"][0]["commands"] == [{"host": "", "line": "docker node demote mgr2"}]
    drained = render.plan_json(await made("node.drain", {"node": "wrk1"}))
    assert {s["service"]: (s["moving"], s["stuck"], s["leaving"]) for s in drained["services"]} == {
        "db": (0, 1, 0),
        "api": (1, 0, 0),
        "agent": (0, 0, 1),
    }
