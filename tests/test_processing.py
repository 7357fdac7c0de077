"""New trades are handed over once, in order, together with the watermark's move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import chain

import pytest

from polymarket_bot.storage import (
    Database,
    PolymarketTrade,
    ProcessReport,
    TradeRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from tests.handing_over import Seen, at, nothing, trades_config
from tests.makers import CONDITION, NOW, trade, trigger


async def test_new_trades_come_in_the_order_of_time_and_id(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await trades.create_many([*at(2, "a"), *at(1, "d", "c"), *at(0, "b")])
    seen = Seen()
    report = await trades.process_new(CONDITION, seen)
    assert seen.calls == [["b", "c", "d", "a"]]
    assert report == ProcessReport(handled=4, late=0, watermark=NOW + 2, busy=False)
    assert await marks.get_timestamp(CONDITION) == NOW + 2
    assert await trades.process_new(CONDITION, seen) == ProcessReport(watermark=NOW + 2)
    assert len(seen.calls) == 1


async def test_a_condition_without_trades_calls_nobody(trades: TradeRepository) -> None:
    await trades.create_many([trade("other", condition_id="other", timestamp=NOW)])
    seen = Seen()
    assert await trades.process_new(CONDITION, seen) == ProcessReport()
    assert seen.calls == []


@pytest.mark.parametrize(
    ("limit", "calls"),
    [
        (1, [["a"], ["b", "c", "d"], ["e"]]),
        (2, [["a", "b", "c", "d"], ["e"]]),
        (4, [["a", "b", "c", "d"], ["e"]]),
        (5, [["a", "b", "c", "d", "e"]]),
    ],
)
async def test_a_second_is_never_split(
    trades: TradeRepository, limit: int, calls: list[list[str]]
) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b", "c", "d"), *at(2, "e")])
    seen = Seen()
    while (await trades.process_new(CONDITION, seen, limit=limit)).handled:
        pass
    assert seen.calls == calls


async def test_a_trade_waits_until_it_has_settled(trades: TradeRepository) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b"), *at(2, "c"), *at(3, "d")])
    seen = Seen()
    for now, settle in ((NOW + 1.9, 2), (NOW + 2, 2), (NOW + 3, 1.5), (NOW + 3, 1), (NOW + 3, 0)):
        await trades.process_new(CONDITION, seen, now=now, settle_seconds=settle)
    assert seen.calls == [["a"], ["b"], ["c"], ["d"]]


async def test_settling_is_measured_by_the_database_s_clock(
    db: Database, trades: TradeRepository
) -> None:
    clock = int(await db.fetchval("SELECT extract(epoch FROM now())"))
    await trades.create_many([trade("old", timestamp=clock - 60), trade("new", timestamp=clock)])
    await trades.create(trade("ahead", timestamp=clock + 100))
    seen = Seen()
    await trades.process_new(CONDITION, seen, settle_seconds=50)
    await trades.process_new(CONDITION, seen, settle_seconds=0)
    assert seen.calls == [["old"], ["new"]]


async def test_a_replay_s_clock_may_be_a_datetime(trades: TradeRepository) -> None:
    await trades.create_many([*at(0, "a"), *at(1, "b")])
    seen = Seen()
    clock = datetime.fromtimestamp(NOW, UTC)
    await trades.process_new(CONDITION, seen, now=clock, settle_seconds=0)
    await trades.process_new(CONDITION, seen, now=clock.replace(tzinfo=None), settle_seconds=0)
    assert seen.calls == [["a"]]


async def test_a_trade_without_a_time_is_never_new(trades: TradeRepository) -> None:
    await trades.create(trade("timeless", timestamp=None))
    assert await trades.process_new(CONDITION, nothing) == ProcessReport()


async def test_what_the_handler_writes_and_the_watermark_s_move_commit_together(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await trades.create_many(at(0, "a"))
    triggers = TriggerRepository(db)

    async def claim(_: list[PolymarketTrade]) -> None:
        assert await triggers.claim(trigger())
        async with db.connection() as elsewhere:
            assert await TriggerRepository(elsewhere).count() == 0
            assert await TradeWatermarkRepository(elsewhere).get(CONDITION) is None

    await trades.process_new(CONDITION, claim)
    assert await triggers.count() == 1
    assert await marks.get_timestamp(CONDITION) == NOW


@pytest.mark.parametrize("which", ["new", "late"])
async def test_a_handler_that_raises_leaves_all_as_it_was(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository, which: str
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(-5, "late"), *at(5, "new")])
    triggers = TriggerRepository(db)

    async def claim(_: list[PolymarketTrade]) -> None:
        await triggers.create(trigger())

    async def fail(_: list[PolymarketTrade]) -> None:
        await triggers.create(trigger("other"))
        raise ZeroDivisionError

    new, late = (fail, claim) if which == "new" else (claim, fail)
    with pytest.raises(ZeroDivisionError):
        await trades.process_new(CONDITION, new, on_late=late)
    assert await triggers.count() == 0
    assert await marks.get_timestamp(CONDITION) == NOW
    seen, behind = Seen(), Seen()
    assert await trades.process_new(CONDITION, seen, on_late=behind) == ProcessReport(
        handled=1, late=1, watermark=NOW + 5
    )
    assert (seen.calls, behind.calls) == ([["new"]], [["late"]])


async def test_a_handler_may_change_the_list_that_it_is_given(trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a", "b"))

    async def empty(given: list[PolymarketTrade]) -> None:
        given.clear()

    assert (await trades.process_new(CONDITION, empty)).handled == 2
    assert (await trades.process_new(CONDITION, empty)) == ProcessReport(watermark=NOW)


async def test_a_busy_condition_is_skipped_and_another_is_not(
    trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(1, "a"), trade("b", condition_id="other", timestamp=NOW)])
    others = Seen()

    async def meanwhile(_: list[PolymarketTrade]) -> None:
        other_worker = asyncio.create_task(outside())
        await other_worker

    async def outside() -> None:
        busy = await elsewhere.process_new(CONDITION, others)
        assert busy == ProcessReport(watermark=NOW, busy=True)
        assert (await elsewhere.process_new("other", others)).handled == 1

    async with Database(trades_config(trades)) as other:
        elsewhere = TradeRepository(other)
        assert (await trades.process_new(CONDITION, meanwhile)).handled == 1
    assert others.calls == [["b"]]


async def test_of_many_workers_each_trade_is_handed_to_one(trades: TradeRepository) -> None:
    await trades.create_many(trade(f"{n:03}", timestamp=NOW + n // 3) for n in range(120))
    seen, met = Seen(), asyncio.Event()

    async def hand(given: list[PolymarketTrade]) -> None:
        await met.wait()  # of those who are not given them
        await seen(given)

    async def work() -> None:
        while (report := await trades.process_new(CONDITION, hand, limit=7)).handled or report.busy:
            if report.busy:
                met.set()

    await asyncio.gather(*(work() for _ in range(8)))
    assert list(chain(*seen.calls)) == [f"{n:03}" for n in range(120)]


async def test_the_watermark_that_is_reported_is_the_one_that_stands(
    trades: TradeRepository,
) -> None:
    await trades.create_many(at(0, "a"))
    config = trades_config(trades)

    async def skip_ahead(_: list[PolymarketTrade]) -> None:
        async with Database(config) as other:
            await TradeWatermarkRepository(other).update(CONDITION, NOW + 50)

    assert (await trades.process_new(CONDITION, skip_ahead)).watermark == NOW + 50
