"""A file's bytes in chunks, decompressed where they are gzip, as far as they can be had."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

CHUNK = 1 << 16
_GZIP = b"\x1f\x8b"
_GZIP_WBITS = 31
_BOM = b"\xef\xbb\xbf"


class Content:
    """Iterates over a file's bytes once, from the first one that is not white space.

    Attributes:
        line: 1-based line of that first byte.
        head: the first chunk; empty if the file has only white space.
        tear: once the iteration has ended, why the gzip stream ended before its time, or None.
    """

    def __init__(self, file: BinaryIO, chunk: int = CHUNK) -> None:
        self.line = 1
        self.tear: str | None = None
        self._chunks = self._read(file, chunk)
        self.head = self._first()

    def __iter__(self) -> Iterator[bytes]:
        return chain([self.head] if self.head else [], self._chunks)

    def _read(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        first = file.read(max(size, len(_GZIP)))
        chunks = chain([first] if first else [], iter(partial(file.read, size), b""))
        if first.startswith(_GZIP):
            self.tear = yield from decompressed(chunks)
        else:
            yield from chunks

    def _first(self) -> bytes:
        head = b""
        while len(head) < len(_BOM) and (chunk := next(self._chunks, b"")):
            head += chunk
        head = head.removeprefix(_BOM) or next(self._chunks, b"")
        while head:
            text = head.lstrip()
            self.line += head.count(b"\n") - text.count(b"\n")
            if text:
                return text
            head = next(self._chunks, b"")
        return b""


class _TornError(Exception):
    """The gzip stream ends before its time."""


def decompressed(chunks: Iterator[bytes]) -> Generator[bytes, None, str | None]:
    """Yield what can be had of a gzip stream, in bounded pieces; return why it was not all."""
    data = b""
    try:
        while True:
            data = yield from _member(data, chunks)
            data = _after_member(data, chunks)
            if not data:
                return None
            if not data.startswith(_GZIP):
                # The member was whole, and so is its last line.
                yield b"\n"
                return "the gzip stream is followed by something else"
    except _TornError as error:
        return str(error)


def _member(data: bytes, chunks: Iterator[bytes]) -> Generator[bytes, None, bytes]:
    """Yield one member's content; return what was read past its end."""
    stream = zlib.decompressobj(wbits=_GZIP_WBITS)
    while True:
        before = stream.copy()
        try:
            piece = stream.decompress(data, CHUNK)
        except zlib.error as error:
            yield from _salvaged(before, data)
            raise _TornError(f"the gzip stream is corrupt ({error})") from error
        if piece:
            yield piece
        if stream.eof:
            return stream.unused_data
        data = stream.unconsumed_tail
        # A full piece may leave more behind in the decompressor, even without input.
        if not data and len(piece) < CHUNK:
            data = _next_chunk(chunks)


def _next_chunk(chunks: Iterator[bytes]) -> bytes:
    try:
        return next(chunks)
    except StopIteration:
        raise _TornError("the gzip stream is torn: it ends before its end marker") from None


def _salvaged(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Yield what comes before the error: a failing call keeps its output to itself."""
    pieces = bytearray()
    for position in range(len(data)):
        try:
            pieces += stream.decompress(data[position : position + 1])
        except zlib.error:
            break
        if len(pieces) >= CHUNK:
            yield bytes(pieces)
            pieces.clear()
    if pieces:
        yield bytes(pieces)


def _after_member(data: bytes, chunks: Iterator[bytes]) -> bytes:
    """Pass over padding; return the beginning of what follows, or nothing."""
    data = data.lstrip(b"\0")
    while len(data) < len(_GZIP) and (chunk := next(chunks, b"")):
        data = (data + chunk).lstrip(b"\0")
    return data
