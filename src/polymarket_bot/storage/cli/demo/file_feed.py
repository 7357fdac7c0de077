"""A trade file as a feed: replayed as a poller would have got it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from polymarket_bot.storage.cli.demo.pages import Page, Payload, parsed
from polymarket_bot.storage.files import read_records

_PAGE = 500
_POLL = 60


class _Record(NamedTuple):
    """A record and the time of its trade, None where it is none."""

    payload: Payload
    time: int | None


def file_pages(path: Path) -> Iterator[Page]:
    """Read a trade file into pages through which time goes forward; nothing is resolved.

    The API lists the newest first; such a file is replayed from its end.
    """
    records = [_timed(record.payload) for record in read_records(path)]
    times = [record.time for record in records if record.time is not None]
    if times and times[0] > times[-1]:
        records.reverse()
    return _polls(records)


def _timed(payload: Payload) -> _Record:
    trade = parsed(payload)
    return _Record(payload, None if trade is None else trade.timestamp)


def _polls(records: Iterable[_Record]) -> Iterator[Page]:
    """Cut records into pages of at most 500 that begin a minute apart at most."""
    page: list[Payload] = []
    began: int | None = None
    for record in records:
        if len(page) == _PAGE or (record.time and began and record.time > began + _POLL):
            yield Page(page)
            page, began = [], None
        page.append(record.payload)
        began = began or record.time
    if page:
        yield Page(page)
