"""Reading a file of records: what kind it is, and which reader it gets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from polymarket_bot.storage.files.arrays import ArrayScanner
from polymarket_bot.storage.files.content import CHUNK, Content
from polymarket_bot.storage.files.lines import json_lines, physical_lines
from polymarket_bot.storage.files.record import MAX_RECORD, Record
from polymarket_bot.storage.files.rows import csv_rows, header_fields


def read_records(path: Path, *, max_record: int = MAX_RECORD) -> Iterator[Record]:
    """Yield the records of a file, and everything in it that is none as a problem.

    The file is JSONL, a JSON array or CSV with a header, plain or gzip; its content tells
    which. It is read as far as it can be, in memory that does not grow with its size.

    Args:
        path: the file.
        max_record: bytes of the longest record that is accepted.

    Raises:
        OSError: the file cannot be opened or read; when the first record is asked for.
    """
    with path.open("rb") as file:
        yield from records_of(file, max_record=max_record)


def records_of(
    file: BinaryIO, *, max_record: int = MAX_RECORD, chunk: int = CHUNK
) -> Iterator[Record]:
    """Yield the records of an open file, read in pieces of `chunk` bytes."""
    content = Content(file, chunk)
    if not content.head:
        return iter([Record(1, "", content.tear or "the file is empty")])
    if content.head.startswith(b"["):
        return ArrayScanner(content, max_record).records()
    return _records_of_lines(content, max_record)


def _records_of_lines(content: Content, max_record: int) -> Iterator[Record]:
    lines = physical_lines(content, max_record)
    if content.head.startswith(b"{"):
        return json_lines(lines)
    header = next(lines)
    names = header_fields(header)
    if names is None:
        return json_lines(chain([header], lines))
    return csv_rows(header, names, lines, max_record)
