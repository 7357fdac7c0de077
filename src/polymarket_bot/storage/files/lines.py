"""The lines of a content, each as a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count, repeat

from polymarket_bot.storage.files.content import Content
from polymarket_bot.storage.files.record import (
    SPACES,
    Record,
    problem_record,
    text_record,
)

_MARK = "\ufeff"  # of byte order; joined files may bring one each
_record = partial(tuple.__new__, Record)  # half the time of calling the class


def physical_lines(content: Content, max_record: int) -> Iterator[Record]:
    """Yield every line, blank ones too, with its CR if it has one, and the tear as a problem."""
    number, rest = content.line, b""
    for chunk in content:
        whole, newline, tail = chunk.rpartition(b"\n")
        if newline:
            lines = _split(rest + whole, number, max_record)
            yield from lines
            number += len(lines)
            rest = tail
        elif len(rest) <= max_record:
            # What is too long already need not grow: it is told by its length.
            rest += tail
    if content.tear is not None:
        yield problem_record(number, rest, content.tear)
    elif rest:
        yield from _split(rest, number, max_record)


def _split(block: bytes, number: int, max_record: int) -> list[Record]:
    """Return the lines of `block`, which begins at a line's beginning."""
    if len(block) <= max_record:
        try:
            text = block.decode()
        except UnicodeDecodeError:
            pass
        else:
            if _MARK in text:
                text = text.removeprefix(_MARK).replace("\n" + _MARK, "\n")
            return list(map(_record, zip(count(number), text.split("\n"), repeat(None))))
    lines = (line.removeprefix(_MARK.encode()) for line in block.split(b"\n"))
    return [text_record(at, line, max_record) for at, line in enumerate(lines, number)]


def json_lines(lines: Iterable[Record]) -> Iterator[Record]:
    """Yield the lines that are not blank, without line ending."""
    for record in lines:
        text = record.payload
        if record.problem is not None or not isinstance(text, str):
            yield record
        elif text.strip(SPACES):
            yield record._replace(payload=text[:-1]) if text[-1] == "\r" else record
