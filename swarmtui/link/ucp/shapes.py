"""What UCP answers, by the documented shapes (reference/ucp-dtr.md §3.1). Every text in it is made harmless."""

from __future__ import annotations

import msgspec

from swarmtui.model.text import one_line


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Go writes null for what is empty."""


class Account(_Wire, frozen=True, rename="camel"):
    """A user or an organization."""

    name: str
    id: str = ""
    full_name: str | None = ""
    is_org: bool | None = False
    is_admin: bool | None = False
    is_active: bool | None = True
    is_imported: bool | None = False

    @property
    def shown(self) -> str:
        """Its name, harmless for a terminal."""
        return one_line(self.name)


class AccountsPage(_Wire, frozen=True, rename="camel"):
    """A page of accounts; from MKE on it tells where the next one begins."""

    accounts: tuple[Account, ...] | None = ()
    next_page_start: str | None = None


class BundleCertificate(msgspec.Struct, frozen=True):
    """A certificate that was made for a key."""

    cert: str | None = ""
    label: str | None = ""


class BundleKey(msgspec.Struct, frozen=True, rename={"public_key": "publicKey"}):
    """A client bundle that was made for a user: its public key, and its certificates."""

    id: str
    public_key: str | None = ""
    label: str | None = ""
    certificates: tuple[BundleCertificate, ...] | None = ()


class BundleKeys(_Wire, frozen=True, rename="camel"):
    """A page of them."""

    account_public_keys: tuple[BundleKey, ...] | None = ()
    next_page_start: str | None = None


class Backup(msgspec.Struct, frozen=True):
    """A backup that UCP 3.2 or later took, or takes.

    Attributes:
        state: IN_PROGRESS, SUCCESS or FAILED.
        path: the folder on the host of the manager `node` in which the file lies.
        completed_at: 0001-01-01T00:00:00Z while it runs.
    """

    id: str
    state: str = msgspec.field(default="", name="backupState")
    file: str | None = msgspec.field(default="", name="fileName")
    path: str | None = msgspec.field(default="", name="backupPath")
    node: str | None = msgspec.field(default="", name="nodeLocation")
    error: str | None = msgspec.field(default="", name="shortError")
    encrypted: bool | None = False
    created_at: str | None = ""
    completed_at: str | None = ""

    @property
    def running(self) -> bool:
        return self.state == "IN_PROGRESS"

    @property
    def ok(self) -> bool:
        return self.state == "SUCCESS"
