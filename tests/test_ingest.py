"""Ingest: every record counted once, a bad one never costs a good one."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from polymarket_bot.storage import (
    ConstraintViolation,
    Database,
    IngestReport,
    InvalidInput,
    Refusal,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.commands import BLOCKED, eventually
from tests.makers import CONDITION, NOW, payload, trade


def payloads(number: int) -> list[dict[str, Any]]:
    return [payload(timestamp=NOW + n // 3, size=n + 1) for n in range(number)]


async def test_models_dicts_texts_and_bytes_are_accepted(db: Database) -> None:
    a, b, c = payloads(3)
    report = await TradeRepository(db).ingest([trade(), a, json.dumps(b), json.dumps(c).encode()])
    assert report == IngestReport(read=4, inserted=4)


async def test_an_async_iterable_is_accepted(db: Database) -> None:
    async def feed() -> AsyncIterator[dict[str, Any]]:
        for item in payloads(3):
            yield item

    assert (await TradeRepository(db).ingest(feed())).inserted == 3


async def test_nothing_is_a_feed_too(db: Database) -> None:
    assert await TradeRepository(db).ingest([]) == IngestReport()


async def test_the_same_trades_in_any_order_give_the_same_rows(db: Database) -> None:
    trades, feed = TradeRepository(db), payloads(5_000)
    shuffled = feed + feed[:700]
    random.Random(3).shuffle(shuffled)  # noqa: S311 - an order, no secret
    first = await trades.ingest(shuffled)
    rows = await trades.get_all(limit=10_000)
    again = await trades.ingest(reversed(feed))
    assert await trades.get_all(limit=10_000) == rows
    assert first == IngestReport(read=5_700, inserted=5_000, duplicates=700)
    assert again == IngestReport(read=5_000, duplicates=5_000)
    assert await trades.count() == 5_000


async def test_a_bad_record_does_not_cost_the_good_ones(db: Database) -> None:
    good = payloads(3)
    bad: list[Any] = [payload(price=2), "{", None]
    heard: list[Refusal] = []
    report = await TradeRepository(db).ingest(
        [good[0], bad[0], good[1], bad[1], bad[2], good[2]], on_refusal=heard.append
    )
    assert (report.read, report.inserted, report.refused) == (6, 3, 3)
    assert [(r.position, r.record) for r in report.refusals] == [
        (1, bad[0]),
        (3, bad[1]),
        (4, bad[2]),
    ]
    assert [r.reason.split(":")[0] for r in heard] == ["price", "record", "record"]
    assert heard == report.refusals


async def test_the_list_of_refusals_is_bounded_and_the_count_is_not(db: Database) -> None:
    report = await TradeRepository(db).ingest(["{"] * 5_000)
    assert (report.refused, len(report.refusals)) == (5_000, 100)


async def test_records_of_another_kind_are_skipped(db: Database) -> None:
    report = await TradeRepository(db).ingest([payload(), payload(type="REDEEM", asset="")])
    assert report == IngestReport(read=2, inserted=1, skipped=1)


async def test_trades_before_not_before_are_skipped(db: Database) -> None:
    report = await TradeRepository(db).ingest(payloads(6), not_before=NOW + 1)
    assert report == IngestReport(read=6, inserted=3, skipped=3)


@pytest.mark.parametrize("wrong", [NOW * 1000, -1, "soon", True])
async def test_a_not_before_that_is_no_time_in_seconds_is_refused(db: Database, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="timestamp"):
        await TradeRepository(db).ingest(payloads(3), not_before=wrong)
    assert await TradeRepository(db).count() == 0


@pytest.mark.parametrize("wrong", [payload(), json.dumps(payload()), trade()])
async def test_one_record_alone_is_no_feed(db: Database, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="expected an iterable"):
        await TradeRepository(db).ingest(wrong)


async def test_a_trade_from_the_future_is_refused_alone(db: Database) -> None:
    ahead = int(await db.fetchval("SELECT extract(epoch FROM now())")) + 10_000
    report = await TradeRepository(db).ingest([payload(), payload(timestamp=ahead)])
    assert (report.inserted, report.refused) == (1, 1)
    assert report.refusals[0].reason.startswith("timestamp: expected Unix seconds up to")


async def test_what_arrives_at_or_behind_the_watermark_is_late(db: Database) -> None:
    await TradeWatermarkRepository(db).update(CONDITION, NOW + 1)
    trades = TradeRepository(db)
    report = await trades.ingest(payloads(9))
    assert (report.inserted, report.late) == (9, 6)
    assert (await trades.ingest(payloads(9))).late == 0


async def test_an_ingest_inside_a_block_belongs_to_it(db: Database) -> None:
    trades = TradeRepository(db)
    with pytest.raises(KeyError):
        async with db.transaction():
            assert (await trades.ingest(payloads(3))).inserted == 3
            raise KeyError
    assert await trades.count() == 0


@pytest.mark.parametrize("read", [2, 20, 21, 39])
async def test_a_feed_that_breaks_off_leaves_whole_batches(db: Database, read: int) -> None:
    def feed() -> Iterator[dict[str, Any]]:
        yield from payloads(read)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await TradeRepository(db).ingest(feed(), batch_size=10)
    assert await TradeRepository(db).count() == read // 10 * 10


async def test_what_is_refused_by_the_database_is_raised_once(db: Database) -> None:
    await db.execute("ALTER TABLE polymarket_trades ADD CHECK (size < 25)")
    with pytest.raises(ConstraintViolation) as caught:
        await TradeRepository(db).ingest(payloads(100), batch_size=10)
    assert not hasattr(caught.value, "__notes__")
    assert await TradeRepository(db).count() == 20


async def test_an_ingest_that_is_cancelled_leaves_whole_batches(db: Database) -> None:
    arrived = asyncio.Event()

    async def feed() -> AsyncIterator[dict[str, Any]]:
        for number, item in enumerate(payloads(1_000)):
            yield item
            if number == 345:
                arrived.set()
                await asyncio.Event().wait()

    ingesting = asyncio.create_task(TradeRepository(db).ingest(feed(), batch_size=10))
    await arrived.wait()
    ingesting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ingesting
    stored = await TradeRepository(db).count()
    assert stored in (330, 340)
    assert db.stats().holders == ()


@pytest.mark.parametrize("body", ["raises", "waits", "ends"])
async def test_an_ingest_that_is_cancelled_again_and_again_leaves_no_batch_behind(
    db: Database, body: str
) -> None:
    sent = asyncio.Event()

    async def feed() -> AsyncIterator[dict[str, Any]]:
        for item in payloads(10):
            yield item
        await eventually(db, BLOCKED)
        sent.set()
        if body == "raises":
            raise ZeroDivisionError
        if body == "waits":
            await asyncio.Event().wait()

    async with db.separate_transaction() as other:
        await other.execute("LOCK TABLE polymarket_trades IN SHARE MODE")
        ingesting = asyncio.create_task(TradeRepository(db).ingest(feed(), batch_size=10))
        await sent.wait()
        while not ingesting.done():
            ingesting.cancel()
            await asyncio.sleep(0)
        assert len(db.stats().holders) == 1
    with pytest.raises(asyncio.CancelledError):
        await ingesting
    assert await TradeRepository(db).count() == 0


async def test_a_source_that_reads_the_same_connection_is_accepted(db: Database) -> None:
    await TradeRepository(db).ingest(payloads(100))
    async with db.connection() as connection, connection.transaction():
        trades = TradeRepository(connection)
        report = await trades.ingest(trades.stream(batch_size=7), batch_size=10)
    assert report == IngestReport(read=100, duplicates=100)


async def test_other_tasks_have_their_turns_while_a_large_batch_is_sorted(db: Database) -> None:
    turns, done = 0, False

    async def tick() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await TradeRepository(db).ingest(["{"] * 5_000, batch_size=5_000)
    done = True
    await ticking
    assert turns >= 50


def test_reports_add_up() -> None:
    first = IngestReport(read=3, inserted=1, refused=2, refusals=[Refusal(0, "r", "x")])
    total = first + IngestReport(read=4, duplicates=1, late=0, skipped=3)
    assert total == IngestReport(
        read=7, inserted=1, duplicates=1, skipped=3, refused=2, refusals=[Refusal(0, "r", "x")]
    )
