"""What refusals of UCP and DTR mean, in words.

Their bodies: `{"errors":[{"code","message"}]}`, `{"code","message"}`, or Docker's `{"message"}`
(reference/ucp-dtr.md §3.1).
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from swarmtui.link.https import Answer
from swarmtui.link.https_errors import HttpsError, Peer, Trouble
from swarmtui.model.text import harmless_json, one_line

_LONGEST = 300
T = TypeVar("T", bound=msgspec.Struct)


def document(peer: Peer, answer: Answer, url: str, what: str) -> dict[str, Any]:
    """The JSON object of an answer, its strings harmless. Raises HttpsError; what: "its accounts"."""
    try:
        found = json.loads(harmless_json(answer.body))
    except (ValueError, RecursionError) as error:
        raise not_readable(peer, url, what) from error
    if not isinstance(found, dict):
        raise not_readable(peer, url, what)
    return found


def read_as(peer: Peer, answer: Answer, url: str, kind: type[T], what: str) -> T:
    """The same, as a struct. Raises HttpsError."""
    try:
        return msgspec.json.decode(harmless_json(answer.body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise not_readable(peer, url, what) from error


def said(body: bytes) -> str:
    """Its own words, on one line; "" where it said nothing that can be read."""
    try:
        document = json.loads(harmless_json(body[:65_536]))
    except (ValueError, RecursionError):
        return ""
    if isinstance(document, dict) and isinstance(document.get("errors"), list) and document["errors"]:
        document = document["errors"][0]
    message = document.get("message") if isinstance(document, dict) else ""
    return one_line(message)[:_LONGEST].rstrip(".") if isinstance(message, str) else ""


def not_readable(peer: Peer, url: str, what: str) -> HttpsError:
    """The error for an answer that cannot be understood.

    Args:
        what: "its accounts".
    """
    return peer.error(
        peer.alien,
        f"What {url} answers about {what} cannot be read: it is not what {peer.name} says.",
        f"Is it {peer.name}, and not a proxy or another server at that address?",
    )


def refusal(peer: Peer, answer: Answer, url: str, user: str, what: str) -> HttpsError:
    """The error for an answer that is no success.

    Args:
        what: the call, to begin a sentence: "GET /accounts/".
    """
    message = said(answer.body)
    words = f": {message}" if message else ""
    status = answer.status
    who = one_line(user) or "this certificate"
    name = peer.name
    if 300 <= status < 400:
        to = f" to {answer.location}" if answer.location else ""
        trouble = Trouble.REDIRECTED
        told = f"{url} sends us somewhere else{to}, and passwords do not follow."
        way, message = peer.itself, ""
    elif status == 401:
        trouble, told, way = Trouble.LOGIN, f"{name} on {url} does not know {who} any more (401{words}).", peer.login
    elif status == 403:
        trouble, told = Trouble.DENIED, f"{who} may not do this on {name} {url} ({what}{words})."
        way = "Use an administrator's account."
    elif status == 404:
        trouble, told = Trouble.NOT_THERE, f"{name} on {url} does not have that ({what}{words})."
        way = "Is it the right name? Some calls are only in newer versions."
    elif status >= 500:
        trouble, told = Trouble.FAILED, f"{name} on {url} failed at {what} with status {status}{words}."
        way = peer.failed
    else:
        trouble, told = Trouble.REFUSED, f"{name} on {url} refused {what} with status {status}{words}."
        way = "Mend what it names."
    return peer.error(trouble, told, way, status=status, message=message)
