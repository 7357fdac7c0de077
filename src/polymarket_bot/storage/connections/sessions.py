"""How a connection is opened: its settings, its limits, and what is found out about it."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import TaggedConnection
from polymarket_bot.storage.connections.driver import driver_errors
from polymarket_bot.storage.errors import ConfigurationError, PoolerUndeclared

_log = logging.getLogger(__name__)

TIMELINE = """
CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""
"""The server's timeline; a replica that takes its place has another, and other transactions."""

# A server that hears nothing of a machine for eight seconds ends its sessions.
_NOTICE_DEATH = """
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 8000
"""

_FACTS = f"""
SELECT pg_backend_pid() AS pid, host(inet_client_addr()) AS client,
       host(inet_server_addr()) AS server, {TIMELINE} AS timeline,
       COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted
"""


def connect_arguments(config: DatabaseConfig, *, direct: bool = False) -> dict[str, Any]:
    """Return the driver's arguments for a connection.

    Args:
        config: the settings.
        direct: for a connection that keeps session state, past a pooler.
    """
    pooler = None if direct else config.pooler
    arguments: dict[str, Any] = {
        "dsn": config.direct_url if direct and config.direct_url else config.dsn,
        "timeout": config.connect_timeout,
        "command_timeout": config.command_timeout,
        "connection_class": TaggedConnection,
        "server_settings": {"application_name": config.application_name},
    }
    if config.tls is not None:
        arguments["ssl"] = config.tls
    if pooler == "transaction":
        arguments["statement_cache_size"] = 0
    elif pooler is None:
        arguments["server_settings"] |= session_settings(config)
    return arguments


def session_settings(config: DatabaseConfig) -> dict[str, str]:
    """Return the server's settings of a session: limits just below the client's own."""
    settings = {
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


async def look_around(connection: TaggedConnection, config: DatabaseConfig) -> None:
    """Find out what is between this client and the server, and give the session its limits.

    Raises:
        PoolerUndeclared: there is a pooler, and the configuration does not say so.
    """
    facts = await connection.fetchrow(_FACTS)
    assert facts is not None  # noqa: S101 - a SELECT without FROM has a row
    connection.pooled = facts["pid"] != connection.get_server_pid()
    if connection.pooled and config.pooler is None:
        raise PoolerUndeclared
    connection.timeline = facts["timeline"]
    connection.clear = not (facts["encrypted"] or _is_near(facts["client"], facts["server"]))
    if connection.clear:
        _log.warning("the connection to %s is not encrypted: set tls=", facts["server"])
    if config.pooler == "session":  # a pooler takes no startup settings
        for name, value in session_settings(config).items():
            await connection.execute("SELECT set_config($1, $2, false)", name, value)


def _is_near(client: str | None, server: str | None) -> bool:
    """Tell whether both ends are on one machine; a Unix socket has no addresses."""
    return client is None or client == server or ipaddress.ip_address(client).is_loopback


def is_passing(error: BaseException) -> bool:
    """Tell whether opening a connection may succeed a little later."""
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


async def connect_directly(config: DatabaseConfig) -> TaggedConnection:
    """Open a connection of its own, past a pooler, that keeps session state.

    Raises:
        ConfigurationError: there is a transaction pooler and no `direct_url`.
        ServerUnavailable: no connection could be opened.
    """
    if config.pooler == "transaction" and not config.direct_url:
        raise ConfigurationError(
            "listen and singleton need a session, which a transaction pooler does not give",
            remedy="set direct_url (DATABASE_DIRECT_URL) to the server's own address",
        )
    with driver_errors(opening=True):
        connection: TaggedConnection = await asyncpg.connect(
            **connect_arguments(config, direct=True)
        )
    try:
        with driver_errors():
            await connection.execute(_NOTICE_DEATH)
    except BaseException:
        connection.terminate()
        raise
    return connection
