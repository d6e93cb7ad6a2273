"""DTR's own authority, read from a replica's host: what it serves on `/ca`, asked there, over SSH.

So nobody stands between whom we would not have to trust anyhow, and nothing secret is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.link import trust
from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.model.text import one_line

if TYPE_CHECKING:
    from swarmtui.link.ssh import SshHost


async def read_authority(host: SshHost, https: int, name: str) -> str:
    """The authority in PEM.

    Args:
        https: where the replica's web server is published on that host.
        name: what the host is called.

    Raises:
        LinkError: the connection to the host was lost.
        DtrError: the replica does not tell it.
    """
    via = await host.forward_port("127.0.0.1", https)
    async with DtrClient(f"https://127.0.0.1:{https}", "", via=via, anybody=True) as client:
        pem = trust.certificates_in(await client.ca())
    if not pem:
        raise DtrError(
            Trouble.NOT_DTR,
            f"What DTR on {one_line(name)} gives as its authority is no certificate.",
            "Save it by hand, and name the file in the configuration: [clusters.NAME.dtr] ca = FILE",
        )
    return pem


async def read_name(host: SshHost, https: int) -> str:
    """A name that the replica's certificate is for: its external URL's as a rule, and not the replica's own address.

    It comes by the same way as the authority, and is as good as that. Another name is then believed of no replica.

    Args:
        https: where the replica's web server is published on that host.

    Returns:
        "" where it shows no certificate.

    Raises:
        LinkError: the connection to the host was lost.
    """
    via = await host.forward_port("127.0.0.1", https)
    async with DtrClient(f"https://127.0.0.1:{https}", "", via=via, anybody=True) as client:
        await client.ping()
        # Of a wildcard any name below it will do. What is of this one host only is not what the others have too.
        others = [name for name in client.names if name not in ("localhost", "127.0.0.1", "::1")]
        return others[0].replace("*", "dtr", 1) if others else ""
