"""What `Database` and its transaction blocks promise."""

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
    NotInitialized,
    SchemaMissing,
    ServerUnavailable,
    StatementTimeout,
    StorageError,
    TradeRepository,
    TradeWatermarkRepository,
    TransactionAborted,
    TransactionError,
)
from tests.databases import with_database
from tests.makers import trade

SECRET = "hunter2-secret"  # noqa: S105 - a password to look for
URL = f"postgresql://predict:{SECRET}@127.0.0.1:1/predict"


async def mark(db: Database, key: str = "c") -> int:
    return await TradeWatermarkRepository(db).get_timestamp(key)


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


async def test_a_block_commits_when_its_body_ends(db: Database) -> None:
    async with db.transaction() as connection:
        await connection.execute("INSERT INTO trade_watermarks VALUES ('c', 7, '')")
    assert await mark(db) == 7


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
async def test_a_block_rolls_back_when_its_body_raises(
    db: Database, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 7)
            raise error
    assert await mark(db) == 0


async def test_an_error_of_the_body_arrives_as_it_was_raised(db: Database) -> None:
    with pytest.raises(OSError, match="of the caller") as caught:
        async with db.transaction():
            raise OSError("of the caller")
    assert not isinstance(caught.value, StorageError)


async def test_repositories_called_inside_a_block_take_part_in_it(db: Database) -> None:
    with pytest.raises(KeyError):
        async with db.transaction():
            await TradeRepository(db).create(trade())
            assert await TradeRepository(db).count() == 1
            raise KeyError
    assert await TradeRepository(db).count() == 0


