"""What `Database` promises of its opening, its errors and its settings."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from pydantic import ValidationError

from polymarket_bot.storage import (
    AccessRefused,
    AlreadyExists,
    Database,
    DatabaseConfig,
    InvalidInput,
    InvalidValue,
    NotInitialized,
    QueryError,
    SchemaMissing,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TradeRepository,
)
from polymarket_bot.storage.config import with_database

SECRET = "hunter2-secret"  # noqa: S105 - a password to look for
URL = f"postgresql://predict:{SECRET}@127.0.0.1:1/predict"


async def test_every_call_before_initialize_and_after_close_says_not_initialized(
    db_url: str,
) -> None:
    db = Database(DatabaseConfig(url=db_url))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: db.execute("SELECT 1"),
        lambda: db.fetch("SELECT 1"),
        lambda: db.fetchrow("SELECT 1"),
        lambda: db.fetchval("SELECT 1"),
        lambda: db.connection().__aenter__(),
        lambda: db.transaction().__aenter__(),
        lambda: TradeRepository(db).count(),
    ]
    for _ in range(2):
        for call in calls:
            with pytest.raises(RuntimeError, match="not initialized") as caught:
                await call()
            assert isinstance(caught.value, NotInitialized)
        assert await db.health_check() is False
        await db.initialize()
        await db.close()


async def test_initialize_and_close_may_be_repeated(db_url: str) -> None:
    db = Database(DatabaseConfig(url=db_url))
    for _ in range(2):
        await asyncio.gather(db.initialize(), db.initialize())
        assert await db.health_check() is True
        await asyncio.gather(db.close(), db.close())
        assert await db.health_check() is False


async def test_the_verbs_answer_as_the_driver_does(db: Database) -> None:
    assert await db.execute("SELECT 1") == "SELECT 1"
    assert await db.fetchval("SELECT $1::int + 1", 1) == 2
    assert await db.fetchrow("SELECT 1 WHERE false") is None
    assert [tuple(row) for row in await db.fetch("SELECT generate_series(1, 2)")] == [(1,), (2,)]


async def test_errors_can_be_pickled(db: Database) -> None:
    with pytest.raises(StorageError) as caught:
        await db.execute("SELECT no_such_function()")
    for error in (caught.value, NotInitialized(), InvalidInput("f", 5, "expected text")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again)) == (type(error), str(error))
        assert again.__dict__ == error.__dict__


async def test_the_drivers_errors_come_by_kind_with_their_cause(db: Database) -> None:
    await db.execute("CREATE TABLE once (n int PRIMARY KEY)")
    await db.execute("INSERT INTO once VALUES (1)")
    with pytest.raises(AlreadyExists) as caught:
        await db.execute("INSERT INTO once VALUES (1)")
    assert caught.value.sqlstate == "23505"
    assert caught.value.table == "once"
    assert isinstance(caught.value.__cause__, asyncpg.UniqueViolationError)


async def test_a_missing_schema_names_its_remedy(empty_url: str) -> None:
    async with Database(DatabaseConfig(url=empty_url)) as db:
        with pytest.raises(SchemaMissing, match="polymarket-storage migrate"):
            await TradeRepository(db).count()


async def test_a_statement_longer_than_command_timeout_ends(db_url: str) -> None:
    async with Database(DatabaseConfig(url=db_url, command_timeout=0.1)) as db:
        with pytest.raises(StatementTimeout, match="command_timeout"):
            await db.execute("SELECT pg_sleep(60)")
        assert await db.fetchval("SELECT 1") == 1


async def test_a_server_that_is_not_there_is_an_error_with_a_remedy() -> None:
    db = Database(DatabaseConfig(url=URL, connect_timeout=0.2))
    with pytest.raises(ServerUnavailable, match="DATABASE_URL") as caught:
        await db.initialize()
    assert SECRET not in str(caught.value)
    assert await db.health_check() is False


async def test_a_setting_that_the_driver_refuses_is_an_error_of_ours() -> None:
    with pytest.raises(ServerUnavailable, match="sslmode") as caught:
        await Database(DatabaseConfig(url=f"{URL}?sslmode=perhaps")).initialize()
    assert SECRET not in str(caught.value)


async def test_a_database_that_is_not_there_is_an_error_with_a_remedy(server_url: str) -> None:
    db = Database(DatabaseConfig(url=with_database(server_url, "polymarket_test_absent")))
    with pytest.raises(AccessRefused, match="check the user, the password and the database"):
        await db.initialize()


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://u@h/d")
    monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", "3")
    config = DatabaseConfig()
    assert (config.url, config.max_connections) == ("postgresql://u@h/d", 3)
    assert (config.min_connections, config.command_timeout) == (2, 60.0)
    assert DatabaseConfig(url="postgres://h/d", max_connections=4).max_connections == 4


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("url", {"url": f"mysql://u:{SECRET}@h/d"}),
        ("url", {"url": f"postgresql://u:{SECRET}/with@and:slash@h/d"}),
        ("url", {"url": f"postgresql://u:a@{SECRET}@h/d"}),
        ("url", {"url": f"postgresql://u:{SECRET}#@h/d"}),
        ("url", {"url": f"postgresql://u:{SECRET}@h:port/d"}),
        ("url", {"url": f"postgresql://u:{SECRET}@h:99999/d"}),
        ("url", {"url": f"postgresql://u:[{SECRET}@h/d"}),
        ("min_connections", {"url": URL, "min_connections": -1}),
        ("min_connections", {"url": URL, "min_connections": 11}),
        ("max_connections", {"url": URL, "max_connections": 0}),
        ("command_timeout", {"url": URL, "command_timeout": float("inf")}),
        ("max_conections", {"url": URL, "max_conections": 3}),
    ],
)
def test_a_wrong_setting_is_refused_by_name_without_the_password(
    field: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(ValidationError, match=field) as caught:
        DatabaseConfig(**arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert SECRET not in caught.value.json()


def test_no_url_names_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match="set DATABASE_URL"):
        DatabaseConfig()


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"postgresql://u:{SECRET}@h1:1,h2:2/d?application_name=x",
        f"postgresql://u@h/d?password={SECRET}&sslmode=require",
        f"postgresql://u:{SECRET}@[::1]:5432/d",
        f"postgresql://u@h/d?pass%77ord={SECRET}",
        f"postgresql://u@h/d?a=b;PASSWORD={SECRET}",
    ],
)
def test_no_repr_shows_the_password(url: str) -> None:
    config = DatabaseConfig(url=url)
    assert SECRET not in repr(config)
    assert SECRET not in str(config)
    assert "***" in repr(config)


def test_a_config_cannot_be_changed() -> None:
    config = DatabaseConfig(url=URL)
    with pytest.raises(ValidationError, match="frozen"):
        config.max_connections = 5  # type: ignore[misc]  # wrong on purpose


async def test_an_answer_that_cannot_be_read_says_that_the_statement_was_run(db: Database) -> None:
    await db.execute("CREATE TABLE numbers (n int)")
    with pytest.raises(QueryError, match="was run, and its answer cannot be read") as caught:
        await db.fetchval("INSERT INTO numbers VALUES (1) RETURNING '20000-01-01'::timestamp")
    assert not isinstance(caught.value, InvalidValue)
    assert await db.fetchval("SELECT count(*) FROM numbers") == 1


async def test_a_text_with_a_nul_is_never_sent(db: Database) -> None:
    with pytest.raises(InvalidInput, match=r"query: .*expected SQL without a NUL"):
        await db.execute("SELECT 1\0")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 1e9, "soon"])
async def test_a_limit_that_is_none_is_refused_by_its_name(db: Database, timeout: Any) -> None:
    with pytest.raises(InvalidInput, match=r"timeout: .*expected seconds above 0"):
        await db.fetchval("SELECT 1", timeout=timeout)
