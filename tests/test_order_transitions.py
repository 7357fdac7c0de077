"""Which status of an order may follow which, and that a fill never shrinks, however written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import Database, LiveOrder, LiveOrderRepository
from polymarket_bot.storage.mapping.lifecycle import ORDER
from tests.small_rows import order

EVERY = ("pending", "submitted", "partial", "filled", "cancelled", "rejected", "own")
MAY_FOLLOW = {
    "pending": EVERY,
    "submitted": ("submitted", "partial", "filled", "cancelled", "rejected", "own"),
    "partial": ("partial", "filled", "cancelled", "rejected", "own"),
    "own": EVERY,
    "filled": (),
    "cancelled": (),
    "rejected": (),
}
PAIRS = [(stored, given) for stored in EVERY for given in EVERY]

Way = Callable[[LiveOrderRepository, LiveOrder], Awaitable[LiveOrder | None]]


async def by_status(orders: LiveOrderRepository, wanted: LiveOrder) -> LiveOrder | None:
    return await orders.update_status(
        wanted.order_id or "", wanted.status, wanted.fill_price, wanted.fill_size, wanted.reason
    )


async def by_upsert_of_its_order_id(
    orders: LiveOrderRepository, wanted: LiveOrder
) -> LiveOrder | None:
    return await orders.upsert(wanted.model_copy(update={"id": None}))


async def by_update_many(orders: LiveOrderRepository, wanted: LiveOrder) -> LiveOrder | None:
    return await _counted(orders, wanted, orders.update_many([wanted]))


async def by_upsert_many(orders: LiveOrderRepository, wanted: LiveOrder) -> LiveOrder | None:
    return await _counted(orders, wanted, orders.upsert_many([wanted]))


async def by_upsert_many_of_its_order_id(
    orders: LiveOrderRepository, wanted: LiveOrder
) -> LiveOrder | None:
    new = wanted.model_copy(update={"id": None})
    return await _counted(orders, wanted, orders.upsert_many([new]))


async def _counted(
    orders: LiveOrderRepository, wanted: LiveOrder, writing: Awaitable[int]
) -> LiveOrder | None:
    """Return the stored row after a batch, whose count must say whether it was changed."""
    before = await orders.get_by_id(wanted.id)
    count = await writing
    after = await orders.get_by_id(wanted.id)
    assert count == (after != before)
    return after


WAYS: list[Way] = [
    by_status,
    LiveOrderRepository.update,
    LiveOrderRepository.upsert,
    by_upsert_of_its_order_id,
    by_update_many,
    by_upsert_many,
    by_upsert_many_of_its_order_id,
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@pytest.fixture
def orders(db: Database) -> LiveOrderRepository:
    return LiveOrderRepository(db)


def changed(row: LiveOrder, **changes: Any) -> LiveOrder:
    """A copy that differs in its reason, too."""
    return LiveOrder(**row.model_dump() | {"reason": "given"} | changes)


def test_the_table_is_that_of_the_package() -> None:
    assert {status for status, after in MAY_FOLLOW.items() if not after} == set(ORDER.final)
    for earlier, later in zip(ORDER.stages, ORDER.stages[1:], strict=False):
        assert earlier not in MAY_FOLLOW[later]
        assert later in MAY_FOLLOW[earlier]
    assert set(EVERY) == {*ORDER.final, *ORDER.stages, "own"}


@EVERY_WAY
async def test_a_status_follows_only_where_the_table_says_so(
    orders: LiveOrderRepository, way: Way
) -> None:
    for stored, given in PAIRS:
        row = await orders.create(order(f"{stored} {given}", status=stored, fill_size="2"))
        after = await way(orders, changed(row, status=given))
        assert after is not None
        if given in MAY_FOLLOW[stored]:
            assert (after.status, after.reason) == (given, "given"), (stored, given)
        else:
            assert after == row, (stored, given)
        assert await orders.get_by_id(row.id) == after


@EVERY_WAY
async def test_a_fill_never_shrinks(orders: LiveOrderRepository, way: Way) -> None:
    for given in ("submitted", "partial", "filled", "cancelled", "own"):
        row = await orders.create(order(given, fill_size="5", fill_price="0.9"))
        for smaller in ("4.9", "0", Decimal("4.999999")):
            assert await way(orders, changed(row, status=given, fill_size=smaller)) == row
        assert await orders.get_by_id(row.id) == row
        larger = await way(orders, changed(row, status=given, fill_size="5.000001"))
        assert larger is not None
        assert (larger.status, str(larger.fill_size)) == (given, "5.000001")


@EVERY_WAY
async def test_a_fill_of_the_same_real_is_no_smaller(orders: LiveOrderRepository, way: Way) -> None:
    for stored, given in (("0.1", "0.1"), ("16777216", "16777215.9"), ("2.5", "2.50")):
        row = await orders.create(order(stored, fill_size=stored, status="partial"))
        after = await way(orders, changed(row, fill_size=given))
        assert after is not None
        assert (str(after.fill_size), after.reason) == (stored, "given")


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
async def test_a_fill_is_not_forgotten(orders: LiveOrderRepository, way: Way) -> None:
    row = await orders.create(order(fill_size="5"))
    assert await way(orders, changed(row, fill_size=None)) == row
    nothing = await orders.create(order("nothing filled"))
    after = await way(orders, changed(nothing, fill_size=None))
    assert after is not None
    assert (after.fill_size, after.reason) == (None, "given")


async def test_of_a_batch_what_may_follow_is_written(orders: LiveOrderRepository) -> None:
    rows = [await orders.create(order(status, status=status)) for status in EVERY]
    given = [changed(row, status="submitted") for row in rows]
    may = {status for status, after in MAY_FOLLOW.items() if "submitted" in after}
    assert may == {"pending", "submitted", "own"}
    assert await orders.update_many(given) == 3
    assert await orders.upsert_many(changed(row, id=None, reason="again") for row in given) == 3
    for row in rows:
        after = await orders.get_by_id(row.id)
        assert after is not None
        written = (after.status, after.reason) == ("submitted", "again")
        assert written if row.status in may else after == row


@pytest.mark.parametrize("way", ["update_many", "upsert_many"])
async def test_of_one_order_in_a_batch_each_status_has_its_turn(
    orders: LiveOrderRepository, way: str
) -> None:
    row = await orders.create(order(status="pending"))
    other = await orders.create(order("other", status="own"))
    given = [
        changed(row, status="partial", fill_size="2"),
        changed(row, status="submitted", fill_size="2", reason="late"),
        changed(row, status="partial", fill_size="1", reason="late"),
        changed(other, status="submitted"),
        changed(row, status="filled", fill_size="3", reason="last"),
        changed(row, status="partial", fill_size="4", reason="late"),
    ]
    await getattr(orders, way)(given)
    assert await orders.get_all() == [given[4], given[3]]


@pytest.mark.parametrize("first", ["filled", "cancelled", "rejected"])
async def test_a_late_status_changes_nothing(orders: LiveOrderRepository, first: str) -> None:
    await orders.create(order())
    ended = await orders.update_status("o1", first, "0.9", 3, "first")
    assert ended is not None
    late = [
        await orders.mark_filled("o1", 1, 10),
        await orders.mark_cancelled("o1", "late"),
        await orders.mark_rejected("o1", "late"),
        await orders.update_status("o1", "submitted", "0.5", 10, "late"),
    ]
    assert late == [ended] * 4
    assert await orders.get_all() == [ended]


async def test_of_two_ends_at_once_one_stands(orders: LiveOrderRepository) -> None:
    for number in range(10):
        name = str(number)
        await orders.create(order(name))
        answers = await asyncio.gather(
            orders.mark_filled(name, "0.9", 10),
            orders.mark_cancelled(name, "gone"),
            orders.mark_rejected(name, "no"),
            orders.mark_filled(name, "0.8", 10),
        )
        stored = await orders.get_by_order_id(name)
        assert list(answers) == [stored] * 4


async def test_of_fills_in_any_order_the_largest_stands(orders: LiveOrderRepository) -> None:
    await orders.create(order())
    sizes = list(range(1, 41))
    random.Random(7).shuffle(sizes)  # noqa: S311 - an order, no secret

    async def fill(size: int) -> None:
        after = await orders.update_status("o1", "partial", "0.9", size)
        assert after is not None
        assert (after.fill_size or 0) >= size

    await asyncio.gather(*map(fill, sizes))
    (row,) = await orders.get_all()
    assert row.fill_size == max(sizes)
