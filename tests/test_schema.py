"""The seed makes exactly the production schema."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, InvalidInput, seed_files
from polymarket_bot.storage.config import with_database
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.schema.creation import create_database
from polymarket_bot.storage.tables import ALL
from polymarket_bot.storage.tables import PRODUCTION as TABLES
from polymarket_bot.storage.testing.databases import drop
from tests.hostile_values import INCOMPRESSIBLE
from tests.programs import in_thread
from tests.schemas import dump, load

PRODUCTION = json.loads(
    (Path(__file__).parent / "fixtures" / "production_catalog.json").read_text(encoding="utf-8")
)

_COLUMNS = """
SELECT c.relname AS table, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
# PostgreSQL 18 lists NOT NULL among the constraints (contype n), 15 does not.
_CONSTRAINTS = """
SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
"""
_INDEXES = """
SELECT i.tablename AS table, i.indexdef AS definition FROM pg_indexes i
WHERE i.schemaname = 'public'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexname::regclass)
"""


async def read_catalog(db: Database) -> dict[str, Any]:
    """Read what the fixture states of each table from the live catalog."""
    catalog: dict[str, Any] = {}
    for table, *column in await db.fetch(_COLUMNS):
        entry = catalog.setdefault(table, {"columns": [], "constraints": [], "indexes": []})
        entry["columns"].append(column)
    for kind, query in (("constraints", _CONSTRAINTS), ("indexes", _INDEXES)):
        for table, definition in sorted(map(tuple, await db.fetch(query))):
            catalog[table][kind].append(definition)
    return catalog


@pytest.fixture
async def production(empty_url: str) -> AsyncIterator[Database]:
    """A database that the first seed file alone was loaded into."""
    await load(empty_url, seed_files()[0])
    async with Database(DatabaseConfig(url=empty_url)) as db:
        yield db


async def test_the_first_seed_file_makes_the_production_catalog(production: Database) -> None:
    assert await read_catalog(production) == PRODUCTION


async def test_a_migrated_database_has_the_production_catalog_and_more_indexes(
    db: Database,
) -> None:
    catalog = await read_catalog(db)
    for table, entry in catalog.items():
        assert set(entry["indexes"]) >= set(PRODUCTION[table]["indexes"])
        assert not [index for index in entry["indexes"] if "UNIQUE" in index]
        entry["indexes"] = PRODUCTION[table]["indexes"]
    assert catalog == PRODUCTION


async def test_the_seeds_loaded_twice_by_psql_change_nothing(db: Database, db_url: str) -> None:
    await db.execute("INSERT INTO trade_watermarks VALUES ('c', 1, 'then')")
    before = await dump(db_url)
    await load(db_url)
    assert await dump(db_url) == before
    assert await db.fetchval("SELECT count(*) FROM trade_watermarks") == 1


async def test_ten_processes_that_migrate_at_once_apply_each_file_once(
    empty_url: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "polymarket_bot.storage.cli", "migrate", "--json"]
    done = await asyncio.gather(
        *(in_thread([*command, "--url", empty_url], cwd=tmp_path) for _ in range(10))
    )
    assert [process.returncode for process in done] == [0] * 10, done
    reports = [json.loads(process.stdout) for process in done]
    assert {report["after"] for report in reports} == {len(seed_files())}
    applied = [step["name"] for report in reports for step in report["steps"]]
    assert sorted(applied) == [file.name for file in seed_files()]
    async with Database(DatabaseConfig(url=empty_url)) as db:
        assert list(await db.check_schema()) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_model_has_the_columns_of_its_table_in_order(table: Table[Any]) -> None:
    expected = [(name, kind) for name, kind, *_ in PRODUCTION[table.name]["columns"]]
    assert [(name, column.sql) for name, column in table.columns.items()] == expected


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_field_is_required_where_the_column_must_be_given(table: Table[Any]) -> None:
    required = {
        name
        for name, _, not_null, default in PRODUCTION[table.name]["columns"]
        if not_null and default is None
    }
    fields = table.model.model_fields
    assert {name for name, field in fields.items() if field.is_required()} == required


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_key_of_the_catalog(table: Table[Any]) -> None:
    assert f"PRIMARY KEY ({', '.join(table.key)})" in PRODUCTION[table.name]["constraints"]


async def test_a_text_that_is_longer_than_an_index_holds_is_refused_by_its_column(
    db: Database,
) -> None:
    columns = await db.fetch(
        "SELECT DISTINCT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
        " WHERE a.atttypid = 'text'::regtype AND c.relname = ANY ($1)",
        [table.name for table in ALL],
    )
    assert len(columns) > 30
    tables = {table.name: table for table in ALL}
    for name, column in columns:
        with pytest.raises(InvalidInput, match=column):
            tables[name].check(column, INCOMPRESSIBLE)


async def test_a_missing_database_is_created_once(server_url: str) -> None:
    name = f"polymarket test {uuid.uuid4().hex}"
    url = with_database(server_url, quote(name))
    config = DatabaseConfig(url=url, direct_url=url)
    try:
        assert await create_database(config)
        assert not await create_database(config)
        async with Database(config) as db:
            assert await db.health_check()
    finally:
        await drop(server_url, name)
