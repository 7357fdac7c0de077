"""The types of columns: what a model accepts, what PostgreSQL calls it, how it is read back."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_UP, Context, Decimal
from typing import Annotated, Any, TypeAlias, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from polymarket_bot.storage.clock import MILLISECONDS_FROM, parse_time, unit_of, utc_text

N = TypeVar("N", float, Decimal)

Threshold: TypeAlias = float | Decimal | str
"""A threshold as an argument; it is compared as the REAL that it is stored as."""

Number: TypeAlias = Decimal | float | str
"""A price, a size or a sum of money as an argument."""

_FLOAT4 = struct.Struct("=f")
_BITS = struct.Struct("=I")

_PYTHON: Mapping[str, type] = {"text": str, "integer": int, "bigint": int, "boolean": bool}
_LARGEST = 10**18
_LONGEST_KEY = 1_300  # bytes: an entry of an index has 2,704, and a key may be of two texts


@dataclass(frozen=True, slots=True)
class Column:
    """What the base needs to know of a column; it stands in the annotation of the model's field.

    Attributes:
        sql: the type's name in PostgreSQL's catalog.
        from_text: where set, the column is selected as text and this makes the value.
            A REAL must be read so: its text is the shortest decimal that stores the same.
        unix_seconds: the column holds a time that may not lie in the future on write.
        time: the column holds a time as text, which is written canonically and compared as a
            time, however older writers spelled it.
    """

    sql: str
    from_text: Callable[[str], Any] | None = None
    unix_seconds: bool = False
    time: bool = False

    @property
    def python(self) -> type | None:
        """The type of a validated value, None for a column of a type of a bot's own."""
        if self.sql == "real" and self.from_text is not None:
            return type(self.from_text("0"))
        return _PYTHON.get(self.sql)


def column_in(annotation: Iterable[Any]) -> Column | None:
    """Find the `Column` in an annotation's parts, also within `... | None`."""
    for part in annotation:
        if isinstance(part, Column):
            return part
        if found := column_in(get_args(part)):
            return found
    return None


def plain_decimal(text: str) -> Decimal:
    """Read PostgreSQL's text of a REAL as a Decimal without exponent: `1e+06` is 1000000."""
    value = Decimal(text)
    return Decimal(f"{value:f}") if "e+" in text else value


def real_decimal(value: Decimal) -> Decimal:
    """Return the decimal that comes back when `value` is stored as a REAL.

    The shortest decimal that stores the same 4-byte float, as PostgreSQL prints it: one in the
    middle of two floats stands for neither, though it is stored as one of them.
    """
    stored = as_real(value)
    if not stored:
        return Decimal(0)
    exact, (below, above) = Decimal(abs(stored)), _midpoints(abs(stored))
    for digits in range(1, 10):
        for rounding in (ROUND_HALF_EVEN, ROUND_UP):
            short = Context(digits, rounding).plus(exact)
            if below < short < above:
                sign = "-" if stored < 0 else ""
                return plain_decimal(f"{sign}{short}".lower())
    raise AssertionError("nine digits tell any two 4-byte floats apart")


def _midpoints(stored: float) -> tuple[Decimal, Decimal]:
    """Return the middles between a positive 4-byte float and its neighbours."""
    (bits,) = _BITS.unpack(_FLOAT4.pack(stored))
    below, above = (_FLOAT4.unpack(_BITS.pack(bits + step))[0] for step in (-1, 1))
    above = min(above, 2.0**128)  # the largest has none above
    return Decimal((below + stored) / 2), Decimal((stored + above) / 2)


def as_real(value: float | Decimal) -> float:
    """Return the number that is kept when `value` is stored as a REAL."""
    rounded: float = _FLOAT4.unpack(_FLOAT4.pack(value))[0]
    return rounded


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, got a bool")  # noqa: TRY004 - pydantic reports ValueError
    return value


def _whole(value: object) -> object:
    """Refuse a decimal that is no whole number before its exponent is written out in digits."""
    if isinstance(value, Decimal) and not (
        value.is_finite() and value.copy_abs() < _LARGEST and value == value.to_integral_value()
    ):
        raise ValueError("expected a whole number of at most 18 digits")
    return _not_a_bool(value)


def _fits_real(value: N, info: ValidationInfo) -> N:
    try:
        stored = as_real(value)
    except OverflowError:
        stored = math.inf
    if not math.isfinite(stored):
        raise ValueError("expected a finite number within the range of REAL (up to 3.4e38)")
    if value and not stored:
        raise ValueError("expected 0 or a number that REAL can hold (from 1.4e-45)")
    if _is_strict(info):
        _fits_exactly(Decimal(str(value)))
    return value


def _fits_exactly(value: Decimal) -> None:
    if (held := real_decimal(value)) != value:
        raise ValueError(f"expected what REAL holds to the last digit; it would keep {held}")


