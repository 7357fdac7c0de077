"""Orders and paper trades: what each call returns, in which order, and what it refuses."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from polymarket_bot.storage import (
    AlreadyExists,
    Database,
    LiveOrder,
    LiveOrderRepository,
)
from tests.makers import TOKEN
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import order, sent

OTHER = "8" * 77


@pytest.fixture
def orders(db: Database) -> LiveOrderRepository:
    return LiveOrderRepository(db)


def names(rows: list[LiveOrder]) -> list[str | None]:
    return [row.order_id for row in rows]


async def test_create_returns_the_stored_row_with_its_id(orders: LiveOrderRepository) -> None:
    stored = await sent(orders, "a")
    assert stored == order("a", id=stored.id, submitted_at="2025-10-09T00:00:00.000000+00:00")
    assert await orders.get_by_order_id("a") == stored
    assert await orders.get_by_id(stored.id) == stored
    with pytest.raises(AlreadyExists):
        await sent(orders, "a", 1)
    for _ in range(2):  # orders without the exchange's id are all different
        await sent(orders, None)
    assert await orders.count() == 3


async def test_orders_are_listed_by_the_time_of_their_submission(
    orders: LiveOrderRepository,
) -> None:
    for name, hour in (("b", 2), ("a", 1), ("d", 4), ("c", 3)):
        await sent(orders, name, hour)
    await sent(orders, "partial", 0, status="partial", token_id=OTHER)
    for status in ("pending", "filled", "cancelled", "rejected", "own"):
        await sent(orders, status, 9, status=status, token_id=OTHER)
    assert names(await orders.get_active()) == ["partial", "a", "b", "c", "d"]
    assert names(await orders.get_by_status("submitted", limit=3)) == ["d", "c", "b"]
    assert names(await orders.get_by_status("own")) == ["own"]
    assert names(await orders.get_by_token(TOKEN)) == ["d", "c", "b", "a"]
    assert await orders.get_by_status("submitted", limit=0) == []


async def test_of_orders_of_one_instant_the_later_stored_is_the_newer(
    orders: LiveOrderRepository,
) -> None:
    for name in "abc":
        await sent(orders, name)
    assert names(await orders.get_active()) == ["a", "b", "c"]
    assert names(await orders.get_by_status("submitted")) == ["c", "b", "a"]


async def test_what_is_not_there_is_none_or_empty(orders: LiveOrderRepository) -> None:
    assert await orders.get_by_order_id("absent") is None
    assert await orders.get_active() == []
    assert await orders.get_by_status("filled") == []
    assert await orders.get_by_token(TOKEN) == []
    assert await orders.get_unsubmitted(0) == []
    assert await orders.attach_order_id(1, "absent") is None
    assert await orders.update_status("absent", "filled") is None
    assert await orders.mark_filled("absent", "0.9", 1) is None
    assert await orders.mark_cancelled("absent") is None
    assert await orders.mark_rejected("absent", "why") is None
    assert await orders.delete("absent", id_column="order_id") is False


async def test_a_status_is_set_and_the_rest_is_left_as_it_was(orders: LiveOrderRepository) -> None:
    before = await sent(orders, "a", reason="first")
    partial = await orders.update_status("a", "partial", "0.94", "2.5")
    assert partial is not None
    assert (partial.status, partial.reason, partial.filled_at) == ("partial", "first", None)
    assert (partial.fill_price, partial.fill_size) == (Decimal("0.94"), Decimal("2.5"))
    assert partial.updated_at is not None
    changed = {"status", "fill_price", "fill_size", "updated_at"}
    assert partial.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    again = await orders.update_status("a", "partial", reason="second")
    assert again is not None
    assert (again.fill_size, again.reason) == (Decimal("2.5"), "second")


async def test_a_filled_order_has_its_time(orders: LiveOrderRepository) -> None:
    await sent(orders, "a")
    filled = await orders.mark_filled("a", "0.945", "10")
    assert filled is not None
    assert (filled.status, str(filled.fill_price), str(filled.fill_size)) == (
        "filled",
        "0.945",
        "10",
    )
    assert filled.filled_at is not None
    assert filled.filled_at == filled.updated_at
    known = "2025-10-09T01:02:03.000000+00:00"
    await sent(orders, "b", filled_at=known)
    later = await orders.mark_filled("b", 1, 10)
    assert later is not None
    assert later.filled_at == known


async def test_other_ends_have_no_time_of_a_fill(orders: LiveOrderRepository) -> None:
    for name in "abc":
        await sent(orders, name, reason="first")
    cancelled = await orders.mark_cancelled("a", "too late")
    assert cancelled is not None
    assert (cancelled.status, cancelled.reason) == ("cancelled", "too late")
    silent = await orders.mark_cancelled("b")
    assert silent is not None
    assert (silent.status, silent.reason) == ("cancelled", "first")
    rejected = await orders.mark_rejected("c", "no money")
    assert rejected is not None
    assert (rejected.status, rejected.reason) == ("rejected", "no money")
    assert cancelled.filled_at is silent.filled_at is rejected.filled_at is None


BEYOND = datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))  # the year 10000 in UTC
CALLS: Calls = [
    ("order_id", lambda o, v: o.get_by_order_id(v), [None, "", 5, "a\x00"]),
    ("status", lambda o, v: o.get_by_status(v), [None, "", 5]),
    ("limit", lambda o, v: o.get_by_status("filled", v), [None, -1, True, 1.0, "1"]),
    ("token_id", lambda o, v: o.get_by_token(v), [None, "", 5]),
    (
        "older_than",
        lambda o, v: o.get_unsubmitted(v),
        [None, "soon", True, -1, timedelta.max, 1e300, BEYOND],
    ),
    ("id", lambda o, v: o.attach_order_id(v, "b"), [None, "x", True, 2**31]),
    ("order_id", lambda o, v: o.attach_order_id(1, v), [None, "", 5, "a\x00"]),
    ("order_id", lambda o, v: o.update_status(v, "filled"), [None, "", 5]),
    ("status", lambda o, v: o.update_status("a", v), [None, "", 5, "a\x00"]),
    ("fill_price", lambda o, v: o.update_status("a", "partial", v), ["x", -0.1, 1.1, True]),
    ("fill_size", lambda o, v: o.update_status("a", "partial", 1, v), ["x", -1, float("nan")]),
    ("reason", lambda o, v: o.update_status("a", "partial", reason=v), [5, "a\x00"]),
    ("fill_price", lambda o, v: o.mark_filled("a", v, 1), [None, "x", 1.1, True]),
    ("fill_size", lambda o, v: o.mark_filled("a", 1, v), [None, "x", -1, True]),
    ("reason", lambda o, v: o.mark_cancelled("a", v), [5]),
    ("reason", lambda o, v: o.mark_rejected("a", v), [None, 5, "a\x00"]),
]


async def test_a_wrong_argument_is_refused_by_name(orders: LiveOrderRepository) -> None:
    row = await sent(orders, "a")
    await assert_all_refused(orders, CALLS)
    assert await orders.get_all() == [row]
