"""How a connection is opened: its settings, its limits, and what is found out about it."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import TaggedConnection
from polymarket_bot.storage.connections.driver import driver_errors
from polymarket_bot.storage.errors import (
    ConfigurationError,
    PoolerUndeclared,
    ServerUnavailable,
    TlsRefused,
)

_log = logging.getLogger(__name__)
_NO_TLS = "rejected SSL upgrade"  # of the driver's errors in TLS's beginning, which have one class

TIMELINE = """
CASE WHEN pg_is_in_recovery() THEN NULL ELSE
    left(pg_walfile_name(pg_current_wal_lsn()), 8)
    || (SELECT system_identifier FROM pg_control_system()) || '/'
    || (SELECT COALESCE(extract(epoch FROM stats_reset)::text, '') FROM pg_stat_bgwriter)
END
"""
"""The server's timeline, and behind the `/` when its statistics were reset, as by a recovery.

A replica that takes its place has another timeline, and other transactions. A recovery from a
crash uses the ids of those again that had not reached the log.
"""

# A server that hears nothing of a machine for eight seconds ends its sessions.
_NOTICE_DEATH = """
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 8000
"""

_FACTS = f"""
SELECT pg_backend_pid() AS pid, {TIMELINE} AS timeline
"""


class Session(TaggedConnection):
    """A connection that tells about its own end, and keeps its limits through a pooler.

    Attributes:
        restored: SQL that gives the session its limits, where no startup settings do.
    """

    restored: str = ""
    _transport: asyncio.Transport

    def get_reset_query(self) -> str:
        """Return what is run when the connection is given back: a reset loses the limits."""
        return super().get_reset_query() + self.restored

    @property
    def peer(self) -> str | None:
        """The other machine's address where what is sent to it is in clear text, else None.

        The server cannot be asked: it may see a pooler instead of this client.
        """
        ends = [self._transport.get_extra_info(name) for name in ("sockname", "peername")]
        if self._transport.get_extra_info("ssl_object") or not isinstance(ends[1], tuple):
            return None
        own, other = (str(end[0]) for end in ends)
        return None if is_near(own, other) else other


def connect_arguments(config: DatabaseConfig, *, direct: bool = False) -> dict[str, Any]:
    """Return the driver's arguments for a connection.

    Args:
        config: the settings.
        direct: for a connection that keeps session state, past a pooler.
    """
    past = direct and bool(config.direct_url)
    pooler = None if past else config.pooler
    arguments: dict[str, Any] = {
        "dsn": config.direct_url if past else config.dsn,
        "timeout": config.connect_timeout,
        "command_timeout": config.command_timeout,
        "connection_class": Session,
        "server_settings": {"application_name": config.application_name},
    }
    if config.tls is not None:
        arguments["ssl"] = config.tls
    if pooler == "transaction":
        arguments["statement_cache_size"] = 0
    elif pooler is None:
        arguments["server_settings"] |= session_settings(config)
    if not direct:
        arguments["connect"] = partial(_connect, config)
    return arguments


def session_settings(config: DatabaseConfig) -> dict[str, str]:
    """Return the server's settings of a session.

    Limits lie just below the client's own. With `extra_float_digits` a REAL's text is its
    shortest decimal, even where the role or the database says otherwise.
    """
    settings = {
        "extra_float_digits": "1",
        "statement_timeout": str(_milliseconds(config.command_timeout * 0.95)),
        "lock_timeout": str(_milliseconds(config.lock_timeout)),
        "idle_in_transaction_session_timeout": str(
            _milliseconds(config.idle_in_transaction_timeout)
        ),
    }
    if config.schema_name is not None:
        settings["search_path"] = '"' + config.schema_name.replace('"', '""') + '"'
    return settings


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _limits(config: DatabaseConfig) -> str:
    """Return SQL that gives a session its settings."""
    return "".join(
        f"\nSELECT set_config('{name}', E'{_escaped(value)}', false);"
        for name, value in session_settings(config).items()
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


async def look_around(connection: Session, config: DatabaseConfig) -> None:
    """Find out what is between this client and the server, and give the session its limits.

    Raises:
        PoolerUndeclared: there is a pooler, and the configuration does not say so.
        ConnectionResetError: the server went right after the connection was opened.
    """
    with _first_asked(connection):
        facts = await connection.fetchrow(_FACTS)
        assert facts is not None  # noqa: S101 - a SELECT without FROM has a row
        connection.pooled = facts["pid"] != connection.get_server_pid()
        if connection.pooled and config.pooler is None:
            raise _unexpected(config)
        connection.timeline = facts["timeline"]
        connection.opened = time.monotonic()
        if config.pooler == "session":  # a pooler takes no startup settings
            connection.restored = _limits(config)
            await connection.execute(connection.restored)
    connection.clear = connection.peer is not None
    if connection.clear:
        _log.warning("the connection to %s is not encrypted: set tls=", connection.peer)


@contextmanager
def _first_asked(connection: Session) -> Iterator[None]:
    """End a connection whose first statements fail.

    Raises:
        ConnectionResetError: the server went right after the connection was opened.
    """
    try:
        yield
    except BaseException as error:
        connection.terminate()  # the driver would wait for the end of a statement
        if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            raise ConnectionResetError(str(error)) from error
        raise


def is_near(own: str, other: str) -> bool:
    """Tell whether both addresses are of one machine."""
    return own == other or ipaddress.ip_address(other.partition("%")[0]).is_loopback


async def _connect(
    config: DatabaseConfig,
    *args: Any,  # noqa: ANN401 - as the driver's
    direct: bool = False,
    **arguments: Any,  # noqa: ANN401 - as the driver's
) -> Session:
    """Open a connection, as the driver does.

    Raises:
        ConfigurationError: PgBouncer refuses startup settings, which PostgreSQL takes.
        ServerUnavailable: PgBouncer, which is known of, refuses for another reason.
        TlsRefused: the server has no TLS, which is required.
    """
    try:
        connection: Session = await asyncpg.connect(*args, **arguments)
    except asyncpg.ProtocolViolationError as error:
        if config.pooler is None or (direct and config.direct_url):
            raise _unexpected(config, direct=direct) from None
        raise ServerUnavailable(error) from error
    except ConnectionError as error:
        if not _is_the_drivers(error):
            raise
        if _NO_TLS in str(error) and _requires_tls(config, direct=direct):
            raise TlsRefused(error) from error
        raise ConnectionResetError(str(error)) from error  # the server went meanwhile
    return connection


def _is_the_drivers(error: BaseException) -> bool:
    """Tell whether the driver raised it, of TLS: the system's own errors are of subclasses."""
    return type(error) is ConnectionError