def _as_real_float(
    value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> float:
    number: float = _fits_real(handler(_not_a_bool(value)), info)
    if isinstance(value, Decimal | int | str) and _is_strict(info):
        _fits_exactly(Decimal(value))  # a float may have dropped digits before this
    return number


def _is_strict(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("strict_precision"))


def _as_real_decimal(value: Decimal, info: ValidationInfo) -> Decimal:
    """Check a decimal, and return it in plain notation."""
    text = str(_fits_real(value, info))
    return plain_decimal(text.lower()) if "E" in text else value


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("expected text without NUL: PostgreSQL cannot store it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"expected text that UTF-8 can hold, got a lone surrogate at {error.start}"
            ) from error
    return value


def _indexable(value: str) -> str:
    _storable(value)
    if len(value) > _LONGEST_KEY // 4 and len(value.encode()) > _LONGEST_KEY:
        raise ValueError(f"expected at most {_LONGEST_KEY} bytes: an index holds no more")
    return value


def _canonical_time(value: object) -> str:
    if not isinstance(value, str | datetime):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueError
            f"expected a datetime or an ISO 8601 text, got {type(value).__name__}"
        )
    try:
        return utc_text(value if isinstance(value, datetime) else parse_time(value))
    except ValueError as error:
        raise ValueError("expected an ISO 8601 time such as 2025-10-10T12:09:20+00:00") from error


def _stated_time(value: object) -> str:
    """Keep a text that is a time as it came; write a datetime canonically."""
    canonical = _canonical_time(value)
    return value if isinstance(value, str) else canonical


def _iso_date(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        if isinstance(value, str):
            return date.fromisoformat(value.strip()).isoformat()
    except ValueError:
        pass
    raise ValueError("expected a date or an ISO 8601 date such as 2025-10-10")


def _as_flag(value: object) -> object:
    return int(value) if isinstance(value, bool) else _whole(value)


def _in_seconds(value: int) -> int:
    if value < 0:
        raise ValueError("expected Unix seconds, got a negative number")
    if value >= MILLISECONDS_FROM:
        unit = unit_of(value)
        raise ValueError(f"expected Unix seconds, got what can only be {unit}: convert it")
    return value


Text = Annotated[str, AfterValidator(_storable), Column("text")]
"""Any text that PostgreSQL can store: no NUL, no lone surrogate."""

Indexed = Annotated[str, AfterValidator(_indexable), Column("text")]
"""A text of a column with an index: at most 1,300 bytes in UTF-8; may be empty."""

Identifier = Annotated[str, Field(min_length=1), AfterValidator(_indexable), Column("text")]
"""A text that is a key or a status: not empty, and at most 1,300 bytes in UTF-8."""

TimeText = Annotated[str, BeforeValidator(_canonical_time), Column("text", time=True)]
"""A time as text; a datetime or any ISO 8601 spelling is accepted and written canonically, in UTC.

One without an offset is UTC.
"""

StatedTime = Annotated[
    str, BeforeValidator(_stated_time), AfterValidator(_indexable), Column("text")
]
"""A time as the exchange states it, a bare date included; a text is kept as it came.

At most 1,300 bytes.
"""

DateText = Annotated[str, BeforeValidator(_iso_date), Column("text")]
"""A calendar day, `YYYY-MM-DD`; a `date` or an ISO 8601 date is accepted."""

UnixSeconds = Annotated[
    int,
    BeforeValidator(_whole),
    AfterValidator(_in_seconds),
    Column("bigint", unix_seconds=True),
]
"""A time in whole Unix seconds, from 0 to below 100,000,000,000: other units are refused."""

Integer = Annotated[
    int, BeforeValidator(_whole), Field(ge=-(2**31), le=2**31 - 1), Column("integer")
]
"""A 4-byte integer: from -2,147,483,648 to 2,147,483,647."""

Flag = Annotated[int, BeforeValidator(_as_flag), Field(ge=0, le=1), Column("integer")]
"""Yes or no as 1 or 0; a bool is accepted."""

Boolean = Annotated[bool, Column("boolean")]
"""Yes or no."""

Money = Annotated[
    Decimal,
    BeforeValidator(_not_a_bool),
    AfterValidator(_as_real_decimal),
    Column("real", from_text=plain_decimal),
]
"""A cost, a value or a profit in the exchange's currency, also below 0; stored as REAL."""

Price = Annotated[Money, Field(ge=0, le=1)]
"""A price in units of one share's payout: 0 to 1, stored as REAL."""

Size = Annotated[Money, Field(ge=0)]
"""A number of shares, 0 or more, stored as REAL."""

Real = Annotated[
    float,
    WrapValidator(_as_real_float),
    Column("real", from_text=float),
]
"""A threshold, score, span or percentage, stored as REAL."""
