"""The tables: one entry each."""

from __future__ import annotations

from typing import Any

from polymarket_bot.storage.mapping import lifecycle
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.models.approvals import ApprovalAlert, TradeApproval
from polymarket_bot.storage.models.candidates import CandidateWatermark, PolymarketCandidate
from polymarket_bot.storage.models.markets import (
    PolymarketResolution,
    PolymarketTokenMeta,
    StreamWatchlistItem,
)
from polymarket_bot.storage.models.ops import LateTrade, Lease, SchemaVersion
from polymarket_bot.storage.models.orders import LiveOrder, PaperTrade
from polymarket_bot.storage.models.positions import DailyPnl, ExitEvent, Position
from polymarket_bot.storage.models.trades import PolymarketTrade, TradeWatermark
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger, TriggerWatermark
from polymarket_bot.storage.models.watchlists import (
    MarketScoresCache,
    ScoreHistory,
    TradeWatchlistItem,
)

_SERIAL = ("id",)

TRADES = Table("polymarket_trades", PolymarketTrade, key=("condition_id", "trade_id"))
TRADE_WATERMARKS = Table("trade_watermarks", TradeWatermark, key=("condition_id",))

FIRST_TRIGGERS = Table(
    "polymarket_first_triggers", PolymarketFirstTrigger, key=("token_id", "threshold")
)
TRIGGER_WATERMARKS = Table("trigger_watermarks", TriggerWatermark, key=("threshold",))

CANDIDATES = Table(
    "polymarket_candidates",
    PolymarketCandidate,
    key=("id",),
    generated=_SERIAL,
    lifecycle=lifecycle.CANDIDATE,
)
CANDIDATE_WATERMARKS = Table("candidate_watermarks", CandidateWatermark, key=("threshold",))

PAPER_TRADES = Table("paper_trades", PaperTrade, key=("id",), generated=_SERIAL)
LIVE_ORDERS = Table(
    "live_orders",
    LiveOrder,
    key=("id",),
    generated=_SERIAL,
    unique=(("order_id",),),
    lifecycle=lifecycle.ORDER,
)

POSITIONS = Table(
    "positions",
    Position,
    key=("id",),
    generated=_SERIAL,
    unique=(("token_id", "entry_timestamp"),),
    lifecycle=lifecycle.POSITION,
)
EXIT_EVENTS = Table(
    "exit_events", ExitEvent, key=("id",), generated=_SERIAL, lifecycle=lifecycle.EXIT
)
DAILY_PNL = Table("daily_pnl", DailyPnl, key=("date",))

TRADE_APPROVALS = Table(
    "trade_approvals",
    TradeApproval,
    key=("token_id",),
    lifecycle=lifecycle.APPROVAL,
    newest="approved_at",
)
APPROVAL_ALERTS = Table("approval_alerts", ApprovalAlert, key=("token_id",))

STREAM_WATCHLIST = Table("stream_watchlist", StreamWatchlistItem, key=("market_id",))
RESOLUTIONS = Table("polymarket_resolutions", PolymarketResolution, key=("condition_id",))
TOKEN_META = Table("polymarket_token_meta", PolymarketTokenMeta, key=("token_id",))

TRADE_WATCHLIST = Table("trade_watchlist", TradeWatchlistItem, key=("token_id",))
MARKET_SCORES = Table("market_scores_cache", MarketScoresCache, key=("condition_id",))
SCORE_HISTORY = Table("score_history", ScoreHistory, key=("id",), generated=_SERIAL)

PRODUCTION: tuple[Table[Any], ...] = tuple(
    entry for entry in list(globals().values()) if isinstance(entry, Table)
)
"""Every table of `seed/01_schema.sql`."""

SCHEMA_VERSION = Table("schema_version", SchemaVersion, key=("version",), schema="ops")
LATE_TRADES = Table("late_trades", LateTrade, key=("condition_id", "trade_id"), schema="ops")
LEASES = Table("leases", Lease, key=("name",), schema="ops")

OPS: tuple[Table[Any], ...] = (SCHEMA_VERSION, LATE_TRADES, LEASES)
"""Every table of `seed/03_ops.sql`."""

ALL = (*PRODUCTION, *OPS)
"""Every table of the seed files."""
