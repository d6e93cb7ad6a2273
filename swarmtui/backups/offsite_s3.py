"""Copies in a bucket of anything that speaks S3, through boto3 (the extra `s3`).

Access keys, region and endpoint come from where AWS tools keep them: environment, ~/.aws, the machine's role. They are
never in our configuration. An object is whole or not there, so nothing has to be renamed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar

from swarmtui.backups.offsite import BLOCK, MANIFEST, NAME, CopyError, PlaceAway, Progress, differs
from swarmtui.config.backups import CopyTarget
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line

LARGEST = 5 << 30
"""Bytes that one request may put (Amazon S3 user guide, "Uploading objects")."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
ATTEMPTS = 4

T = TypeVar("T")


class S3Place:
    """A bucket, or what is below a prefix in it. Made by `opened`."""

    def __init__(self, target: CopyTarget, client: Any) -> None:
        self._target = target
        self._client = client

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, target: CopyTarget) -> AsyncIterator[S3Place]:
        """Makes a client for the length of a block, and asks for the bucket.

        Raises:
            UsageError: boto3 is not installed, or nobody told it who we are.
            PlaceAway: the service does not answer.
            CopyError: there is no such bucket, or it is not for us.
        """
        place = cls(target, await asyncio.to_thread(_client))
        try:
            await place._call(lambda s3: s3.head_bucket(Bucket=target.host))
            yield place
        finally:
            await asyncio.to_thread(place._client.close)

    @property
    def where(self) -> str:
        return str(self._target)

    async def digest(self, name: str, wanted: str) -> str | None:
        try:
            head = await self._call(lambda s3: s3.head_object(**self._key(name), ChecksumMode="ENABLED"))
        except _NotThere:
            return None
        told = _hex(head)
        return told if told == wanted else await self._read_back(name)

    async def put(self, file: Path, name: str, digest: str, progress: Progress) -> None:
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        size = file.stat().st_size
        if size > LARGEST:
            raise CopyError(f"{file.name} is larger than {LARGEST >> 30} GB, which S3 takes in no one piece.", "")
        stop = threading.Event()

        def send(s3: Any) -> Any:
            with _Told(file, size, progress, stop) as body:
                return s3.put_object(
                    **self._key(name),
                    Body=body,
                    ContentLength=size,
                    ContentType="application/octet-stream",
                    # The server refuses (BadDigest) what came to it as something else.
                    ChecksumSHA256=checksum,
                )

        try:
            answer = await self._call(send)
        except asyncio.CancelledError:
            stop.set()
            raise
        except _NotThere as error:
            raise self._no_bucket() from error
        told = _hex(answer)
        if told != digest and (told is not None or await self._read_back(name) != digest):
            with contextlib.suppress(CopyError, PlaceAway):
                await self._call(lambda s3: s3.delete_object(**self._key(name)))
            raise differs(self.where, name)

    async def read(self, name: str, largest: int) -> bytes:
        def get(s3: Any) -> bytes:
            with contextlib.closing(s3.get_object(**self._key(name))["Body"]) as body:
                content: bytes = body.read(largest + 1)
                return content

        try:
            content = await self._call(get)
        except _NotThere as error:
            raise CopyError(f"There is no {name} in {self.where}.", "Copy again.") from error
        if len(content) > largest:
            raise CopyError(f"{name} in {self.where} is too large to be what it should be.", "")
        return content

    async def folders(self, name: str) -> tuple[str, ...]:
        prefix = self._key(name)["Key"] + "/"

        def names(s3: Any) -> list[str]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self._target.host, Prefix=prefix, Delimiter="/")
            return [
                each["Prefix"][len(prefix) :].rstrip("/") for page in pages for each in page.get("CommonPrefixes", [])
            ]

        return tuple(sorted(found for found in await self._listed(names) if NAME.fullmatch(found)))

    async def clear_parts(self, name: str) -> None:
        """There are none: an object that was not put whole is not there."""

    async def remove(self, name: str) -> None:
        prefix = self._key(name)["Key"] + "/"

        def keys(s3: Any) -> list[str]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self._target.host, Prefix=prefix)
            return [each["Key"] for page in pages for each in page.get("Contents", [])]

        found = await self._listed(keys)
        for key in sorted(found, key=lambda key: key != f"{prefix}{MANIFEST}"):
            with contextlib.suppress(_NotThere):
                await self._call(methodcaller("delete_object", Bucket=self._target.host, Key=key))

    # -- in a thread -------------------------------------------------------------------------------------------------

    async def _listed(self, ask: Callable[[Any], list[str]]) -> list[str]:
        try:
            return await self._call(ask)
        except _NotThere as error:
            raise self._no_bucket() from error

    async def _read_back(self, name: str) -> str | None:
        def read(s3: Any) -> str:
            digest = hashlib.sha256()
            with contextlib.closing(s3.get_object(**self._key(name))["Body"]) as body:
                for block in body.iter_chunks(BLOCK):
                    digest.update(block)
            return digest.hexdigest()

        try:
            return await self._call(read)
        except _NotThere:
            return None

    async def _call(self, ask: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(self._asked, ask)

    def _asked(self, ask: Callable[[Any], T]) -> T:
        from botocore import exceptions as boto  # type: ignore[import-untyped]

        try:
            return ask(self._client)
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound) as error:
            raise UsageError(
                f"Nobody told who we are to {self.where}: {_plain(error)}.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
            ) from error
        except boto.ClientError as error:
            raise self._refused(error) from error
        except (boto.HTTPClientError, boto.ConnectionError) as error:
            # Connecting, timeouts, connections cut off, TLS.
            raise PlaceAway(
                f"{self.where} cannot be reached: {_plain(error)}.", "Look at the network and at AWS_ENDPOINT_URL_S3."
            ) from error
        except boto.BotoCoreError as error:
            raise CopyError(
                f"{self.where} cannot be worked with: {_plain(error)}.", "Look at ~/.aws/config."
            ) from error
        except OSError as error:
            raise CopyError(f"{error.filename or self.where}: {error.strerror or error}.", "Try again.") from error

    def _refused(self, error: Any) -> CopyError | PlaceAway:
        told = error.response.get("Error", {})
        code = one_line(str(told.get("Code", "")))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        words = one_line(str(told.get("Message", "") or code))[:200].rstrip(".")
        if code == "NoSuchBucket" or (status == 404 and error.operation_name == "HeadBucket"):
            return self._no_bucket()
        if status == 404:
            return _NotThere(f"{self.where}: {words}.", "")
        if code in ("BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"):
            return CopyError(f"{self.where} got something else than was sent ({code}).", "Nothing was kept. Try again.")
        if status in (401, 403):
            return CopyError(
                f"{self.where} refuses us: {words}.", "Look at the access keys, and at what the bucket lets them do."
            )
        if status >= 500:
            return PlaceAway(f"{self.where} is in trouble: {words} (status {status}).", "Try again later.")
        return CopyError(f"{self.where} refuses: {words} (status {status}).", "Look at the bucket's settings.")

    def _no_bucket(self) -> CopyError:
        return CopyError(f"There is no bucket {self._target.host} for {self.where}.", "Make it, or mend the name.")

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._target.host, "Key": f"{self._target.path}/{name}" if self._target.path else name}


