"""A database as large as production's, and the plans of what is really sent to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from polymarket_bot.storage import Database, DatabaseConfig
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import ConnectionExecutor, Statement
from polymarket_bot.storage.mapping.staging import RELATION
from polymarket_bot.storage.schema.seeds import seeds
from polymarket_bot.storage.tables import PRODUCTION

CLOCK = "floor(extract(epoch FROM now()))::bigint"
_PATIENCE = 600.0
_GIVEN = RELATION.rpartition(".")[2]  # rows that are given, not looked for
_PLANNED = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}

# Of 2,001 conditions, number 0 is the busiest with 22,000 trades; the last has 10,000, none of them
# in the last 85 days. Five trades each share a second.
_FUNCTIONS = (
    """
CREATE FUNCTION pg_temp.condition(number bigint) RETURNS text IMMUTABLE LANGUAGE sql
AS $$ SELECT '0x' || repeat(md5(number::text), 2) $$;
""",
    """
CREATE FUNCTION pg_temp.token(number bigint) RETURNS text IMMUTABLE LANGUAGE sql
AS $$ SELECT left(translate(repeat(md5(number::text), 3), 'abcdef', '123456'), 77) $$;
""",
    """
CREATE FUNCTION pg_temp.before(seconds bigint) RETURNS text STABLE LANGUAGE sql
AS $$ SELECT to_char((now() - make_interval(secs => seconds)) AT TIME ZONE 'UTC',
                     'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') $$;
""",
)
_ROWS = {
    "polymarket_trades": f"""
SELECT pg_temp.condition(c), md5(n::text), pg_temp.token(2 * c + n % 2), 0.5, 10, 'BUY',
       CASE WHEN n % 1000 <> 17 THEN {CLOCK} - 39 * ((1000000 - n) / 5) END,
       NULL, 'Yes', n % 2
FROM (SELECT n, CASE WHEN n <= 50000 AND n % 5 = 0 THEN 2000
                     ELSE floor(2000 * (n * 7919::bigint % 100003 / 100003.0) ^ 2) END::bigint AS c
      FROM generate_series(1, 1000000) AS n) AS numbered
""",
    # A fifth of all trades came late; few of them are still to be handed over.
    "ops.late_trades": """
SELECT condition_id, trade_id, now(), CASE WHEN trade_id > '01' THEN now() END
FROM polymarket_trades WHERE trade_id ~ '[0-2]$'
""",
    "trade_watermarks": f"""
SELECT pg_temp.condition(n), {CLOCK} - n, pg_temp.before(n) FROM generate_series(0, 49999) AS n
""",
    # Four thresholds a token, two or three tokens a condition; old ones are in milliseconds.
    "polymarket_first_triggers": f"""
SELECT pg_temp.token(n / 4), pg_temp.condition(n / 10), (ARRAY[0.9, 0.95, 0.97, 0.99])[n % 4 + 1],
       CASE WHEN n < 4000 THEN 1000 ELSE 1 END * ({CLOCK} - 39 * ((1000000 - n) / 5)),
       0.95, 10, '', NULL, NULL, 'Yes', 0
FROM generate_series(0, 999999) AS n
""",
    "polymarket_candidates": """
SELECT n, pg_temp.token(n / 3), pg_temp.condition(n / 6), 0.95, 1, 0.95,
       CASE WHEN n > 49000 THEN 'pending' ELSE (ARRAY['executed', 'rejected'])[n % 2 + 1] END,
       0.5, pg_temp.before(150 * (50000 - n)), 0.5, 'v1', 'Yes', 0, NULL
FROM generate_series(1, 50000) AS n
""",
    "paper_trades": """
SELECT n, n / 2, pg_temp.token(n / 2), pg_temp.condition(n / 4), 0.95, 1, 0.5, 0.5, 10, 0.5, 'v1',
       CASE WHEN n % 10 = 0 THEN 'trade' ELSE 'skip' END, NULL,
       pg_temp.before(150 * (50000 - n)), NULL, 'Yes', 0
FROM generate_series(1, 50000) AS n
""",
    # Many were refused before the exchange gave them an id.
    "live_orders": """
SELECT n, CASE WHEN n % 5 > 0 THEN '0x' || md5(n::text) END, n, pg_temp.token(n / 2),
       pg_temp.condition(n / 4), 0.95, 0.5, 10, 0.5, 10,
       CASE WHEN n % 5 = 0 AND n > 49900 THEN 'pending' WHEN n % 5 = 0 THEN 'rejected'
            WHEN n > 49900 THEN 'submitted' ELSE (ARRAY['filled', 'cancelled'])[n % 2 + 1] END,
       NULL, pg_temp.before(150 * (50000 - n)), NULL, NULL
