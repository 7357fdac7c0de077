"""PgBouncer between the package and the server. As a program: one of the processes that work."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import (
    AlreadyHeld,
    ConfigurationError,
    Database,
    DatabaseConfig,
    LockTimeout,
    PoolerUndeclared,
    ServerUnavailable,
    StatementTimeout,
    TradeRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from tests.makers import NOW, payload, trade, trigger

from .pgbouncer import PgBouncer, pgbouncer_binary
from .proxy import Proxy
from .record import SEED, TOLD, count, tell
from .support import connected, eventually, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .servers import Server

ROOT = Path(__file__).parents[2]
OPERATIONS = count("OPERATIONS", 1500)
PROCESSES, TASKS = 3, 5
TABLE = "CREATE TABLE tokens (token text PRIMARY KEY, asker text NOT NULL)"
INSERT = "INSERT INTO tokens VALUES ($1, $2) RETURNING token"
BACKEND = "SELECT pg_backend_pid()"
POOL = {"default_pool_size": "5", "server_login_retry": "0.1"}
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


class Asker:
    """One task's operations, each with a token that nobody else asks with."""

    def __init__(self, db: Database, name: str, seed: int) -> None:
        self._db = db
        self._name = name
        self._random = random.Random(f"{seed} {name}")  # noqa: S311 - to be repeated by its seed
        self.inserted = 0

    async def ask(self, number: int) -> None:
        """Do one operation, chosen by chance; every answer must be the one to this question."""
        kinds = (self._read, self._insert, self._commit, self._undo, self._trade, self._mark)
        await self._random.choice((*kinds, self._trigger))(f"{self._name}-{number}", number)

    async def _read(self, token: str, number: int) -> None:
        row = await self._db.fetchrow("SELECT $1::text AS token, $2::int AS number", token, number)
        assert row is not None
        assert tuple(row) == (token, number)

    async def _insert(self, token: str, _: int) -> None:
        assert await self._db.fetchval(INSERT, token, self._name) == token
        self.inserted += 1

    async def _commit(self, token: str, _: int) -> None:
        async with self._db.transaction():
            backend = await self._db.fetchval(BACKEND)
            await self._db.execute("SELECT set_config('asker.token', $1, true)", token)
            assert await self._db.fetchval(INSERT, token, self._name) == token
            await asyncio.sleep(self._random.choice((0, 0.001)))
            assert await self._db.fetchval("SELECT current_setting('asker.token')") == token
            assert await self._db.fetchval(BACKEND) == backend
        self.inserted += 1

    async def _undo(self, token: str, _: int) -> None:
        with pytest.raises(ZeroDivisionError):
            async with self._db.transaction():
                assert await self._db.fetchval(INSERT, token, self._name) == token
                raise ZeroDivisionError
        assert not await self._db.fetchval("SELECT count(*) FROM tokens WHERE token = $1", token)

    async def _trade(self, token: str, number: int) -> None:
        trades = TradeRepository(self._db)
        stored = await trades.create(trade(token, condition_id=token))
        assert (stored.trade_id, stored.condition_id) == (token, token)
        record = payload(conditionId=token, timestamp=NOW + 1, asset=str(number))
        assert (await trades.ingest([record])).inserted == 1
        newest, first = await trades.get_by_condition(token)
        assert (newest.token_id, first.trade_id) == (str(number), token)

    async def _mark(self, token: str, number: int) -> None:
        marks = TradeWatermarkRepository(self._db)
        assert (await marks.update(token, NOW + number)).condition_id == token
        assert await marks.get_timestamp(token) == NOW + number

    async def _trigger(self, token: str, _: int) -> None:
        triggers = TriggerRepository(self._db)
        assert await triggers.should_trigger(token, token, 0.95)
        assert (await triggers.create(trigger(token, condition_id=token))).token_id == token
        assert await triggers.has_triggered(token, 0.95)


