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
    HoldLost,
    IdleTransactionTimeout,
    InvalidInput,
    InvalidRecord,
    InvalidValue,
    LockTimeout,
    NotInitialized,
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
    TransactionAborted,
    TransactionError,
    WrongLoop,
)
from polymarket_bot.storage.health import HealthReport
from polymarket_bot.storage.ingest import IngestReport, Refusal
from polymarket_bot.storage.models.trades import PolymarketTrade, TradeWatermark
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger, TriggerWatermark
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.repositories.trade_repo import (
    TradeRepository,
    TradeWatermarkRepository,
)
from polymarket_bot.storage.repositories.trigger_repo import (
    TriggerRepository,
    TriggerWatermarkRepository,
)
from polymarket_bot.storage.schema import apply_seeds, seed_files
from polymarket_bot.storage.table import Table
from polymarket_bot.storage.types import Column

__all__ = [
    "AccessRefused",
    "AlreadyExists",
    "AlreadyHeld",
    "BaseRepository",
    "Column",
    "ConfigurationError",
    "Conflict",
    "ConnectionLost",
    "ConstraintViolation",
    "Database",
    "DatabaseConfig",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "FutureTime",
    "HealthReport",
    "HoldLost",
    "Holder",
    "IdleTransactionTimeout",
    "IngestReport",
    "InvalidInput",
    "InvalidRecord",
    "InvalidValue",
    "LockTimeout",
    "NotInitialized",
    "Notification",
    "OtherRecord",
    "Outcome",
    "PolymarketFirstTrigger",
    "PolymarketTrade",
    "PoolStats",
    "PoolTimeout",
    "PoolerUndeclared",
    "QueryError",
    "QueryEvent",
    "ReadOnlyServer",
    "Refusal",
    "SchemaMissing",
    "ServerExhausted",
    "ServerUnavailable",
    "StatementTimeout",
    "StorageError",
    "Table",
    "TlsRefused",
    "TradeRepository",
    "TradeWatermark",
    "TradeWatermarkRepository",
    "TransactionAborted",
    "TransactionError",
    "TriggerRepository",
    "TriggerWatermark",
    "TriggerWatermarkRepository",
    "WrongLoop",
    "apply_seeds",
    "seed_files",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