FROM generate_series(1, 50000) AS n
""",
    "positions": """
SELECT n, pg_temp.token(n / 3), pg_temp.condition(n / 6), NULL, 'Yes', 0, 'BUY', 10, 0.5, 5, 0.5,
       5, 0, 0, CASE WHEN n > 49900 THEN 'open' ELSE (ARRAY['closed', 'resolved'])[n % 2 + 1] END,
       NULL, NULL, NULL, pg_temp.before(150 * (50000 - n)), NULL, NULL, NULL, '', NULL
FROM generate_series(1, 50000) AS n
""",
    "exit_events": """
SELECT n, n / 2, pg_temp.token(n / 6), pg_temp.condition(n / 12), 'take_profit', 0.5, 0.6, 10, 1, 1,
       1, NULL, CASE WHEN n > 49900 THEN 'pending' ELSE 'executed' END, NULL,
       pg_temp.before(150 * (50000 - n)), NULL
FROM generate_series(1, 50000) AS n
""",
    "trade_approvals": """
SELECT pg_temp.token(n), pg_temp.condition(n / 2), pg_temp.before(n), 'telegram', 0.98, NULL,
       CASE WHEN n < 100 THEN 'pending' ELSE 'executed' END, NULL
FROM generate_series(0, 49999) AS n
""",
    "polymarket_resolutions": """
SELECT pg_temp.condition(n), 0, 'Yes', CASE WHEN n % 100 > 0 THEN pg_temp.before(150 * n) END
FROM generate_series(0, 49999) AS n
""",
    "polymarket_token_meta": """
SELECT pg_temp.token(n), pg_temp.condition(n / 2), NULL, n % 2, 'Yes', 'Will it?', NULL
FROM generate_series(0, 49999) AS n
""",
    "trade_watchlist": f"""
SELECT pg_temp.token(n), NULL, pg_temp.condition(n / 2), 'Will it?', 0.95, 10, {CLOCK} - n, 0.5,
       0.5, 10, {CLOCK} - n, CASE WHEN n < 100 THEN 'watching' ELSE 'expired' END, {CLOCK} - n,
       {CLOCK} - n
FROM generate_series(0, 49999) AS n
""",
    # Some 5,000 scores for each of twenty tokens; old ones are in milliseconds.
    "score_history": f"""
SELECT n, pg_temp.token(n % 20), 0.5, 10,
       CASE WHEN n % 1000 <> 17
            THEN CASE WHEN n < 2000 THEN 1000 ELSE 1 END * ({CLOCK} - 26 * (100000 - n)) END
