"""Images for the lab's engines. No registry is reachable; `docker import` makes an image from a tar."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.lab.machine import LabError, which

STOCK = ("alpine:latest", "busybox:latest")
"""The images that are on every host from the start. Both are the same busybox root."""

CHANGES = ('CMD ["/bin/sh"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@cache
def busybox_root(extra: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    """A tar with a root folder around the machine's static busybox.

    Args:
        extra: more files, as (path, content); those below bin/ and sbin/ are executable.
    """
    binary = which("busybox")
    if binary is None:
        raise LabError("there is no busybox: install busybox-static")
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files: dict[str, bytes] = {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
        "etc/hosts": b"127.0.0.1 localhost\n",
        "bin/busybox": Path(binary).read_bytes(),
        **dict(extra),
    }
    links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
    return tar_of(files, links, folders=("root", "tmp", "var/run", "proc", "sys", "dev", "usr/bin", "usr/local/bin"))


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, folders: tuple[str, ...] = ()) -> bytes:
    """A tar with these files, symbolic links and folders; the same input gives the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        made: set[str] = set()
        for folder in sorted({*folders, *(p for f in [*files, *(links or {})] for p in _parents(f))}):
            for name in [*_parents(folder), folder]:
                if name not in made:
                    made.add(name)
                    info = tarfile.TarInfo(name)
                    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                    tar.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            runs = any(part in ("bin", "sbin") for part in Path(name).parts[:-1]) or content.startswith(b"#!")
            info.size, info.mode = len(content), 0o755 if runs else 0o644
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            if name not in files:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, target
                tar.addfile(info)
    return out.getvalue()


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in reversed(Path(path).parents) if str(parent) != "."]
