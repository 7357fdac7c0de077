"""Every error that the package raises, under one root, with structured fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

import asyncpg
from pydantic import ValidationError

_SHOWN = 80


class StorageError(Exception):
    """Root of every error of this package.

    Args:
        message: what happened and what was expected.
        remedy: what the reader can do about it, or None where the message says it.
    """

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message}; {remedy}")
        self.remedy = remedy


class ConfigurationError(StorageError):
    """A setting is missing or wrong."""


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server cannot be started, reached or stopped."""


class NotInitialized(StorageError, RuntimeError):
    """The `Database` is not open: before `initialize()`, or after `close()`."""

    def __init__(self) -> None:
        super().__init__(
            "the database is not initialized",
            remedy="call `await db.initialize()` or use `async with Database(config) as db`",
        )


class InvalidInput(StorageError, ValueError):
    """A value given by the caller is refused, and nothing was written.

    Attributes:
        field: the field, column or argument.
        got: the value's kind and its beginning.
        expected: what would be accepted.
    """

    def __init__(self, field: str, value: object, expected: str, detail: object = None) -> None:
        self.field = field
        self.got = shown(value)
        self.expected = expected
        ending = "" if detail is None else f" ({detail})"
        super().__init__(f"{field}: {expected}, got {self.got}{ending}")

    @classmethod
    def of(cls, error: ValidationError, field: str | None = None) -> Self:
        """Return Pydantic's first complaint as this error, about `field` where it is given."""
        first = error.errors(include_url=False, include_context=False)[0]
        field = field or ".".join(map(str, first["loc"])) or error.title
        return cls(field, first["input"], first["msg"].removeprefix("Value error, "))


class FutureTime(InvalidInput):
    """A time lies further in the future than the database's clock and the tolerated skew."""


class InvalidRecord(InvalidInput):
    """An exchange payload is no trade, or a bad one."""


class OtherRecord(InvalidRecord):
    """An exchange payload is well formed, but of another kind than a trade."""


class QueryError(StorageError):
    """The server, or the driver, refused a statement.

    Attributes:
        sqlstate: PostgreSQL's five-character code, or None where the driver refused.
        table: the table that the server named, or None.
        column: the column that the server named, or None.
    """

    hint: ClassVar[str | None] = None

    def __init__(self, cause: BaseException) -> None:
        self.sqlstate: str | None = getattr(cause, "sqlstate", None)
        self.table: str | None = getattr(cause, "table_name", None)
        self.column: str | None = getattr(cause, "column_name", None)
        text = str(cause) or type(cause).__name__
        super().__init__(f"{text} [{self.sqlstate}]" if self.sqlstate else text, remedy=self.hint)


class InvalidValue(QueryError, ValueError):
    """A value does not fit the type that the statement expects."""

    hint = "nothing was written; compare the value with the column's type"


class ConstraintViolation(QueryError):
    """A row breaks a constraint: a missing value, a reference, a check."""


class AlreadyExists(ConstraintViolation):
    """A row with the same key is there already."""


class SchemaMissing(QueryError):
    """A table or column that the package needs is not there."""

    hint = "create the schema with `polymarket-storage init` and look at `search_path`"


class Conflict(QueryError):
    """The transaction met another one (serialization failure or deadlock) and was rolled back."""

    hint = "run the whole transaction again"


class StatementTimeout(QueryError):
    """A statement took longer than `command_timeout`, or was cancelled on the server."""

    hint = "raise command_timeout, or look for a lock or a missing index"


class ConnectionLost(QueryError):
    """The connection broke while it was in use."""

    hint = "whether the last write was stored is not known; read before you repeat it"


class ServerUnavailable(QueryError):
    """No connection could be opened."""

    hint = "look whether the server runs and DATABASE_URL names its host and port"


class AccessRefused(ServerUnavailable):
    """The server refused the user, the password or the database's name."""

    hint = "check the user, the password and the database in DATABASE_URL"


class TransactionError(StorageError):
    """A transaction block was used in a way that it cannot serve."""


class TransactionAborted(TransactionError):
    """A block ended without an exception, yet the server rolled it back."""

    def __init__(self) -> None:
        super().__init__(
            "nothing of this transaction was stored: a statement in it failed, and the error "
            "was caught inside the block",
            remedy="let the error leave the block, or put the risky statement into a nested "
            "`db.transaction()`",
        )


_BY_CLASS: tuple[tuple[type[BaseException], type[QueryError]], ...] = (
    (asyncpg.UniqueViolationError, AlreadyExists),
    (asyncpg.IntegrityConstraintViolationError, ConstraintViolation),
    (asyncpg.DataError, InvalidValue),
    (asyncpg.UndefinedTableError, SchemaMissing),
    (asyncpg.UndefinedColumnError, SchemaMissing),
    (asyncpg.InvalidSchemaNameError, SchemaMissing),
    (asyncpg.SerializationError, Conflict),
    (asyncpg.DeadlockDetectedError, Conflict),
    (asyncpg.QueryCanceledError, StatementTimeout),
    (asyncpg.InvalidAuthorizationSpecificationError, AccessRefused),
    (asyncpg.InvalidCatalogNameError, AccessRefused),
    (asyncpg.CannotConnectNowError, ServerUnavailable),
    (asyncpg.TooManyConnectionsError, ServerUnavailable),
    (asyncpg.PostgresConnectionError, ConnectionLost),
    (asyncpg.OperatorInterventionError, ConnectionLost),
    (asyncpg.PostgresError, QueryError),
    (asyncpg.ClientConfigurationError, ServerUnavailable),
    (asyncpg.InterfaceError, QueryError),
    (asyncpg.InternalClientError, ConnectionLost),  # the server died in mid-statement
    (UnicodeEncodeError, InvalidValue),
    (TimeoutError, StatementTimeout),
    (OSError, ConnectionLost),
)


@contextmanager
def driver_errors(*, opening: bool = False) -> Iterator[None]:
    """Raise the driver's errors as `StorageError`s, by class and never by text.

    Args:
        opening: a connection is being opened, so a failing one is `ServerUnavailable`.
    """
    try:
        yield
    except tuple(cause for cause, _ in _BY_CLASS) as error:
        kind = next(kind for cause, kind in _BY_CLASS if isinstance(error, cause))
        if opening and kind in (ConnectionLost, StatementTimeout):
            kind = ServerUnavailable
        raise kind(error) from error


def shown(value: object) -> str:
    """Return a value's kind and the beginning of its text, for a message."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