FROM generate_series(1, 100000) AS n
""",
}
_NUMBERED = {table.name for table in PRODUCTION if table.generated}
_KEYS = {
    "polymarket_trades": "condition_id, trade_id",
    "polymarket_first_triggers": "token_id, threshold",
}


def condition(number: int) -> str:
    """Return the id of a condition, as the database makes it."""
    return "0x" + 2 * md5_of(number)


def token(number: int) -> str:
    """Return the id of a token, as the database makes it."""
    return (3 * md5_of(number)).translate(str.maketrans("abcdef", "123456"))[:77]


def md5_of(number: int) -> str:
    """Return what PostgreSQL's md5 makes of a number's text."""
    return md5(str(number).encode(), usedforsecurity=False).hexdigest()


@asynccontextmanager
async def production_sized(url: str) -> AsyncIterator[Connection]:
    """Fill a database that has all tables and no rows, and lend a connection to it.

    Indexes are built at the end, which is several times as fast.
    """
    config = DatabaseConfig(
        url=url, direct_url=url, min_connections=1, command_timeout=_PATIENCE, pooler=None
    )
    async with Database(config) as db, db.connection() as connection:
        (indexes,) = (seed for seed in seeds() if seed.up.name == "02_indexes.sql")
        assert indexes.down is not None
        for statement in (*indexes.down.statements(), *_FUNCTIONS):
            await connection.execute(statement)
        await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
        for table, rows in _ROWS.items():
            await _fill(connection, table, rows)
        for statement in indexes.up.statements():
            await connection.execute(statement.replace(" CONCURRENTLY", ""))
        await connection.execute("VACUUM (ANALYZE)")
        yield connection


async def _fill(connection: Connection, table: str, rows: str) -> None:
    key = _KEYS.get(table)
    if key is not None:
        await connection.execute(
            f"ALTER TABLE {table} SET UNLOGGED; ALTER TABLE {table} DROP CONSTRAINT {table}_pkey"
        )
    await connection.execute(f"INSERT INTO {table} {rows}")
    if key is not None:
        await connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({key})")
    if table in _NUMBERED:
        await connection.execute(f"SELECT setval('{table}_id_seq', max(id)) FROM {table}")


@dataclass(frozen=True)
class Node:
    """A step of a plan, and how many rows it read in all.

    Attributes:
        kind: what PostgreSQL calls it.
        index: the index that it reads, or "".
        table: the table that it reads, or "".
        rows: how many rows it gave.
        read: those, and the ones that it threw away.
        depth: how deep it stands in the plan.
    """

    kind: str
    index: str
    table: str
    rows: float
    read: float
    depth: int

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.index, self.table)))
        return f"{'  ' * self.depth}{self.kind} {where}: {self.rows:g} of {self.read:g} rows"


def nodes(plan: dict[str, Any], depth: int = 0) -> Iterator[Node]:
    """Yield a plan's steps, from EXPLAIN (ANALYZE, FORMAT JSON), each before those below it."""
    loops = plan["Actual Loops"]
    removed = (
        plan.get(f"Rows Removed by {what}", 0)
        for what in ("Filter", "Index Recheck", "Join Filter")
    )
    rows = plan["Actual Rows"] * loops
    yield Node(
        kind=plan["Node Type"],
        index=plan.get("Index Name", ""),
        table=plan.get("Relation Name", "").removeprefix(_GIVEN),
        rows=rows,
        read=rows + sum(removed) * loops,
        depth=depth,
    )
    for below in plan.get("Plans", ()):
        yield from nodes(below, depth + 1)


def faults(plan: Sequence[Node], indexes: str, more: int) -> Iterator[str]:
    """Say what a plan scans, reads or sorts without need.

    Args:
        plan: its steps.
        indexes: those that may be read.
        more: how many rows more than in proportion to its answer may be read or sorted.
    """
    answer = plan[0].rows
    bound = 3 * answer + 100 + more
    read = sum(node.read for node in plan if node.table and node.kind.endswith("Scan"))
    if read > bound:
        yield f"reads {read:g} rows for {answer:g}"
    for node, below in zip(plan, [*plan[1:], plan[-1]], strict=True):
        if "Seq Scan" in node.kind and node.table:
            yield f"scans {node.table}"
        if node.index and node.index not in indexes.split():
            yield f"reads {node.index}, not {indexes}"
        if node.kind == "Sort" and below.rows > bound:
            yield f"sorts {below.rows:g} rows for {answer:g}"


class Planner(ConnectionExecutor):
    """Runs statements on a connection, each a first time for its plan, which is kept.

    Attributes:
        plans: of each statement, the steps from the top.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.plans: list[list[Node]] = []

    async def _run(self, statement: Statement) -> Any:
        if statement.query.split(maxsplit=1)[0].upper() in _PLANNED:
            self.plans.append(list(nodes(await self._explain(statement))))
        return await super()._run(statement)

    async def _explain(self, statement: Statement) -> dict[str, Any]:
        """Return the plan of a prepared statement, as asyncpg prepares them all."""
        literals = ", ".join(await self._literals(statement))
        async with rolled_back(self._connection):
            await self._connection.execute(f"PREPARE planned AS {statement.query}")
            plan = await self._connection.fetchval(
                "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE planned"
                + (f"({literals})" if literals else "")
            )
        await self._connection.execute("DEALLOCATE planned")
        found: dict[str, Any] = json.loads(plan)[0]["Plan"]
        return found

    async def _literals(self, statement: Statement) -> list[str]:
        """Return the arguments as EXPLAIN takes them, which takes no parameters."""
        if not statement.args:
            return []
        prepared = await self._connection.prepare(statement.query)
        quoted = ", ".join(
            f"quote_nullable(${number}::{kind.name}::text)"
            for number, kind in enumerate(prepared.get_parameters(), 1)
        )
        return list(await self._connection.fetchrow(f"SELECT {quoted}", *statement.args) or ())


@asynccontextmanager
async def rolled_back(connection: Connection) -> AsyncIterator[None]:
    """Take back what is written in the block."""
    block = connection.transaction()
    await block.start()
    try:
        yield
    finally:
        await block.rollback()
