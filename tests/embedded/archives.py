"""Rows of every table, and what a database holds, to the bit."""

from __future__ import annotations

import asyncio

import asyncpg

from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.tables import PRODUCTION
from tests.every_table import repository
from tests.small_rows import store
from tests.strategies import rows

from .support import LIMIT

REALS = ("1e-45", "3.4028235e38", "-0", "NaN", "-Infinity", "0.1", "16777216", "1.17549435e-38")
TEXTS = ("", "\\.", "\\N", "tab\tand\nline\r\n", 'it\'s "quoted" $1', "ünï 数据 🎲")
OPS = """
INSERT INTO ops.late_trades VALUES ('c', 't', now(), NULL), ('c', 'u', now(), now());
INSERT INTO ops.leases VALUES ('l', 'me', now(), 9007199254740993);
SELECT nextval('positions_id_seq') FROM generate_series(1, 5)
"""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'ops')
"""
_ROWS = """
SELECT count(*) || ' rows, ' || md5(COALESCE(string_agg(row, ' ' ORDER BY row), ''))
FROM (SELECT encode(record_send(t), 'hex') AS row FROM {} AS t) AS rows
"""
_SEQUENCES = "SELECT sequencename::text, last_value::text FROM pg_sequences"


def opened(url: str) -> Database:
    """Return the database at a URL, whatever the environment says."""
    return Database(DatabaseConfig(url=url, direct_url=url, min_connections=1))


async def fill(url: str) -> None:
    """Make the schema, rows in every table, and numbers and texts that a copy may spoil."""
    async with opened(url) as db:
        await db.migrate()
        for table in PRODUCTION:
            await repository(db, table).create_many(rows(table, range(1, 21)))
        for number in REALS:
            await db.execute(f"INSERT INTO daily_pnl VALUES ('real {number}', '{number}')")
        for text in TEXTS:
            await store(
                db, "trade_watermarks", condition_id=f"0x{text}", last_timestamp=0, updated_at=text
            )
        for statement in OPS.split(";"):
            await db.execute(statement)


async def contents(url: str) -> dict[str, str]:
    """Return what each table holds, its rows in the driver's binary form, and each sequence."""
    connection = await asyncpg.connect(url)
    try:
        tables = [name for (name,) in await connection.fetch(_TABLES)]
        held = {name: await connection.fetchval(_ROWS.format(name)) for name in tables}
        return held | {name: value or "" for name, value in await connection.fetch(_SEQUENCES)}
    finally:
        await connection.close()


async def databases(url: str) -> set[str]:
    """Return the names of the server's databases."""
    connection = await asyncpg.connect(url, database="template1")
    try:
        return {name for (name,) in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


async def until(url: str, condition: str) -> None:
    """Wait until a query says true, asked beside the served database."""
    connection = await asyncpg.connect(url, database="template1")
    try:
        async with asyncio.timeout(LIMIT):
            while not await connection.fetchval(condition):  # noqa: ASYNC110 - seen only by looking
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
