"""A dump put in the place of the embedded database: all of it, or the old one stays as it was."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from polymarket_bot.storage.config import with_database
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, driver_errors
from polymarket_bot.storage.connections.singletons import lock
from polymarket_bot.storage.embedded.archive import run_tool
from polymarket_bot.storage.embedded.server import EmbeddedPostgres
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    _Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

_NEW, _OLD = "predict_restoring", "predict_replaced"
_CREATE = f"CREATE DATABASE {_NEW} TEMPLATE template0"
# It waits five seconds for those who are connected. Then it has the database locked: whoever
# connects waits until the transaction has ended.
_PUT_AWAY = f"ALTER DATABASE predict RENAME TO {_OLD}"
_PUT_IN_PLACE = f"ALTER DATABASE {_NEW} RENAME TO predict"
_CLEAR = (
    "ROLLBACK",
    f"DROP DATABASE IF EXISTS {_NEW} WITH (FORCE)",
    f"DROP DATABASE IF EXISTS {_OLD} WITH (FORCE)",
)
# The session of a restore that was killed lives until the statement has ended that it runs.
_PATIENCE = 10.0
_SETTINGS = {
    "application_name": "polymarket-storage db restore",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_min_messages": "error",
}
_USERS = """
SELECT format('%s (server process %s)', COALESCE(NULLIF(application_name, ''), usename), pid)
FROM pg_stat_activity
WHERE datname = 'predict' AND backend_type IN ('client backend', 'walsender') ORDER BY pid
"""
_TABLES = """
SELECT format('%I.%I', nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND relpersistence <> 't'
  AND nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND (nspname, relname) <> ('ops', 'schema_version')
ORDER BY 1
"""
# Changes with every transaction of others that has written and ends, in any database.
_SNAPSHOT = "SELECT pg_current_snapshot()::text"
_STOP = "stop what works on it, and run this again"
_logger = logging.getLogger("polymarket_bot.storage.embedded")


@asynccontextmanager
async def replacement(data_dir: Path, file: Path, *, replace: bool = False) -> AsyncIterator[str]:
    """Restore a dump into a database beside the served one, and yield its URL.

    When the block ends without an error, it takes the place of the served database in one
    transaction, and the old one is dropped. Otherwise, however this ends, the old one stays as it
    was. Nobody can connect to it meanwhile. The server is started if it does not run.

    Args:
        data_dir: the folder of the embedded server, made if absent.
        file: the dump, in a format that pg_restore reads.
        replace: put it in the place of rows, too; else the tables may have none.

    Raises:
        EmbeddedServerError: the file cannot be read, or not to its end; the database has rows, or
            somebody is connected to it.
        AlreadyHeld: another restore is under way, and has not ended in ten seconds.
        QueryError: the server failed, or has no room left.
    """
    with _opened(file) as archive:
        async with EmbeddedPostgres(data_dir) as server, _maintained(server.url) as control:
            beside = with_database(server.url, _NEW)
            with driver_errors():
                await control.execute(_CREATE)
            await _shut(control, server.url, replace=replace)
            await _fill(beside, file, archive)
            yield beside
            await _swap(control)


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    try:
        archive = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise EmbeddedServerError(f"the dump {file} cannot be read: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(archive).st_mode):
            raise EmbeddedServerError(
                f"{file} is not a file", remedy="give one that `db dump` has made"
            )
        yield archive
    finally:
        os.close(archive)


@asynccontextmanager
async def _maintained(url: str) -> AsyncIterator[_Connection]:
    """Connect beside the served database, where nothing of a restore is left in the end."""
    with driver_errors(opening=True):
        control = await asyncpg.connect(url, database="template1", server_settings=_SETTINGS)
    try:
        await lock(control, "restore", _PATIENCE)
        await _clear(control)
        try:
            yield control
        finally:
            await _clear(control)
    finally:
        control.terminate()


async def _clear(control: _Connection) -> None:
    try:
        for statement in _CLEAR:
            await control.execute(statement)
    except DRIVER_ERRORS as error:
        _logger.warning("the next restore drops what this one has left: %s", error)


async def _shut(control: _Connection, url: str, *, replace: bool) -> None:
    """Keep everybody out of the served database until the transaction ends that this begins."""
    with driver_errors():
        before = None if replace else await _refuse_rows(url)
        await control.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        try:
            await control.execute(_PUT_AWAY)
        except asyncpg.ObjectInUseError as error:
            await control.execute("ROLLBACK")
            users = ", ".join(name for (name,) in await control.fetch(_USERS)) or "somebody"
            raise EmbeddedServerError(
                f"the database is in use by {users}: {error.detail}", remedy=_STOP
            ) from error
        if before not in (None, await control.fetchval(_SNAPSHOT)):
            raise EmbeddedServerError("the server was written to meanwhile", remedy=_STOP)


async def _refuse_rows(url: str) -> str:
    """Refuse a database that has rows; return which transactions had written when it had none."""
    served = await asyncpg.connect(url, server_settings=_SETTINGS)
    try:
        before = await served.fetchval(_SNAPSHOT)
        if filled := await _filled(served):
            raise EmbeddedServerError(
                f"the database has rows already, in {', '.join(filled)}",
                remedy="dump it, then replace it with --replace; or choose another data folder",
            )
        return str(before)
    finally:
        await served.close()


async def _filled(served: _Connection) -> list[str]:
    names = [name for (name,) in await served.fetch(_TABLES)]
    return [name for name in names if await served.fetchval(f"SELECT EXISTS (TABLE {name})")]


async def _fill(url: str, file: Path, archive: int) -> None:
    options = ("--exit-on-error", "--no-owner", "--no-privileges", "--no-tablespaces")
    try:
        await run_tool("pg_restore", *options, "--no-password", f"--dbname={url}", source=archive)
    except EmbeddedServerError as error:
        raise EmbeddedServerError(
            f"{file} cannot be restored: {error}", remedy="the data are as they were"
        ) from error
    with driver_errors():
        restored = await asyncpg.connect(url, server_settings=_SETTINGS)
        try:
            await restored.execute("ANALYZE")  # else the first queries are planned blindly
        finally:
            await restored.close()


async def _swap(control: _Connection) -> None:
    with driver_errors():
        await control.execute(_PUT_IN_PLACE)
        await control.execute("COMMIT")
