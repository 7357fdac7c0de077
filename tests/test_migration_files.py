"""Seed files of other kinds than ours: what fails leaves nothing half done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from polymarket_bot.storage import (
    Database,
    MigrationRefused,
    QueryError,
    SchemaDrift,
    seed_files,
)
from polymarket_bot.storage.schema import seeds
from tests.schemas import dump

Write = Callable[[str, str], None]

OUTSIDE = "-- Later.\n-- migrate: outside a transaction\n\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes further files into the folder of the seed files."""
    folder = tmp_path / "seed"
    shutil.copytree(seed_files()[0].parent, folder)
    monkeypatch.setattr(seeds, "_PACKAGED", folder)

    def write_one(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return write_one


async def test_a_file_that_fails_leaves_nothing_of_it(
    db: Database, db_url: str, write: Write
) -> None:
    write("04_later.sql", "-- Later.\n\nCREATE TABLE ops.more (id int);\nSELECT 1 / 0;\n")
    before = await dump(db_url)
    with pytest.raises(QueryError, match="division by zero"):
        await db.migrate()
    assert await dump(db_url) == before
    assert await db.schema_version() == 3
    write("04_later.sql", "-- Later.\n\nCREATE TABLE ops.more (id int);\n")
    assert (await db.migrate()).after == 4
    assert await db.fetchval("SELECT count(*) FROM ops.more") == 0


async def test_a_file_outside_a_transaction_that_fails_is_completed_by_the_next_run(
    db: Database, write: Write
) -> None:
    made = "CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_first ON positions (side);\n"
    write("04_later.sql", f"{OUTSIDE}{made}SELECT 1 / 0;\n")
    with pytest.raises(QueryError, match="division by zero"):
        await db.migrate()
    assert await db.schema_version() == 3
    write("04_later.sql", f"{OUTSIDE}{made}SELECT 1;\n")
    assert (await db.migrate()).after == 4
    assert list(await db.check_schema()) == []


async def test_a_missing_down_script_is_told_before_anything_is_taken_back(
    db: Database, db_url: str, write: Write
) -> None:
    write("04_later.sql", "-- Later.\n\nCREATE TABLE ops.more (id int);\n")
    write("05_last.sql", "-- Last.\n\nCREATE TABLE ops.last (id int);\n")
    write("down/05_last.sql", "-- It goes.\n\nDROP TABLE ops.last;\n")
    await db.migrate()
    before = await dump(db_url)
    with pytest.raises(MigrationRefused, match=r"04_later\.sql cannot be taken back"):
        await db.migrate(2)
    assert await dump(db_url) == before
    assert await db.schema_version() == 5
    assert (await db.migrate(4)).after == 4
    assert await db.fetchval("SELECT to_regclass('ops.last')") is None


async def test_a_file_that_spoils_what_is_there_is_not_kept(
    db: Database, db_url: str, write: Write
) -> None:
    write("04_later.sql", "-- Later.\n\nALTER TABLE positions DROP COLUMN size;\n")
    before = await dump(db_url)
    with pytest.raises(SchemaDrift, match=r"column positions\.size is missing"):
        await db.migrate()
    assert await dump(db_url) == before
    assert await db.schema_version() == 3


async def test_a_file_that_ends_its_lines_otherwise_is_the_same_file(
    db: Database, write: Write
) -> None:
    first = seed_files()[0]
    write(first.name, first.read_text(encoding="utf-8").replace("\n", "\r\n"))
    assert (await db.migrate()).steps == ()


async def test_what_the_catalog_does_not_tell_is_run_and_never_taken_for_done(
    db: Database, write: Write
) -> None:
    write("04_later.sql", "-- Later.\n\nCREATE OR REPLACE VIEW seen AS SELECT 1 AS one;\n")
    (step,) = (await db.migrate()).steps
    assert (step.name, step.action) == ("04_later.sql", "applied")
    assert await db.fetchval("SELECT one FROM seen") == 1
