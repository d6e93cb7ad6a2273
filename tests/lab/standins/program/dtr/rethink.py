"""How the parts of DTR speak with the database of a replica, over the overlay network."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable
from typing import Any

from standin.dtr.names import NETWORK, STORE_PORT

State = dict[str, Any]


class NoQuorum(Exception):
    """The database does not answer, or too few of its replicas are there."""


class Changed(Exception):
    """Somebody else changed it meanwhile."""


def ask(replica: str, key: str, path: str, value: Any = None, timeout: float = 3) -> Any:
    """One request to the database of a replica, which is written to where a value is given.

    Raises:
        NoQuorum: it does not answer, or cannot.
        Changed: what was to be written builds on something old.
    """
    link = http.client.HTTPConnection(f"dtr-rethinkdb-{replica}.{NETWORK}", STORE_PORT, timeout=timeout)
    body = None if value is None else json.dumps(value).encode()
    try:
        link.request("GET" if body is None else "PUT", path, body, {"X-Key": key})
        answer = link.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoQuorum(f"rethinkdb: {error}") from error
    finally:
        link.close()
    if answer.status == 409:
        raise Changed(data.decode())
    if answer.status != 200:
        raise NoQuorum(data.decode(errors="replace"))
    return json.loads(data)


def change(replica: str, key: str, edit: Callable[[State], None]) -> State:
    """Change the state of the whole cluster through one replica; the new state.

    Raises:
        NoQuorum: it cannot be.
    """
    for _ in range(8):
        state = ask(replica, key, "/state")
        edit(state)
        try:
            return dict(ask(replica, key, "/state", state, 10))
        except Changed:
            time.sleep(0.1 + random.random() / 5)
    raise NoQuorum("rethinkdb: the state changes all the time")
