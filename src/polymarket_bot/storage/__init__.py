"""Async PostgreSQL storage for trading bots."""

import logging

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.holders import Holder, PoolStats
from polymarket_bot.storage.connections.listening import Notification
from polymarket_bot.storage.connections.queries import QueryEvent
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.errors import (
    AccessRefused,
    AlreadyExists,
    AlreadyHeld,
    ConfigurationError,
    Conflict,
    ConnectionLost,
    ConstraintViolation,
    EmbeddedServerError,
    FutureTime,
    GrantRefused,
    HoldLost,
    IdleTransactionTimeout,
    InvalidInput,
    InvalidRecord,
    InvalidValue,
    LockTimeout,
    MigrationRefused,
    NotInitialized,
    NotPermitted,
    OtherRecord,
    Outcome,
    PoolerUndeclared,
    PoolTimeout,
    QueryError,
    ReadOnlyServer,
    SchemaMissing,
    ServerExhausted,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TlsRefused,
    TooManyConnections,
    TransactionAborted,
    TransactionError,
    WrongLoop,
)
from polymarket_bot.storage.ingest import IngestReport, Refusal
from polymarket_bot.storage.injection import get_db, get_transaction, init_db
from polymarket_bot.storage.mapping.lifecycle import Lifecycle
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.models.approvals import ApprovalAlert, TradeApproval
from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.models.candidates import CandidateWatermark, PolymarketCandidate
from polymarket_bot.storage.models.markets import (
    PolymarketResolution,
    PolymarketTokenMeta,
    StreamWatchlistItem,
)
from polymarket_bot.storage.models.orders import LiveOrder, PaperTrade
from polymarket_bot.storage.models.positions import DailyPnl, ExitEvent, Position
from polymarket_bot.storage.models.trades import PolymarketTrade, TradeWatermark
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger, TriggerWatermark
from polymarket_bot.storage.models.watchlists import (
    MarketScoresCache,
    ScoreHistory,
    TradeWatchlistItem,
)
from polymarket_bot.storage.monitoring.findings import HealthLimits
from polymarket_bot.storage.monitoring.health import HealthReport
from polymarket_bot.storage.repositories.approval_repo import (
    ApprovalAlertRepository,
    TradeApprovalRepository,
)
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.repositories.candidate_repo import (
    CandidateRepository,
    CandidateWatermarkRepository,
)
from polymarket_bot.storage.repositories.daily_pnl_repo import DailyPnlRepository
from polymarket_bot.storage.repositories.market_repo import (
    ResolutionRepository,
    StreamWatchlistRepository,
    TokenMetaRepository,
)
from polymarket_bot.storage.repositories.order_repo import (
    LiveOrderRepository,
    PaperTradeRepository,
)
from polymarket_bot.storage.repositories.position_repo import (
    ExitEventRepository,
    PositionRepository,
)
from polymarket_bot.storage.repositories.processing import ProcessReport
from polymarket_bot.storage.repositories.trade_repo import (
    TradeRepository,
    TradeWatermarkRepository,
)
from polymarket_bot.storage.repositories.trigger_claims import Claim
from polymarket_bot.storage.repositories.trigger_repo import (
    TriggerRepository,
    TriggerWatermarkRepository,
)
from polymarket_bot.storage.repositories.watchlist_repo import (
    MarketScoresCacheRepository,
    ScoreHistoryRepository,
    TradeWatchlistRepository,
)
from polymarket_bot.storage.schema.drift import Difference, SchemaDrift, SchemaReport
from polymarket_bot.storage.schema.migrations import MigrationReport, MigrationStep
from polymarket_bot.storage.schema.seeds import seed_files
from polymarket_bot.storage.types import Column

__all__ = [
    "AccessRefused",
    "AlreadyExists",
    "AlreadyHeld",
    "ApprovalAlert",
    "ApprovalAlertRepository",
    "BaseRepository",
    "CandidateRepository",
    "CandidateWatermark",
    "CandidateWatermarkRepository",
    "Claim",
    "Column",
    "ConfigurationError",
    "Conflict",
    "ConnectionLost",
    "ConstraintViolation",
    "DailyPnl",
    "DailyPnlRepository",
    "Database",
    "DatabaseConfig",
    "Difference",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "ExitEvent",
    "ExitEventRepository",
    "FutureTime",
    "GrantRefused",
    "HealthLimits",
    "HealthReport",
    "HoldLost",
    "Holder",
    "IdleTransactionTimeout",
    "IngestReport",
    "InvalidInput",
    "InvalidRecord",
    "InvalidValue",
    "Lifecycle",
    "LiveOrder",
    "LiveOrderRepository",
    "LockTimeout",
    "MarketScoresCache",
    "MarketScoresCacheRepository",
    "MigrationRefused",
    "MigrationReport",
    "MigrationStep",
    "NotInitialized",
    "NotPermitted",
    "Notification",
    "OtherRecord",
    "Outcome",
    "PaperTrade",
    "PaperTradeRepository",
    "PolymarketCandidate",
    "PolymarketFirstTrigger",
    "PolymarketResolution",
    "PolymarketTokenMeta",
    "PolymarketTrade",
    "PoolStats",
    "PoolTimeout",
    "PoolerUndeclared",
    "Position",
    "PositionRepository",
    "ProcessReport",
    "QueryError",
    "QueryEvent",
    "ReadOnlyServer",
    "Refusal",
    "ResolutionRepository",
    "SchemaDrift",
    "SchemaMissing",
    "SchemaReport",
    "ScoreHistory",
    "ScoreHistoryRepository",
    "ServerExhausted",
    "ServerUnavailable",
    "StatementTimeout",
    "StorageError",
    "StorageModel",
    "StreamWatchlistItem",
    "StreamWatchlistRepository",
    "Table",
    "TlsRefused",
    "TokenMetaRepository",
    "TooManyConnections",
    "TradeApproval",
    "TradeApprovalRepository",
    "TradeRepository",
    "TradeWatchlistItem",
    "TradeWatchlistRepository",
    "TradeWatermark",
    "TradeWatermarkRepository",
    "TransactionAborted",
    "TransactionError",
    "TriggerRepository",
    "TriggerWatermark",
    "TriggerWatermarkRepository",
    "WrongLoop",
    "get_db",
    "get_transaction",
    "init_db",
    "seed_files",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
