"""Drift is told at start-up and by `health`; the schema can be brought forward at start-up."""

from __future__ import annotations

import pytest

from polymarket_bot.storage import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    MigrationRefused,
    NotInitialized,
    SchemaDrift,
    TradeRepository,
)
from tests.schemas import spoil

HARM = "ALTER TABLE positions DROP COLUMN size"


async def test_a_database_that_drifted_is_not_opened_where_that_is_verified(
    db: Database, db_url: str
) -> None:
    config = DatabaseConfig(url=db_url, direct_url=db_url, verify_schema=True)
    async with Database(config) as good:
        assert await good.health_check()
    await db.execute(HARM)
    other = Database(config)
    with pytest.raises(SchemaDrift, match=r"column positions\.size is missing") as caught:
        await other.initialize()
    assert [entry.name for entry in caught.value.report.harmful] == ["positions.size"]
    with pytest.raises(NotInitialized):
        other.stats()
    async with Database(DatabaseConfig(url=db_url)) as trusting:
        assert await trusting.health_check()


async def test_what_is_harmless_does_not_keep_a_database_closed(db: Database, db_url: str) -> None:
    await db.execute("ALTER TABLE positions ADD COLUMN note text; CREATE TABLE aside (id int)")
    async with Database(DatabaseConfig(url=db_url, verify_schema=True)) as opened:
        assert (await opened.health()).healthy


async def test_the_schema_is_brought_forward_at_start_where_that_is_asked_for(
    empty_url: str,
) -> None:
    config = DatabaseConfig(
        url=empty_url, direct_url=empty_url, migrate_on_start=True, verify_schema=True
    )
    async with Database(config) as db:
        assert await TradeRepository(db).count() == 0
        await db.execute("UPDATE ops.schema_version SET checksum = 'other' WHERE version = 1")
    with pytest.raises(MigrationRefused):
        await Database(config).initialize()


async def test_a_transaction_pooler_needs_a_way_past_it_to_migrate(empty_url: str) -> None:
    config = DatabaseConfig(url=empty_url, pooler="transaction", direct_url="")
    async with Database(config) as db:
        with pytest.raises(ConfigurationError, match=r"migrate .*direct_url"):
            await db.migrate()


async def test_a_way_past_the_pooler_that_leads_elsewhere_is_refused(
    db_url: str, empty_url: str
) -> None:
    config = DatabaseConfig(url=db_url, direct_url=empty_url)
    async with Database(config) as db:
        with pytest.raises(ConfigurationError, match="direct_url leads to another database"):
            await db.migrate()
    async with Database(DatabaseConfig(url=empty_url)) as untouched:
        assert await untouched.fetchval("SELECT to_regnamespace('ops')") is None


async def test_health_says_what_is_missing_and_how_to_put_it_right(
    db: Database,
) -> None:
    report = await db.health()
    assert (report.healthy, report.problems, report.schema_version) == (True, [], 3)
    await db.execute(f"{HARM}; DROP TABLE exit_events, ops.leases")
    await spoil(db, "idx_trades_timestamp")
    report = await db.health()
    assert not report.healthy
    assert report.problems == [
        "not there: table exit_events, ops.leases; create what is missing: polymarket-storage "
        "migrate, or name the schema that it is in: DATABASE_SCHEMA_NAME",
        "column positions.size is missing: expected real NOT NULL; create it: ALTER TABLE "
        "positions ADD COLUMN size real NOT NULL",
        "index idx_trades_timestamp on polymarket_trades (timestamp) is different: expected "
        "INDEX, found INDEX, invalid; build it anew: polymarket-storage migrate, or REINDEX INDEX "
        "CONCURRENTLY idx_trades_timestamp",
    ]


async def test_health_of_an_empty_database_says_one_thing(empty_url: str) -> None:
    async with Database(DatabaseConfig(url=empty_url)) as db:
        report = await db.health()
    assert report.schema_version == 0
    (problem,) = report.problems
    assert problem.startswith("not there: table polymarket_trades, trade_watermarks, ")
    assert " and 19 more; create what is missing: polymarket-storage migrate" in problem


async def test_many_differences_are_cut_short(db: Database) -> None:
    for table in ("positions", "live_orders", "paper_trades"):
        await db.execute(
            f"ALTER TABLE {table} DROP COLUMN token_id, DROP COLUMN created_at, "
            "DROP COLUMN condition_id, DROP COLUMN outcome CASCADE"
            if table != "live_orders"
            else "ALTER TABLE live_orders DROP COLUMN token_id, DROP COLUMN status"
        )
    problems = (await db.health()).problems
    assert len(problems) == 11
    assert problems[-1].endswith("more: polymarket-storage check")


async def test_tables_of_a_schema_of_ones_own_are_made_there(empty_url: str) -> None:
    name = 'Bot\'s "own"'
    config = DatabaseConfig(url=empty_url, direct_url=empty_url, schema_name=name)
    async with Database(config) as db:
        await db.migrate()
        assert list(await db.check_schema()) == []
        assert await db.fetchval("SELECT to_regclass('public.positions')") is None
        assert await db.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", name) == 19
    async with Database(DatabaseConfig(url=empty_url, direct_url=empty_url)) as db:
        assert [step.action for step in (await db.migrate()).steps] == ["repaired", "repaired"]
        assert list(await db.check_schema()) == []
