"""Trades: stored once, read fresh, read in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    FutureTime,
    InvalidInput,
    PolymarketTrade,
    TradeRepository,
)
from tests.makers import CONDITION, NOW, trade, trigger


async def database_now(db: Database) -> int:
    return int(await db.fetchval("SELECT floor(extract(epoch FROM now()))::bigint"))


def ids(found: list[PolymarketTrade]) -> list[str]:
    return [item.trade_id for item in found]


async def test_create_returns_the_stored_row(trades: TradeRepository) -> None:
    stored = await trades.create(trade(price="0.7900001161363874"))
    assert str(stored.price) == "0.79000014"  # the nearest 4-byte float
    assert await trades.get_by_id((CONDITION, "t1")) == stored


async def test_a_duplicate_is_left_as_it_was_and_returned(trades: TradeRepository) -> None:
    first = await trades.create(trade(price="0.5"))
    assert await trades.create(trade(price="0.9")) == first
    assert await trades.count() == 1


async def test_create_many_counts_the_rows_really_inserted(trades: TradeRepository) -> None:
    assert await trades.create_many([]) == 0
    assert await trades.create_many([trade("a"), trade("b"), trade("a", price="0.1")]) == 2
    assert await trades.create_many(trade(name) for name in "abc") == 1
    assert ids(await trades.get_all()) == ["a", "b", "c"]
    (first,) = await trades.get_all(limit=1)
    assert str(first.price) == "0.91"


async def test_many_writers_of_the_same_trades_in_any_order_store_each_once(
    trades: TradeRepository,
) -> None:
    batch = [trade(str(number)) for number in range(3_000)]
    counts = await asyncio.gather(
        *(trades.create_many(batch[start:] + batch[:start]) for start in (0, 700, 1_500, 2_900))
    )
    assert sum(counts) == await trades.count() == 3_000


async def test_a_batch_larger_than_a_chunk_is_stored_whole_or_not_at_all(
    db: Database, trades: TradeRepository
) -> None:
    batch = [trade(f"{number:06}") for number in range(12_000)]
    late = trade("zzz", timestamp=await database_now(db) + 10_000)
    with pytest.raises(FutureTime, match="timestamp"):
        await trades.create_many([*batch, late])
    assert await trades.count() == 0
    assert await trades.create_many(batch) == 12_000


async def test_a_trade_from_the_future_is_refused_by_the_databases_clock(
    db: Database, db_url: str, trades: TradeRepository
) -> None:
    now = await database_now(db)
    with pytest.raises(FutureTime, match=r"timestamp: expected Unix seconds up to"):
        await trades.create(trade(timestamp=now + 400))
    assert await trades.count() == 0
    await trades.create(trade(timestamp=now + 200))
    async with Database(DatabaseConfig(url=db_url, future_skew=1_000)) as patient:
        await TradeRepository(patient).create(trade("t2", timestamp=now + 400))
    assert await trades.count() == 2


async def test_a_trade_without_a_time_is_stored_and_listed_last(trades: TradeRepository) -> None:
    await trades.create_many([trade("none", timestamp=None), trade("old", timestamp=5)])
    await trades.create(trade("new", timestamp=6))
    assert ids(await trades.get_by_condition(CONDITION)) == ["new", "old", "none"]
    assert ids(await trades.get_by_condition(CONDITION, limit=1)) == ["new"]
    assert await trades.get_latest_timestamp(CONDITION) == 6
    assert await trades.get_recent(CONDITION, now=6, max_age_seconds=1) != []


async def test_get_by_condition_returns_the_newest_first(trades: TradeRepository) -> None:
    await trades.create_many([trade(str(n), timestamp=NOW + n) for n in range(5)])
    await trades.create(trade("other", condition_id="another"))
    assert ids(await trades.get_by_condition(CONDITION, limit=3)) == ["4", "3", "2"]
    assert await trades.get_by_condition("absent") == []


async def test_get_recent_measures_by_the_databases_clock(
    db: Database, trades: TradeRepository
) -> None:
    now = await database_now(db)
    ages = {"fresh": 10, "stale": 400, "future": -100}
    await trades.create_many([trade(name, timestamp=now - age) for name, age in ages.items()])
    assert ids(await trades.get_recent(CONDITION)) == ["fresh"]
    assert ids(await trades.get_recent(CONDITION, max_age_seconds=500)) == ["fresh", "stale"]


@pytest.mark.parametrize("now", [NOW, float(NOW) + 0.5, datetime.fromtimestamp(NOW, UTC)])
async def test_get_recent_by_a_given_clock_is_inclusive_at_both_ends(
    trades: TradeRepository, now: Any
) -> None:
    await trades.create_many(
        [trade(str(age), timestamp=NOW - age) for age in (-1, 0, 299, 300, 301)]
    )
    assert ids(await trades.get_recent(CONDITION, 300, now=now)) == ["0", "299", "300"]


@pytest.mark.parametrize("wrong", [0, -1, None, float("inf"), float("nan"), "300", True], ids=repr)
async def test_the_freshness_filter_cannot_be_switched_off(
    trades: TradeRepository, wrong: Any
) -> None:
    with pytest.raises(InvalidInput, match="max_age_seconds"):
        await trades.get_recent(CONDITION, wrong)


async def test_get_since_is_strictly_after_and_oldest_first(trades: TradeRepository) -> None:
    await trades.create_many([trade(str(n), timestamp=NOW + n) for n in range(5)])
    assert ids(await trades.get_since(CONDITION, NOW + 1)) == ["2", "3", "4"]
    assert ids(await trades.get_since(CONDITION, 0, limit=2)) == ["0", "1"]


async def test_get_since_never_splits_a_second(trades: TradeRepository) -> None:
    await trades.create_many([trade(f"a{n}", timestamp=NOW) for n in range(5)])
    await trades.create(trade("b", timestamp=NOW + 1))
    page = await trades.get_since(CONDITION, 0, limit=2)
    assert ids(page) == ["a0", "a1", "a2", "a3", "a4"]
    assert ids(await trades.get_since(CONDITION, page[-1].timestamp or 0, limit=2)) == ["b"]


async def test_get_since_of_nothing_is_refused(trades: TradeRepository) -> None:
    await trades.create(trade())
    nothing: Any = await trades.get_latest_timestamp("absent")
    with pytest.raises(InvalidInput, match="timestamp"):
        await trades.get_since(CONDITION, nothing)


async def test_get_latest_timestamp_is_none_without_trades(trades: TradeRepository) -> None:
    assert await trades.get_latest_timestamp(CONDITION) is None


async def test_a_row_is_found_and_deleted_by_its_whole_key(trades: TradeRepository) -> None:
    await trades.create_many([trade("a"), trade("b")])
    assert await trades.exists((CONDITION, "a"))
    assert await trades.delete((CONDITION, "a")) is True
    assert await trades.delete((CONDITION, "a")) is False
    assert await trades.get_by_id((CONDITION, "a")) is None
    found = await trades.get_by_id("b", id_column="trade_id")
    assert found is not None
    assert found.trade_id == "b"


@pytest.mark.parametrize(
    "column", ["id; DROP TABLE polymarket_trades", "nope", "", '"trade_id"', "TRADE_ID"]
)
async def test_a_column_that_is_none_is_refused_before_it_reaches_sql(
    trades: TradeRepository, column: str
) -> None:
    for call in (trades.get_by_id, trades.exists, trades.delete):
        with pytest.raises(InvalidInput, match="id_column"):
            await call("x", id_column=column)


async def test_delete_takes_only_a_unique_column(trades: TradeRepository) -> None:
    await trades.create(trade("a"))
    with pytest.raises(InvalidInput, match="expected a unique one"):
        await trades.delete("BUY", id_column="side")
    assert await trades.count() == 1


async def test_a_key_of_two_columns_wants_both(trades: TradeRepository) -> None:
    for wrong in ("a", ("a",), ("a", "b", "c"), ["a", "b"]):
        with pytest.raises(InvalidInput, match="condition_id, trade_id"):
            await trades.get_by_id(wrong)


async def test_get_all_pages_in_key_order(trades: TradeRepository) -> None:
    await trades.create_many([trade(name) for name in "dbca"])
    assert ids(await trades.get_all(limit=2, offset=1)) == ["b", "c"]
    for wrong in ({"limit": -1}, {"offset": -1}, {"limit": True}, {"limit": 2**70}):
        with pytest.raises(InvalidInput, match="expected a whole number"):
            await trades.get_all(**wrong)


async def test_a_model_of_another_table_is_refused(trades: TradeRepository) -> None:
    wrong: Any = trigger()
    with pytest.raises(InvalidInput, match="expected a PolymarketTrade"):
        await trades.create(wrong)
    with pytest.raises(InvalidInput, match="expected a PolymarketTrade"):
        await trades.create_many([trade(), wrong])
    assert await trades.count() == 0


@pytest.mark.parametrize("hostile", ["'; DROP TABLE polymarket_trades; --", "$1", "%s", "\\"])
async def test_sql_in_a_text_is_a_text(trades: TradeRepository, hostile: str) -> None:
    await trades.create(trade(hostile, condition_id=hostile, outcome=hostile))
    (found,) = await trades.get_by_condition(hostile)
    assert (found.trade_id, found.outcome) == (hostile, hostile)


@pytest.mark.parametrize("wrong", ["a\x00", "\ud800", "", 5, None])
async def test_what_cannot_be_a_condition_is_refused_by_name(
    trades: TradeRepository, wrong: Any
) -> None:
    with pytest.raises(InvalidInput, match="condition_id"):
        await trades.get_by_condition(wrong)