class _NotThere(CopyError):
    """There is no such object."""


class _Told(io.RawIOBase):
    """A file that tells how far it was read, and ends when it is told to. Read again, as for a signature or a second
    try, it tells only what is new."""

    def __init__(self, file: Path, size: int, progress: Progress, stop: threading.Event) -> None:
        super().__init__()
        self._stream = file.open("rb")
        self._size, self._progress, self._stop = size, progress, stop
        self._furthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1, /) -> bytes:
        if self._stop.is_set():
            raise OSError("stopped")
        content = self._stream.read(size)
        if (at := self._stream.tell()) > self._furthest:
            self._furthest = at
            self._progress(at, self._size)
        return content

    def close(self) -> None:
        self._stream.close()
        super().close()


def _client() -> Any:
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
    except ImportError:
        raise UsageError(
            "Copies to S3 need boto3, which is not installed here.", 'Install it: pip install "swarmtui[s3]"'
        ) from None
    settings = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # What we put has its checksum already; services that are not Amazon's may not know others.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client("s3", config=settings)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"S3 cannot be used: {_plain(error)}.", "Look at AWS_PROFILE and ~/.aws/config.") from error


def _hex(answer: Any) -> str | None:
    """The whole object's sha256 as the server tells it; None where it tells none, or one of its parts' digests."""
    told = answer.get("ChecksumSHA256")
    if not isinstance(told, str) or "-" in told or answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        return base64.b64decode(told, validate=True).hex()
    except ValueError:
        return None


def _plain(error: Exception) -> str:
    return one_line(str(error)).rstrip(".")[:200]
