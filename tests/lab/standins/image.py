"""Makes the one image behind all names: this machine's Python with what the program imports, and busybox.

The tar is kept in the lab's cache by a hash of what goes into it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from functools import cache
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from pathlib import Path

from tests.lab import images
from tests.lab.machine import CACHE, LabError, which

PROGRAM = Path(__file__).with_name("program")
ENTRYPOINT = ["/py/bin/python3", "-S", "-B", "-m", "standin"]
LIBRARY = f"py/lib/python{sys.version_info.major}.{sys.version_info.minor}"
CHANGES = (
    f"ENTRYPOINT {json.dumps(ENTRYPOINT)}",
    "ENV PYTHONHOME=/py PYTHONPATH=/standin LD_LIBRARY_PATH=/py/so PATH=/bin:/sbin",
)
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
_IMPORTS = (
    "standin.__main__ standin.agent standin.bundles standin.commands standin.controller standin.store standin.relay"
    " standin.dtr.main standin.dtr.phase1 standin.dtr.phase2 standin.dtr.nginx standin.dtr.store standin.dtr.table"
    " encodings.idna"
    " encodings.cp437 encodings.latin_1 encodings.ascii email.message email.parser getpass zipfile tarfile gzip"
    " cryptography.hazmat.backends.openssl.backend"
)
"""What may be imported while it runs."""


def _recipe() -> str:
    parts = [sys.version, sys.executable, _IMPORTS, *CHANGES, Path(__file__).read_text()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _module_files() -> list[tuple[str, Path]]:
    """(module's place in the image, its file) for all that the program imports."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "standin").symlink_to(PROGRAM)
        code = (
            "import sys, json\n"
            f"sys.path.insert(0, {folder!r})\n"
            f"for name in {_IMPORTS.split()!r}: __import__(name)\n"
            "print(json.dumps([[m.__name__, bool(getattr(m, '__path__', None)), m.__file__] for m in"
            " list(sys.modules.values()) if getattr(m, '__file__', None) and m.__name__ != '__main__']))"
        )
        done = subprocess.run(
            [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
    found = []
    for name, package, file in json.loads(done.stdout):
        if name.split(".")[0] != "standin":
            place = name.replace(".", "/") + ("/__init__" if package else "")
            found.append((place, Path(file)))
    return found


def _libraries(binaries: list[Path]) -> dict[str, Path]:
    """The shared libraries that these need, by name."""
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    return {name: Path(path) for name, path in re.findall(r"^\s(\S+) => (/\S+) ", listed, re.MULTILINE)}


def _runtime() -> dict[str, bytes]:
    """Python without the program: compiled modules, extension modules, the interpreter, shared libraries."""
    executable = Path(sys.executable).resolve()
    files = {"py/bin/python3": executable.read_bytes(), f"{LIBRARY}/lib-dynload/.keep": b""}
    binaries = [executable]
    for place, file in _module_files():
        if file.suffix == ".py":
            files[f"{LIBRARY}/{place}.pyc"] = compiled(file)
        elif file.suffix == ".so":
            folder = "/".join(place.split("/")[:-1])
            files[f"{LIBRARY}/{folder + '/' if folder else 'lib-dynload/'}{file.name}"] = _stripped(file)
            binaries.append(file)
    for name, path in _libraries(binaries).items():
        files[f"py/so/{name}"] = _stripped(path)
    loader = next(Path("/lib64").glob("ld-linux*.so*"))
    files[f"bin/{loader.name}"] = loader.read_bytes()
    return files


def _stripped(file: Path) -> bytes:
    """A library without its symbols for debuggers, where this machine can take them out: half the size."""
    strip = which("strip")
    if strip is None:
        return file.read_bytes()
    with tempfile.NamedTemporaryFile() as fresh:
        done = subprocess.run([strip, "--strip-unneeded", "-o", fresh.name, file], capture_output=True, check=False)
        return Path(fresh.name).read_bytes() if done.returncode == 0 else file.read_bytes()


def compiled(file: Path) -> bytes:
    """A module as bytecode that is taken as it is, whatever its source's time."""
    source = file.read_bytes()
    code = compile(source, file.name, "exec", dont_inherit=True, optimize=0)
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))


@cache
def root() -> bytes:
    """The tar of the image's root folder."""
    sources = sorted(PROGRAM.rglob("*.py"))
    program = {f"standin/standin/{file.relative_to(PROGRAM).with_suffix('.pyc')}": compiled(file) for file in sources}
    digest = hashlib.sha256(b"".join(program.values())).hexdigest()[:12]
    kept = CACHE / f"standin-{_recipe()}-{digest}.tar"
    if kept.exists():
        return kept.read_bytes()
    busybox = which("busybox")
    if busybox is None:
        raise LabError("there is no busybox: install busybox-static")
    files = {"bin/busybox": Path(busybox).read_bytes(), **_FILES, **_runtime(), **program}
    links = {f"bin/{name}": "busybox" for name in ("sh", "sleep", "true", "false", "wget", "ls", "cat")}
    links |= {f"lib64/{Path(name).name}": f"/{name}" for name in files if name.startswith("bin/ld-linux")}
    data = images.tar_of(files, links, ("tmp", "proc", "sys", "dev", "root", "var/run", "config", "backup"))
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob("standin-*.tar"):
        old.unlink(missing_ok=True)
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(kept)
    return data
