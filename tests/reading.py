"""Trade files read from memory, in pieces of any size, and what was found in them."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import strategies as st

from polymarket_bot.storage.files import Record
from polymarket_bot.storage.files.reader import records_of

HEADER = ["conditionId", "side", "title"]
chunks = st.integers(1, 40)


def read(data: bytes, **options: Any) -> list[Record]:
    return list(records_of(io.BytesIO(data), **options))


def good(records: list[Record]) -> list[Any]:
    return [record.payload for record in records if record.problem is None]


def problems(records: list[Record]) -> list[tuple[int, str]]:
    return [(record.line, record.problem) for record in records if record.problem is not None]
