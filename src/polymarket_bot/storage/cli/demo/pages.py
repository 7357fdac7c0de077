"""What arrives together: records, and the markets that are resolved after them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from polymarket_bot.storage.errors import InvalidRecord
from polymarket_bot.storage.models.trades import PolymarketTrade

MAX_AGE = 300
"""How old a trade may be to trigger, in seconds by the replay's clock."""

Payload: TypeAlias = str | bytes | Mapping[str, str]
"""A record as it came: JSON text, fields of a CSV row, or bytes that are not UTF-8."""

TradeKey: TypeAlias = tuple[str, str]
"""A trade's condition and id."""


class Resolution(NamedTuple):
    """A market whose outcome is known, and the token that is paid out."""

    condition_id: str
    token_id: str
    outcome: str
    outcome_index: int


@dataclass(frozen=True)
class Page:
    """Records in the order in which they came, and the resolutions that came after them."""

    records: Sequence[Payload]
    resolutions: Sequence[Resolution] = ()

    @cached_property
    def parsed(self) -> list[PolymarketTrade | None]:
        """The trade of each record; None where there is none."""
        return [parsed(record) for record in self.records]

    @property
    def trades(self) -> list[PolymarketTrade]:
        """The trades among the records."""
        return [trade for trade in self.parsed if trade is not None]

    @property
    def newest(self) -> int:
        """The time of the newest trade in Unix seconds; 0 without any."""
        return max((trade.timestamp or 0 for trade in self.trades), default=0)

    @property
    def conditions(self) -> list[str]:
        """The conditions of the trades, each once."""
        return sorted({trade.condition_id for trade in self.trades})

    @property
    def phases(self) -> tuple[str, ...]:
        """What is done with the page, in order."""
        always = ("ingest", "process", "decide", "send")
        return (*always, "resolve") if self.resolutions else always

    def shares(self, number: int) -> list[list[Payload]]:
        """Deal the records out; those of the same trade stay together, in their order."""
        shares: list[list[Payload]] = [[] for _ in range(number)]
        for place, (record, trade) in enumerate(zip(self.records, self.parsed, strict=True)):
            chosen = place if trade is None else zlib.crc32(trade.trade_id.encode())
            shares[chosen % number].append(record)
        return shares


def parsed(record: Payload) -> PolymarketTrade | None:
    """Return the trade that a record holds, or None."""
    try:
        return PolymarketTrade.from_api(record)
    except InvalidRecord:
        return None


def packed(records: Iterable[Payload]) -> list[Any]:
    """Return records as JSON can carry them: bytes as a list of one text."""
    return [[one.decode("latin-1")] if isinstance(one, bytes) else one for one in records]


def unpacked(records: Iterable[Any]) -> list[Payload]:
    """Return records as they were before `packed`."""
    return [one[0].encode("latin-1") if isinstance(one, list) else one for one in records]


def clocks(pages: Iterable[Page]) -> list[int]:
    """Return the replay's clock at each page: the newest trade that has arrived."""
    found: list[int] = []
    for page in pages:
        found.append(max([page.newest, *found[-1:]]))
    return found


def stale(pages: Sequence[Page]) -> set[TradeKey]:
    """Return the trades that are too old to trigger at the clock of their first page."""
    first: dict[TradeKey, bool] = {}
    for page, clock in zip(pages, clocks(pages), strict=True):
        for trade in page.trades:
            too_old = (trade.timestamp or 0) < clock - MAX_AGE
            first.setdefault((trade.condition_id, trade.trade_id), too_old)
    return {key for key, too_old in first.items() if too_old}
