"""What UCP's refusals mean, in words.

Their bodies: `{"errors":[{"code","message"}]}`, `{"code","message"}`, or Docker's `{"message"}`
(reference/ucp-dtr.md §3.1).
"""

from __future__ import annotations

import json

from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.link.ucp.https import Answer
from swarmtui.model.text import harmless_json, one_line

_LONGEST = 300


def said(body: bytes) -> str:
    """UCP's own words, on one line; "" where it said nothing that can be read."""
    try:
        document = json.loads(harmless_json(body[:65_536]))
    except (ValueError, RecursionError):
        return ""
    if isinstance(document, dict) and isinstance(document.get("errors"), list) and document["errors"]:
        document = document["errors"][0]
    message = document.get("message") if isinstance(document, dict) else ""
    return one_line(message)[:_LONGEST].rstrip(".") if isinstance(message, str) else ""


def not_readable(url: str, what: str) -> UcpError:
    """The error for an answer that cannot be understood.

    Args:
        what: "its accounts".
    """
    return UcpError(
        Trouble.NOT_UCP,
        f"What {url} answers about {what} cannot be read: it is not what UCP says.",
        "Is it UCP, and not a proxy or another server at that address?",
    )


def refusal(answer: Answer, url: str, user: str, what: str) -> UcpError:
    """The error for an answer that is no success.

    Args:
        what: the call, to begin a sentence: "GET /accounts/".
    """
    message = said(answer.body)
    words = f": {message}" if message else ""
    status = answer.status
    who = one_line(user) or "this certificate"
    if 300 <= status < 400:
        to = f" to {answer.location}" if answer.location else ""
        return UcpError(
            Trouble.REDIRECTED,
            f"{url} sends us somewhere else{to}, and passwords do not follow.",
            "UCP never does that: give the address of UCP itself, https://MANAGER.",
            status=status,
        )
    if status == 401:
        return UcpError(
            Trouble.LOGIN,
            f"UCP on {url} does not know {who} any more (401{words}).",
            "Log in with a user that is there; a client bundle may have been revoked.",
            status=status,
            message=message,
        )
    if status == 403:
        return UcpError(
            Trouble.DENIED,
            f"{who} may not do this on UCP {url} ({what}{words}).",
            "Use an administrator's account.",
            status=status,
            message=message,
        )
    if status == 404:
        return UcpError(
            Trouble.NOT_THERE,
            f"UCP on {url} does not have that ({what}{words}).",
            "Is it the right name? Some calls are only in newer versions.",
            status=status,
            message=message,
        )
    if status >= 500:
        return UcpError(
            Trouble.FAILED,
            f"UCP on {url} failed at {what} with status {status}{words}.",
            "Look at its components: docker ps --filter name=ucp-, and docker logs ucp-controller.",
            status=status,
            message=message,
        )
    return UcpError(
        Trouble.REFUSED,
        f"UCP on {url} refused {what} with status {status}{words}.",
        "Mend what it names.",
        status=status,
        message=message,
    )
