"""One database for a process, handed to those who ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from polymarket_bot.storage import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    NotInitialized,
    PolymarketTrade,
    SchemaDrift,
    ServerUnavailable,
    TradeRepository,
    TransactionError,
    get_db,
    get_transaction,
    init_db,
)
from tests.programs import in_thread

TRADE = PolymarketTrade(condition_id="c", trade_id="t")

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
LEFT_OPEN = """
import asyncio
from polymarket_bot.storage import *

async def leave_open():
    return await asyncio.gather(init_db(CONFIG), init_db(CONFIG))

async def go_on(settings):
    try:
        print(await get_db())
    except NotInitialized:
        print("none")
    db = await init_db(CONFIG.model_copy(update=settings))
    print(await db.fetchval("SELECT 5"), await get_db() is db)
    await asyncio.gather(init_db(db.config), init_db(db.config))
    return db

CONFIG = DatabaseConfig(min_connections=1)
old, _ = asyncio.run(leave_open())
assert asyncio.run(go_on({})) is old
assert asyncio.run(go_on({"max_connections": 3})) is not old
asyncio.run(old.close())
asyncio.run(go_on({}))
"""

in_transaction = contextlib.asynccontextmanager(get_transaction)


@pytest.fixture
async def config(db_url: str) -> AsyncIterator[DatabaseConfig]:
    """Settings of this test's database; the process's database is closed afterwards."""
    yield DatabaseConfig(url=db_url, direct_url=db_url, min_connections=1)
    with contextlib.suppress(NotInitialized):
        await (await get_db()).close()


async def test_there_is_none_before_it_is_opened_and_after_it_is_closed(
    config: DatabaseConfig,
) -> None:
    with pytest.raises(NotInitialized, match=r"not initialized; call `await init_db\(config\)`"):
        await get_db()
    db = await init_db(config)
    assert await get_db() is db
    await db.close()
    for ask in (get_db, in_transaction().__aenter__):
        with pytest.raises(NotInitialized):
            await ask()


async def test_opening_it_again_with_the_same_settings_gives_the_same(
    config: DatabaseConfig,
) -> None:
    db = await init_db(config)
    assert await init_db(config.model_copy()) is db
    with pytest.raises(ConfigurationError, match="open with other settings; close it first"):
        await init_db(config.model_copy(update={"max_connections": 3}))
    await db.close()
    other = await init_db(config.model_copy(update={"max_connections": 3}))
    assert other is not db
    assert other.config.max_connections == 3


async def test_it_can_be_migrated_when_it_is_opened(config: DatabaseConfig, empty_url: str) -> None:
    empty = config.model_copy(update={"url": empty_url, "direct_url": empty_url})
    assert await (await init_db(empty)).schema_version() == 0
    db = await init_db(empty, migrate=True)
    assert await TradeRepository(db).count() == 0


async def test_it_is_migrated_before_its_schema_is_verified(
    config: DatabaseConfig, empty_url: str
) -> None:
    urls = {"url": empty_url, "direct_url": empty_url}
    db = await init_db(config.model_copy(update={**urls, "verify_schema": True}), migrate=True)
    assert await TradeRepository(db).count() == 0


async def test_of_two_that_are_opened_at_once_with_other_settings_one_is(
    config: DatabaseConfig, db: Database
) -> None:
    names = [f"{db.config.url[-8:]} {number}" for number in range(2)]
    asked = [init_db(config.model_copy(update={"application_name": name})) for name in names]
    opened, refused = await asyncio.gather(*asked, return_exceptions=True)
    assert opened is await get_db()
    assert isinstance(refused, ConfigurationError)
    assert [await db.fetchval(SESSIONS, name) for name in names] == [1, 0]


async def test_one_that_cannot_be_migrated_is_not_there(
    config: DatabaseConfig, db: Database
) -> None:
    name = db.config.url[-8:]
    named = config.model_copy(update={"application_name": name})
    await db.execute("ALTER TABLE polymarket_trades ALTER price TYPE text")
    with pytest.raises(SchemaDrift):
        await init_db(named, migrate=True)
    with pytest.raises(NotInitialized):
        await get_db()
    async with asyncio.timeout(60):
        while await db.fetchval(SESSIONS, name):  # noqa: ASYNC110 - seen only by looking
            await asyncio.sleep(0.02)
    opened = await init_db(named)
    with pytest.raises(SchemaDrift):
        await init_db(named, migrate=True)
    assert await get_db() is opened, "others use it"


async def test_one_whose_event_loop_is_closed_is_not_there(db_url: str, tmp_path: Path) -> None:
    python = [sys.executable, "-c", LEFT_OPEN]
    done = await in_thread(python, tmp_path, DATABASE_URL=db_url)
    assert (done.returncode, done.stdout) == (0, "none\n5 True\n" * 3), done.stderr


async def test_one_that_cannot_be_opened_is_not_there(config: DatabaseConfig) -> None:
    away = {"url": "postgresql://nobody@127.0.0.1:1/nothing", "connect_timeout": 0.2}
    with pytest.raises(ServerUnavailable):
        await init_db(config.model_copy(update=away))
    with pytest.raises(NotInitialized):
        await get_db()
    assert (await init_db(config)).is_open


async def test_a_dependency_commits_when_its_user_is_done(config: DatabaseConfig) -> None:
    db = await init_db(config)
    async with in_transaction() as connection:
        await TradeRepository(connection).create(TRADE)
        assert await TradeRepository(db).count() == 0, "others are no part of it"
    assert await TradeRepository(db).count() == 1
    with pytest.raises(TransactionError, match="has ended"):
        await TradeRepository(connection).count()


async def test_a_dependency_rolls_back_what_its_user_failed_at(config: DatabaseConfig) -> None:
    db = await init_db(config)
    with pytest.raises(ZeroDivisionError):
        async with in_transaction() as connection:
            await TradeRepository(connection).create(TRADE)
            raise ZeroDivisionError
    generator = get_transaction()
    await TradeRepository(await anext(generator)).create(TRADE)
    await generator.aclose()
    assert await TradeRepository(db).count() == 0
    assert db.stats().holders == ()


async def test_a_dependency_does_not_draw_its_user_into_the_transaction(
    config: DatabaseConfig,
) -> None:
    db = await init_db(config)
    trades = TradeRepository(db)
    async for connection in get_transaction():
        await trades.create(TRADE)
        assert await TradeRepository(connection).count() == 1, "it was stored at once"
        async with db.transaction(), in_transaction() as other:
            await trades.create(TRADE.model_copy(update={"trade_id": "u"}))
            assert await TradeRepository(other).count() == 1
    assert await trades.count() == 2, "the body did not run"


async def test_a_separate_transaction_keeps_to_itself_inside_a_block(
    db: Database, fails: Callable[[], None]
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            async with db.separate_transaction() as connection:
                await TradeRepository(connection).create(TRADE)
            fails()
    assert await TradeRepository(db).count() == 1


@pytest.fixture
def fails() -> Callable[[], None]:
    """Raises an error that is no part of the package."""

    def fail() -> None:
        raise ZeroDivisionError

    return fail
