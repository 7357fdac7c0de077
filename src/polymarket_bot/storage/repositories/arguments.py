"""Arguments that are no column's value: limits, ages, clocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from polymarket_bot.storage.clock import parse_time
from polymarket_bot.storage.errors import InvalidInput, InvalidValue

T = TypeVar("T")

_LIMIT = 2**63 - 1
_OUT_OF_RANGE = "22003"
_MOMENTS_FROM = 1_000_000_000
_LONGEST = timedelta(days=10**6)
_AGES = "expected an age (timedelta or seconds) or a time (datetime, ISO 8601, Unix seconds)"


def whole_number(name: str, value: object) -> int:
    """Check a limit or an offset.

    Raises:
        InvalidInput: it is no int, negative, or more than 8 bytes hold.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LIMIT:
        raise InvalidInput(name, value, "expected a whole number from 0")
    return value


def positive_number(name: str, value: object) -> int:
    """Check a limit that lets at least one through.

    Raises:
        InvalidInput: it is no int, 0 or negative, or more than 8 bytes hold.
    """
    if isinstance(value, int) and value == 0:
        raise InvalidInput(name, value, "expected a whole number from 1")
    return whole_number(name, value)


def function(name: str, value: T) -> T:
    """Check what is to be called.

    Raises:
        InvalidInput: it cannot be.
    """
    if not callable(value):
        raise InvalidInput(name, value, "expected a function")
    return value


def positive_seconds(name: str, value: object) -> int:
    """Check a span in seconds, and return the whole ones of it.

    Raises:
        InvalidInput: it is no number, not positive, or too long.
    """
    return math.floor(_positive(name, value))


def seconds_from_zero(name: str, value: object) -> float:
    """Check a span in seconds that may be 0.

    Raises:
        InvalidInput: it is no number, negative, or too long.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0
    return _positive(name, value)


def span(name: str, value: object) -> float:
    """Check a span given in seconds or as a timedelta, and return it in seconds.

    Raises:
        InvalidInput: it is neither, not positive, or too long.
    """
    return _positive(name, value.total_seconds() if isinstance(value, timedelta) else value)


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(name, value, "expected a number of seconds")
    if not 0 < value < 2**31:
        raise InvalidInput(name, value, "expected a positive number of seconds")
    return value


def days_as_seconds(name: str, value: object) -> int:
    """Check a number of days, and return it in seconds.

    Raises:
        InvalidInput: it is no number, negative, or too long.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**6:
        raise InvalidInput(name, value, "expected a number of days from 0")
    return math.floor(value * 86_400)


def clock_reading(name: str, value: object) -> int:
    """Check a time given as Unix seconds or as a datetime, and return it in whole seconds.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(value, datetime):
        value = _aware(value).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise InvalidInput(name, value, "expected Unix seconds or a datetime")
    return math.floor(value)


def moment_or_age(name: str, value: object) -> tuple[datetime | None, timedelta | None]:
    """Return the moment that is given, or the age: one of the two.

    A number from 1,000,000,000 on is no age of 31 years but a time in Unix seconds.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        if isinstance(value, timedelta) and timedelta(0) <= value < _LONGEST:
            return None, value
        if isinstance(value, datetime):
            return _aware(value).astimezone(UTC), None
        if isinstance(value, str):
            return parse_time(value), None
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            if value < _MOMENTS_FROM:
                return None, timedelta(seconds=value)
            return datetime.fromtimestamp(value, UTC), None
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(name, value, _AGES) from error
    raise InvalidInput(name, value, _AGES)


@contextmanager
def in_range(name: str, value: object) -> Iterator[None]:
    """Name the argument where what is computed from it is more than its column holds.

    Raises:
        InvalidInput: it is.
    """
    try:
        yield
    except InvalidValue as error:
        if error.sqlstate != _OUT_OF_RANGE:
            raise
        raise InvalidInput(name, value, "expected a value whose result a column holds") from error


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment
