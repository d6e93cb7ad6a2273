"""A small stand-in for S3 on loopback, written from Amazon's documents. It checks what S3 checks, and lies on request.

Signatures are version 4 of the "AWS Signature Version 4 signing process"; checksums those of "Checking object
integrity". It shares no code with boto3.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import re
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field

ACCESS_KEY = "AKPLANTED"
SECRET_KEY = "planted-secret-of-the-test"
REGION = "eu-test-1"


@dataclass
class Bucket:
    """What the stand-in has and does.

    Attributes:
        lies: what it does wrong, in turn; each is one of "500", "cut", "403", "wrong-checksum", "rot", "full".
        forgets: it answers with no checksums at all, as older services do.
    """

    name: str = "night"
    objects: dict[str, bytes] = field(default_factory=dict)
    lies: list[str] = field(default_factory=list)
    forgets: bool = False
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    """Serves a bucket for the length of a block."""

    class Handler(_Handler):
        there = bucket

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    there: Bucket
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:
        """Nobody listens."""

    def do_PUT(self) -> None:
        lie = self.there.lies.pop(0) if self.there.lies else ""
        if lie == "cut":
            self.rfile.read(min(1000, int(self.headers["Content-Length"])))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._allowed(body):
            return
        if lie in ("500", "full", "403"):
            code = {"500": "InternalError", "full": "QuotaExceeded", "403": "AccessDenied"}[lie]
            self._error({"500": 500, "full": 507, "403": 403}[lie], code)
            return
        told = self.headers.get("x-amz-checksum-sha256", "")
        if told != _sum(body):
            self._error(400, "BadDigest")
            return
        self.there.objects[self._key()] = bytes([body[0] ^ 1, *body[1:]]) if lie == "rot" else body
        headers = {} if self.there.forgets or lie == "rot" else {"x-amz-checksum-sha256": told}
        if lie == "wrong-checksum":
            headers["x-amz-checksum-sha256"] = _sum(body + b"!")
        self._answer(200, b"", headers)

    def do_GET(self) -> None:
        if not self._allowed(b""):
            return
        if "list-type" in self._query():
            self._list()
            return
        content = self.there.objects.get(self._key())
        if content is None:
            self._error(404, "NoSuchKey")
            return
        self._answer(200, content, {})

    def do_HEAD(self) -> None:
        if not self._allowed(b""):
            return
        if not self._key():
            self._answer(200 if self._bucket() == self.there.name else 404, b"", {})
            return
        content = self.there.objects.get(self._key())
        if content is None:
            self._answer(404, b"", {})
            return
        wanted = self.headers.get("x-amz-checksum-mode") == "ENABLED" and not self.there.forgets
        self._answer(200, content, {"x-amz-checksum-sha256": _sum(content)} if wanted else {})

    def do_DELETE(self) -> None:
        if self._allowed(b""):
            self.there.objects.pop(self._key(), None)
            self._answer(204, b"", {})

    def _list(self) -> None:
        query = self._query()
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys = sorted(key for key in self.there.objects if key.startswith(prefix))
        after = query.get("continuation-token", "")
        common = {key[: key.index("/", len(prefix)) + 1] for key in keys if delimiter and "/" in key[len(prefix) :]}
        names = sorted(common) if delimiter else keys
        # Two a page, so that whoever asks has to turn them.
        page = [name for name in names if name > after][:2]
        more = bool(page) and page[-1] != names[-1]
        tag, name_tag = ("CommonPrefixes", "Prefix") if delimiter else ("Contents", "Key")
        listed = "".join(f"<{tag}><{name_tag}>{name}</{name_tag}></{tag}>" for name in page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{listed}</ListBucketResult>"
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    # -- what S3 checks ------------------------------------------------------------------------------------------------

    def _allowed(self, body: bytes) -> bool:
        self.there.asked.append(f"{self.command} {self._key()}")
        wrong = self._wrong(body)
        if wrong:
            self.there.wrong.append(wrong)
            self._error(403, "SignatureDoesNotMatch", wrong)
        return not wrong

    def _wrong(self, body: bytes) -> str:
        told = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""),
        )
        if told is None:
            return "there is no signature"
        key, day, region, signed, signature = told.groups()
        names = signed.split(";")
        if key != ACCESS_KEY or region != REGION or not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
            return "the scope is wrong"
        content = self.headers["x-amz-content-sha256"]
        if content != hashlib.sha256(body).hexdigest():
            return "the body is not what was signed"
        parts = urllib.parse.urlsplit(self.path)
        query = "&".join(sorted(f"{k}={v}" if v else f"{k}=" for k, v in _pairs(parts.query)))
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names)
        request = "\n".join([self.command, parts.path, query, headers, signed, content])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(
            ["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()]
        )
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in (day, region, "s3", "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        return "" if hmac.digest(secret, text.encode(), "sha256").hex() == signature else "the signature is wrong"

    # -- small things --------------------------------------------------------------------------------------------------

    def _bucket(self) -> str:
        return urllib.parse.urlsplit(self.path).path.split("/")[1]

    def _key(self) -> str:
        return urllib.parse.unquote("/".join(urllib.parse.urlsplit(self.path).path.split("/")[2:]))

    def _query(self) -> dict[str, str]:
        return {k: urllib.parse.unquote(v) for k, v in _pairs(urllib.parse.urlsplit(self.path).query)}

    def _error(self, status: int, code: str, message: str = "as asked for") -> None:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self._answer(status, text.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part)]


def _sum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
