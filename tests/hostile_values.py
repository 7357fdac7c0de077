"""Bad input: values that a column should not take, each of which stands for a way to fail."""

from __future__ import annotations

import random
import string
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from functools import cache
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

_CHOICE = random.Random(5)  # noqa: S311 - text that does not compress
INCOMPRESSIBLE = "".join(_CHOICE.choices(string.ascii_letters + string.digits, k=8_000))

TEXTS = [
    *("", " ", "\t\r\n", "\x00", "a\x00b", "\ud800", "a\udfffb", "\U0010ffff", "\ufeff"),
    *(
        "é",
        "e\u0301",
        "\u202eabc",
        "مرحبا",
        "👩\u200d👩\u200d👧",
        "a\u0301" * 500,
        "a",
        "b",
        "pending",
    ),
    *("'; DROP TABLE positions; --", "' OR '1'='1", "a' OR token_id <> '", "$1", "%s", "%(id)s"),
    *("{0}", "\\", "\\'", '"', "'", "''", "$$", "/*", "NULL", "DEFAULT", "id; --", '"id"', "ctid"),
    *(
        "NaN",
        "sNaN",
        "inf",
        "-Infinity",
        "1e400",
        "1e-400",
        "0e999999",
        "1_0",
        "0x10",
        "\uff11.\uff15",
        "-0",
    ),
    *("2025-02-30", "2025-10-10", "2025-10-10T12:00", "2025-10-10\ud80012:00", "now", "infinity"),
    *("9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "0000-01-01", "24:00"),
    *("9999-99-99T99:99:99.999999+00:00", "xxxx-xx-xxTxx:xx:xx.xxxxxx+00:00"),
    *("x" * 200_000, INCOMPRESSIBLE, "९" * 900, INCOMPRESSIBLE[:2_600]),
]
NUMBERS = [
    *(0, 1, 2, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63),
    *(-(2**63) - 1, 10**40, -(10**40), 10**5_000, 1_760_000_000, 1_760_000_000_000, 99_999_999_999),
    *(0.0, -0.0, 0.1, 0.5, 0.95, 1.5, -0.5, 1e-46, 5e-324, 1e38, 3.4028235e38, 3.5e38, 1e308),
    *(float("nan"), float("inf"), float("-inf"), True, False, 1j, Fraction(1, 3)),
    *map(Decimal, ("NaN", "sNaN", "Infinity", "-Infinity", "1E+400", "1E-400", "1E+38", "-1E+38")),
    *map(Decimal, ("0E+999999", "0E-999999", "-0", "0.5", "1E-9", "9" * 60, "0." + "3" * 60)),
    *map(Decimal, ("340282350000000000000000000000000000000", "-3.4028235E+38", "1.4E-45")),
]


class NoOffset(tzinfo):
    """A zone that does not know its offset: a time in it counts as naive."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str | None:
        return None


_EAST, _WEST = timezone(timedelta(hours=23, minutes=59)), timezone(-timedelta(hours=23, minutes=59))
TIMES = [
    *(datetime.min, datetime.max, datetime(2025, 10, 9, 12), datetime(2025, 10, 9, tzinfo=UTC)),  # noqa: DTZ001, DTZ901
    *(datetime.min.replace(tzinfo=zone) for zone in (UTC, _EAST, _WEST)),
    *(datetime.max.replace(tzinfo=zone) for zone in (UTC, _EAST, _WEST)),
    datetime(2025, 10, 9, 12, tzinfo=NoOffset()),
    *(date.min, date.max, date(2025, 10, 9), time(12), time.min.replace(tzinfo=UTC)),
    *(timedelta.min, timedelta.max, timedelta(0), timedelta(days=-1), timedelta(days=10**6)),
]


class _Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class _Torn:
    """Cannot be compared or hashed, and fails where a number is wanted."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]  # what cannot be hashed

    def __float__(self) -> float:
        raise RuntimeError("no number")

    __int__ = __index__ = __float__


class _Word(str):
    __slots__ = ()


class _Kind(StrEnum):
    PENDING = "pending"


class _Step(IntEnum):
    ONE = 1


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


OTHERS = [
    *(None, b"", b"a", b"\xff", b"1", bytearray(b"a"), memoryview(b"a"), UUID(int=1), ...),
    *([], ["a"], [1, 2], (), ("a",), ("a", 0.95), ("a", "a"), (None, None), (0, (1, 2), -1)),
    *({}, {"a": 1}, {"id": 1}, set(), {"a"}, frozenset("a"), range(2), object(), object, len, int),
    *(_Mute(), _Torn(), _Word("a"), _Word("a\x00"), _Kind.PENDING, _Step.ONE, _nested(5_000)),
    *(["a" * 100_000], {"a" * 100_000: "b"}, list(range(10_000)), st, ValueError("a")),
]
VALUES: list[Any] = [*TEXTS, *NUMBERS, *TIMES, *OTHERS]


@cache
def values() -> st.SearchStrategy[Any]:
    """Any hostile value; most are from the list, in which each stands for a way to fail."""
    listed = st.sampled_from(VALUES)
    return st.one_of(
        listed, listed, st.text(), st.integers(), st.floats(), st.decimals(), st.datetimes()
    )
