"""Tar archives in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def pack(files: Mapping[str, bytes], when: float) -> bytes:
    """A tar of these files, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), int(when), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a tar; empty if it is none."""
    result = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                reader = tar.extractfile(entry) if entry.isfile() else None
                if reader is not None:
                    result[entry.name] = reader.read()
    except tarfile.TarError:
        return {}
    return result
