"""The accounts API."""

from __future__ import annotations

from typing import Any

from standin import state
from standin.components import Ucp
from standin.refusal import Refused
from standin.table import MKE

_SHOWN = ("name", "id", "fullName", "isOrg", "isAdmin", "isActive", "isImported", "membersCount")
_FILTERS = {
    "all": lambda a: True,
    "users": lambda a: not a["isOrg"],
    "orgs": lambda a: a["isOrg"],
    "admins": lambda a: a["isAdmin"],
    "non-admins": lambda a: not a["isAdmin"] and not a["isOrg"],
    "active-users": lambda a: a["isActive"] and not a["isOrg"],
    "inactive-users": lambda a: not a["isActive"] and not a["isOrg"],
}


def shown(account: dict[str, Any]) -> dict[str, Any]:
    """An account as the API shows it."""
    return {key: account[key] for key in _SHOWN}


def login(held: dict[str, Any], name: str, password: str) -> dict[str, Any]:
    """The account with these credentials.

    Raises:
        Refused: they are wrong.
    """
    user = held["accounts"].get(name)
    if user is None or not user["isActive"] or user["isOrg"] or state.hashed(password, user["salt"]) != user["hash"]:
        raise Refused(401, "UNAUTHORIZED", "invalid username or password")
    return dict(user)


def _one(held: dict[str, Any], name: str) -> dict[str, Any]:
    for account in held["accounts"].values():
        if name in (account["name"], account["id"]):
            return dict(account)
    raise Refused(404, "NO_SUCH_ACCOUNT", f"no such account: {name}")


def get(held: dict[str, Any], parts: list[str], query: dict[str, str], ucp: Ucp) -> Any:
    """GET /accounts/…

    Raises:
        Refused: no such thing.
    """
    if not parts:
        return _page(held, query, ucp)
    account = _one(held, parts[0])
    if len(parts) == 1:
        return shown(account)
    if parts[1:] == ["publicKeys"]:
        return {"accountPublicKeys": held["keys"].get(account["name"], []), "nextPageStart": ""}
    raise Refused(404, "NOT_FOUND", "page not found")


def _page(held: dict[str, Any], query: dict[str, str], ucp: Ucp) -> dict[str, Any]:
    choose = _FILTERS.get(query.get("filter", "all"))
    if choose is None:
        raise Refused(400, "BAD_REQUEST", "invalid filter")
    limit, start = int(query.get("limit") or 10), query.get("start", "")
    every = sorted((a for a in held["accounts"].values() if choose(a)), key=lambda a: str(a["name"]))
    rest = [account for account in every if account["name"] >= start]
    answer: dict[str, Any] = {"accounts": [shown(account) for account in rest[:limit]]}
    if ucp.number >= MKE:
        answer |= {"usersCount": len(every), "orgsCount": 0, "resourceCount": len(every)}
        answer["nextPageStart"] = rest[limit]["name"] if len(rest) > limit else ""
    return answer


def change(held: dict[str, Any], verb: str, parts: list[str], body: dict[str, Any], ucp: Ucp) -> Any:
    """POST, PATCH and DELETE of /accounts/…; None where the answer is empty.

    Raises:
        Refused: it cannot be done.
    """
    if verb == "POST" and not parts:
        name = str(body["name"])
        if not name or name in held["accounts"]:
            raise Refused(400, "ACCOUNT_EXISTS", f"an account named {name!r} already exists")
        if not body.get("isOrg") and not body.get("password"):
            raise Refused(400, "INVALID_FORM_FIELD", "invalid password: must not be empty")
        account = state.account(
            name, str(body.get("password", "")), admin=bool(body.get("isAdmin")),
            full_name=str(body.get("fullName", "")), org=bool(body.get("isOrg")),
        )  # fmt: skip
        account["isActive"] = bool(body.get("isActive", True))
        held["accounts"][name] = account
        return shown(account)
    if parts and len(parts) == 1 and verb in ("PATCH", "DELETE"):
        account = _one(held, parts[0])
        if verb == "DELETE":
            del held["accounts"][account["name"]]
            held["keys"].pop(account["name"], None)
            held["sessions"] = {t: s for t, s in held["sessions"].items() if s["user"] != account["name"]}
            return None
        account |= {key: body[key] for key in ("fullName", "isActive", "isAdmin") if key in body}
        held["accounts"][account["name"]] = account
        return shown(account)
    if len(parts) == 3 and parts[1] == "publicKeys" and verb == "DELETE":
        name = _one(held, parts[0])["name"]
        keys = held["keys"].get(name, [])
        if not any(key["id"] == parts[2] for key in keys):
            raise Refused(404, "NO_SUCH_PUBLIC_KEY", "no such public key")
        held["keys"][name] = [key for key in keys if key["id"] != parts[2]]
        return None
    raise Refused(404, "NOT_FOUND", "page not found")
