"""Watermarks are put back only by an explicit reset, which says why."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    InvalidInput,
    PolymarketTrade,
    TradeRepository,
    TradeWatermarkRepository,
)
from tests.handing_over import anything, at
from tests.makers import CONDITION, NOW
from tests.small_rows import store
from tests.watermark_kinds import CANDIDATE, EVERY_KIND, KINDS, Kind

INTEGERS = pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.name)


@EVERY_KIND
async def test_a_reset_goes_back_and_forth(db: Database, kind: Kind) -> None:
    marks, key = kind.open(db), kind.key(1)
    for seconds in (NOW, NOW - 100, NOW + 100, 0):
        row = await marks.reset(key, kind.given(seconds), "processed anew")
        assert getattr(row, kind.column) == kind.kept(seconds)
        assert await marks.get(key) == row
    assert await kind.update(db, key, NOW) == kind.kept(NOW)


@EVERY_KIND
async def test_a_reset_is_logged_with_its_reason(
    db: Database, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    marks, key = kind.open(db), kind.key(95)
    await kind.update(db, key, NOW)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="polymarket_bot.storage"):
        await marks.reset(key, kind.given(NOW - 5), "the feed was wrong")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for said in (kind.name, repr(key), kind.kept(NOW), kind.kept(NOW - 5), "the feed was wrong"):
        assert str(said) in record.getMessage()
    caplog.clear()
    await marks.reset(kind.key(96), kind.given(NOW), "begun here")
    assert f"from None to {kind.kept(NOW)}: begun here" in caplog.text


@EVERY_KIND
async def test_an_update_is_not_logged(
    db: Database, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    await kind.update(db, kind.key(1), NOW)
    await kind.update_many(db, {1: NOW + 1, 2: NOW})
    assert caplog.records == []


@EVERY_KIND
@pytest.mark.parametrize("reason", [None, "", "  ", "\n"], ids=repr)
async def test_a_reset_needs_a_reason(
    db: Database, kind: Kind, reason: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await kind.update(db, kind.key(1), NOW)
    with pytest.raises(InvalidInput, match="reason"):
        await kind.open(db).reset(kind.key(1), kind.given(0), reason)
    assert await kind.read(db, kind.key(1)) == kind.kept(NOW)
    assert caplog.records == []


@INTEGERS
async def test_a_poisoned_watermark_is_put_right(db: Database, kind: Kind) -> None:
    marks, key, poison = kind.open(db), kind.key(1), NOW * 1_000
    (column,) = [name for name in ("condition_id", "threshold") if name in type(marks).table.key]
    await store(
        db, kind.name, last_timestamp=poison, updated_at="2025-10-09 12:00:00", **{column: key}
    )
    assert await kind.read(db, key) == poison
    assert await kind.update(db, key, NOW) == poison
    assert await kind.update_many(db, {1: NOW}) == 0
    row = await marks.reset(key, NOW, "stored in milliseconds")
    assert row.last_timestamp == NOW
    assert await kind.update_many(db, {1: NOW + 1}) == 1


@pytest.mark.parametrize("poison", ["9999-12-31T00:00:00", "2999-01-01", "n/a"])
async def test_a_poisoned_candidate_watermark_is_put_right(
    db: Database, poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store(db, CANDIDATE.name, threshold=0.95, last_created_at=poison, updated_at="")
    row = await CANDIDATE.open(db).reset(0.95, "2025-10-09", "from the future")
    assert row.last_created_at == "2025-10-09T00:00:00.000000+00:00"
    assert f"from {poison} to" in caplog.text
    assert await CANDIDATE.update(db, 0.95, NOW + 86_400) == CANDIDATE.kept(NOW + 86_400)


@EVERY_KIND
async def test_a_reset_that_is_rolled_back_never_happened(db: Database, kind: Kind) -> None:
    await kind.update(db, kind.key(1), NOW)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await kind.open(db).reset(kind.key(1), kind.given(0), "a test")
            assert await kind.read(db, kind.key(1)) == kind.kept(0)
            _ = 1 / 0
    assert await kind.read(db, kind.key(1)) == kind.kept(NOW)


@EVERY_KIND
async def test_resets_at_once_log_each_step_from_where_it_was(
    db: Database, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    key = kind.key(1)
    await kind.update(db, key, NOW)
    steps = [NOW - n for n in range(1, 9)]
    await asyncio.gather(*(kind.open(db).reset(key, kind.given(at), "a test") for at in steps))
    said = [record.getMessage().split(" was reset from ")[1] for record in caplog.records]
    moves = dict(line.removesuffix(": a test").split(" to ") for line in said)
    place, visited = str(kind.kept(NOW)), 0
    while place in moves:
        place, visited = moves.pop(place), visited + 1
    assert visited == len(steps)
    assert place == str(await kind.read(db, key))


async def test_a_reset_while_trades_are_processed_is_kept(db: Database) -> None:
    trades, marks = TradeRepository(db), TradeWatermarkRepository(db)
    await trades.create_many([*at(-9, "a"), *at(1, "b")])
    await marks.update(CONDITION, NOW)

    async def look(_: list[PolymarketTrade]) -> None:
        with db.detached():
            await marks.reset(CONDITION, NOW - 10, "processed anew")

    report = await trades.process_new(CONDITION, look)
    assert (report.handled, report.watermark) == (1, NOW - 10)
    assert await marks.get_timestamp(CONDITION) == NOW - 10
    assert await anything(trades) == [["a", "b"]]