async def work(url: str, name: str, operations: int, seed: int) -> int:
    """Do all operations of one process; return how many tokens they have stored."""
    numbers = iter(range(operations))
    async with Database(DatabaseConfig(url=url, pooler="transaction", max_connections=4)) as db:
        askers = [Asker(db, f"{name}-{task}", seed) for task in range(TASKS)]

        async def keep_asking(asker: Asker) -> None:
            for number in numbers:
                await asker.ask(number)

        await asyncio.gather(*map(keep_asking, askers))
    return sum(asker.inserted for asker in askers)


async def start_worker(url: str, name: str, operations: int, seed: int) -> int:
    """Run `work` in a process of its own."""
    order = (url, name, str(operations), str(seed))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, *order), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return int(output)


@pytest.fixture
def pgbouncer() -> Path:
    return require(pgbouncer_binary(), "pgbouncer")


@pytest.fixture
async def pool(pgbouncer: Path, server: Server) -> AsyncIterator[PgBouncer]:
    """Give a pool by transactions that has fewer connections than its clients ask for."""
    await server.fetchval(TABLE)
    async with PgBouncer(pgbouncer, server, settings=POOL) as running:
        yield running


@pytest.fixture
async def session_pool(pgbouncer: Path, server: Server) -> AsyncIterator[PgBouncer]:
    async with PgBouncer(pgbouncer, server, mode="session") as running:
        yield running


async def test_processes_share_a_transaction_pooler_and_get_their_own_answers(
    server: Server, pool: PgBouncer
) -> None:
    async with Database(DatabaseConfig(url=server.url())) as db:
        await db.migrate()
    share = -(-OPERATIONS // PROCESSES)
    names = [f"process{number}" for number in range(PROCESSES)]
    stored = await asyncio.gather(*(start_worker(pool.url(), name, share, SEED) for name in names))
    count = "SELECT count(*) FROM tokens WHERE asker LIKE $1 || '-%'"
    assert [await server.fetchval(count, name) for name in names] == stored, TOLD
    clients = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'polymarket%'"
    assert await server.fetchval(clients) <= 5
    tell("pooler", times=share * PROCESSES)


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("ignored", ["", ",".join(LIMITS)])
async def test_a_pooler_that_nobody_declared_is_refused_with_the_remedy(
    server: Server, pgbouncer: Path, mode: str, ignored: str
) -> None:
    settings = {"ignore_startup_parameters": ignored, "pool_mode": mode}
    async with PgBouncer(pgbouncer, server, settings=settings) as pool:
        for _ in range(2):
            db = Database(DatabaseConfig(url=pool.url(), connect_timeout=600))
            with pytest.raises(PoolerUndeclared, match='pooler="transaction" or pooler="session"'):
                await asyncio.wait_for(db.initialize(), 60)
        async with Database(DatabaseConfig(url=pool.url(), pooler="transaction")) as db:
            assert await db.fetchval("SELECT 1") == 1


async def test_a_full_pooler_is_no_undeclared_one_and_is_waited_for(
    server: Server, pgbouncer: Path
) -> None:
    async with PgBouncer(pgbouncer, server, settings={"max_client_conn": "1"}) as pool:
        config = DatabaseConfig(
            url=pool.url(), pooler="transaction", connect_timeout=0.5, min_connections=1
        )
        async with Proxy.in_front_of(pool.url()) as proxy:
            patience = {"url": proxy.url_through(pool.url()), "connect_timeout": 60}
            patient = Database(config.model_copy(update=patience))
            async with connected(pool.url(), statement_cache_size=0):
                with pytest.raises(ServerUnavailable, match="no more connections"):
                    await Database(config).initialize()
                opening = asyncio.create_task(patient.initialize())
                await eventually(lambda: proxy.figures.connections > 1)  # it comes again
            await opening
            assert await patient.health_check()
            await patient.close()


async def test_opening_ends_at_its_limit_while_the_server_behind_the_pooler_is_down(
    server: Server, pool: PgBouncer
) -> None:
    config = DatabaseConfig(url=pool.url(), pooler="transaction", connect_timeout=0.5)
    async with Database(config) as db:
        assert await db.fetchval("SELECT 1") == 1
    await server.kill()
    with pytest.raises(ServerUnavailable):
        await asyncio.wait_for(Database(config).initialize(), 30)
    await server.start()
    async with Database(config.model_copy(update={"connect_timeout": 60})) as db:
        assert await db.fetchval("SELECT 1") == 1


async def test_limits_hold_behind_a_session_pooler_also_after_a_connection_was_lent(
    server: Server, session_pool: PgBouncer
) -> None:
    await server.fetchval("""CREATE SCHEMA "it's \\ odd" """)
    config = DatabaseConfig(
        url=session_pool.url(),
        pooler="session",
        command_timeout=1,
        lock_timeout=0.2,
        schema_name="it's \\ odd",
        min_connections=1,
        max_connections=1,
    )
    async with Database(config) as db:
        backend = await db.fetchval(BACKEND)
        for lent in range(3):
            shown = [await db.fetchval(f"SHOW {name}") for name in (*LIMITS, "search_path")]
            assert shown == ["950ms", "200ms", "1min", '''"it's \\ odd"'''], f"lent {lent} times"
            async with db.connection() as connection:
                await connection.execute("SET statement_timeout = 0")
                await connection.execute("SET search_path = public; SET lock_timeout = 0")
        with pytest.raises(StatementTimeout) as caught:
            await db.fetchval("SELECT pg_sleep(60)")
        assert caught.value.sqlstate == "57014"
        async with connected(server.url()) as other, other.transaction():
            await other.execute("""CREATE TABLE "it's \\ odd".locked ()""")
            with pytest.raises(LockTimeout):
                await db.execute("CREATE TABLE locked ()")
        assert await db.fetchval(BACKEND) == backend


def test_a_schema_name_with_a_transaction_pooler_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="ALTER ROLE"):
        DatabaseConfig(url="postgresql://h/d", pooler="transaction", schema_name="bots")


