"""Every error that the package raises, under one root, with structured fields."""

# Over 300 lines: they are a list, to be read in one place.

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import ValidationError

_SHOWN = 80
_SAID = 400


class StorageError(Exception):
    """Root of every error of this package.

    Args:
        message: what happened and what was expected.
        remedy: what the reader can do about it, or None where the message says it.
    """

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message}; {remedy}")
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the message and the fields, whatever the constructor takes."""
        return _restored, (type(self), self.args), self.__dict__


class ConfigurationError(StorageError):
    """A setting is missing or wrong."""


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server cannot be started, stopped, dumped or restored."""


class NotInitialized(StorageError, RuntimeError):
    """The `Database` is not open: before `initialize()`, or after `close()`."""

    def __init__(
        self,
        remedy: str = "call `await db.initialize()` or use `async with Database(config) as db`",
    ) -> None:
        super().__init__("the database is not initialized", remedy=remedy)


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
    """A time is more than `future_skew` ahead of the database's clock."""


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

    hint: str | None = None

    def __init__(self, cause: BaseException) -> None:
        self.sqlstate: str | None = getattr(cause, "sqlstate", None)
        self.table: str | None = getattr(cause, "table_name", None)
        self.column: str | None = getattr(cause, "column_name", None)
        text = _cut(str(cause) or type(cause).__name__, _SAID)  # a server shows keys in full
        super().__init__(f"{text} [{self.sqlstate}]" if self.sqlstate else text, remedy=self.hint)


class InvalidValue(QueryError, ValueError):
    """A value does not fit the type that the statement expects."""

    hint = "nothing was written; compare the value with the column's type"


class ConstraintViolation(QueryError):
    """A row breaks a constraint: a missing value, a reference, a check."""


class AlreadyExists(ConstraintViolation):
    """A row with the same key, or the same unique columns, is there already."""


class SchemaMissing(QueryError):
    """A table or column that the package needs is not there."""

    hint = "create the schema with `polymarket-storage migrate` and look at `search_path`"


class Conflict(QueryError):
    """The transaction met another one (serialization failure or deadlock) and was rolled back."""

    hint = "run the whole transaction again, as db.run_in_transaction() does"


class StatementTimeout(QueryError):
    """A statement took longer than its limit, or was cancelled on the server."""

    hint = "raise command_timeout or pass timeout=, or look for a missing index"


class LockTimeout(QueryError):
    """A statement waited longer than `lock_timeout` for a lock that another transaction holds."""

    hint = "raise lock_timeout, or look in pg_locks for the transaction that holds it"


class ReadOnlyServer(QueryError):
    """The server, or the transaction, takes no writes."""

    hint = (
        "after a failover the next connection finds the primary when the URL names all hosts and "
        "target_session_attrs=read-write"
    )


class NotPermitted(QueryError):
    """The user has no right to what the statement does."""

    hint = (
        "connect as a user who has, or make this one a member of the role that has it: "
        "polymarket-storage grant owner, writer or reader"
    )


class ServerExhausted(QueryError):
    """The server has no disk space, no memory, or no room for locks left."""

    hint = "nothing was written; free space or memory, or raise max_locks_per_transaction"


class Outcome(StrEnum):
    """What became of a write whose connection was lost.

    Attributes:
        NOT_SENT: it never left this machine; nothing is stored.
        ROLLED_BACK: nothing is stored.
        COMMITTED: all of it is stored.
        UNKNOWN: the server could not tell; read before it is run again.
    """

    NOT_SENT = "not sent"
    ROLLED_BACK = "rolled back"
    COMMITTED = "committed"
    UNKNOWN = "unknown"


_WHAT_TO_DO = {
    Outcome.NOT_SENT: "nothing was written; run it again",
    Outcome.ROLLED_BACK: "nothing was written; run it again",
    Outcome.COMMITTED: "it is stored; do not run it again",
    Outcome.UNKNOWN: "read whether it was stored before you run it again",
}


class ConnectionLost(QueryError):
    """The connection broke while it was in use.

    Attributes:
        outcome: what became of the write.
    """

    def __init__(self, cause: BaseException, outcome: Outcome = Outcome.UNKNOWN) -> None:
        self.outcome = outcome
        self.hint = _WHAT_TO_DO[outcome]
        super().__init__(cause)
        self.args = (f"the connection was lost, outcome {outcome.value}: {self.args[0]}",)


class IdleTransactionTimeout(ConnectionLost):
    """A transaction block ran no statement for longer than `idle_in_transaction_timeout`."""


class ServerUnavailable(QueryError):
    """No connection could be opened."""

    hint = "look whether the server runs and DATABASE_URL names its host and port"


class AccessRefused(ServerUnavailable):
    """The server refused the user, the password or the database's name."""

    hint = "check the user, the password and the database in DATABASE_URL"


class TlsRefused(ServerUnavailable):
    """The encrypted connection could not be made: no TLS, or a certificate that is not trusted."""

    hint = "check tls= (or sslmode and sslrootcert in the URL) and the server's certificate"


class TooManyConnections(ServerUnavailable):
    """The server, or the role or database on it, takes no more connections."""

    hint = "lower max_connections here, raise it on the server, or put a pooler in between"


class PoolerUndeclared(ConfigurationError):
    """A connection pooler is in between, and the configuration does not say so."""

    def __init__(self) -> None:
        super().__init__(
            "a connection pooler stands between this client and PostgreSQL, where prepared "
            "statements can reach another client's session",
            remedy='set pooler="transaction" or pooler="session" (DATABASE_POOLER) as it is run',
        )


class PoolTimeout(StorageError):
    """No connection was free within `acquire_timeout`.

    Attributes:
        holders: who holds the connections.
    """

    def __init__(self, limit: float, size: int, waiting: int, holders: Sequence[object]) -> None:
        self.holders = tuple(holders)
        listed = "; ".join(map(str, holders))
        super().__init__(
            f"no connection was free within {limit:g} s: all {size} are held, {waiting} more "
            f"callers wait; held by {listed}",
            remedy="hold connections for less time, or raise max_connections",
        )


class WrongLoop(StorageError):
    """The database object is used from another event loop or process than it was opened in."""


class AlreadyHeld(StorageError):
    """Another process or task holds the singleton, or migrates, grants or restores."""


class HoldLost(StorageError):
    """The connection that held a singleton broke, and with it the hold."""


class MigrationRefused(StorageError):
    """What was applied to the database, or what is asked for, forbids the migration."""


class GrantRefused(StorageError):
    """The roles cannot be given what they need; nothing was changed."""


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


def shown(value: object) -> str:
    """Return a value's kind and the beginning of its text, for a message."""
    try:
        text = _abridged.repr(value)
    except Exception:  # noqa: BLE001 - an int of too many digits, a repr of somebody else's
        text = "that cannot be shown"
    return f"{type(value).__name__} {_cut(text, _SHOWN)}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


_abridged = reprlib.Repr()
_abridged.maxstring = _abridged.maxother = _abridged.maxlong = _SHOWN


def _restored(kind: type[StorageError], args: tuple[object, ...]) -> StorageError:
    error = kind.__new__(kind)
    error.args = args
    return error
