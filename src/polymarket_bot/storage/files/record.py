"""One record of a file, or what stands there instead of one."""

from __future__ import annotations

from typing import NamedTuple

MAX_RECORD = 1 << 20
"""Bytes of the longest record that is accepted."""

SPACES = " \t\r\n\v\f"
"""What a blank line is made of."""

_SHOWN = 4096


class Record(NamedTuple):
    """A record as it stands in the file.

    Attributes:
        line: 1-based line where it begins, in the decompressed text.
        payload: the JSON text of one record, or the fields of one CSV row; the raw text
            (bytes where it is not UTF-8) if there is a problem.
        problem: why this cannot be a record, else None.
    """

    line: int
    payload: str | bytes | dict[str, str]
    problem: str | None


def text_record(line: int, raw: bytes, max_record: int) -> Record:
    """Return `raw` as a record, or as a problem if it is too long or not UTF-8."""
    if len(raw) > max_record:
        return problem_record(line, raw, too_long(max_record))
    try:
        return Record(line, raw.decode(), None)
    except UnicodeDecodeError as error:
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problem = f"not UTF-8: byte 0x{raw[error.start]:02x} at column {column}"
        return Record(line, raw, problem)


def problem_record(line: int, raw: bytes, problem: str) -> Record:
    """Return a problem with the beginning of the offending text."""
    try:
        return Record(line, raw[:_SHOWN].decode(), problem)
    except UnicodeDecodeError:
        return Record(line, raw[:_SHOWN], problem)


def too_long(max_record: int) -> str:
    """Say that a record exceeds the limit."""
    return f"longer than {max_record} bytes"
