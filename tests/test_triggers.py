"""First triggers by their two keys, and watermarks that only go forward."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    FutureTime,
    InvalidInput,
    TradeWatermarkRepository,
    TriggerRepository,
    TriggerWatermarkRepository,
)
from tests.makers import CONDITION, NOW, TOKEN, trigger


@pytest.fixture
def triggers(db: Database) -> TriggerRepository:
    return TriggerRepository(db)


async def test_a_trigger_stands_for_its_token_and_its_condition(
    triggers: TriggerRepository,
) -> None:
    assert await triggers.should_trigger(TOKEN, CONDITION, 0.95) is True
    await triggers.create(trigger())
    assert await triggers.should_trigger(TOKEN, CONDITION, 0.95) is False
    assert await triggers.should_trigger(TOKEN, "another condition", 0.95) is False
    assert await triggers.should_trigger("another token", CONDITION, 0.95) is False
    assert await triggers.should_trigger("another token", "another condition", 0.95) is True
    assert await triggers.should_trigger(TOKEN, CONDITION, 0.97) is True
    assert await triggers.has_triggered(TOKEN, 0.95) is True
    assert await triggers.has_triggered(TOKEN, 0.97) is False
    assert await triggers.has_condition_triggered(CONDITION, 0.95) is True
    assert await triggers.has_condition_triggered("another condition", 0.95) is False


async def test_a_duplicate_is_no_error_and_changes_nothing(triggers: TriggerRepository) -> None:
    first = await triggers.create(trigger(price="0.96"))
    assert await triggers.create(trigger(price="0.99", condition_id="other")) == first
    assert await triggers.count() == 1


@pytest.mark.parametrize("threshold", [0.95, Decimal("0.95"), "0.95", "0.950"])
async def test_a_threshold_is_the_same_in_every_spelling(
    triggers: TriggerRepository, threshold: Any
) -> None:
    stored = await triggers.create(trigger(threshold=threshold))
    assert stored.threshold == 0.95
    for spelling in (0.95, Decimal("0.95"), "0.95"):
        given: Any = spelling
        assert await triggers.has_triggered(TOKEN, given)
        assert not await triggers.should_trigger("other", CONDITION, given)
        assert len(await triggers.get_recent(0, given)) == 1
        assert await triggers.exists((TOKEN, given))


@pytest.mark.parametrize("condition_id", [None, ""])
async def test_no_condition_is_not_a_condition_that_many_share(
    triggers: TriggerRepository, condition_id: str | None
) -> None:
    await triggers.create(trigger(condition_id=condition_id))
    assert await triggers.should_trigger("another token", condition_id, 0.95) is True
    assert await triggers.has_condition_triggered(condition_id, 0.95) is False
    assert await triggers.should_trigger(TOKEN, condition_id, 0.95) is False


async def test_triggers_are_listed_newest_first(triggers: TriggerRepository) -> None:
    for number, threshold in enumerate((0.9, 0.95, 0.97)):
        await triggers.create(trigger(threshold=threshold, trigger_timestamp=NOW + number))
    await triggers.create(trigger("other", condition_id="other", trigger_timestamp=NOW + 9))
    by_token = await triggers.get_by_token(TOKEN, limit=2)
    assert [row.threshold for row in by_token] == [0.97, 0.95]
    by_condition = await triggers.get_by_condition(CONDITION)
    assert [row.threshold for row in by_condition] == [0.97, 0.95, 0.9]
    assert [r.trigger_timestamp - NOW for r in await triggers.get_recent(NOW + 1)] == [9, 2, 1]
    assert [r.token_id for r in await triggers.get_recent(NOW, 0.95)] == ["other", TOKEN]


async def test_older_rows_in_milliseconds_stand_in_their_place(
    db: Database, triggers: TriggerRepository
) -> None:
    insert = (
        "INSERT INTO polymarket_first_triggers (token_id, threshold, trigger_timestamp, created_at)"
        " VALUES ($1, 0.95, $2, '')"
    )
    await db.execute(insert, "old", 1_700_000_000_000)
    await db.execute(insert, "new in milliseconds", (NOW + 5) * 1000)
    await triggers.create(trigger())
    recent = await triggers.get_recent(NOW)
    assert [row.token_id for row in recent] == ["new in milliseconds", TOKEN]


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), "much", None, True, 10**40])
async def test_what_is_no_threshold_is_refused_by_name(
    triggers: TriggerRepository, threshold: Any
) -> None:
    with pytest.raises(InvalidInput, match="threshold"):
        await triggers.should_trigger(TOKEN, CONDITION, threshold)


async def test_a_trigger_from_the_future_is_refused(
    db: Database, triggers: TriggerRepository
) -> None:
    now = int(await db.fetchval("SELECT extract(epoch FROM now())"))
    with pytest.raises(FutureTime, match="trigger_timestamp"):
        await triggers.create(trigger(trigger_timestamp=now + 1_000))
    assert await triggers.count() == 0


MARKS = [(TradeWatermarkRepository, "c"), (TriggerWatermarkRepository, 0.95)]


@pytest.mark.parametrize(("repository", "key"), MARKS)
async def test_a_watermark_is_zero_until_it_is_set(db: Database, repository: Any, key: Any) -> None:
    marks = repository(db)
    assert await marks.get(key) is None
    assert await marks.get_timestamp(key) == 0
    stored = await marks.update(key, NOW)
    assert await marks.get(key) == stored
    assert (stored.last_timestamp, await marks.get_timestamp(key)) == (NOW, NOW)


@pytest.mark.parametrize(("repository", "key"), MARKS)
async def test_a_watermark_never_goes_backwards(db: Database, repository: Any, key: Any) -> None:
    marks = repository(db)
    await marks.update(key, NOW)
    assert (await marks.update(key, NOW - 1)).last_timestamp == NOW
    assert await marks.get_timestamp(key) == NOW


@pytest.mark.parametrize(("repository", "key"), MARKS)
async def test_a_watermark_holds_the_latest_under_any_interleaving(
    db: Database, repository: Any, key: Any
) -> None:
    marks = repository(db)
    steps = list(range(NOW, NOW + 200))
    random.Random(5).shuffle(steps)  # noqa: S311 - an order, no secret

    async def move(timestamp: int) -> None:
        stored = await marks.update(key, timestamp)
        assert stored.last_timestamp >= timestamp

    await asyncio.gather(*map(move, steps))
    assert await marks.get_timestamp(key) == max(steps)


@pytest.mark.parametrize(("repository", "key"), MARKS)
@pytest.mark.parametrize("wrong", [-1, 1_760_000_000_000, None, "x", True])
async def test_a_watermark_is_not_poisoned(
    db: Database, repository: Any, key: Any, wrong: Any
) -> None:
    marks = repository(db)
    await marks.update(key, NOW)
    with pytest.raises(InvalidInput, match="last_timestamp"):
        await marks.update(key, wrong)
    ahead = int(await db.fetchval("SELECT extract(epoch FROM now())")) + 1_000
    with pytest.raises(FutureTime, match="last_timestamp"):
        await marks.update(key, ahead)
    assert await marks.get_timestamp(key) == NOW
