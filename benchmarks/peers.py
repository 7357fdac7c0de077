"""What others write and read with: SQLAlchemy and psycopg.

They are imported when they are used: what needs only the driver runs without the group `bench`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import cache
from typing import Any

import asyncpg

from benchmarks.server import CONNECTIONS

SQLALCHEMY = ("sqlalchemy", "greenlet")
PSYCOPG = ("psycopg", "psycopg_pool")

_ARGUMENT = re.compile(r"\$(\d+)")


class OrmTrade:
    """A trade as SQLAlchemy's ORM builds it; see `mapped`."""

    condition_id: str
    timestamp: int | None


@cache
def trades_table() -> Any:
    """Return the table of trades as SQLAlchemy describes it."""
    import sqlalchemy as sa

    return sa.Table(
        "polymarket_trades",
        sa.MetaData(),
        sa.Column("condition_id", sa.Text, primary_key=True),
        sa.Column("trade_id", sa.Text, primary_key=True),
        sa.Column("token_id", sa.Text),
        sa.Column("price", sa.REAL),
        sa.Column("size", sa.REAL),
        sa.Column("side", sa.Text),
        sa.Column("timestamp", sa.BigInteger),
        sa.Column("raw_json", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_index", sa.Integer),
    )


@cache
def mapped() -> type[OrmTrade]:
    """Return `OrmTrade`, mapped to its table."""
    from sqlalchemy.orm import registry

    registry().map_imperatively(OrmTrade, trades_table())
    return OrmTrade


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[Any]:
    """Open SQLAlchemy's engine on asyncpg."""
    from sqlalchemy.ext.asyncio import create_async_engine

    opened = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url)
    )
    try:
        yield opened
    finally:
        await opened.dispose()


def core_insert() -> Any:
    """Return Core's insert that leaves rows which are there as they were."""
    from sqlalchemy.dialects.postgresql import insert

    return insert(trades_table()).on_conflict_do_nothing()


async def insert_with_core(opened: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows in a transaction of their own."""
    async with opened.begin() as connection:
        await connection.execute(core_insert(), rows)


async def select_with_orm(opened: Any, condition_id: str, start: int, end: int) -> list[OrmTrade]:
    """Select the condition's trades of a time, newest first, in a session of its own."""
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncSession

    columns = trades_table().c
    query = (
        select(mapped())
        .where(columns.condition_id == condition_id, columns.timestamp.between(start, end))
        .order_by(columns.timestamp.desc(), columns.trade_id.desc())
    )
    async with AsyncSession(opened) as session:
        return list((await session.scalars(query)).all())


@asynccontextmanager
async def psycopg_pool(url: str) -> AsyncIterator[Any]:
    """Open psycopg's pool; without transaction blocks, which would cost round trips."""
    from psycopg_pool import AsyncConnectionPool

    pool: Any = AsyncConnectionPool(
        url, min_size=1, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False
    )
    await pool.open(wait=True)
    try:
        yield pool
    finally:
        await pool.close()


def psycopg_fetchval(
    pool: Any, query: str, args: Sequence[object]
) -> Callable[[], Awaitable[object]]:
    """Return what runs one of asyncpg's statements on psycopg's pool, prepared."""

    def written(found: re.Match[str]) -> str:
        # A float is sent as DOUBLE PRECISION, and a REAL is not equal to that.
        real = isinstance(args[int(found[1]) - 1], float | Decimal)
        return f"%(p{found[1]})s{'::real' if real else ''}"

    text = _ARGUMENT.sub(written, query.replace("%", "%%"))
    values = {f"p{number}": value for number, value in enumerate(args, 1)}

    async def fetchval() -> object:
        async with pool.connection() as connection:
            cursor = await connection.execute(text, values, prepare=True)
            return (await cursor.fetchone())[0]

    return fetchval
