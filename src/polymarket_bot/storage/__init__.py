"""Async PostgreSQL storage for trading bots."""

import logging

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.errors import (
    AccessRefused,
    AlreadyExists,
    ConfigurationError,
    Conflict,
    ConnectionLost,
    ConstraintViolation,
    EmbeddedServerError,
    FutureTime,
    InvalidInput,
    InvalidRecord,
    InvalidValue,
    NotInitialized,
    OtherRecord,
    QueryError,
    SchemaMissing,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TransactionAborted,
    TransactionError,
)
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
    "IngestReport",
    "InvalidInput",
    "InvalidRecord",
    "InvalidValue",
    "NotInitialized",
    "OtherRecord",
    "PolymarketFirstTrigger",
    "PolymarketTrade",
    "QueryError",
    "Refusal",
    "SchemaMissing",
    "ServerUnavailable",
    "StatementTimeout",
    "StorageError",
    "Table",
    "TradeRepository",
    "TradeWatermark",
    "TradeWatermarkRepository",
    "TransactionAborted",
    "TransactionError",
    "TriggerRepository",
    "TriggerWatermark",
    "TriggerWatermarkRepository",
    "apply_seeds",
    "seed_files",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
