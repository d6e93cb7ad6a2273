"""What people read when something is wrong. The tables here are written by hand from swarm-dr.md, not from the code."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from swarmtui.errors import UnreachableError
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.link.refusals import explain, refusal
from swarmtui.model.swarm import Info

NO_LEADER = (
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are "
    "online. Make sure more than half of the managers are online."
)
LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)


def info(state: str, control: bool, error: str = "", managers: Any = None) -> Info:
    swarm = {"LocalNodeState": state, "ControlAvailable": control, "Error": error, "RemoteManagers": managers}
    return msgspec.json.decode(msgspec.json.encode({"Swarm": swarm}), type=Info)


@pytest.mark.parametrize(
    ("swarm", "reason"),
    [
        (info("active", True), None),
        (info("active", True, NO_LEADER), Reason.NO_LEADER),
        (
            info("active", True, "rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
            Reason.NO_LEADER,
        ),
        (info("active", True, "rpc error: code = 4 desc = context deadline exceeded"), Reason.NO_LEADER),
        (info("pending", True, NO_LEADER), Reason.NO_LEADER),
        (info("pending", True), Reason.SWARM_PENDING),
        (info("pending", False), Reason.SWARM_PENDING),
        (info("locked", False, LOCKED), Reason.LOCKED),
        (info("error", False, "manager stopped: can't initialize raft node"), Reason.SWARM_ERROR),
        (info("active", False), Reason.WORKER),
        (info("inactive", False), Reason.NOT_A_SWARM),
        (info("", False), Reason.NOT_A_SWARM),
        (Info(), Reason.NOT_A_SWARM),
    ],
)
def test_standing(swarm: Info, reason: Reason | None) -> None:
    found = standing(swarm, "root@mgr1")
    assert (found.reason if found else None) == reason
    assert found is None or ("root@mgr1" in found.what and found.next_step)


def test_a_worker_names_its_managers() -> None:
    managers = [{"NodeID": "b", "Addr": "10.77.0.2:2377"}, {"NodeID": "a", "Addr": "[fd00::1]:2377"}]
    found = standing(info("active", False, managers=managers), "op@wrk1")
    assert found is not None and "10.77.0.2, fd00::1" in found.next_step


def test_a_locked_manager_is_told_how_to_unlock() -> None:
    found = standing(info("locked", False, LOCKED), "op@mgr1")
    assert found is not None
    for way in ("U in the console", "swarmtui run swarm.unlock", "docker swarm unlock on that host"):
        assert way in found.next_step


def test_a_broken_swarm_gives_its_own_words_harmless() -> None:
    found = standing(info("error", False, "manager stopped: \x1b[2J{where}\u202e"), "op@mgr1")
    assert found is not None and "manager stopped: \ufffd[2J{where}\ufffd" in found.what


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("where", ["root@10.77.0.1", "op@mgr1:2222", "unix:///var/run/docker.sock", "prod", "[::1]:22"])
def test_every_reason_has_its_own_sentence_and_next_step(reason: Reason, where: str) -> None:
    error = LinkError(reason, where)
    assert isinstance(error, UnreachableError) and error.exit_code == 3
    for text in (error.what, error.next_step):
        assert text == text.strip() and text.endswith((".", "?")) and not re.search(r"[{}]|\.\.|: \.|  ", text)
    others = [LinkError(other, where).what for other in Reason if other is not reason]
    assert error.what not in others


def test_facts_are_data_and_not_templates() -> None:
    error = LinkError(Reason.UNREACHABLE, "ro{x}ot@h\x1b[0m", because="no {route}\n\x07. ", host="h{0}")
    assert error.what == "ro{x}ot@h\ufffd[0m cannot be reached: no {route} \ufffd."
    assert "h{0}" in error.next_step
    assert LinkError(Reason.WORKER, "a", "Own words.", "").next_step == ""
    assert LinkError(Reason.WORKER, "a", "Own words.").what == "Own words."


def test_what_only_a_person_can_mend_is_not_tried_again() -> None:
    assert {reason for reason in Reason if not reason.retry_helps} >= {
        Reason.AUTH_FAILED,
        Reason.HOST_KEY_CHANGED,
        Reason.HOST_KEY_UNKNOWN,
        Reason.KEY_ENCRYPTED,
    }
    assert all(
        reason.retry_helps
        for reason in (Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.DOCKER_DOWN, Reason.LOCKED, Reason.NO_LEADER)
    )


@pytest.mark.parametrize(
    ("message", "what", "then"),
    [
        ("rpc error: code = Unknown desc = update out of sequence", "changed by somebody else", "again"),
        (
            "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm",
            "last manager",
            "Promote another",
        ),
        (
            "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would result in a "
            "loss of quorum",
            "majority",
            "back first",
        ),
        (
            "rpc error: code = FailedPrecondition desc = node n1x is not down and can't be removed",
            "The node n1x is not down",
            "docker swarm leave",
        ),
        (
            "rpc error: code = FailedPrecondition desc = node n1x is a cluster manager and is a member of the raft "
            "cluster. It must be demoted to worker before removal",
            "The node n1x is a manager",
            "Demote it",
        ),
        ("node dr2 is ambiguous (2 matches found)", '"dr2" is ambiguous: 2', "id"),
        ("node zzz not found", "The node zzz does not exist", "list"),
        ("service web not found", "The service web does not exist", "list"),
        (
            "rpc error: code = Unknown desc = can't find manager n1 in raft memberlist",
            "no member of the raft",
            "Remove it",
        ),
        (NO_LEADER, "no leader", "majority"),
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", "no leader", "majority"),
        (
            "raft: failed to process the request: node lost leader status",
            "no leader",
            "majority",
        ),
        (LOCKED, "locked", "docker swarm unlock"),
        (
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
            "swarm and try again.",
            "not a manager",
            "docker swarm init",
        ),
        (
            "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run "
            "this command on a manager node or promote the current node to a manager.",
            "is a worker",
            "Connect to a manager",
        ),
        (  # 26.1, for a moment after a demotion
            'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix '
            '/var/run/docker/swarm/control.sock: connect: no such file or directory"',
            "manager on this host is starting or stopping",
            "journalctl",
        ),
        ("swarm could not be unlocked: invalid key provided", "not the right one", "older key"),
        ("invalid key string", "no unlock key", ""),
        ("swarm is not locked", "not locked", ""),
        ("cannot rotate because autolock is not turned on", "autolock is off", "Turn it on"),
    ],
)
def test_refusals_in_plain_words(message: str, what: str, then: str) -> None:
    said, next_step = explain(500, message)
    assert what in said and then in next_step and "rpc error" not in said


def test_other_refusals_keep_the_engines_words() -> None:
    assert explain(400, "invalid filter 'x'") == ("Invalid filter 'x'.", "")
    assert explain(500, "boom!\n\x1b[2J")[0] == "Boom! \ufffd[2J."
    assert "HTTP 500" in explain(500, "")[0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"node \\u001b[2J not found"}', "node \ufffd[2J not found"),
        (b"plain text\n", "plain text"),
        (b"<html>\xff</html>", "<html>\ufffd</html>"),
        (b'{"message":5}', '{"message":5}'),
        (b'{"message":"\xff"}', '{"message":"\ufffd"}'),
        (b'{"x":' * 100_000, ('{"x":' * 60)),
        (b'{"other":1}', ""),
        (b"", ""),
        (b"x" * 10_000, "x" * 300),
    ],
)
def test_every_kind_of_error_body(body: bytes, message: str) -> None:
    error = refusal(500, body)
    assert (error.status, error.message) == (500, message) and error.what
