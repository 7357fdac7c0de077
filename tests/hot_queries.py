"""What bots ask a repository all the time, and the indexes that each may read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Awaitable, Iterator
from typing import Any, NamedTuple

from polymarket_bot.storage import (
    CandidateRepository,
    ExitEventRepository,
    LiveOrderRepository,
    PaperTradeRepository,
    PositionRepository,
    ResolutionRepository,
    ScoreHistoryRepository,
    TokenMetaRepository,
    TradeApprovalRepository,
    TradeRepository,
    TradeWatchlistRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.repositories import trade_stream
from tests.makers import payload, trade, trigger
from tests.plans import (
    condition,
    md5_of,
    token,
)
from tests.small_rows import position

BUSY, QUIET, RESTED = condition(0), condition(1900), condition(2000)
CONDITIONS = {
    "busy": BUSY,
    "quiet": QUIET,
    "rested": RESTED,
    "first": min(map(condition, range(2000))),
    "last": max(map(condition, range(2000))),
}
BUSY_TOKEN, QUIET_TOKEN = token(0), token(3800)
DAY = 86_400
NOW = int(time.time())
MIDST = NOW - 40 * DAY
KNOWN = (BUSY, md5_of(100_003))
ORDER = "0x" + md5_of(49_999)
BOUNDS: dict[str, dict[str, Any]] = {
    "without bounds": {},
    "from a time": {"start": MIDST},
    "up to a time": {"end": MIDST},
    "between times": {"start": MIDST, "end": MIDST + DAY},
}

BY_KEY = "polymarket_trades_pkey"
BY_CONDITION = "idx_trades_condition_timestamp"
BY_TOKEN = "idx_trades_token_timestamp"  # noqa: S105 - an index
BY_TIME = "idx_trades_timestamp"
WITHOUT_A_TIME, OLD_SCORES = 1_000, 2_000


class Case(NamedTuple):
    """A question to a repository.

    Attributes:
        name: of the method, and of what is particular to the call.
        indexes: those that may be read.
        asked: the call.
        more: how many rows more than in proportion to its answer it may read.
    """

    name: str
    indexes: str
    asked: Awaitable[Any]
    more: int = 0


async def several(rows: AsyncIterable[Any], number: int = 250) -> list[Any]:
    """Return the first rows."""
    taken: list[Any] = []
    async for row in rows:
        taken.append(row)
        if len(taken) >= number:
            break
    return taken


async def negated(asked: Awaitable[Any]) -> bool:
    """Tell whether the answer is none."""
    return not await asked


def of_trades(db: Executor) -> Iterator[Case]:
    trades = TradeRepository(db)
    for name, asked in CONDITIONS.items():
        yield Case(f"get_by_condition, {name}", BY_CONDITION, trades.get_by_condition(asked))
        latest = trades.get_latest_timestamp(asked)
        yield Case(f"get_latest_timestamp, {name}", BY_CONDITION, latest)
        yield Case(f"get_since, {name}", BY_CONDITION, trades.get_since(asked, 0, 100))
        yield Case(
            f"get_since, {name}, none", BY_CONDITION, negated(trades.get_since(asked, NOW + DAY))
        )
    yield Case("get_by_condition, all", BY_CONDITION, trades.get_by_condition(QUIET, 10_000))
    yield Case("get_recent", BY_CONDITION, trades.get_recent(BUSY, DAY))
    yield Case("get_recent, none", BY_CONDITION, negated(trades.get_recent(RESTED, DAY)))
    yield Case("get_recent, then", BY_CONDITION, trades.get_recent(BUSY, DAY, now=MIDST))
    yield Case("get_since", BY_CONDITION, trades.get_since(BUSY, MIDST, 100))
    for name, bounds in BOUNDS.items():
        by_token = trades.get_by_token(BUSY_TOKEN, limit=100, **bounds)
        yield Case(f"get_by_token, {name}", BY_TOKEN, by_token)
    yield Case("get_by_token, rested", BY_TOKEN, trades.get_by_token(token(4000), limit=100))
    yield Case("get_by_token, all", BY_TOKEN, trades.get_by_token(QUIET_TOKEN))
    yield Case("get_by_id", BY_KEY, trades.get_by_id(KNOWN))
    yield Case("exists", BY_KEY, trades.exists(KNOWN))
    yield Case("get_all", BY_KEY, trades.get_all(100))


def of_trade_streams(db: Executor) -> Iterator[Case]:
    trades = TradeRepository(db)
    for name, bounds in BOUNDS.items():
        by_condition = trades.stream(BUSY, **bounds, batch_size=100)
        yield Case(f"stream of a condition, {name}", BY_CONDITION, several(by_condition))
        by_token = trades.stream(token_id=BUSY_TOKEN, **bounds, batch_size=100)
        yield Case(f"stream of a token, {name}", BY_TOKEN, several(by_token))
        everything = trades.stream(**bounds, batch_size=100)
        yield Case(f"stream of everything, {name}", BY_TIME, several(everything))
    for name, asked in CONDITIONS.items():
        yield Case(f"stream, {name}", BY_CONDITION, several(trades.stream(asked, batch_size=100)))
    both = trades.stream(BUSY, token_id=BUSY_TOKEN, batch_size=100)
    yield Case("stream of a condition's token", BY_TOKEN, several(both))
    whole = trades.stream(QUIET, batch_size=100)
    yield Case("stream of a condition, to the end", BY_CONDITION, several(whole, 10_000))
    whole = trades.stream(token_id=QUIET_TOKEN, batch_size=100)
    yield Case("stream of a token, to the end", BY_TOKEN, several(whole, 10_000))
    timeless = trade_stream._pages(db, {}, trade_stream._ORDER[1:], 100)
    yield Case("stream, without a time", BY_TIME, several(timeless, 3), WITHOUT_A_TIME)


def of_stored_trades(db: Executor) -> Iterator[Case]:
    trades = TradeRepository(db)
    known = trade(KNOWN[1], condition_id=BUSY)
    new = [
        payload(conditionId=condition(n), transactionHash=f"0x{n:064x}") for n in range(0, 4000, 2)
    ]
    by_mark = "trade_watermarks_pkey"
    stored = f"{by_mark} {BY_KEY}"
    yield Case("create", stored, trades.create(trade()))
    yield Case("create, stored already", stored, trades.create(known))
    yield Case("upsert", stored, trades.upsert(known))
    yield Case("create_many", by_mark, trades.create_many([trade(str(n)) for n in range(500)]))
    yield Case("ingest", by_mark, trades.ingest(new), 2 * len(new))
    yield Case("ingest of one", by_mark, trades.ingest(new[:1]))


def of_processing(db: Executor) -> Iterator[Case]:
    trades, marks = TradeRepository(db), TradeWatermarkRepository(db)
    by_mark, late = "trade_watermarks_pkey", "idx_late_trades_unhandled late_trades_pkey"
    every = f"{by_mark} {late} {BY_CONDITION} {BY_KEY}"
    latest = int(time.time())  # the rows end with the time at which they were made

    async def processed(asked: str, since: int) -> bool:
        await marks.reset(asked, since, "to see the plans")
        report = await trades.process_new(asked, nothing, limit=100)
        return bool(report.handled)

    for name, asked in CONDITIONS.items():
        yield Case(f"process_new, {name}, none", every, negated(processed(asked, latest)))
        yield Case(f"process_new, {name}, all", every, processed(asked, 1))
    yield Case("process_new", every, processed(BUSY, MIDST))


async def nothing(_: object) -> None:
    """Do nothing with what is handed over."""


def of_watermarks(db: Executor) -> Iterator[Case]:
    marks, key = TradeWatermarkRepository(db), "trade_watermarks_pkey"
    yield Case("get", key, marks.get(BUSY))
    yield Case("get_timestamp", key, marks.get_timestamp(BUSY))
    yield Case("update", "", marks.update(BUSY, NOW))
    yield Case(
        "update_many", "", marks.update_many({condition(n): NOW for n in range(40_000, 40_009)})
    )


def of_triggers(db: Executor) -> Iterator[Case]:
    triggers, key = TriggerRepository(db), "polymarket_first_triggers_pkey"
    by_condition, by_time = "idx_first_triggers_condition_threshold", "idx_first_triggers_timestamp"
    both = f"{key} {by_condition}"
    yield Case("should_trigger", both, triggers.should_trigger("t", "c", 0.95))
    yield Case("should_trigger, not", both, negated(triggers.should_trigger("t", BUSY, 0.95)))
    yield Case("has_triggered", key, triggers.has_triggered(BUSY_TOKEN, 0.95))
    yield Case("has_condition_triggered", by_condition, triggers.has_condition_triggered(BUSY, 0.9))
    yield Case("get_by_token", key, triggers.get_by_token(BUSY_TOKEN))
    yield Case("get_by_condition", by_condition, triggers.get_by_condition(BUSY))
    yield Case("get_recent", by_time, triggers.get_recent(NOW - 3600))
    yield Case("get_recent, of a threshold", by_time, triggers.get_recent(NOW - 3600, 0.95), 400)
    yield Case("get_recent, none", by_time, negated(triggers.get_recent(NOW + DAY)))
    known = trigger(BUSY_TOKEN, threshold=0.9)
    yield Case("create", by_condition, triggers.create(trigger()))
    yield Case("create, stored already", both, triggers.create(known))
    yield Case("claim", by_condition, triggers.claim(trigger("another")))
    yield Case("claim, lost", both, negated(triggers.claim(known)))
    yield Case("release", key, triggers.release(BUSY_TOKEN, 0.9))


def of_candidates(db: Executor) -> Iterator[Case]:
    candidates, of_status = CandidateRepository(db), "idx_candidates_status_created"
    yield Case("get_pending", of_status, candidates.get_pending())
    yield Case("get_by_status", of_status, candidates.get_by_status("executed"))
    yield Case("get_by_token", "idx_candidates_token", candidates.get_by_token(QUIET_TOKEN))
    yield Case("update_status", "polymarket_candidates_pkey", candidates.update_status(9, "new"))
    yield Case("get_all", "polymarket_candidates_pkey", candidates.get_all(100))


def of_orders(db: Executor) -> Iterator[Case]:
    paper, orders = PaperTradeRepository(db), LiveOrderRepository(db)
    of_decision = "idx_paper_trades_decision_created"
    yield Case("get_by_candidate", "idx_paper_trades_candidate", paper.get_by_candidate(9))
    yield Case("get_recent", "idx_paper_trades_created", paper.get_recent())
    yield Case("get_by_decision", of_decision, paper.get_by_decision("trade"))
    of_status, by_id = "idx_live_orders_status_submitted", "live_orders_order_id_key"
    either = f"idx_live_orders_status {of_status}"
    yield Case("get_by_order_id", by_id, orders.get_by_order_id(ORDER))
    yield Case("get_active", either, orders.get_active())
    yield Case("get_by_status", of_status, orders.get_by_status("filled"))
    yield Case("get_by_token", "idx_live_orders_token", orders.get_by_token(QUIET_TOKEN))
    yield Case("update_status", by_id, orders.update_status(ORDER, "partial"))
    yield Case("get_unsubmitted", either, orders.get_unsubmitted(60))


def of_positions(db: Executor) -> Iterator[Case]:
    positions, exits = PositionRepository(db), ExitEventRepository(db)
    of_status = "idx_positions_status_entry"
    either = f"idx_positions_status {of_status}"
    of_token = "idx_positions_token positions_token_id_entry_timestamp_key"  # noqa: S105
    opened = token(49_950 // 3)
    yield Case("get_open", either, positions.get_open())
    yield Case("get_by_status", of_status, positions.get_by_status("closed"))
    yield Case("get_by_token", of_token, positions.get_by_token(opened))
    yield Case("get_open_by_token", f"{of_token} {either}", positions.get_open_by_token(opened))
    yield Case("update_price", "positions_pkey", positions.update_price(50_000, "0.5"))
    yield Case("close", "positions_pkey", positions.close(50_000, "0.5"))
    yield Case("create", of_token, positions.create(position(opened)))
    yield Case("get_pending", "idx_exit_events_status", exits.get_pending())
    yield Case("get_by_position", "idx_exit_events_position", exits.get_by_position(9))


def of_markets(db: Executor) -> Iterator[Case]:
    resolutions, meta = ResolutionRepository(db), TokenMetaRepository(db)
    by_key = "polymarket_token_meta_pkey"
    yield Case("get_recent", "idx_resolutions_resolved", resolutions.get_recent())
    yield Case("is_resolved", "polymarket_resolutions_pkey", resolutions.is_resolved(BUSY))
    yield Case("get_by_condition", "idx_token_meta_condition", meta.get_by_condition(BUSY))
    yield Case("get_condition_id", by_key, meta.get_condition_id(BUSY_TOKEN))


def of_scores_and_approvals(db: Executor) -> Iterator[Case]:
    scores, approvals = ScoreHistoryRepository(db), TradeApprovalRepository(db)
    by_time = "idx_score_history_scored"
    yield Case("get_by_token", "idx_score_history_token_scored", scores.get_by_token(token(0)))
    yield Case("get_recent", by_time, scores.get_recent(NOW - 3600))
    yield Case("cleanup_old", by_time, scores.cleanup_old(29.5), 4 * OLD_SCORES)
    yield Case("cleanup_old, none", by_time, negated(scores.cleanup_old(100)))
    yield Case("get_all", "score_history_pkey", scores.get_all(100))
    key = "trade_approvals_pkey"
    yield Case("get_valid", key, approvals.get_valid(BUSY_TOKEN, "0.9"))
    yield Case("consume", key, approvals.consume(BUSY_TOKEN, "0.9"))
    watched = TradeWatchlistRepository(db)
    yield Case("get_watching", "idx_watchlist_status", watched.get_watching())


GROUPS = (
    of_trades,
    of_trade_streams,
    of_stored_trades,
    of_processing,
    of_watermarks,
    of_triggers,
    of_candidates,
    of_orders,
    of_positions,
    of_markets,
    of_scores_and_approvals,
)
