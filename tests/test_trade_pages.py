"""Trades of a token, and streams of trades page by page."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from polymarket_bot.storage import Database, InvalidInput, PolymarketTrade, TradeRepository
from tests.makers import CONDITION, NOW, TOKEN, trade

OTHER = "8" * 77


def ids(rows: list[PolymarketTrade]) -> list[str]:
    return [row.trade_id for row in rows]


async def streamed(trades: TradeRepository, *args: Any, **options: Any) -> list[str]:
    return [row.trade_id async for row in trades.stream(*args, **options)]


async def test_a_tokens_trades_come_newest_first(trades: TradeRepository) -> None:
    for number, name in enumerate(["b", "a", "d", "c"]):
        await trades.create(trade(name, timestamp=NOW + number // 2, condition_id=f"c{number}"))
    await trades.create(trade("none", timestamp=None))
    await trades.create(trade("other", token_id=OTHER))
    await trades.create(trade("no token", token_id=None))
    assert ids(await trades.get_by_token(TOKEN)) == ["d", "c", "b", "a", "none"]
    assert ids(await trades.get_by_token(TOKEN, limit=2)) == ["d", "c"]
    assert await trades.get_by_token(TOKEN, limit=0) == []
    assert await trades.get_by_token("absent") == []


async def test_a_tokens_trades_are_from_a_second_on_and_before_another(
    trades: TradeRepository,
) -> None:
    await trades.create_many(trade(str(n), timestamp=NOW + n) for n in range(5))
    await trades.create(trade("none", timestamp=None))
    assert ids(await trades.get_by_token(TOKEN, start=NOW + 1, end=NOW + 3)) == ["2", "1"]
    assert ids(await trades.get_by_token(TOKEN, start=NOW + 3)) == ["4", "3"]
    assert ids(await trades.get_by_token(TOKEN, end=NOW + 1)) == ["0"]
    assert await trades.get_by_token(TOKEN, start=NOW + 3, end=NOW + 3) == []
    assert await trades.get_by_token(TOKEN, start=NOW + 3, end=NOW) == []


async def fill(trades: TradeRepository) -> list[PolymarketTrade]:
    """Store 60 trades of two conditions and two tokens, some in one second, some without a time."""
    rows = [
        trade(
            f"{n:02}",
            condition_id=f"c{n % 2}",
            token_id=TOKEN if n % 3 else OTHER,
            timestamp=None if n % 10 == 0 else NOW + n // 4,
        )
        for n in range(60)
    ]
    random.Random(3).shuffle(rows)  # noqa: S311 - an order, no secret
    assert await trades.create_many(rows) == 60
    return rows


def in_order(rows: list[PolymarketTrade]) -> list[str]:
    """Oldest first, those without a time last."""

    def place(row: PolymarketTrade) -> tuple[bool, int, str, str]:
        return (row.timestamp is None, row.timestamp or 0, row.condition_id, row.trade_id)

    return ids(sorted(rows, key=place))


@pytest.mark.parametrize("batch_size", [1, 7, 54, 59, 60, 61, 2000])
async def test_a_stream_is_in_order_whatever_its_pages(
    trades: TradeRepository, batch_size: int
) -> None:
    rows = await fill(trades)
    found = [row async for row in trades.stream(batch_size=batch_size)]
    assert ids(found) == in_order(rows)
    assert {row.trade_id: row for row in found} == {row.trade_id: row for row in rows}


@pytest.mark.parametrize("batch_size", [1, 3, 2000])
async def test_a_stream_is_narrowed_by_all_that_is_given(
    trades: TradeRepository, batch_size: int
) -> None:
    rows = await fill(trades)
    one = [row for row in rows if row.condition_id == "c1"]
    both = [row for row in one if row.token_id == TOKEN]
    timed = [row for row in rows if NOW + 3 <= (row.timestamp or 0) < NOW + 9]
    late = [row for row in both if (row.timestamp or 0) >= NOW + 5]
    size = {"batch_size": batch_size}
    assert await streamed(trades, "c1", **size) == in_order(one)
    assert await streamed(trades, "c1", token_id=TOKEN, **size) == in_order(both)
    assert await streamed(trades, start=NOW + 3, end=NOW + 9, **size) == in_order(timed)
    assert await streamed(trades, "c1", token_id=TOKEN, start=NOW + 5, **size) == in_order(late)
    assert await streamed(trades, "absent", **size) == []
    assert await streamed(trades, end=NOW, **size) == []


async def test_a_stream_over_nothing_is_empty(trades: TradeRepository) -> None:
    assert await streamed(trades) == []


async def test_a_stream_asks_for_one_page_at_a_time(db: Database, trades: TradeRepository) -> None:
    await trades.create_many(trade(f"{n:04}", timestamp=NOW + n) for n in range(5_001))
    sizes: list[int | None] = []
    stop = db.on_query(lambda event: sizes.append(event.rows))
    found = await streamed(trades)
    stop()
    assert found == [f"{n:04}" for n in range(5_001)]
    assert max(size or 0 for size in sizes) == 2_000
    stop = db.on_query(lambda event: sizes.append(event.rows))
    sizes.clear()
    async for row in trades.stream(batch_size=10):
        if row.trade_id == "0015":
            break
    stop()
    assert sizes == [10, 10]


async def test_a_stream_sees_what_is_stored_before_it(trades: TradeRepository) -> None:
    await trades.create_many(trade(str(n), timestamp=NOW + n) for n in range(0, 8, 2))
    found = []
    async for row in trades.stream(batch_size=2):
        found.append(row.trade_id)
        if row.trade_id == "2":
            await trades.create(trade("behind", timestamp=NOW + 1))
            await trades.create(trade("before", timestamp=NOW + 5))
            await trades.create(trade("no time", timestamp=None))
    assert found == ["0", "2", "4", "before", "6", "no time"]


async def test_streams_and_writers_go_on_at_once(trades: TradeRepository) -> None:
    await trades.create_many(trade(f"{n:03}", timestamp=NOW + n) for n in range(200))
    write = [trades.create(trade(f"new {n}", timestamp=NOW + 500 + n)) for n in range(20)]
    writing = asyncio.gather(*write)
    for names in await asyncio.gather(
        *(streamed(trades, CONDITION, batch_size=13) for _ in range(5))
    ):
        assert names[:200] == [f"{n:03}" for n in range(200)]
        assert len(set(names)) == len(names)
    assert len(await writing) == 20


async def test_a_stream_inside_a_transaction_block_is_part_of_it(
    db: Database, trades: TradeRepository
) -> None:
    await trades.create(trade("a"))
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await trades.create(trade("b"))
            assert await streamed(trades, batch_size=1) == ["a", "b"]
            _ = 1 / 0
    assert await streamed(trades) == ["a"]


WRONG: list[tuple[str, list[Any]]] = [
    ("condition_id", ["", 5, "a\x00"]),
    ("token_id", [5, "a\x00"]),
    ("start", [-1, True, 1.5, "x", NOW * 1000]),
    ("end", [-1, True, 1.5, "x", NOW * 1000]),
    ("batch_size", [None, 0, -1, True, 1.0, "5"]),
]


@pytest.mark.parametrize(("argument", "values"), WRONG)
async def test_a_wrong_argument_of_a_stream_is_refused_at_the_call(
    trades: TradeRepository, argument: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(InvalidInput) as caught:
            trades.stream(**{argument: value})
        assert caught.value.field == argument, value


@pytest.mark.parametrize(
    ("argument", "values"),
    [("token_id", [None, 5, "a\x00"]), *WRONG[2:4], ("limit", [None, -1, True, 1.0])],
)
async def test_a_wrong_argument_is_refused_by_name(
    trades: TradeRepository, argument: str, values: list[Any]
) -> None:
    for value in values:
        arguments: dict[str, Any] = {"token_id": TOKEN, argument: value}
        with pytest.raises(InvalidInput) as caught:
            await trades.get_by_token(**arguments)
        assert caught.value.field == argument, value
