"""The seed makes exactly the production schema."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, apply_seeds, seed_files
from polymarket_bot.storage.embedded.binaries import binaries_for
from polymarket_bot.storage.schema import create_database
from polymarket_bot.storage.table import Table
from polymarket_bot.storage.tables import PRODUCTION as TABLES
from polymarket_bot.storage.testing.databases import drop, with_database

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


async def test_the_live_catalog_is_the_production_catalog(db: Database) -> None:
    assert await read_catalog(db) == PRODUCTION


async def test_the_seed_applied_twice_changes_nothing(db: Database) -> None:
    await db.execute("INSERT INTO trade_watermarks VALUES ('c', 1, 'then')")
    await apply_seeds(db)
    assert await read_catalog(db) == PRODUCTION
    assert await db.fetchval("SELECT count(*) FROM trade_watermarks") == 1


async def test_several_processes_may_apply_the_seed_at_once(empty_url: str) -> None:
    async with Database(DatabaseConfig(url=empty_url)) as db:
        await asyncio.gather(*(apply_seeds(db) for _ in range(5)))
        assert await read_catalog(db) == PRODUCTION


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


async def test_psql_loads_the_seeds_as_the_containers_entrypoint_does(empty_url: str) -> None:
    psql = shutil.which("psql") or str(binaries_for(None) / "psql")
    for _ in range(2):
        for file in seed_files():
            command = [psql, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", str(file), empty_url]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            _, problems = await process.communicate()
            assert process.returncode == 0, problems
    async with Database(DatabaseConfig(url=empty_url)) as db:
        assert await read_catalog(db) == PRODUCTION


async def test_a_missing_database_is_created_once(server_url: str) -> None:
    name = f"polymarket test {uuid.uuid4().hex}"
    url = with_database(server_url, quote(name))
    try:
        assert await create_database(url)
        assert not await create_database(url)
        async with Database(DatabaseConfig(url=url)) as db:
            assert await db.health_check()
    finally:
        await drop(server_url, name)
