"""What a column should hold of a value that was taken, told without the package's own code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from polymarket_bot.storage import Table
from tests.reals import nearest_real

_YES = {"1", "true", "t", "y", "yes", "on"}
_NO = {"0", "false", "f", "n", "no", "off"}


def stored_form(table: Table[Any], name: str, value: Any) -> Any:
    """Return what the driver should read from a column after `value` was written to it."""
    if value is None:
        return None
    column = table.columns[name]
    if column.time or isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, date):
        return value.isoformat()
    return _FORMS[column.sql](value)


def is_stored(table: Table[Any], name: str, value: Any, held: Any) -> bool:
    """Tell whether a column that holds `held` holds what was given."""
    expected = stored_form(table, name, value)
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(held, float) and math.isnan(held)
    return bool(expected == held) and (expected is None) == (held is None)


def _utc(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    if moment.utcoffset() is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode()
    return str(value.value) if isinstance(value, Enum) else "".join(value)


def _real(value: Any) -> float:
    if isinstance(value, str | bytes | bytearray):
        value = _text(value).strip()  # of all that Python takes for a space, more than float() does
    number = float(Decimal(value) if isinstance(value, str | tuple) else value)
    return float(nearest_real(Decimal(number))) if math.isfinite(number) else number


def _whole(value: Any) -> int:
    number = Decimal(_text(value)) if isinstance(value, str | bytes | bytearray) else value
    assert number == int(number)
    return int(number)


def _boolean(value: Any) -> bool:
    word = _text(value).lower() if isinstance(value, str | bytes | bytearray) else str(int(value))
    assert word in _YES | _NO
    return word in _YES


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "real": _real,
    "integer": _whole,
    "bigint": _whole,
    "boolean": _boolean,
}
