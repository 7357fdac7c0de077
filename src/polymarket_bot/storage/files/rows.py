"""The rows of a CSV file, recovered line by line."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import islice

from polymarket_bot.storage.files.record import SPACES, Record

_LINES_PER_ROW = 20
_NOT_CLOSED = "a quoted field is not closed"


def header_fields(line: Record) -> list[str] | None:
    """Return the fields of a line that looks like a CSV header, else None."""
    if line.problem is not None or not isinstance(line.payload, str):
        return None
    fields = _fields(line.payload) or []
    names = [field.strip() for field in fields]
    given = [name for name in names if name]
    if any(map(_is_number, given)) or len(set(given)) < len(given):
        return None
    return names if sum(map(str.isidentifier, given)) > 1 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def csv_rows(
    header: Record, names: list[str], lines: Iterator[Record], size: int
) -> Iterator[Record]:
    """Yield the rows below `header` as dicts, and what is no row as a problem.

    Args:
        header: the header's line.
        names: its fields.
        lines: the lines below it.
        size: the most bytes that several lines can make up as one row.
    """
    empty = True
    ahead = _Ahead(lines)
    for line in ahead:
        row = _row(line, names, ahead, size)
        if isinstance(row, list):
            names = row
        elif row is not None:
            empty = False
            yield row
    if empty:
        yield Record(header.line, ",".join(names), "the file has a header and no rows")


class _Ahead(Iterator[Record]):
    """Lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterator[Record]) -> None:
        self._lines = lines
        self._seen: deque[Record] = deque()

    def __next__(self) -> Record:
        return self._seen.popleft() if self._seen else next(self._lines)

    def following(self) -> Iterator[Record]:
        """Yield the lines to come, and leave them there."""
        yield from tuple(self._seen)
        for line in self._lines:
            self._seen.append(line)
            yield line

    def take(self, number: int) -> None:
        """Pass over lines."""
        for _ in range(number):
            next(self)


def _row(line: Record, names: list[str], ahead: _Ahead, size: int) -> Record | list[str] | None:
    """Return one row, or None for a blank line; the names of a header, as joined files repeat it.

    That may have them in another order.
    """
    text = line.payload
    if line.problem is not None or not isinstance(text, str):
        return line
    if not text.strip(SPACES):
        return None
    # Without quotes there is nothing to parse, and most rows have none.
    fields = _quoted(text, names, ahead, size) if '"' in text else text.rstrip("\r").split(",")
    if isinstance(fields, str):
        return Record(line.line, text.rstrip("\r"), fields)
    if len(fields) != len(names):
        problem = f"{len(fields)} fields where the header has {len(names)}"
        return Record(line.line, text.rstrip("\r"), problem)
    if fields[0].strip() in names:
        given = [field.strip() for field in fields]
        if sorted(given) == sorted(names):
            return given
    return Record(line.line, dict(zip(names, fields, strict=True)), None)


def _quoted(text: str, names: list[str], ahead: _Ahead, size: int) -> list[str] | str:
    """Return the fields of the row that begins with `text`, or why there are none.

    An open quoted field reaches into the lines below. They are taken only if the whole makes
    one row and none of them is a row of its own: a stray quote must not cost other rows.
    """
    joined = [text]
    try:
        fields = next(csv.reader(_physical(joined, ahead, size), strict=True))
    except csv.Error as error:
        return _NOT_CLOSED if text.count('"') % 2 else f"not a CSV row ({error})"
    below = joined[1:]
    if below and (len(fields) != len(names) or any(_is_row(line, names) for line in below)):
        return _NOT_CLOSED
    ahead.take(len(below))
    return fields


def _physical(joined: list[str], ahead: _Ahead, size: int) -> Iterator[str]:
    """Yield the first of `joined` and, as far as they are asked for, the lines below it."""
    yield joined[0] + "\n"
    for line in islice(ahead.following(), _LINES_PER_ROW - 1):
        size -= len(joined[-1])
        if size < 0 or line.problem is not None or not isinstance(line.payload, str):
            return
        joined.append(line.payload)
        yield line.payload + "\n"


def _is_row(line: str, names: list[str]) -> bool:
    """Tell whether a line is a row by itself; an odd quote belongs to a row of several lines."""
    return line.count('"') % 2 == 0 and len(_fields(line) or []) == len(names)


def _fields(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True), None)
    except csv.Error:
        return None
