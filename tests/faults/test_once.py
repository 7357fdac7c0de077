"""What happens once happens once through a lost connection, too, and its caller gets the answer."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from polymarket_bot.storage import (
    ApprovalAlertRepository,
    CandidateRepository,
    DailyPnlRepository,
    Database,
    ExitEventRepository,
    LiveOrder,
    LiveOrderRepository,
    PaperTradeRepository,
    PolymarketTrade,
    PositionRepository,
    ProcessReport,
    ScoreHistoryRepository,
    TradeApprovalRepository,
    TradeRepository,
    TradeWatchlistRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from tests.makers import NOW, trade, trigger
from tests.small_rows import (
    alert,
    approval,
    candidate,
    exit_event,
    order,
    paper_trade,
    position,
    watched,
)

from .proxy import Action, Proxy, Trigger
from .record import tell
from .support import value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from .servers import Server

DAY = "2025-10-09"

# Where a write of one row in a block of its own can be cut: the write itself, the question for
# its transaction's id, its COMMIT, and its BEGIN.
MOMENTS = ("^commit", r"^\s*(update|insert|with|delete)", "if_assigned", "^begin")
CUTS = (Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN)


def every_cut(proxy: Proxy, *moments: str) -> Iterator[Callable[[], None]]:
    """Yield, for each moment and kind of cut, what lets the next such statement be cut."""
    made = 0
    for pattern, action in itertools.product((*MOMENTS, *moments), CUTS):
        armed: list[Trigger] = []

        def cut(pattern: str = pattern, action: Action = action, armed: Any = armed) -> None:
            armed.append(proxy.when(pattern, action))

        yield cut
        assert armed, "nothing was cut"
        assert [trigger.count for trigger in armed] == [1] * len(armed), (pattern, action)
        made += len(armed)
    tell("network", times=made)


@pytest.fixture
def db(proxied: Database) -> Database:
    return proxied


async def test_a_position_is_closed_or_resolved_once(db: Database, proxy: Proxy) -> None:
    positions = PositionRepository(db)
    for number, cut in enumerate(every_cut(proxy)):
        closing = (await positions.create(position(f"{number} closed"))).id or 0
        resolving = (await positions.create(position(f"{number} resolved"))).id or 0
        cut()
        closed = await positions.close(closing, "0.85", "out")
        cut()
        resolved = await positions.resolve(resolving, "YES", 85)
        for id_, ended, status in ((closing, closed, "closed"), (resolving, resolved, "resolved")):
            assert ended is not None
            assert (ended.status, str(ended.realized_pnl)) == (status, "10")
            assert await positions.get_by_id(id_) == ended
            assert await positions.close(id_, "0.1") is None
            assert await positions.resolve(id_, "NO", 0) is None


async def test_a_claim_that_was_cut_off_is_won_once_and_loses_to_no_other(
    db: Database, proxy: Proxy
) -> None:
    triggers = TriggerRepository(db)
    for number, cut in enumerate(every_cut(proxy)):
        mine = trigger(f"token{number}", condition_id=f"condition{number}")
        cut()
        claim = await triggers.claim(mine)
        assert claim, claim
        assert await triggers.get_by_token_threshold(mine.token_id, 0.95) == mine
        rival = await triggers.claim(trigger("rival", condition_id=f"condition{number}"))
        assert (rival.lost_by, rival.existing) == ("condition", mine)
        cut()
        assert await triggers.release(mine.token_id, 0.95) is True
        assert not await triggers.has_triggered(mine.token_id, 0.95)


async def test_new_and_late_trades_are_handed_over_once(db: Database, proxy: Proxy) -> None:
    trades, paper = TradeRepository(db), PaperTradeRepository(db)
    moments = ("pg_try_advisory", 'from "ops"', r"pg_advisory_xact_lock\(")
    for number, cut in enumerate(every_cut(proxy, *moments)):
        condition = f"condition {number}"
        await TradeWatermarkRepository(db).update(condition, NOW)
        await trades.create_many(
            trade(name, condition_id=condition, timestamp=NOW + place)
            for name, place in (("late", -1), ("new", 1))
        )

        async def note(given: list[PolymarketTrade]) -> None:
            await paper.create_many(
                paper_trade(token_id=f"{one.trade_id} {one.condition_id}") for one in given
            )

        cut()
        report = await trades.process_new(condition, note)
        assert report == ProcessReport(handled=1, late=1, watermark=NOW + 1)
        seen = [row.token_id for row in await paper.get_all()]
        assert sorted(seen[-2:]) == [f"late {condition}", f"new {condition}"]
        assert len(seen) == 2 * (number + 1)
        assert (await trades.process_new(condition, note)).handled == 0


async def test_an_approval_is_consumed_once(db: Database, proxy: Proxy) -> None:
    approvals = TradeApprovalRepository(db)
    for number, cut in enumerate(every_cut(proxy)):
        token = (await approvals.create(approval(str(number)))).token_id
        cut()
        consumed = await approvals.consume(token, "0.9")
        assert consumed is not None
        assert consumed.status == "executed"
        assert await approvals.get_by_token(token) == consumed
        assert await approvals.consume(token, "0.9") is None


async def test_a_booking_is_added_once(db: Database, proxy: Proxy) -> None:
    pnl = DailyPnlRepository(db)
    for number, cut in enumerate(every_cut(proxy), 1):
        cut()
        row = await pnl.add(DAY, realized="1.5", trades=1, wins=1)
        assert (float(row.realized_pnl or 0), row.num_trades) == (1.5 * number, number)
        assert await pnl.get_by_id(DAY) == row


async def test_an_orders_steps_are_answered_with_the_stored_row(db: Database, proxy: Proxy) -> None:
    orders = LiveOrderRepository(db)
    for number, cut in enumerate(every_cut(proxy)):
        id_ = (await orders.create(order(None))).id or 0
        name = str(number)
        steps: list[Callable[[], Awaitable[LiveOrder | None]]] = [
            partial(orders.attach_order_id, id_, name),
            partial(orders.update_status, name, "partial", "0.9", 2),
            partial(orders.mark_filled, name, "0.9", 10),
            partial(orders.mark_cancelled, name, "late"),
        ]
        answers = []
        for step in steps:
            cut()
            answers.append(await step())
            assert answers[-1] == await orders.get_by_id(id_)
        filled, late = answers[2:]
        assert filled is not None
        assert (filled.order_id, filled.status) == (name, "filled")
        assert late == filled


async def test_other_marks_are_answered_with_the_stored_row(db: Database, proxy: Proxy) -> None:
    candidates, exits = CandidateRepository(db), ExitEventRepository(db)
    for cut in every_cut(proxy):
        id_ = (await candidates.create(candidate())).id or 0
        cut()
        executed = await candidates.mark_executed(id_)
        assert executed is not None
        assert (executed.status, executed) == ("executed", await candidates.get_by_id(id_))
        event = (await exits.create(exit_event())).id or 0
        cut()
        failed = await exits.mark_failed(event, "no bid")
        assert failed is not None
        assert (failed.status, failed) == ("failed", await exits.get_by_id(event))


async def test_a_score_is_recorded_once(db: Database, server: Server, proxy: Proxy) -> None:
    watchlist = TradeWatchlistRepository(db)
    token = (await watchlist.create(watched())).token_id
    for number, cut in enumerate(every_cut(proxy), 1):
        cut()
        row = await watchlist.update_score(token, number, 1, record_history=True)
        assert row == await watchlist.get_by_id(token)
        assert await value(server.url(), "SELECT count(*) FROM score_history") == number


async def test_counts_of_what_was_changed_are_exact(db: Database, proxy: Proxy) -> None:
    approvals, alerts = TradeApprovalRepository(db), ApprovalAlertRepository(db)
    marks, history = TradeWatermarkRepository(db), ScoreHistoryRepository(db)
    insert = "INSERT INTO score_history (scored_at) SELECT 1 FROM generate_series(1, 3)"
    for number, cut in enumerate(every_cut(proxy)):
        await approvals.create_many(approval(f"{n} {number}", expires_at=DAY) for n in "abc")
        await alerts.create_many(alert(n) for n in "abc")
        await db.execute(insert)
        calls: list[Callable[[], Awaitable[int]]] = [
            approvals.expire_old,
            partial(alerts.delete_old, days=1),
            partial(history.cleanup_old, days=1),
            partial(marks.update_many, dict.fromkeys("abc", NOW + number)),
        ]
        for call in calls:
            cut()
            assert await call() == 3


async def test_a_watermark_is_reset_once_and_says_from_where(
    db: Database, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    marks = TradeWatermarkRepository(db)
    await marks.update("c", NOW)
    for number, cut in enumerate(every_cut(proxy)):
        caplog.clear()
        cut()
        row = await marks.reset("c", NOW - number - 1, "a test")
        assert row == await marks.get("c")
        said = [r.getMessage() for r in caplog.records if "was reset" in r.getMessage()]
        moved = f"from {NOW - number} to {NOW - number - 1}"
        assert said == [f"trade_watermarks of 'c' was reset {moved}: a test"]


async def test_a_commit_without_an_answer_is_no_second_booking(db: Database, proxy: Proxy) -> None:
    pnl = DailyPnlRepository(db)
    held = proxy.when("^commit", Action.HOLD_REPLY)
    row = await pnl.add(DAY, realized=1, trades=1)
    held.release()
    assert row.num_trades == 1
    held = proxy.when("^commit", Action.HOLD)
    row = await pnl.add(DAY, realized=1, trades=1)
    held.release()
    assert row.num_trades == 2
    assert (await pnl.add(DAY)).num_trades == 2
