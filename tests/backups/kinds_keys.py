"""Corruptions of the key file and of the certificates."""

from __future__ import annotations

import base64

from tests.backups.corrupting import Work, cut, flip, flipped, kind
from tests.backups.generations import CERTIFICATE, KEY, ROOT


@kind()
def key_bit(work: Work) -> str:
    return flip(work, KEY, bit=True)


@kind()
def key_byte(work: Work) -> str:
    return flip(work, KEY)


def key_lines(work: Work) -> tuple[list[str], list[str], list[str]]:
    """Its first line and headers, the base64, the last line."""
    lines = work.files[KEY].decode().split("\n")
    blank = lines.index("")
    end = next(place for place, line in enumerate(lines) if line.startswith("-----END"))
    return lines[:blank], lines[blank + 1 : end], lines[end:]


def write_key(work: Work, head: list[str], body: list[str], end: list[str]) -> None:
    work.files[KEY] = "\n".join([*head, "", *body, *end]).encode()


@kind()
def key_header_gone(work: Work) -> str:
    head, body, end = key_lines(work)
    gone = head.pop(work.dice.randrange(1, len(head)))
    write_key(work, head, body, end)
    return f"{KEY}: the header {gone.partition(':')[0]} is gone"


@kind()
def key_dek(work: Work) -> str:
    """Raft's key is another, in good base64."""
    head, body, end = key_lines(work)
    place = next(place for place, line in enumerate(head) if line.startswith("raft-dek:"))
    raw = base64.b64decode(head[place].partition(": ")[2])
    changed, at = flipped(work.dice, raw, 0, len(raw), bit=True)
    head[place] = "raft-dek: " + base64.b64encode(changed).decode()
    write_key(work, head, body, end)
    return f"{KEY}: bit in byte {at} of {len(raw)} of raft-dek"


@kind()
def key_body(work: Work) -> str:
    """The TLS key is another, in good base64."""
    head, body, end = key_lines(work)
    raw = base64.b64decode("".join(body))
    changed, at = flipped(work.dice, raw, 0, len(raw), bit=True)
    text = base64.b64encode(changed).decode()
    write_key(work, head, [text[place : place + 64] for place in range(0, len(text), 64)], end)
    return f"{KEY}: bit in byte {at} of {len(raw)} of the private key"


@kind()
def key_version(work: Work) -> str:
    head, body, end = key_lines(work)
    place = next(place for place, line in enumerate(head) if line.startswith("kek-version:"))
    head[place] = "kek-version: " + work.dice.choice(("0", "1", "7", "99999", "-3", "x", ""))
    write_key(work, head, body, end)
    return f"{KEY}: {head[place]}"


@kind()
def key_label(work: Work) -> str:
    """It says that it is locked, and is not; or the other way round."""
    text = work.files[KEY]
    locked = b"ENCRYPTED PRIVATE KEY" in text
    old, new = (b"ENCRYPTED PRIVATE KEY", b"PRIVATE KEY") if locked else (b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")
    work.files[KEY] = text.replace(old, new)
    return f"{KEY}: is called {new.decode()}"


@kind()
def key_cut(work: Work) -> str:
    return cut(work, KEY)


@kind()
def key_empty(work: Work) -> str:
    work.files[KEY] = bytes(work.dice.choice((0, 64)))
    return f"{KEY}: {len(work.files[KEY])} zeros"


@kind()
def key_missing(work: Work) -> str:
    del work.files[KEY]
    return f"{KEY}: missing"


@kind()
def key_of_another(work: Work) -> str:
    """Of the manager beside it, of another Swarm, or of another time."""
    other = work.all[work.dice.choice([name for name in work.all if name != work.base.name])]
    work.files[KEY] = other.files[KEY]
    return f"{KEY}: of {other.name}"


@kind("locked")
def unlock_key_wrong(work: Work) -> str:
    """The vault has another key than the one that locks it."""
    which = work.dice.choice(("older", "random", "cut"))
    if which == "older":
        work.key = work.before.key
    elif which == "random":
        work.key = "SWMKEY-1-" + base64.b64encode(work.dice.randbytes(32)).decode().rstrip("=")
    else:
        work.key = work.key[:-1]
    return f"the unlock key at hand is another ({which})"


# --- certificates -----------------------------------------------------------------------------------------------------


@kind()
def certificate_bit(work: Work) -> str:
    return flip(work, CERTIFICATE, bit=True)


@kind()
def certificate_body(work: Work) -> str:
    """A bit of the certificate itself, in good base64."""
    return _certificate_body(work, CERTIFICATE)


@kind()
def root_body(work: Work) -> str:
    return _certificate_body(work, ROOT)


def _certificate_body(work: Work, name: str) -> str:
    text = work.files[name].decode()
    first, _, rest = text.partition("\n")
    body, mark, tail = rest.partition("-----END")
    raw = base64.b64decode(body)
    changed, at = flipped(work.dice, raw, 0, len(raw), bit=True)
    again = base64.b64encode(changed).decode()
    lines = [again[place : place + 64] for place in range(0, len(again), 64)]
    work.files[name] = ("\n".join([first, *lines]) + "\n" + mark + tail).encode()
    return f"{name}: bit in byte {at} of {len(raw)}"


@kind()
def certificate_cut(work: Work) -> str:
    return cut(work, CERTIFICATE)


@kind()
def certificate_empty(work: Work) -> str:
    work.files[CERTIFICATE] = bytes(work.dice.choice((0, 100)))
    return f"{CERTIFICATE}: {len(work.files[CERTIFICATE])} zeros"


@kind()
def certificate_missing(work: Work) -> str:
    del work.files[CERTIFICATE]
    return f"{CERTIFICATE}: missing"


@kind()
def certificate_of_another(work: Work) -> str:
    other = work.all[work.dice.choice(("plain-peer", "other"))]
    work.files[CERTIFICATE] = other.files[CERTIFICATE]
    return f"{CERTIFICATE}: of {other.name}"


@kind()
def root_bit(work: Work) -> str:
    return flip(work, ROOT, bit=True)


@kind()
def root_cut(work: Work) -> str:
    return cut(work, ROOT)


@kind()
def root_empty(work: Work) -> str:
    work.files[ROOT] = bytes(work.dice.choice((0, 100)))
    return f"{ROOT}: {len(work.files[ROOT])} zeros"


@kind()
def root_missing(work: Work) -> str:
    del work.files[ROOT]
    return f"{ROOT}: missing"


@kind()
def root_of_another(work: Work) -> str:
    work.files[ROOT] = work.all["other"].files[ROOT]
    return f"{ROOT}: of other"


@kind()
def identity_of_another(work: Work) -> str:
    """Key file, certificate and CA of one and the same other node."""
    other = work.all[work.dice.choice(("plain-peer", "other"))]
    work.files |= {name: other.files[name] for name in (KEY, CERTIFICATE, ROOT)}
    return f"all of certificates/: of {other.name}"
