"""How the address of a web server is written. Pure."""

from __future__ import annotations

from typing import Final

HTTPS_PORT: Final = 443


def https_url(host: str, port: int = HTTPS_PORT) -> str:
    """https://HOST, an IPv6 address in brackets, and with its port where it is another than the usual one."""
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}" if port == HTTPS_PORT else f"https://{host}:{port}"