async def hears_and_holds(db: Database, channel: str) -> None:
    """Prove that a notification arrives and that a name is held once."""
    async with aclosing(db.listen(channel)) as heard:  # type: ignore[type-var]  # an iterator that is a generator
        first = asyncio.ensure_future(anext(heard))
        while not first.done():
            await db.execute("SELECT pg_notify($1, 'told')", channel)
            await asyncio.sleep(0.01)
        assert (await first).payload == "told"
    async with db.singleton(channel):
        with pytest.raises(AlreadyHeld):
            await db.singleton(channel).__aenter__()
    async with db.singleton(channel, timeout=60):
        assert await db.fetchval("SELECT 1") == 1


async def test_listen_and_singleton_take_the_direct_way(server: Server, pool: PgBouncer) -> None:
    url, direct = pool.url(), server.url()
    async with Database(DatabaseConfig(url=url, pooler="transaction", direct_url=direct)) as db:
        await hears_and_holds(db, "direct")


async def test_listen_and_singleton_work_through_a_session_pooler(session_pool: PgBouncer) -> None:
    async with Database(DatabaseConfig(url=session_pool.url(), pooler="session")) as db:
        await hears_and_holds(db, "session")


@pytest.mark.parametrize("ignored", ["", ",".join(LIMITS)])
@pytest.mark.parametrize("direct", [False, True])
async def test_without_a_direct_way_listen_and_singleton_are_refused_with_the_remedy(
    server: Server, pgbouncer: Path, ignored: str, *, direct: bool
) -> None:
    settings = {"ignore_startup_parameters": ignored}
    async with PgBouncer(pgbouncer, server, settings=settings) as pool:
        way = pool.url() if direct else None
        config = DatabaseConfig(url=pool.url(), pooler="transaction", direct_url=way)
        async with Database(config) as db:
            with pytest.raises(ConfigurationError, match="set direct_url"):
                await anext(db.listen("channel"))
            with pytest.raises(ConfigurationError, match="set direct_url"):
                await db.singleton("name").__aenter__()
            assert await db.fetchval("SELECT 1") == 1


if __name__ == "__main__":
    url_, name_, operations_, seed_ = sys.argv[1:]
    print(asyncio.run(work(url_, name_, int(operations_), int(seed_))))  # noqa: T201
