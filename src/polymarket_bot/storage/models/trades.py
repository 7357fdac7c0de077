"""Trades of the exchange and how far each condition's have been processed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError

from polymarket_bot.storage.errors import InvalidRecord
from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.models.payloads import trade_values
from polymarket_bot.storage.types import (
    Identifier,
    Indexed,
    Integer,
    Price,
    Size,
    Text,
    TimeText,
    UnixSeconds,
)


class PolymarketTrade(StorageModel):
    """One fill as the exchange reported it: a row of `polymarket_trades`.

    `timestamp` is in Unix seconds, `price` in 0..1, `size` in shares; `raw_json` is the
    exchange's own text.
    """

    condition_id: Identifier
    trade_id: Identifier
    token_id: Indexed | None = None
    price: Price | None = None
    size: Size | None = None
    side: Text | None = None
    timestamp: UnixSeconds | None = None
    raw_json: Text | None = None
    outcome: Text | None = None
    outcome_index: Integer | None = None

    @classmethod
    def from_api(
        cls, payload: Mapping[str, Any] | str | bytes, *, strict_precision: bool = False
    ) -> Self:
        """Build a trade from one payload of the exchange.

        Names in camelCase and snake_case, numbers as number or text, timestamps in seconds,
        milliseconds or ISO 8601 (naive is UTC) and unknown fields are accepted. `raw_json` keeps a
        text as it came.

        `trade_id` is the first 32 hexadecimal digits of a SHA-256 over transaction hash, wallet,
        token, side, price, size, timestamp and condition, however they are written. Where there
        is no transaction hash, it is the payload's `id`, `trade_id` or `tradeId`.

        Args:
            payload: the JSON object, as dict or as text (str, or bytes in UTF-8).
            strict_precision: refuse a price or size that REAL cannot hold to its last digit.

        Raises:
            OtherRecord: a well-formed record of another type than TRADE.
            InvalidRecord: no trade, or a bad one; names the field.
        """
        context = {"strict_precision": strict_precision}
        try:
            return cls.model_validate(trade_values(payload), context=context)
        except ValidationError as error:
            raise InvalidRecord.of(error) from error


class TradeWatermark(StorageModel):
    """How far a condition's trades are processed, in Unix seconds: a row of `trade_watermarks`."""

    condition_id: Identifier
    last_timestamp: UnixSeconds
    updated_at: TimeText
