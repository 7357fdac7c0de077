"""Times as text: one form is written, every old spelling is read, in Python as in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from polymarket_bot.storage import CandidateWatermark, Database, DatabaseConfig, InvalidInput
from polymarket_bot.storage.clock import parse_time, utc_text
from polymarket_bot.storage.repositories.arguments import moment_or_age
from polymarket_bot.storage.sql import NOW_TEXT, instant
from tests.profiles import EXAMPLES, SHARED_DATABASE
from tests.small_rows import resolution, scores, streamed
from tests.spellings import NO_TIMES, SPELLINGS, Spelling, canonical

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
MOMENT = datetime(2025, 10, 9, 12, 34, 56, 123_456, tzinfo=UTC)

moments = st.datetimes(
    FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC)
)
spellings = st.sampled_from(SPELLINGS)
texts = st.lists(st.tuples(spellings, moments), min_size=1, max_size=40)


def written(value: object) -> str:
    """The text that a model holds after it was given `value` as a time."""
    return CandidateWatermark(
        threshold=0.5, last_created_at=value, updated_at=MOMENT
    ).last_created_at


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_every_spelling_is_written_in_one_form(spelling: Spelling) -> None:
    assert written(spelling.write(MOMENT)) == canonical(spelling.states(MOMENT))


@pytest.mark.parametrize("hours", [-12, -3.5, 0, 2, 5.5, 14])
def test_a_datetime_of_any_zone_is_written_in_utc(hours: float) -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=hours)))
    assert written(local) == "2025-10-09T12:34:56.123456+00:00"


def test_a_naive_datetime_is_utc_and_whole_seconds_have_microseconds() -> None:
    naive = datetime(2025, 10, 9, 12)  # noqa: DTZ001 - naive means UTC
    assert written(naive) == "2025-10-09T12:00:00.000000+00:00"
    assert written(datetime(33, 1, 2, tzinfo=UTC)) == "0033-01-02T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    "wrong", [*NO_TIMES, 1_760_000_000, 1.5, True, None, b"2025-10-09"], ids=repr
)
def test_what_is_no_time_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(ValidationError, match="last_created_at"):
        written(wrong)


@pytest.mark.parametrize("wrong", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00"])
def test_a_time_outside_the_years_that_utc_counts_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="last_created_at"):
        written(wrong)


@pytest.mark.parametrize("wrong", ["2025-10-09+02:00", "2025-10-09-05:00"])
def test_a_date_with_an_offset_is_not_read_as_a_clock(wrong: str) -> None:
    with pytest.raises(ValidationError, match="last_created_at"):
        written(wrong)


@EXAMPLES
@given(moments, spellings)
def test_any_time_in_any_spelling_is_written_in_one_form(
    moment: datetime, spelling: Spelling
) -> None:
    stated = spelling.states(moment)
    assert parse_time(spelling.write(moment)) == stated
    assert written(spelling.write(moment)) == written(stated) == canonical(stated)


@EXAMPLES
@given(st.lists(moments, min_size=2, max_size=50))
def test_the_order_of_texts_is_the_order_of_times(given_moments: list[datetime]) -> None:
    assert sorted(map(utc_text, given_moments)) == list(map(utc_text, sorted(given_moments)))


@SHARED_DATABASE
@given(st.lists(moments, min_size=2, max_size=50))
async def test_the_databases_order_of_texts_is_the_order_of_times(
    db: Database, given_moments: list[datetime]
) -> None:
    ordered = await db.fetchval(
        "SELECT array_agg(t ORDER BY t) FROM unnest($1::text[]) AS t",
        [canonical(moment) for moment in given_moments],
    )
    assert ordered == [canonical(moment) for moment in sorted(given_moments)]


async def instants(db: Database, given_texts: Sequence[str]) -> list[Decimal | None]:
    """Seconds since 1970 of what the database reads in texts."""
    rows = await db.fetch(
        f"SELECT extract(epoch FROM {instant('t')}) AS t "
        "FROM unnest($1::text[]) WITH ORDINALITY AS given (t, n) ORDER BY n",
        list(given_texts),
    )
    return [row["t"] for row in rows]


def seconds(moment: datetime) -> Decimal:
    return Decimal((moment - EPOCH) // timedelta(microseconds=1)) / 1_000_000


async def test_the_database_reads_every_spelling(db: Database) -> None:
    read = await instants(db, [spelling.write(MOMENT) for spelling in SPELLINGS])
    assert read == [seconds(spelling.states(MOMENT)) for spelling in SPELLINGS]


async def test_what_is_no_time_has_no_instant_and_breaks_nothing(db: Database) -> None:
    read = await instants(db, [*NO_TIMES, canonical(MOMENT)])
    assert read == [None] * len(NO_TIMES) + [seconds(MOMENT)]


async def test_no_day_that_no_calendar_has_breaks_a_statement(db: Database) -> None:
    days = [
        f"{year:04}-{month:02}-{day:02}"
        for year in (0, 1, 1600, 1900, 2000, 2023, 2024, 2100, 9999)
        for month in range(14)
        for day in range(33)
    ]

    def stated(text: str) -> Decimal | None:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None
        return Decimal((day - EPOCH.date()).days * 86_400)

    assert await instants(db, days) == [stated(day) for day in days]


@SHARED_DATABASE
@given(texts)
async def test_the_database_reads_any_time_in_any_spelling_as_python_does(
    db: Database, examples: list[tuple[Spelling, datetime]]
) -> None:
    read = await instants(db, [spelling.write(moment) for spelling, moment in examples])
    assert read == [seconds(spelling.states(moment)) for spelling, moment in examples]
    assert read == [seconds(parse_time(s.write(moment))) for s, moment in examples]


near_times = st.builds(
    lambda text, place, piece: text[:place] + piece + text[place + len(piece) :],
    st.builds(lambda spelling, moment: spelling.write(moment), spellings, moments),
    st.integers(0, 32),
    st.text("0123456789-+:., TZz\n", max_size=4),
)


@SHARED_DATABASE
@given(st.lists(near_times, min_size=1, max_size=40))
async def test_no_text_breaks_a_statement_or_is_another_time_than_in_python(
    db: Database, examples: list[str]
) -> None:
    for text, read in zip(examples, await instants(db, examples), strict=True):
        if read is not None and seconds(FIRST) < read < seconds(LAST):
            assert read == seconds(parse_time(text)), text


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
async def test_the_databases_clock_is_written_in_the_same_form(db_url: str, zone: str) -> None:
    async with Database(DatabaseConfig(url=db_url)) as db, db.connection() as connection:
        await connection.execute(f"SET timezone = '{zone}'; SET datestyle = 'German'")
        ((text, now),) = await connection.fetch(f"SELECT {NOW_TEXT}, statement_timestamp()")
    assert text == canonical(now)


STATED = ["2025-10-09", "2025-10-09T12:00:00Z", "2025-10-09 12:00:00+02", "2025-10-09T12:00:00.5"]


@pytest.mark.parametrize("text", STATED)
def test_what_the_exchange_states_is_kept_as_it_came(text: str) -> None:
    assert streamed(end_date=text, generated_at=text).generated_at == text
    assert streamed(end_date=text).end_date == text
    assert resolution(resolved_at=text).resolved_at == text
    assert scores(end_date=text).end_date == text


def test_a_stated_datetime_is_written_canonically() -> None:
    assert resolution(resolved_at=MOMENT).resolved_at == "2025-10-09T12:34:56.123456+00:00"


@pytest.mark.parametrize("wrong", [*NO_TIMES, 5, True], ids=repr)
def test_a_stated_time_that_is_none_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="generated_at"):
        streamed(generated_at=wrong)
    with pytest.raises(ValidationError, match="resolved_at"):
        resolution(resolved_at=wrong)
    with pytest.raises(ValidationError, match="end_date"):
        scores(end_date=wrong)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_a_moment_is_taken_in_every_spelling(spelling: Spelling) -> None:
    assert moment_or_age("older_than", spelling.write(MOMENT)) == (spelling.states(MOMENT), None)


@pytest.mark.parametrize(
    "wrong",
    [
        *NO_TIMES,
        True,
        None,
        -1,
        -0.5,
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        1e18,
        1_760_000_000_000,
        [],
        b"2025-10-09",
    ],
    ids=repr,
)
def test_what_is_neither_age_nor_moment_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="older_than"):
        moment_or_age("older_than", wrong)
