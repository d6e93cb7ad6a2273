"""What a server can answer that is not the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from swarmtui.demo.api.http import Request, Response

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\r\n\x00"
"""Wants a terminal to take a new title, wipe itself, turn red, and read backwards."""
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
"""What no string of a cluster may have in it once it is ours."""

Answer = Callable[[Request], Response | None]


def raw(body: bytes, status: int = 200, content_type: str = "application/json") -> Response:
    return Response(status, body, content_type)


def hostile_list() -> bytes:
    """2 MB of nodes, every string of which wants something of the terminal."""
    one = {
        "Spec": {"Name": HOSTILE, "Labels": {HOSTILE: HOSTILE * 3}, "Role": HOSTILE, "Availability": HOSTILE},
        "Description": {"Hostname": HOSTILE},
        "Status": {"State": HOSTILE, "Message": HOSTILE},
    }
    return json.dumps([{"ID": f"{number:025d}{HOSTILE}", **one} for number in range(3200)]).encode()


LIES: dict[str, Callable[[], Response]] = {
    "truncated": lambda: raw(b'[{"ID":"x","Spec":{"Na'),
    "html": lambda: raw(b"<html><body><h1>502 Bad Gateway</h1>\n<script>alert(1)</script>", content_type="text/html"),
    "nothing": lambda: raw(b""),
    "text": lambda: raw(b'"yes"'),
    "number": lambda: raw(b"17"),
    "types": lambda: raw(b'[{"ID":17,"Spec":[],"Status":"up","Description":7,"Swarm":[]}]'),
    "other-types": lambda: raw(b'{"ID":{"a":1},"Spec":"no","Swarm":{"LocalNodeState":5,"ControlAvailable":"yes"}}'),
    "huge-number": lambda: raw(b'[{"ID":"x","Version":{"Index":1e999}}]'),
    "not-utf8": lambda: raw(b'[{"ID":"\xff\xfe\xc3\x28","Description":{"Hostname":"\xed\xa0\x80"}}]'),
    "deep": lambda: raw(b"[" * 200_000),
    "deep-list": lambda: raw(b'[{"ID":"x","Unknown":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]"),
    "deep-object": lambda: raw(b'{"ID":"x","Unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "500": lambda: raw(json.dumps({"message": f"broken {HOSTILE}"}).encode(), 500),
    "500-raw": lambda: raw(b"broken \x1b[2J\x9b31m\x00\r\n\xff", 500, "text/plain"),
    "500-empty": lambda: raw(b"", 500),
    "302": lambda: Response(302, headers={"Location": "http://127.0.0.1:9/"}),
}
FEW = ("truncated", "html", "other-types", "deep-object", "500", "302")
"""One of each kind, where telling every lie would cost more than it finds."""


def truth(request: Request) -> None:
    """Tells no lie."""
    return


def lying(path: str, lie: str) -> Answer:
    """Tells this lie to every question for this path, without its version."""
    pattern = re.compile(rf"^/v[0-9.]+{path}$")
    return lambda request: LIES[lie]() if request.method == "GET" and pattern.match(request.path) else None


def saying(path: str, body: bytes) -> Answer:
    """Answers every question for this path with this body."""
    pattern = re.compile(rf"^/v[0-9.]+{path}$")
    return lambda request: raw(body) if request.method == "GET" and pattern.match(request.path) else None


def says_yes(request: Request) -> Response | None:
    """Says yes to whatever is to be changed, and changes nothing."""
    return Response() if request.method in ("POST", "DELETE") else None
