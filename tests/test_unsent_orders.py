"""Orders that are written down before they are sent: they get their id once, or are found."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from polymarket_bot.storage import (
    AlreadyExists,
    Database,
    InvalidInput,
    LiveOrder,
    LiveOrderRepository,
)
from tests.small_rows import DAY, order, sent


@pytest.fixture
def orders(db: Database) -> LiveOrderRepository:
    return LiveOrderRepository(db)


async def test_an_order_gets_its_id_once(orders: LiveOrderRepository) -> None:
    row = await sent(orders, None, status="pending")
    attached = await orders.attach_order_id(row.id or 0, "a")
    assert attached is not None
    assert (attached.order_id, attached.status) == ("a", "pending")
    assert attached.updated_at is not None
    assert await orders.attach_order_id(row.id or 0, "a") == attached
    with pytest.raises(InvalidInput, match="order_id: the order has the id a already"):
        await orders.attach_order_id(row.id or 0, "b")
    assert await orders.get_all() == [attached]


async def test_an_id_belongs_to_one_order(orders: LiveOrderRepository) -> None:
    await sent(orders, "a")
    row = await sent(orders, None)
    with pytest.raises(AlreadyExists):
        await orders.attach_order_id(row.id or 0, "a")
    assert await orders.get_by_id(row.id) == row


async def test_of_two_ids_for_one_order_one_is_attached(orders: LiveOrderRepository) -> None:
    for round_ in range(10):
        row = await sent(orders, None)
        ids = [f"{round_}-{name}" for name in ("a", "b")]
        answers = await asyncio.gather(
            *(orders.attach_order_id(row.id or 0, name) for name in ids), return_exceptions=True
        )
        (won,) = [answer for answer in answers if isinstance(answer, LiveOrder)]
        (lost,) = [answer for answer in answers if not isinstance(answer, LiveOrder)]
        assert isinstance(lost, InvalidInput)
        assert await orders.get_by_id(row.id) == won
        assert won.order_id in ids


async def test_of_two_orders_for_one_id_one_gets_it(orders: LiveOrderRepository) -> None:
    for round_ in range(10):
        rows = [await sent(orders, None), await sent(orders, None)]
        answers = await asyncio.gather(
            *(orders.attach_order_id(row.id or 0, f"id {round_}") for row in rows),
            return_exceptions=True,
        )
        (won,) = [answer for answer in answers if isinstance(answer, LiveOrder)]
        assert [type(answer) for answer in answers if answer is not won] == [AlreadyExists]
        assert await orders.get_by_order_id(f"id {round_}") == won


async def test_the_same_id_twice_at_once_is_attached_for_both(orders: LiveOrderRepository) -> None:
    row = await sent(orders, None)
    answers = await asyncio.gather(*(orders.attach_order_id(row.id or 0, "a") for _ in range(8)))
    assert len({answer.model_dump_json() for answer in answers if answer is not None}) == 1
    assert None not in answers


async def test_orders_without_an_answer_are_found_oldest_first(
    db: Database, orders: LiveOrderRepository
) -> None:
    now = await db.fetchval("SELECT now()")
    for ago, status in (
        (3, "pending"),
        (5, "submitted"),
        (4, "own"),
        (6, "filled"),
        (7, "cancelled"),
        (8, "rejected"),
    ):
        await orders.create(order(None, status=status, submitted_at=now - timedelta(hours=ago)))
    await orders.create(order("answered", submitted_at=now - timedelta(hours=9)))
    four_ago = now - timedelta(hours=3, minutes=30)
    for older_than in (
        timedelta(hours=3, minutes=30),
        3.5 * 3_600,
        four_ago,
        four_ago.replace(tzinfo=None),
        four_ago.astimezone(timezone(timedelta(hours=9))),
        four_ago.isoformat(),
        four_ago.isoformat(" ")[:19],
        four_ago.timestamp(),
        int(four_ago.timestamp()),
    ):
        found = await orders.get_unsubmitted(older_than)
        assert [row.status for row in found] == ["submitted", "own"], older_than
    for everything in (0, timedelta(0), now, now.timestamp()):
        found = await orders.get_unsubmitted(everything)
        assert [row.status for row in found] == ["submitted", "own", "pending"]


async def test_the_latest_moment_of_an_order_without_an_answer_is_inclusive(
    orders: LiveOrderRepository,
) -> None:
    row = await sent(orders, None)
    assert await orders.get_unsubmitted(DAY) == [row]
    assert await orders.get_unsubmitted(DAY - timedelta(microseconds=1)) == []


@pytest.mark.parametrize(
    ("older_than", "is_found"),
    [
        (timedelta(days=999_999), False),
        (999_999_999, False),
        (datetime.max.replace(tzinfo=UTC), True),
        (datetime.min.replace(tzinfo=UTC), False),
        ("0001-01-01", False),
        ("9999-12-31", True),
    ],
    ids=repr,
)
async def test_an_extreme_age_or_moment_finds_all_or_nothing(
    orders: LiveOrderRepository, older_than: Any, *, is_found: bool
) -> None:
    row = await sent(orders, None)
    assert await orders.get_unsubmitted(older_than) == [row] * is_found
