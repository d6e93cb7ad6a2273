"""What the engine's refusals mean, in plain words. Texts as engines 20.10 and 26.1 give them (swarm-dr.md §2 to §6)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.swarm import says_no_leader
from swarmtui.model.text import one_line

_NAME = r"(?P<name>\S+)"

_REFUSALS: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), what, next_step)
    for pattern, what, next_step in (
        (
            r"update out of sequence",
            "It was changed by somebody else meanwhile, so nothing was done.",
            "Look at it again, and repeat the action if it is still wanted.",
        ),
        (
            r"attempting to demote the last manager of the swarm",
            "It is the last manager of the Swarm: without it there would be none.",
            "Promote another node first.",
        ),
        (
            r"loss of quorum",
            "Without this manager the others would be too few for a majority, so the engine refused.",
            "Bring unreachable managers back first, or promote other nodes.",
        ),
        (
            rf"node {_NAME} is not down and can't be removed",
            "The node {name} is not down, and only nodes that are down can be removed.",
            "Let it leave first (docker swarm leave on that host) or stop Docker there, and wait until it is down.",
        ),
        (
            rf"node {_NAME} is a cluster manager and is a member of the raft cluster",
            "The node {name} is a manager and a member of the raft.",
            "Demote it to worker first, then remove it.",
        ),
        (
            r"must be demoted to worker before removal",
            "The node is a manager.",
            "Demote it to worker first, then remove it.",
        ),
        (
            r"can't find (manager|member) .*in raft memberlist",
            "The node is called a manager, but is no member of the raft: there is nothing to demote.",
            "Remove it from the Swarm, and let it join again.",
        ),
        (
            rf"(?P<kind>node|service|task|network|secret|config) {_NAME} is ambiguous \((?P<count>\d+) matches found\)",
            'The name "{name}" is ambiguous: {count} have it.',
            "Say which one by its id.",
        ),
        (
            rf"(?P<kind>node|service|task|network|secret|config) {_NAME} not found",
            "The {kind} {name} does not exist in this Swarm (any more).",
            "Look at the list again.",
        ),
        (
            r"Swarm is encrypted and needs to be unlocked",
            "This manager is locked: its Swarm data is encrypted, and Docker was restarted since.",
            "Unlock it: docker swarm unlock on that host.",
        ),
        (
            r"swarm could not be unlocked: invalid key provided",
            "The unlock key is not the right one for this manager.",
            "It may need an older key: one that was down during a rotation still has the one before.",
        ),
        (r"invalid key string", "This is no unlock key: those begin with SWMKEY-1-.", "Copy it whole."),
        (r"swarm is not locked", "The Swarm on this host is not locked.", ""),
        (
            r"cannot rotate because autolock is not turned on",
            "The unlock key cannot be rotated: autolock is off.",
            "Turn it on first: docker swarm update --autolock=true.",
        ),
        (
            r"This node is already part of a swarm",
            "This host is part of a Swarm already.",
            "Let it leave that one first: docker swarm leave.",
        ),
        (
            r"This node is not a swarm manager\. Worker nodes can't be used",
            "This host is a worker: only managers can show and change the Swarm.",
            "Connect to a manager.",
        ),
        (
            r"This node is not a swarm manager",
            "This host is not a manager of a Swarm.",
            "Connect to a manager, or make a Swarm there: docker swarm init.",
        ),
        (
            r"dial unix \S*swarm/control\.sock",
            "The manager on this host is starting or stopping.",
            "If it stays so, its log tells: journalctl -u docker.",
        ),
        (r"Timeout was reached before node joined", "The node did not get into the Swarm in time.", ""),
        (
            r"invalid join token|join token is (in)?valid|remote CA does not match fingerprint",
            "The join token is not one of this Swarm, or no longer.",
            "Take a fresh one: docker swarm join-token worker|manager on a manager.",
        ),
    )
)


def explain(status: int, message: str) -> tuple[str, str]:
    """Says in plain words what an engine's error means.

    Returns:
        What happened, and what to do next ("" where that follows). An error that is not known keeps the engine's words.
    """
    message = one_line(message)
    for pattern, what, next_step in _REFUSALS:
        if match := pattern.search(message):
            facts = {name: value.strip("\"'") for name, value in match.groupdict(default="").items()}
            return what.format_map(facts), next_step
    if says_no_leader(message):
        return (
            "The Swarm has no leader: too few managers are reachable, or one is being elected.",
            "Wait half a minute; if it stays so, bring back enough managers for a majority.",
        )
    if not message:
        return f"The engine refused it without a word (HTTP {status}).", "Its log may tell: journalctl -u docker."
    sentence = message[0].upper() + message[1:]
    return (sentence if sentence.endswith((".", "!", "?")) else sentence + "."), ""


UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What the decoder raises for what is no JSON: also for what is no UTF-8, and for what is nested without end."""


class _Refusal(msgspec.Struct):
    message: str = ""


def refusal(status: int, body: bytes) -> EngineError:
    """Makes the error out of an engine's answer with a status of 400 or more."""
    try:
        message = msgspec.json.decode(body, type=_Refusal).message
    except UNREADABLE:
        # Very old engines, and proxies in front of new ones, answer in plain text or HTML.
        message = body[:300].decode("utf-8", "replace")
    message = one_line(message)
    what, next_step = explain(status, message)
    return EngineError(what, next_step, status=status, message=message)
