"""What a row's status forbids changes nothing and is counted by nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from polymarket_bot.storage import (
    BaseRepository,
    Database,
    LiveOrder,
    Table,
    TradeApproval,
    TradeApprovalRepository,
)
from polymarket_bot.storage.tables import (
    CANDIDATES,
    EXIT_EVENTS,
    LIVE_ORDERS,
    POSITIONS,
    PRODUCTION,
    TRADE_APPROVALS,
)
from tests.every_table import repository, with_key_of
from tests.strategies import row

FINAL = [
    (CANDIDATES, "executed"),
    (LIVE_ORDERS, "filled"),
    (LIVE_ORDERS, "cancelled"),
    (LIVE_ORDERS, "rejected"),
    (POSITIONS, "closed"),
    (POSITIONS, "resolved"),
    (EXIT_EVENTS, "executed"),
    (EXIT_EVENTS, "failed"),
    (TRADE_APPROVALS, "executed"),
    (TRADE_APPROVALS, "expired"),
]
FREE = [
    (CANDIDATES, ("pending", "approved", "rejected", "a bot's own")),
    (LIVE_ORDERS, ("a bot's own", "another")),
    (POSITIONS, ("open", "a bot's own")),
    (EXIT_EVENTS, ("pending", "a bot's own")),
    (TRADE_APPROVALS, ("pending", None, "a bot's own")),
]

Write = Callable[[Any], Awaitable[Any]]


def writes(held: BaseRepository[Any]) -> tuple[tuple[Write, Write], ...]:
    """Return the ways to change a stored row, each for one row and for many."""
    return ((held.update, held.update_many), (held.upsert, held.upsert_many))


def by_unique_columns(table: Table[Any], model: Any) -> list[Any]:
    """Return the model without its id where other columns tell which row it is, if any do."""
    if not (table.generated and table.unique):
        return []
    return [table.model.model_validate(model.model_dump() | dict.fromkeys(table.generated))]


def named(value: Any) -> str:
    return value.name if isinstance(value, Table) else str(value)


def test_these_are_all_tables_with_final_statuses() -> None:
    with_status = {table for table in PRODUCTION if table.lifecycle is not None}
    assert {table for table, _ in FINAL} == {table for table, _ in FREE} == with_status


@pytest.mark.parametrize(("table", "status"), FINAL, ids=named)
async def test_a_row_in_a_final_status_is_returned_unchanged_and_not_counted(
    db: Database, table: Table[Any], status: str
) -> None:
    held = repository(db, table)
    frozen = await held.create(row(table, 1, status=status))
    free = await held.create(row(table, 2))
    older = {table.newest: "2020-01-01"} if table.newest else {}
    for new_status in (status, "pending", "open", "a bot's own"):
        changed = with_key_of(table, frozen, row(table, 3, status=new_status, **older))
        for single, many in writes(held):
            assert await single(changed) == frozen
            assert await many([changed]) == 0
        for bare in by_unique_columns(
            table, changed.model_copy(update=unique_values(table, frozen))
        ):
            assert await held.upsert(bare) == frozen
            assert await held.upsert_many([bare]) == 0
    assert await held.get_all() == [frozen, free]


def unique_values(table: Table[Any], model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for columns in table.unique for name in columns}


@pytest.mark.parametrize(("table", "status"), FINAL, ids=named)
async def test_a_frozen_row_does_not_keep_the_others_of_its_batch_from_changing(
    db: Database, table: Table[Any], status: str
) -> None:
    held = repository(db, table)
    frozen = await held.create(row(table, 1, status=status))
    free = await held.create(row(table, 2))
    older = {table.newest: "2020-01-01"} if table.newest else {}
    late = with_key_of(table, frozen, row(table, 3, **older))
    for number, (_, many) in enumerate(writes(held), 4):
        changed = with_key_of(table, free, row(table, number))
        assert await many([late, changed]) == 1
        assert await held.get_all() == [frozen, changed]


@pytest.mark.parametrize(("table", "status"), FINAL, ids=named)
async def test_a_status_becomes_final_by_any_write(
    db: Database, table: Table[Any], status: str
) -> None:
    held = repository(db, table)
    for number, write in enumerate((held.update, held.upsert), 1):
        stored = await held.create(row(table, number))
        changed = with_key_of(table, stored, row(table, number + 10, status=status))
        assert await write(changed) == changed
        again = with_key_of(table, stored, row(table, number + 5, status="pending"))
        assert await write(again) == changed


@pytest.mark.parametrize(("table", "statuses"), FREE, ids=named)
async def test_a_status_that_is_not_final_is_followed_by_any_other(
    db: Database, table: Table[Any], statuses: tuple[str, ...]
) -> None:
    held = repository(db, table)
    number = 0
    for before, after in permutations(statuses, 2):
        number += 10
        stored = await held.create(row(table, number, status=before))
        for step, (single, many) in enumerate(writes(held)):
            back = with_key_of(table, stored, row(table, number + 4 * step + 1, status=before))
            await held.update(back)
            changed = with_key_of(table, stored, row(table, number + 4 * step + 2, status=after))
            assert await single(changed) == changed
            changed = with_key_of(table, stored, row(table, number + 4 * step + 3, status=after))
            assert await many([changed]) == 1
            assert await held.get_by_id(changed.token_id, "token_id") == changed


@pytest.mark.parametrize(
    ("before", "after"),
    [("submitted", "pending"), ("partial", "pending"), ("partial", "submitted")],
)
async def test_an_order_does_not_go_back_to_an_earlier_stage(
    db: Database, before: str, after: str
) -> None:
    held = repository(db, LIVE_ORDERS)
    stored = await held.create(row(LIVE_ORDERS, 1, status=before))
    late = with_key_of(LIVE_ORDERS, stored, row(LIVE_ORDERS, 2, status=after))
    for single, many in writes(held):
        assert await single(late) == stored
        assert await many([late]) == 0
    forward = with_key_of(LIVE_ORDERS, stored, row(LIVE_ORDERS, 2, status=before))
    assert await held.update(forward) == forward


@pytest.mark.parametrize("after", ["submitted", "partial", "filled", "cancelled", "rejected"])
async def test_an_order_goes_on_from_pending_to_every_other_status(
    db: Database, after: str
) -> None:
    held = repository(db, LIVE_ORDERS)
    stored = await held.create(row(LIVE_ORDERS, 1, status="pending"))
    changed = with_key_of(LIVE_ORDERS, stored, row(LIVE_ORDERS, 2, status=after))
    assert await held.update_many([changed]) == 1
    assert await held.get_all() == [changed]


@pytest.mark.parametrize(
    ("before", "after", "grows"),
    [
        ("2.5", "2.5", True),
        ("2.5", "2.50001", True),
        ("2.5", "2.49999", False),
        ("2.5", "0", False),
        ("2.5", None, False),
        (None, None, True),
        (None, "0", True),
        ("0", None, True),
        (None, "1", True),
    ],
)
async def test_a_fill_never_shrinks(
    db: Database, before: str | None, after: str | None, grows: bool
) -> None:
    held = repository(db, LIVE_ORDERS)
    stored = await held.create(row(LIVE_ORDERS, 1, status="partial", fill_size=before))
    changed: LiveOrder = with_key_of(
        LIVE_ORDERS, stored, row(LIVE_ORDERS, 2, status="partial", fill_size=after)
    )
    for single, many in writes(held):
        assert await single(changed) == (changed if grows else stored)
        assert await many([changed]) == int(grows)
    assert await held.get_all() == [changed if grows else stored]


def approval(**changes: Any) -> TradeApproval:
    fields = {"token_id": "t", "approved_at": "2025-01-02T00:00:00+00:00", **changes}
    return TradeApproval(**fields)


EARLIER_OR_THE_SAME = [
    "2025-01-02T00:00:00Z",
    "2025-01-01T20:00:00-04:00",
    "2025-01-01",
    "2024-12-31",
]
LATER = ["2025-01-02T00:00:00.000001Z", "2025-01-01T23:59:59-00:01", "2025-02-01"]


@pytest.mark.parametrize("status", ["pending", "executed", "expired"])
@pytest.mark.parametrize("approved_at", EARLIER_OR_THE_SAME)
async def test_an_approval_that_is_not_newer_changes_nothing(
    db: Database, status: str, approved_at: str
) -> None:
    approvals = TradeApprovalRepository(db)
    stands = await approvals.create(approval(status=status))
    late = approval(approved_at=approved_at, max_price="0.5")
    assert await approvals.create(late) == await approvals.upsert(late) == stands
    assert await approvals.create_many([late, late]) == await approvals.upsert_many([late]) == 0
    assert await approvals.get_all() == [stands]


@pytest.mark.parametrize("status", ["pending", "executed", "expired"])
@pytest.mark.parametrize("approved_at", LATER)
async def test_a_newer_approval_stands_whatever_became_of_the_last(
    db: Database, status: str, approved_at: str
) -> None:
    approvals = TradeApprovalRepository(db)
    await approvals.create(approval(status=status, approved_by="first"))
    newer = approval(approved_at=approved_at, max_price="0.5", approved_by=None)
    assert await approvals.create_many([newer]) == 1
    stands = await approvals.create(newer)
    assert stands == newer
    assert (stands.status, stands.max_price) == ("pending", Decimal("0.5"))


@pytest.mark.parametrize("older", ["2025-01-02 00:00:00", "2025-01-02T00:00:00Z", "long ago"])
async def test_a_stored_approval_is_compared_as_a_time_however_it_is_written(
    db: Database, older: str
) -> None:
    approvals = TradeApprovalRepository(db)
    await approvals.create(approval())
    await db.execute("UPDATE trade_approvals SET approved_at = $1", older)
    is_time = older != "long ago"
    assert await approvals.create_many([approval(max_price="0.5")]) == (0 if is_time else 1)
    later = approval(approved_at="2025-01-02T00:00:01Z", max_price="0.25")
    assert await approvals.create(later) == later


async def test_an_update_of_an_approval_that_was_executed_needs_a_newer_one(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    executed = await approvals.create(approval(status="executed"))
    assert await approvals.update(approval(approved_at="2026-01-01")) == executed
    assert await approvals.update_many([approval(approved_at="2026-01-01")]) == 0
    newer = await approvals.upsert(approval(approved_at="2026-01-01"))
    assert newer.status == "pending"


async def test_of_several_approvals_in_a_batch_one_stands_a_token(db: Database) -> None:
    approvals = TradeApprovalRepository(db)
    batch = [approval(token_id=token, max_price="0.5") for token in "cab"]
    assert await approvals.create_many([*batch, *batch]) == 3
    newer = [approval(token_id=token, approved_at="2025-03-01") for token in "ca"]
    assert await approvals.create_many([*newer, *batch]) == 2
    assert await approvals.get_all() == [newer[1], batch[2], newer[0]]


async def test_a_lifecycle_sees_every_row_of_a_batch_in_turn(db: Database) -> None:
    held = repository(db, LIVE_ORDERS)
    stored = await held.create(row(LIVE_ORDERS, 1, status="pending"))
    steps = [("submitted", 2), ("partial", 8), ("submitted", 12), ("filled", 16), ("cancelled", 20)]
    told = [
        with_key_of(LIVE_ORDERS, stored, row(LIVE_ORDERS, n, status=status)) for status, n in steps
    ]
    assert await held.update_many(told) == 3
    assert await held.get_all() == [told[3]]
    assert await held.upsert_many(told) == 0