async def test_tasks_started_inside_a_block_take_part_in_it(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    with pytest.raises(KeyError):
        async with db.transaction():
            await asyncio.gather(*(marks.update(str(key), 5) for key in range(20)))
            assert await marks.count() == 20
            raise KeyError
    assert await marks.count() == 0


async def test_other_tasks_do_not_see_an_open_block(db: Database) -> None:
    opened, looked = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            opened.set()
            await looked.wait()

    writer = asyncio.create_task(write())
    await opened.wait()
    assert await mark(db) == 0
    looked.set()
    await writer
    assert await mark(db) == 5


async def test_an_inner_block_that_raises_undoes_only_itself(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    async with db.transaction():
        await marks.update("outer", 5)
        with pytest.raises(KeyError):
            async with db.transaction():
                await marks.update("inner", 5)
                raise KeyError
    assert (await mark(db, "outer"), await mark(db, "inner")) == (5, 0)


async def test_blocks_three_deep_each_undo_only_themselves(db: Database) -> None:
    marks = TradeWatermarkRepository(db)

    async def block(key: str, *, fails: bool) -> None:
        async with db.transaction():
            await marks.update(key, 5)
            if fails:
                raise KeyError

    with pytest.raises(KeyError):
        async with db.transaction():
            await marks.update("a", 5)
            with pytest.raises(RuntimeError):
                async with db.transaction():
                    await marks.update("b", 5)
                    with pytest.raises(KeyError):
                        await block("c", fails=True)
                    await block("d", fails=False)
                    raise RuntimeError
            assert {row.condition_id for row in await marks.get_all()} == {"a"}
            with pytest.raises(KeyError):
                await block("e", fails=True)
            await marks.update("f", 5)
            raise KeyError
    assert await marks.get_all() == []


async def test_waiting_for_an_outer_task_inside_an_inner_block_ends_with_words(
    db_url: str,
) -> None:
    async with Database(DatabaseConfig(url=db_url, command_timeout=0.3)) as db:
        with pytest.raises(TransactionError, match="await no task that was started outside"):
            async with db.transaction():
                task = asyncio.create_task(db.fetchval("SELECT 1"))
                async with db.transaction():
                    await task


async def test_a_cancelled_block_stays_cancelled_whatever_its_tasks_do(db: Database) -> None:
    async def block() -> None:
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            sibling = asyncio.create_task(db.fetchval("SELECT pg_sleep(5)"))
            try:
                await asyncio.sleep(60)
            finally:
                sibling.add_done_callback(lambda done: done.cancelled() or done.exception())

    task = asyncio.create_task(block())
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await mark(db) == 0


async def test_an_unknown_isolation_is_refused_by_name(db: Database) -> None:
    wrong: Any = "READ COMMITTED"
    with pytest.raises(InvalidInput, match="isolation: expected one of"):
        async with db.transaction(isolation=wrong):
            pass


async def test_errors_can_be_pickled(db: Database) -> None:
    with pytest.raises(StorageError) as caught:
        await db.execute("SELECT no_such_function()")
    for error in (caught.value, NotInitialized(), InvalidInput("f", 5, "expected text")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again)) == (type(error), str(error))
        assert again.__dict__ == error.__dict__


async def test_inner_blocks_of_sibling_tasks_do_not_undo_each_other(db: Database) -> None:
    marks = TradeWatermarkRepository(db)

    async def child(number: int) -> None:
        async with db.transaction():
            await marks.update(str(number), 5)
            await asyncio.sleep(0)
            if number % 2:
                raise KeyError

    async with db.transaction():
        await asyncio.gather(*(child(number) for number in range(10)), return_exceptions=True)
    stored = {row.condition_id for row in await marks.get_all()}
    assert stored == {"0", "2", "4", "6", "8"}


async def test_a_task_that_outlives_its_block_gets_an_error_and_writes_nothing(
    db: Database,
) -> None:
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        await TradeWatermarkRepository(db).update("c", 5)

    async with db.transaction():
        task = asyncio.create_task(late())
    ended.set()
    with pytest.raises(TransactionError, match="has ended"):
        await task
    assert await mark(db) == 0


async def test_a_commit_that_was_a_rollback_is_an_error(db: Database) -> None:
    with pytest.raises(TransactionAborted, match="nothing of this transaction was stored"):
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            with pytest.raises(StorageError):
                await db.execute("SELECT no_such_function()")
    assert await mark(db) == 0
    assert await db.fetchval("SELECT 1") == 1


async def test_an_inner_block_that_was_aborted_is_an_error_and_the_outer_goes_on(
    db: Database,
) -> None:
    marks = TradeWatermarkRepository(db)
    async with db.transaction():
        await marks.update("outer", 5)
        with pytest.raises(TransactionAborted):
            async with db.transaction():
                await marks.update("inner", 5)
                with pytest.raises(StorageError):
                    await db.execute("SELECT no_such_function()")
    assert (await mark(db, "outer"), await mark(db, "inner")) == (5, 0)


async def test_isolation_is_that_of_the_outermost_block(db: Database) -> None:
    async with db.transaction(isolation="serializable", readonly=True):
        assert await db.fetchval("SHOW transaction_isolation") == "serializable"
        assert await db.fetchval("SHOW transaction_read_only") == "on"
        with pytest.raises(TransactionError, match="outermost"):
            async with db.transaction(isolation="repeatable_read"):
                pass


async def test_a_connection_inside_a_block_is_another_one(db: Database) -> None:
    async with db.transaction() as inside, db.connection() as other:
        pids = [await c.fetchval("SELECT pg_backend_pid()") for c in (inside, other)]
    assert pids[0] != pids[1]


async def test_a_repository_bound_to_a_connection_takes_part_in_its_transaction(
    db: Database,
) -> None:
    async with db.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await TradeRepository(connection).create_many([trade("a"), trade("b")]) == 2
        await transaction.rollback()
        assert await TradeRepository(connection).count() == 0


async def test_a_block_of_one_database_leaves_another_alone(db: Database, empty_url: str) -> None:
    async with Database(DatabaseConfig(url=empty_url)) as other:
        async with db.transaction():
            await other.execute("CREATE TABLE kept (n int)")
        assert await other.fetchval("SELECT count(*) FROM kept") == 0


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
        with pytest.raises(SchemaMissing, match="polymarket-storage init"):
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
