"""Approvals and the questions before them: who stands, until when, up to which price, and once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import (
    ApprovalAlertRepository,
    Database,
    InvalidInput,
    TradeApprovalRepository,
)
from tests.makers import TOKEN
from tests.questions import clock
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import alert, approval, store, tokens

DAY = datetime(2025, 10, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def approvals(db: Database) -> TradeApprovalRepository:
    return TradeApprovalRepository(db)


@pytest.fixture
def alerts(db: Database) -> ApprovalAlertRepository:
    return ApprovalAlertRepository(db)


async def test_of_approvals_for_a_token_the_newest_stands(
    approvals: TradeApprovalRepository,
) -> None:
    first = await approvals.create(approval(approved_at=DAY, approved_by="ann"))
    assert first == approval(approved_at=DAY, approved_by="ann")
    for late in (DAY - SECOND, DAY):
        assert await approvals.create(approval(approved_at=late, max_price="0.5")) == first
    second = await approvals.create(approval(approved_at=DAY + SECOND, max_price="0.5"))
    assert (second.approved_by, second.max_price) == ("telegram", Decimal("0.5"))
    assert await approvals.get_by_token(TOKEN) == second
    assert await approvals.count() == 1


async def test_create_many_counts_the_approvals_that_stand_anew(
    approvals: TradeApprovalRepository,
) -> None:
    await approvals.create(approval("a", approved_at=DAY))
    given = [approval(name, approved_at=DAY) for name in "abc"]
    assert await approvals.create_many(given) == 2
    assert await approvals.create_many(given) == 0
    newer = [approval(name, approved_at=DAY + SECOND) for name in "ab"]
    assert await approvals.create_many([*given, *newer]) == 2


async def test_of_one_token_twice_in_a_batch_the_newest_stands(
    approvals: TradeApprovalRepository,
) -> None:
    await approvals.create(approval(approved_at=DAY))
    given = [
        approval(approved_at=DAY + HOUR, approved_by="new"),
        approval(approved_at=DAY + HOUR, approved_by="the same again"),
        approval(approved_at=DAY - HOUR, approved_by="old"),
    ]
    assert await approvals.create_many(given) == 1
    stored = await approvals.get_by_token(TOKEN)
    assert stored == given[0]


async def test_approvals_are_listed_oldest_first(approvals: TradeApprovalRepository) -> None:
    for name, hour in (("d", 4), ("b", 2), ("c", 3), ("a", 2)):
        await approvals.create(approval(name, approved_at=DAY + hour * HOUR))
    await approvals.mark_executed("c")
    assert tokens(await approvals.get_pending()) == ["a", "b", "d"]


async def test_what_is_not_there_is_none_or_empty(
    approvals: TradeApprovalRepository, alerts: ApprovalAlertRepository
) -> None:
    assert await approvals.get_by_token(TOKEN) is None
    assert await approvals.get_pending() == []
    assert await approvals.get_valid(TOKEN, 0) is None
    assert await approvals.consume(TOKEN, 0) is None
    assert await approvals.mark_executed(TOKEN) is None
    assert await approvals.mark_expired(TOKEN) is None
    assert await approvals.expire_old() == 0
    assert await alerts.get_pending() == []
    assert await alerts.approve(TOKEN) is None
    assert await alerts.delete_old() == 0


@pytest.mark.parametrize("limit", ["0.95", "0.79000014", "0", "1", "0.1", "0.999999"])
async def test_an_approval_is_good_up_to_its_price_as_a_real(
    approvals: TradeApprovalRepository, limit: str
) -> None:
    stored = await approvals.create(approval(max_price=limit))
    prices: list[Any] = [limit, Decimal(limit), float(limit), stored.max_price, Decimal(limit) / 2]
    for price in prices:
        assert await approvals.get_valid(TOKEN, price) == stored, price
    higher = Decimal(limit) + Decimal("0.0000005")
    if higher <= 1:
        assert await approvals.get_valid(TOKEN, higher) is None
        assert await approvals.consume(TOKEN, higher) is None
    assert await approvals.consume(TOKEN, limit) is not None


async def test_without_an_end_it_never_expires_and_without_a_price_it_is_never_good(
    approvals: TradeApprovalRepository,
) -> None:
    ancient = await approvals.create(approval(approved_at="0001-01-01"))
    assert ancient.expires_at is None
    await approvals.create(approval("no price", max_price=None))
    assert await approvals.expire_old() == 0
    assert await approvals.get_valid(TOKEN, "0.98") == ancient
    for price in (0, "0.5", 1):
        assert await approvals.get_valid("no price", price) is None
        assert await approvals.consume("no price", price) is None


async def test_an_approval_ends_when_it_expires(
    db: Database, approvals: TradeApprovalRepository
) -> None:
    now = await clock(db)
    for name, ends in (("over", now - SECOND), ("just", now), ("good", now + HOUR)):
        await approvals.create(approval(name, expires_at=ends))
    await approvals.create(approval("done", expires_at=now - HOUR, status="executed"))
    for name in ("over", "just", "done"):
        assert await approvals.get_valid(name, "0.5") is None
    assert await approvals.expire_old() == 2
    assert await approvals.expire_old() == 0
    statuses = {row.token_id: row.status for row in await approvals.get_all()}
    assert statuses == {"over": "expired", "just": "expired", "good": "pending", "done": "executed"}


async def test_an_approval_is_consumed_once(
    db: Database, approvals: TradeApprovalRepository
) -> None:
    before = await clock(db)
    given = await approvals.create(approval())
    consumed = await approvals.consume(TOKEN, "0.9")
    assert consumed is not None
    assert consumed.executed_at is not None
    assert before.isoformat() <= consumed.executed_at <= (await clock(db)).isoformat()
    assert consumed == given.model_copy(
        update={"status": "executed", "executed_at": consumed.executed_at}
    )
    assert await approvals.consume(TOKEN, "0.9") is None
    assert await approvals.get_valid(TOKEN, "0.9") is None
    assert await approvals.get_pending() == []


@pytest.mark.parametrize(
    "same", [DAY, "2025-10-09", "2025-10-09T02:00:00+02:00", "2025-10-08 19:00:00-05"], ids=repr
)
async def test_only_a_later_approval_arms_again(
    approvals: TradeApprovalRepository, same: Any
) -> None:
    await approvals.create(approval(approved_at=DAY))
    consumed = await approvals.consume(TOKEN, "0.9")
    for given in (same, DAY - HOUR):
        assert await approvals.create(approval(approved_at=given)) == consumed
        assert await approvals.upsert_many([approval(approved_at=given)]) == 0
        assert await approvals.consume(TOKEN, "0.9") is None
    later = await approvals.create(approval(approved_at="2025-10-09T02:00:00.000001+02:00"))
    assert (later.status, later.executed_at) == ("pending", None)
    assert await approvals.consume(TOKEN, "0.9") is not None
    assert await approvals.consume(TOKEN, "0.9") is None


@pytest.mark.parametrize("first", ["executed", "expired"])
async def test_an_approval_that_has_ended_stays_so(
    approvals: TradeApprovalRepository, first: str
) -> None:
    await approvals.create(approval(approved_at=DAY))
    mark = approvals.mark_executed if first == "executed" else approvals.mark_expired
    ended = await mark(TOKEN)
    assert ended is not None
    assert (ended.status, ended.executed_at is not None) == (first, first == "executed")
    assert await approvals.mark_executed(TOKEN) == ended
    assert await approvals.mark_expired(TOKEN) == ended
    assert await approvals.consume(TOKEN, 0) is None
    for given in (ended.model_copy(update={"status": "pending"}), approval(approved_at=DAY)):
        assert await approvals.update(given) == ended
        assert await approvals.update_many([given]) == 0
    assert await approvals.get_all() == [ended]


async def test_an_approval_of_a_bots_own_status_is_not_good(
    approvals: TradeApprovalRepository,
) -> None:
    await approvals.create(approval(status="paused"))
    await approvals.create(approval("none", status=None))
    assert await approvals.get_valid(TOKEN, 0) is None
    assert await approvals.get_valid("none", 0) is None
    marked = await approvals.mark_expired("none")
    assert marked is not None
    assert marked.status == "expired"


async def test_a_consumer_and_an_end_at_once_agree(approvals: TradeApprovalRepository) -> None:
    for number in range(10):
        name = str(number)
        await approvals.create(approval(name))
        consumed, expired = await asyncio.gather(
            approvals.consume(name, "0.9"), approvals.mark_expired(name)
        )
        stored = await approvals.get_by_token(name)
        assert stored == expired
        assert (consumed == stored) if consumed else (stored and stored.status == "expired")


async def test_alerts_are_listed_oldest_first_until_they_are_approved(
    alerts: ApprovalAlertRepository,
) -> None:
    for name, hour in (("c", 3), ("b", 1), ("a", 1)):
        await alerts.create(alert(name, alerted_at=DAY + hour * HOUR, price="0.9"))
    assert tokens(await alerts.get_pending()) == ["a", "b", "c"]
    approved = await alerts.approve("b")
    assert approved is not None
    assert (approved.approved, approved.price) == (True, Decimal("0.9"))
    assert await alerts.approve("b") == approved
    assert tokens(await alerts.get_pending()) == ["a", "c"]


async def test_of_alerts_for_a_token_the_first_stands(alerts: ApprovalAlertRepository) -> None:
    first = await alerts.create(alert(question="first"))
    assert await alerts.create(alert(question="second")) == first
    assert await alerts.create_many([alert(question="third"), alert("b")]) == 1


async def test_an_alert_whose_answer_is_missing_is_not_listed(
    db: Database, alerts: ApprovalAlertRepository
) -> None:
    await store(db, "approval_alerts", token_id=TOKEN, alerted_at="", approved=None)
    assert await alerts.get_pending() == []
    approved = await alerts.approve(TOKEN)
    assert approved is not None
    assert approved.approved is True


async def test_alerts_are_deleted_by_their_age(
    db: Database, alerts: ApprovalAlertRepository
) -> None:
    now = await clock(db)
    for days in (0, 1, 6.99, 7.01, 30):
        await alerts.create(alert(str(days), alerted_at=now - timedelta(days=days)))
    assert await alerts.delete_old() == 2
    assert await alerts.delete_old(days=0.5) == 2
    assert await alerts.delete_old(days=0) == 1
    assert await alerts.count() == 0


CALLS: Calls = [
    ("token_id", lambda a, v: a.get_by_token(v), [None, "", 5]),
    ("token_id", lambda a, v: a.get_valid(v, 0), [None, "", 5]),
    ("max_price", lambda a, v: a.get_valid(TOKEN, v), [None, "x", -0.1, 1.1, float("nan"), True]),
    ("token_id", lambda a, v: a.consume(v, 0), [None, "", "a\x00"]),
    ("price", lambda a, v: a.consume(TOKEN, v), [None, "x", -0.1, 1.1, "nan", True]),
    ("token_id", lambda a, v: a.mark_executed(v), [None, "", 5]),
    ("token_id", lambda a, v: a.mark_expired(v), [None, "", 5]),
    ("trade_approvals", lambda a, v: a.create(v), [None, alert(), {}]),
    ("trade_approvals", lambda a, v: a.create_many([approval(), v]), [None, alert(), {}]),
]


async def test_a_wrong_argument_is_refused_by_name(approvals: TradeApprovalRepository) -> None:
    await assert_all_refused(approvals, CALLS)
    assert await approvals.count() == 0


@pytest.mark.parametrize("wrong", [None, -1, "7", True, float("nan"), 10**6], ids=repr)
async def test_a_wrong_age_is_refused_by_name(alerts: ApprovalAlertRepository, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="days"):
        await alerts.delete_old(wrong)