def _requires_tls(config: DatabaseConfig, *, direct: bool) -> bool:
    """Tell whether a connection without TLS is none."""
    url = config.direct_url if direct and config.direct_url else config.dsn
    given = parse_qs(urlsplit(url).query).get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])
    return (config.tls or given[-1]) not in {"disable", "allow", "prefer"}


def _unexpected(config: DatabaseConfig, *, direct: bool = False) -> ConfigurationError:
    """Return what is wrong where there is a pooler against what the configuration says."""
    if direct and config.direct_url:
        return ConfigurationError(
            "direct_url leads to a connection pooler, which does not keep a session",
            remedy="set direct_url (DATABASE_DIRECT_URL) to the server's own address",
        )
    return PoolerUndeclared()


def is_passing(error: BaseException) -> bool:
    """Tell whether opening a connection may succeed a little later."""
    if isinstance(error, ssl.SSLError):
        return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if _is_the_drivers(error):
        return False
    return isinstance(
        error,
        (
            OSError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.TargetServerAttributeNotMatched,
        ),
    )


async def connect_directly(config: DatabaseConfig, *, database: str | None = None) -> Session:
    """Open a connection of its own, past a pooler, that keeps session state.

    Args:
        config: the settings.
        database: another database of the same server than theirs.

    Raises:
        ConfigurationError: there is a transaction pooler and no `direct_url` past it.
        ServerUnavailable: no connection could be opened.
    """
    if config.pooler == "transaction" and not config.direct_url:
        raise ConfigurationError(
            "listen, singleton, migrate and grant need a session, which a transaction pooler does "
            "not give",
            remedy="set direct_url (DATABASE_DIRECT_URL) to the server's own address",
        )
    arguments = connect_arguments(config, direct=True)
    with driver_errors(opening=True):
        connection = await _connect(config, direct=True, database=database, **arguments)
    with driver_errors(opening=True), _first_asked(connection):
        await connection.execute(_NOTICE_DEATH)
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        if pid != connection.get_server_pid() and (config.direct_url or not config.pooler):
            raise _unexpected(config, direct=True)
    return connection
