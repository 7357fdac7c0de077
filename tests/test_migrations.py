"""The seed files applied once each: forward, adopted, repaired, and refused."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from polymarket_bot.storage import (
    AlreadyHeld,
    Database,
    DatabaseConfig,
    InvalidInput,
    MigrationRefused,
    MigrationReport,
    SchemaDrift,
    TransactionError,
    seed_files,
)
from tests.schemas import dump, load, spoil

NAMES = [file.name for file in seed_files()]
NEWEST = len(NAMES)


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    """A database with nothing in it."""
    async with Database(DatabaseConfig(url=empty_url, direct_url=empty_url)) as db:
        yield db


def actions(report: MigrationReport) -> list[tuple[int, str]]:
    return [(step.version, step.action) for step in report.steps]


async def versions(db: Database) -> list[int]:
    return [row[0] for row in await db.fetch("SELECT version FROM ops.schema_version ORDER BY 1")]


def test_the_seed_files_are_numbered_without_a_gap() -> None:
    assert [int(name[:2]) for name in NAMES] == list(range(1, NEWEST + 1))
    assert NEWEST >= 3


async def test_an_empty_database_is_brought_to_the_newest_version(empty: Database) -> None:
    assert await empty.schema_version() == 0
    report = await empty.migrate()
    assert (report.before, report.after, report.dry_run) == (0, NEWEST, False)
    assert [step.name for step in report.steps] == NAMES
    assert {step.action for step in report.steps} == {"applied"}
    assert await empty.schema_version() == NEWEST
    assert list(await empty.check_schema()) == []


async def test_each_applied_file_is_recorded_with_its_sha_256_and_duration(db: Database) -> None:
    rows = await db.fetch("SELECT * FROM ops.schema_version ORDER BY version")
    assert [row["name"] for row in rows] == NAMES
    for row, file in zip(rows, seed_files(), strict=True):
        assert row["checksum"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert file.read_text().startswith(f"-- {row['description']}")
        assert row["duration"] > 0
    clock = "SELECT bool_and(applied_at BETWEEN now() - interval '1 day' AND now())"
    assert await db.fetchval(f"{clock} FROM ops.schema_version")


async def test_a_migration_that_has_nothing_to_do_says_so(db: Database) -> None:
    assert await db.migrate() == MigrationReport(NEWEST, NEWEST)


async def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(
    empty: Database, empty_url: str
) -> None:
    before = await dump(empty_url)
    report = await empty.migrate(dry_run=True)
    assert actions(report) == [(number, "applied") for number in range(1, NEWEST + 1)]
    assert report.dry_run
    assert await dump(empty_url) == before
    await empty.migrate()
    before = await dump(empty_url)
    assert actions(await empty.migrate(1, dry_run=True)) == [(3, "reverted"), (2, "reverted")]
    assert await dump(empty_url) == before
    assert await versions(empty) == [1, 2, 3]


async def test_a_version_between_can_be_asked_for(empty: Database) -> None:
    assert actions(await empty.migrate(1)) == [(1, "applied")]
    assert (await empty.migrate(2)).before == 1
    assert await versions(empty) == [1, 2]
    assert actions(await empty.migrate()) == [(3, "applied")]


async def test_going_back_drops_what_was_added_and_keeps_production(db: Database) -> None:
    await db.execute("INSERT INTO trade_watermarks VALUES ('c', 1, 'then')")
    report = await db.migrate(1)
    assert actions(report) == [(3, "reverted"), (2, "reverted")]
    assert (report.before, report.after) == (3, 1)
    assert await versions(db) == [1]
    assert await db.fetchval("SELECT to_regclass('ops.leases')") is None
    assert await db.fetchval("SELECT to_regclass('idx_trades_timestamp')") is None
    assert await db.fetchval("SELECT count(*) FROM trade_watermarks") == 1


async def test_the_production_tables_cannot_be_taken_back(db: Database, db_url: str) -> None:
    before = await dump(db_url)
    with pytest.raises(MigrationRefused, match=r"01_schema\.sql cannot be taken back"):
        await db.migrate(0)
    assert await dump(db_url) == before
    assert await versions(db) == [1, 2, 3]


@pytest.mark.parametrize("to", [-1, NEWEST + 1, True, "2", 1.0])
async def test_a_version_that_there_is_none_of_is_refused(db: Database, to: Any) -> None:
    with pytest.raises(InvalidInput, match=f"to: expected a version from 0 to {NEWEST}"):
        await db.migrate(to)


async def test_a_database_of_a_newer_package_is_refused(db: Database) -> None:
    await db.execute(
        "INSERT INTO ops.schema_version VALUES (99, '99_later.sql', 'x', now(), 1, 'later')"
    )
    with pytest.raises(MigrationRefused, match=r"version 99 \(99_later.sql\).*upgrade the package"):
        await db.migrate()
    assert await db.schema_version() == 99


async def test_an_applied_file_that_was_changed_is_refused(db: Database) -> None:
    await db.execute("UPDATE ops.schema_version SET checksum = 'other' WHERE version = 2")
    for to in (None, 1):
        with pytest.raises(MigrationRefused, match=r"02_indexes\.sql was applied with .* other"):
            await db.migrate(to)
    assert await versions(db) == [1, 2, 3]


async def test_an_existing_production_database_is_adopted_as_it_is(
    empty: Database, empty_url: str
) -> None:
    await load(empty_url, seed_files()[0])
    await empty.execute("INSERT INTO trade_watermarks VALUES ('c', 1, 'then')")
    assert await empty.schema_version() == 0
    report = await empty.migrate()
    assert actions(report) == [(1, "adopted"), (2, "applied"), (3, "applied")]
    adopted = "SELECT duration FROM ops.schema_version WHERE version = 1"
    assert await empty.fetchval(adopted) == 0
    assert await empty.fetchval("SELECT count(*) FROM trade_watermarks") == 1


async def test_a_database_that_psql_loaded_is_recognised(empty: Database, empty_url: str) -> None:
    await load(empty_url)
    before = await dump(empty_url)
    report = await empty.migrate()
    assert actions(report) == [(number, "adopted") for number in range(1, NEWEST + 1)]
    assert await dump(empty_url) == before
    assert await empty.migrate() == MigrationReport(NEWEST, NEWEST)


async def test_what_psql_loaded_can_be_taken_back(empty: Database, empty_url: str) -> None:
    await load(empty_url)
    report = await empty.migrate(1)
    assert actions(report) == [(1, "adopted"), (3, "reverted"), (2, "reverted")]
    assert await versions(empty) == [1]


async def test_a_load_that_was_interrupted_is_completed(empty: Database, empty_url: str) -> None:
    await load(empty_url)
    await empty.execute("DROP TABLE score_history, daily_pnl; DROP INDEX idx_positions_token")
    assert dict(actions(await empty.migrate()))[1] == "applied"
    assert list(await empty.check_schema()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER COLUMN size TYPE double precision", "positions.size is different"),
        ("DROP COLUMN market_id", "positions.market_id is missing"),
        ("DROP CONSTRAINT positions_pkey", r"positions \(id\) is missing"),
        ("ADD COLUMN note text NOT NULL", "positions.note is extra"),
    ],
)
async def test_a_production_database_of_another_shape_is_refused_before_anything_is_done(
    empty: Database, empty_url: str, change: str, told: str
) -> None:
    await load(empty_url, seed_files()[0])
    await empty.execute(f"ALTER TABLE positions {change}")
    before = await dump(empty_url)
    with pytest.raises(SchemaDrift, match=told) as caught:
        await empty.migrate()
    assert len(caught.value.report) == 1
    assert await dump(empty_url) == before


async def test_a_missing_part_of_an_applied_file_is_made_again_and_logged(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await db.execute("DROP TABLE positions; DROP INDEX idx_candidates_token")
    assert actions(await db.migrate(dry_run=True)) == [(1, "repaired"), (2, "repaired")]
    with caplog.at_level(logging.WARNING, "polymarket_bot.storage"):
        report = await db.migrate()
    assert actions(report) == [(1, "repaired"), (2, "repaired")]
    assert "01_schema.sql repaired" in caplog.text
    assert list(await db.check_schema()) == []
    assert await versions(db) == [1, 2, 3]


@pytest.mark.parametrize(
    "index", ["idx_trades_timestamp", "idx_positions_token", "ops.idx_late_trades_unhandled"]
)
async def test_an_invalid_index_is_built_anew(db: Database, index: str) -> None:
    await spoil(db, index)
    before = await db.fetchval("SELECT $1::text::regclass::oid", index)
    assert len((await db.migrate()).steps) == 1
    assert await db.fetchval("SELECT $1::text::regclass::oid", index) != before
    assert list(await db.check_schema()) == []


async def test_an_index_whose_name_is_taken_is_told_and_not_recorded(db: Database) -> None:
    await db.migrate(1)
    await db.execute("CREATE INDEX idx_trades_timestamp ON polymarket_trades (side)")
    with pytest.raises(SchemaDrift, match=r"idx_trades_timestamp on polymarket_trades"):
        await db.migrate()
    assert await versions(db) == [1]
    await db.execute("DROP INDEX idx_trades_timestamp")
    assert (await db.migrate()).after == NEWEST


async def test_it_waits_for_another_runner_up_to_its_limit(db: Database) -> None:
    async with db.singleton("schema migration"):
        with pytest.raises(AlreadyHeld, match="'schema migration' is held by process"):
            await db.migrate(timeout=0.2)
        assert actions(await db.migrate(2, dry_run=True)) == [(3, "reverted")]


async def test_it_cannot_be_part_of_a_transaction_block(db: Database) -> None:
    async with db.transaction():
        with pytest.raises(TransactionError, match=r"migrate\(\) cannot be part"):
            await db.migrate()
        with db.detached():
            assert (await db.migrate()).after == NEWEST


async def test_a_role_without_the_rights_is_told_which_and_nothing_is_done(
    empty: Database, empty_url: str
) -> None:
    role = f"poor_{os.urandom(6).hex()}"
    await load(empty_url, seed_files()[0])
    await empty.execute(f"CREATE ROLE {role} NOLOGIN")
    name, owner = await empty.fetchrow("SELECT current_database(), current_user") or ("", "")
    before = await dump(empty_url)
    mark = "&" if "?" in empty_url else "?"
    poor = DatabaseConfig(url=f"{empty_url}{mark}options=-c%20role%3D{role}")
    try:
        async with Database(poor) as db:
            for dry_run in (True, False):
                with pytest.raises(MigrationRefused, match=f"the user {role} lacks") as caught:
                    await db.migrate(dry_run=dry_run)
                assert f"GRANT CREATE ON DATABASE {name} TO {role}" in str(caught.value)
                assert f"GRANT {owner} TO {role}" in str(caught.value)
        assert await dump(empty_url) == before
    finally:
        await empty.execute(f"DROP ROLE {role}")


async def test_who_has_nothing_to_do_needs_no_right(db: Database, db_url: str) -> None:
    role = f"poor_{os.urandom(6).hex()}"
    await db.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA ops TO {role};")
    await db.execute(f"GRANT SELECT ON ops.schema_version TO {role}")
    mark = "&" if "?" in db_url else "?"
    poor = DatabaseConfig(url=f"{db_url}{mark}options=-c%20role%3D{role}", migrate_on_start=True)
    try:
        async with Database(poor) as other:
            assert (await other.migrate()).steps == ()
    finally:
        await db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
