"""PostgreSQL's protocol as far as the proxy must understand it: frames, and whose SQL they run."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104


class Stage(enum.Enum):
    """What a request does with its SQL."""

    PARSE = enum.auto()
    EXECUTE = enum.auto()


@dataclass(frozen=True)
class Frame:
    """One message, with the length field and, but for the packets of a start, a type."""

    kind: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows the length field."""
        return self.raw[len(self.kind) + 4 :]

    @property
    def code(self) -> int:
        """The first number of a packet without type."""
        return int(struct.unpack_from("!i", self.raw, 4)[0])

    @property
    def asks_for_encryption(self) -> bool:
        """Tell whether the server answers with one byte, outside of all frames."""
        return not self.kind and self.code in {_SSL, _GSS}

    @property
    def cancels(self) -> bool:
        """Tell whether it asks for the end of a query of another connection."""
        return not self.kind and self.code == _CANCEL

    @property
    def ends_cycle(self) -> bool:
        """Tell whether the server answers it with a ReadyForQuery of its own."""
        if self.kind:
            return self.kind in {b"Q", b"S", b"F"}
        return not self.asks_for_encryption and not self.cancels


class Splitter:
    """Bytes as they come, cut into frames."""

    def __init__(self, *, typed: bool) -> None:
        self._buffer = bytearray()
        self.typed = typed

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes and return the frames that are complete."""
        self._buffer += data
        while (size := self._next_size()) is not None:
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield Frame(raw[:1] if self.typed else b"", raw)

    def rest(self) -> bytes:
        """Take out the bytes that make no frame yet."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _next_size(self) -> int | None:
        kind_size = 1 if self.typed else 0
        if len(self._buffer) < kind_size + 4:
            return None
        size = kind_size + int(struct.unpack_from("!i", self._buffer, kind_size)[0])
        return size if len(self._buffer) >= size else None


@dataclass(frozen=True)
class Request:
    """SQL that the client has parsed or executed."""

    sql: str
    stage: Stage


class Statements:
    """The prepared statements and portals of one connection."""

    def __init__(self) -> None:
        self._statements: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}

    def note(self, frame: Frame) -> Request | None:
        """Follow a frame of the client; return the SQL that it is about, if it is a request."""
        body = frame.body
        if frame.kind == b"Q":
            return Request(_text(body), Stage.EXECUTE)
        if frame.kind == b"P":
            name, sql, _ = body.split(b"\0", 2)
            self._statements[name] = _text(sql)
            return Request(self._statements[name], Stage.PARSE)
        if frame.kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._portals[portal] = self._statements.get(name, "")
        elif frame.kind == b"E":
            portal, _ = body.split(b"\0", 1)
            return Request(self._portals.get(portal, ""), Stage.EXECUTE)
        elif frame.kind == b"C":
            self._forget(body)
        return None

    def _forget(self, body: bytes) -> None:
        among = self._statements if body[:1] == b"S" else self._portals
        among.pop(body[1:].rstrip(b"\0"), None)


def _text(sql: bytes) -> str:
    return sql.rstrip(b"\0").decode(errors="replace")
