"""Valid models of any table, made from its columns' types: at will, or by number.

`models(table)` is a hypothesis strategy; `row(table, 7)` is the seventh row of a table, in which
every column is filled and differs from that of the eighth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from polymarket_bot.storage import Table, types
from tests.reals import shortest

MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())
_LARGEST = 3.4028234663852886e38


def reals(least: float = -_LARGEST, most: float = _LARGEST) -> SearchStrategy[Decimal]:
    """Decimals that a REAL gives back, in a range."""
    return st.floats(least, most, width=32).map(lambda value: shortest(Fraction(value)))


def long_decimals(least: int, most: int, places: int | None = None) -> SearchStrategy[Decimal]:
    """Decimals of up to fifteen digits in a range, which a double holds, too.

    The driver makes a double of a number on the way to a REAL; of more digits, it would round
    twice, and so to the other neighbour where the number lies all but in the middle of two.
    """
    return st.decimals(least, most, places=places).map(Context(prec=15).plus)


def short_decimals(least: int = -37, most: int = 37) -> SearchStrategy[Decimal]:
    """Decimals of up to six significant digits, the first of them worth 10**least to 10**most."""

    def decimal(parts: tuple[int, int]) -> Decimal:
        number, exponent = parts
        return Decimal(number).scaleb(exponent - len(str(abs(number))) + 1)

    return st.tuples(st.integers(-999_999, 999_999), st.integers(least, most)).map(decimal)


@dataclass(frozen=True)
class Kind:
    """A type of column.

    Attributes:
        values: what a model takes.
        numbered: a value for each number; where it can, another for each, and a larger one.
        wrong: what a model refuses.
    """

    values: SearchStrategy[Any]
    numbered: Callable[[int], Any]
    wrong: tuple[object, ...]


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
_MOMENTS = st.datetimes(timezones=st.just(UTC) | st.none() | st.timezones())
_WRONG_TEXT: tuple[object, ...] = ("a\x00b", "\ud800", 5, b"\xff", object())
_WRONG_TIME: tuple[object, ...] = ("", "soon", "2025-13-01", 1_760_000_000, object())
_WRONG_NUMBER: tuple[object, ...] = ("x", True, "nan", float("inf"), "-Infinity", 10**39, "1e-50")


def _in_utc_range(moment: datetime) -> bool:
    try:
        (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (OverflowError, ValueError):
        return False
    return True


_TIMES = _MOMENTS.filter(_in_utc_range).flatmap(
    lambda moment: st.sampled_from([moment, moment.isoformat(), moment.isoformat(" ")])
)


def _moment(number: int) -> str:
    return (MOMENT + timedelta(seconds=number)).isoformat(timespec="microseconds")


_KINDS: tuple[tuple[Any, Kind], ...] = (
    (types.Text, Kind(_TEXTS, "text-{:05}".format, _WRONG_TEXT)),
    (types.Indexed, Kind(_TEXTS, "text-{:05}".format, _WRONG_TEXT)),
    (types.Identifier, Kind(_TEXTS.filter(bool), "key-{:05}".format, ("", *_WRONG_TEXT))),
    (types.TimeText, Kind(_TIMES, _moment, _WRONG_TIME)),
    (types.StatedTime, Kind(_TIMES | st.dates().map(str), _moment, _WRONG_TIME)),
    (
        types.DateText,
        Kind(
            st.dates() | st.dates().map(str),
            lambda number: str(date(2000, 1, 1) + timedelta(days=number)),
            ("", "2025-13-01", "today", 20251010, object()),
        ),
    ),
    (
        types.UnixSeconds,
        Kind(st.integers(0, SECONDS), lambda n: SECONDS + n, (-1, 10**12, True, 1.5, "x")),
    ),
    (
        types.Integer,
        Kind(st.integers(-(2**31), 2**31 - 1), int, (2**31, -(2**31) - 1, True, 1.5, "x")),
    ),
    (types.Flag, Kind(st.sampled_from([0, 1, False, True]), lambda n: n % 2, (2, -1, "x"))),
    (types.Boolean, Kind(st.booleans(), lambda n: n % 2 == 0, (2, "x", object()))),
    (types.Money, Kind(reals(), lambda n: Decimal(n) - Decimal("0.25"), _WRONG_NUMBER)),
    (
        types.Price,
        Kind(reals(0, 1), lambda n: Decimal(n) / 100_000, ("1.00001", "-0.00001", *_WRONG_NUMBER)),
    ),
    (types.Size, Kind(reals(0), lambda n: Decimal(n) / 4, ("-0.00001", *_WRONG_NUMBER))),
    (types.Real, Kind(reals().map(float), lambda n: n / 8, (*_WRONG_NUMBER, object()))),
)


@cache
def kinds(table: Table[Any]) -> dict[str, Kind]:
    """Return the kind of each column.

    Raises:
        LookupError: a column is of a type of its own.
    """
    hints = get_type_hints(table.model, include_extras=True)
    return {name: _kind(table, name, hints[name]) for name in table.columns}


def optional(table: Table[Any]) -> set[str]:
    """Return the columns that take NULL."""
    hints = get_type_hints(table.model, include_extras=True)
    return {name for name in table.columns if type(None) in get_args(hints[name])}


def _kind(table: Table[Any], name: str, hint: Any) -> Kind:
    for known, kind in _KINDS:
        if known in (hint, *get_args(hint)):
            return kind
    raise LookupError(f"{table.name}.{name} is of a type that tests know nothing of")


def models(table: Table[Any], **given: Any) -> SearchStrategy[Any]:
    """Models of a table, with defaults taken or not, and NULLs wherever they may be.

    Args:
        table: the table.
        given: values of columns; those that the database generates are None where not given.
    """
    fixed = dict.fromkeys(table.generated) | given
    nullable = optional(table)
    chosen = {
        name: kind.values | st.none() if name in nullable else kind.values
        for name, kind in kinds(table).items()
        if name not in fixed
    }
    with_default = {
        n: s for n, s in chosen.items() if not table.model.model_fields[n].is_required()
    }
    needed = {name: values for name, values in chosen.items() if name not in with_default}
    return st.fixed_dictionaries(needed, optional=with_default).map(
        lambda values: table.model(**values, **fixed)
    )


def free_models(table: Table[Any], **given: Any) -> SearchStrategy[Any]:
    """As `models`, but only such as may take each other's place: no status forbids it."""
    life = table.lifecycle
    if life is None:
        return models(table, **given)
    bound = (*life.final, *life.stages)
    grown = dict.fromkeys(life.grows)
    return models(table, **grown, **given).filter(lambda m: getattr(m, life.column) not in bound)


def row(table: Table[Any], number: int, **changes: Any) -> Any:
    """Return the model of a number, from 1 to 99,999; ids are left to the database."""
    values = {
        name: None if name in table.generated else kind.numbered(number)
        for name, kind in kinds(table).items()
    }
    return table.model(**values | changes)


def rows(table: Table[Any], numbers: Iterable[int], **changes: Any) -> list[Any]:
    """Return the models of several numbers."""
    return [row(table, number, **changes) for number in numbers]
