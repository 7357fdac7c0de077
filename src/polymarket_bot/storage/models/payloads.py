"""The exchange's trade payloads: their spellings, their numbers, their identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from math import floor
from typing import Any

from polymarket_bot.storage.clock import MILLISECONDS_FROM, parse_time
from polymarket_bot.storage.errors import InvalidRecord, OtherRecord

_TRADE = "TRADE"
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "condition_id": ("conditionId", "condition_id", "market"),
    "token_id": ("asset", "asset_id", "assetId", "token_id", "tokenId"),
    "price": ("price",),
    "size": ("size",),
    "side": ("side",),
    "timestamp": ("timestamp", "match_time", "matchTime"),
    "outcome": ("outcome",),
    "outcome_index": ("outcomeIndex", "outcome_index"),
    "hash": ("transactionHash", "transaction_hash"),
    "wallet": ("proxyWallet", "proxy_wallet"),
    "id": ("id", "trade_id", "tradeId"),
}


def trade_values(payload: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """Return the values of a `PolymarketTrade` from one payload of the exchange.

    Raises:
        OtherRecord: the payload says that it is of another type than a trade.
        InvalidRecord: it is no trade, or a bad one; names the field.
    """
    fields, raw_json = _parsed(payload)
    kind = fields.get("type")
    if isinstance(kind, str) and kind.strip() and kind.strip().upper() != _TRADE:
        raise OtherRecord("type", kind, "expected TRADE")
    values = {
        "condition_id": _hex_lowered(_text(fields, "condition_id")),
        "token_id": _hex_lowered(_text(fields, "token_id")),
        "price": _number(fields, "price"),
        "size": _number(fields, "size"),
        "side": _side(fields),
        "timestamp": _seconds(fields),
        "raw_json": raw_json,
        "outcome": _find(fields, "outcome"),
        "outcome_index": _find(fields, "outcome_index"),
    }
    values["trade_id"] = _trade_id(fields, values)
    return values


def _trade_id(fields: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Tell fills apart by their values alone, however they are written.

    One transaction settles several fills, so its hash is not enough. Numbers count as the
    doubles that JSON means. The exchange's row id differs between its endpoints and serves
    only where there is no hash.
    """
    found = _find(fields, "hash")
    if found is None:
        if _find(fields, "id") is None:
            raise InvalidRecord("transactionHash", None, "expected a transaction hash or an id")
        return _text(fields, "id")
    parts = (
        _as_text("hash", found).lower(),
        str(_find(fields, "wallet") or "").lower(),
        values["token_id"],
        values["side"],
        repr(float(values["price"]) + 0.0),  # -0.0 is 0.0
        repr(float(values["size"]) + 0.0),
        str(values["timestamp"]),
        values["condition_id"],
    )
    return sha256("\x1f".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def _parsed(payload: Mapping[str, Any] | str | bytes) -> tuple[Mapping[str, Any], str]:
    """Return the payload's fields and its own text."""
    if isinstance(payload, Mapping):
        return payload, _dumped(payload)
    if not isinstance(payload, str | bytes):
        raise InvalidRecord("record", payload, "expected a JSON object, as dict or text")
    try:
        text = payload if isinstance(payload, str) else payload.decode()
        fields = _decoder.decode(text)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise InvalidRecord("record", payload, "expected a JSON object", error) from error
    if not isinstance(fields, dict):
        raise InvalidRecord("record", payload, "expected a JSON object")
    return fields, text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def _dumped(payload: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(payload), ensure_ascii=False, allow_nan=False, default=_plain)
        # A lone surrogate, which no text column can hold, is kept as an escape.
        return text if text.isascii() else text.encode(errors="backslashreplace").decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRecord("record", payload, "expected what JSON can hold", error) from error


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _find(fields: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - as the exchange sent it
    """Return the first given value among the spellings of `name`; blank text counts as none."""
    for spelling in _SPELLINGS[name]:
        value = fields.get(spelling)
        if value is None:
            continue
        if not isinstance(value, str):
            return value
        if value := value.strip():
            return value
    return None


def _required(fields: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - the caller checks it
    value = _find(fields, name)
    if value is None:
        raise InvalidRecord(name, value, f"expected {' or '.join(_SPELLINGS[name])}")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    return _as_text(name, _required(fields, name))


def _as_text(name: str, value: Any) -> str:  # noqa: ANN401 - as the exchange sent it
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidRecord(name, value, "expected text")
    return str(value)


def _hex_lowered(text: str) -> str:
    return text.lower() if text[:2] in ("0x", "0X") else text


def _number(fields: Mapping[str, Any], name: str) -> Decimal:
    return _as_number(name, _required(fields, name))


def _as_number(name: str, value: Any) -> Decimal:  # noqa: ANN401 - as the exchange sent it
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise TypeError
        if isinstance(value, str) and "_" in value:
            raise ValueError
        number = Decimal(repr(value) if isinstance(value, float) else value)
        if not number.is_finite():
            raise InvalidOperation
    except (InvalidOperation, TypeError, ValueError) as error:
        raise InvalidRecord(name, value, "expected a number") from error
    return number


def _side(fields: Mapping[str, Any]) -> str:
    side = _text(fields, "side").upper()
    if side not in ("BUY", "SELL"):
        raise InvalidRecord("side", side, "expected BUY or SELL")
    return side


def _seconds(fields: Mapping[str, Any]) -> int:
    """Read Unix seconds, Unix milliseconds or an ISO 8601 text."""
    value = _required(fields, "timestamp")
    if type(value) is int:
        return _whole_seconds(value)
    if isinstance(value, datetime):
        value = value.isoformat()
    try:
        return _whole_seconds(_as_number("timestamp", value))
    except InvalidRecord:
        pass
    try:
        return int(parse_time(str(value)).timestamp())
    except ValueError as error:
        raise InvalidRecord(
            "timestamp", value, "expected Unix seconds, milliseconds or an ISO 8601 text"
        ) from error


def _whole_seconds(number: Decimal | int) -> int:
    if not -(2**63) <= number < 2**63:
        raise InvalidRecord("timestamp", number, "expected Unix seconds or milliseconds")
    seconds = floor(number)
    return seconds // 1000 if seconds >= MILLISECONDS_FROM else seconds
