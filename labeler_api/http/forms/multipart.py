"""multipart/form-data as it arrives: part after part, nothing held but the chunk at hand.

The file name of a part keeps its directories: the frontend sends relative paths in it. Parts may come in any order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from labeler_api.errors import BadRequest, TooLarge, invalid
from labeler_api.http.forms.disposition import disposition

_IN_MEMORY_BYTES = 1024 * 1024  # a photograph is a little larger, a thumbnail much smaller
_MAX_FIELDS = 1000  # what the current backend's parser allows
_END = None


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one request may carry."""

    files: int
    total_bytes: int


class Part:
    """One part. Its content must be read before the next part is asked for; what is not read is skipped."""

    def __init__(self, reader: "_MultipartReader", header: bytes) -> None:
        said = disposition(header)
        self._reader = reader
        self.name = said.name
        self.filename = said.filename
        self._ahead = b""

    async def is_empty(self) -> bool:
        """Whether it has no content; what was read to find out comes with the content all the same."""
        while not self._ahead and (chunk := await self._reader.data()) is not _END:
            self._ahead = chunk
        return not self._ahead

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content. Raises BadRequest when the body ends before the part does."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            yield ahead
        while (chunk := await self._reader.data()) is not _END:
            yield chunk

    async def spool(self, limit: int) -> "Spool | None":
        """Read the content into a temporary file; None, with the content skipped, when it is over `limit` bytes."""
        spool: Spool | None = Spool()
        try:
            async for chunk in self.chunks():
                if spool is not None and spool.size + len(chunk) > limit:
                    spool.close()
                    spool = None
                if spool is not None:
                    await spool.write(chunk)
            if spool is not None:
                await spool.rewind()
        except BaseException:
            if spool is not None:
                spool.close()
            raise
        return spool


class Spool:
    """A temporary file that lives in memory up to 1 MiB and on disk from there; the disk is written in a thread."""

    def __init__(self) -> None:
        self.file: IO[bytes] = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.size = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Take bytes; a MiB is written at once."""
        self.size += len(chunk)
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes >= _IN_MEMORY_BYTES:
            await self._flush()

    def on_disk(self) -> IO[bytes]:
        """The file, for another process to write to: not in memory, whatever its size."""
        self.file.fileno()  # it moves to the disk when it is asked for its number
        return self.file

    async def rewind(self) -> None:
        """Write what is left and go to the beginning."""
        await self._flush()
        self.file.seek(0)

    async def _flush(self) -> None:
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        if self.size <= _IN_MEMORY_BYTES:
            self.file.write(data)
        else:
            await asyncio.to_thread(self.file.write, data)

    def close(self) -> None:
        """Remove the file."""
        self.file.close()


async def parts(request: Request, limits: UploadLimits) -> AsyncGenerator[Part, None]:
    """Yield the parts of a form.

    Raises Invalid for another content type, TooLarge over `limits.total_bytes`, BadRequest for too many files or a
    body that is not what it says.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.total_bytes:
        raise _too_large(limits)
    reader = _MultipartReader(request, _boundary(request), limits)
    while (part := await reader.next_part()) is not None:
        yield part


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        text = "has to be multipart/form-data with a boundary"
        raise invalid(text, "header", "content-type", code="not_multipart")
    return options[b"boundary"]


class _MultipartReader:
    """Turns the parser's callbacks into something to await. Events are `bytes`, a Part, or the end of a part."""

    def __init__(self, request: Request, boundary: bytes, limits: UploadLimits) -> None:
        self._body = request.stream()
        self._limits = limits
        self._events: deque[bytes | Part | None] = deque()
        self._ended = False
        self._in_part = False
        self._size = self._files = self._fields = 0
        self._header_name = self._header_value = self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                    "on_part_end": lambda: self._events.append(_END),
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise _malformed("it does not follow the rules of multipart/form-data") from None

    async def next_part(self) -> Part | None:
        """Skip what is left of the present part; return the next, or None after the last."""
        while self._in_part:
            await self.data()
        event = await self._event()
        if event is None:
            return None
        assert isinstance(event, Part)  # noqa: S101 - after the end of a part comes a part or nothing
        self._in_part = True
        return event

    async def data(self) -> bytes | None:
        """Return the next piece of the present part, None at its end."""
        if not self._in_part:
            return _END
        event = await self._event()
        assert not isinstance(event, Part)  # noqa: S101 - the parser ends a part before it begins another
        self._in_part = event is not _END
        return event

    async def _event(self) -> bytes | Part | None:
        while not self._events:
            if self._ended:
                return None
            await self._feed()
        return self._events.popleft()

    async def _feed(self) -> None:
        chunk = await anext(self._body, b"")
        if not chunk:
            raise _malformed("it ends before its last part does")
        self._size += len(chunk)
        if self._size > self._limits.total_bytes:
            raise _too_large(self._limits)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _malformed("it does not follow the rules of multipart/form-data") from None

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        part = Part(self, self._disposition)
        if part.filename is None:
            self._fields += 1
        else:
            self._files += 1
        if self._files > self._limits.files or self._fields > _MAX_FIELDS:
            raise BadRequest(
                f"A request may carry {self._limits.files} files at most. Send the rest in another one.",
                code="too_many_files",
            )
        self._events.append(part)

    def _on_end(self) -> None:
        self._ended = True


def _malformed(reason: str) -> BadRequest:
    return BadRequest(f"The body is not a well-formed form: {reason}.", code="bad_multipart")


def _too_large(limits: UploadLimits) -> TooLarge:
    return TooLarge(
        f"The request is over the limit of {limits.total_bytes} bytes. Send fewer files at once.", code="body_too_large"
    )
