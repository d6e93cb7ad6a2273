"""The accounts of UCP: users, sessions, and the certificates of client bundles."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

SESSIONS = 5
"""Sessions one user may have; one more ends the oldest."""


@dataclass(slots=True)
class Account:
    """One user or organisation. `keys` are its client bundles, by id, and `labels` what they are called."""

    name: str
    id: str
    password: str = ""
    full_name: str = ""
    admin: bool = False
    org: bool = False
    active: bool = True
    keys: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def doc(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "name": self.name,
            "id": self.id,
            "fullName": self.full_name,
            "isOrg": self.org,
            "isAdmin": self.admin,
            "isActive": self.active,
            "isImported": False,
        }


def _hash(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 1000).hex()


class Accounts:
    """All accounts, and who is logged in."""

    def __init__(self) -> None:
        self.by_name: dict[str, Account] = {}
        self._sessions: dict[str, str] = {}

    def create(
        self, name: str, password: str, *, full_name: str = "", admin: bool = False, org: bool = False
    ) -> Account:
        """A new account.

        Raises:
            KeyError: the name is taken.
        """
        if name in self.by_name:
            raise KeyError(name)
        account = Account(name, str(uuid.uuid4()), full_name=full_name, admin=admin, org=org)
        salt = secrets.token_hex(8)
        account.password = f"{salt}${_hash(password, salt)}"
        self.by_name[name] = account
        return account

    def check(self, name: str, password: str) -> Account | None:
        """The account, if the password is right."""
        account = self.by_name.get(name)
        if account is None or account.org or not account.active:
            return None
        salt, _, known = account.password.partition("$")
        return account if hmac.compare_digest(_hash(password, salt), known) else None

    def login(self, name: str, password: str) -> str | None:
        """A token, if the password is right."""
        account = self.check(name, password)
        if account is None:
            return None
        token = str(uuid.uuid4())
        own = [other for other, user in self._sessions.items() if user == name]
        for oldest in own[: max(0, len(own) - SESSIONS + 1)]:
            del self._sessions[oldest]
        self._sessions[token] = name
        return token

    def logout(self, token: str) -> None:
        """End a session."""
        self._sessions.pop(token, None)

    def of_token(self, token: str) -> Account | None:
        """Who holds this token."""
        return self.by_name.get(self._sessions.get(token, ""))

    def dump(self) -> list[dict[str, Any]]:
        """Everything a backup keeps; no sessions."""
        return [asdict(account) for account in self.by_name.values()]

    def load(self, dumped: list[dict[str, Any]]) -> None:
        """What a backup kept takes the place of what is here."""
        self.by_name = {entry["name"]: Account(**entry) for entry in dumped}
        self._sessions.clear()
