"""The driver's errors, and what they are here."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from polymarket_bot.storage.errors import (
    AccessRefused,
    AlreadyExists,
    ConfigurationError,
    Conflict,
    ConnectionLost,
    ConstraintViolation,
    IdleTransactionTimeout,
    InvalidValue,
    LockTimeout,
    NotPermitted,
    Outcome,
    QueryError,
    ReadOnlyServer,
    SchemaMissing,
    ServerExhausted,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TlsRefused,
    TooManyConnections,
)

_BY_CLASS: tuple[tuple[type[BaseException], type[QueryError]], ...] = (
    (asyncpg.UniqueViolationError, AlreadyExists),
    (asyncpg.IntegrityConstraintViolationError, ConstraintViolation),
    (asyncpg.DataError, InvalidValue),
    (asyncpg.ProgramLimitExceededError, InvalidValue),  # more than an index holds
    (asyncpg.UndefinedTableError, SchemaMissing),
    (asyncpg.UndefinedColumnError, SchemaMissing),
    (asyncpg.InvalidSchemaNameError, SchemaMissing),
    (asyncpg.SerializationError, Conflict),
    (asyncpg.DeadlockDetectedError, Conflict),
    (asyncpg.QueryCanceledError, StatementTimeout),
    (asyncpg.LockNotAvailableError, LockTimeout),
    (asyncpg.ReadOnlySQLTransactionError, ReadOnlyServer),
    (asyncpg.InsufficientPrivilegeError, NotPermitted),
    (asyncpg.DiskFullError, ServerExhausted),
    (asyncpg.OutOfMemoryError, ServerExhausted),
    (asyncpg.IdleInTransactionSessionTimeoutError, IdleTransactionTimeout),
    (asyncpg.InvalidAuthorizationSpecificationError, AccessRefused),
    (asyncpg.InvalidCatalogNameError, AccessRefused),
    (asyncpg.CannotConnectNowError, ServerUnavailable),
    (asyncpg.TooManyConnectionsError, TooManyConnections),
    (asyncpg.PostgresConnectionError, ConnectionLost),
    (asyncpg.OperatorInterventionError, ConnectionLost),
    (asyncpg.PostgresError, QueryError),
    (asyncpg.ClientConfigurationError, ServerUnavailable),
    (asyncpg.InterfaceError, QueryError),
    (asyncpg.InternalClientError, ConnectionLost),  # the server died in mid-statement
    (UnicodeEncodeError, InvalidValue),
    (ssl.SSLError, TlsRefused),
    (TimeoutError, StatementTimeout),
    (OSError, ConnectionLost),
)


DRIVER_ERRORS = tuple(cause for cause, _ in _BY_CLASS)


@contextmanager
def driver_errors(*, opening: bool = False) -> Iterator[None]:
    """Raise the driver's errors as `StorageError`s, by class and never by text.

    Args:
        opening: a connection is being opened, so a failing one is `ServerUnavailable`.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error, opening=opening) from error
    except (ValueError, OverflowError):
        if not opening:
            raise
        raise ConfigurationError(  # without its cause, which can show a part of the password
            "url: the driver cannot read it",
            remedy="write it as postgresql://user:password@host:port/database",
        ) from None


def translated(
    error: BaseException,
    *,
    opening: bool = False,
    closed: bool = False,
    outcome: Outcome | None = None,
) -> StorageError:
    """Return the error of this package for one of the driver's.

    Args:
        error: the driver's error, one of `DRIVER_ERRORS`.
        opening: a connection was being opened.
        closed: the connection is closed now; an `InterfaceError` on a closed connection was
            raised before anything was sent.
        outcome: what became of the write where the connection is lost.
    """
    kind = next(kind for cause, kind in _BY_CLASS if isinstance(error, cause))
    if opening and issubclass(kind, (ConnectionLost, StatementTimeout)):
        return ServerUnavailable(error)
    if opening and kind is NotPermitted:
        return AccessRefused(error)
    if closed and kind is QueryError and isinstance(error, asyncpg.InterfaceError):
        return ConnectionLost(error, outcome or Outcome.NOT_SENT)
    if issubclass(kind, ConnectionLost):
        return kind(error, outcome or Outcome.UNKNOWN)
    return kind(error)
