"""What an owner, a writer and a reader may do, each from a login of its own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import asyncpg
import pytest

from polymarket_bot.storage import (
    AccessRefused,
    Database,
    DatabaseConfig,
    MigrationRefused,
    Notification,
    NotPermitted,
    PolymarketTrade,
    TradeApprovalRepository,
    TradeRepository,
    TriggerRepository,
)
from polymarket_bot.storage.ops import LeaseRepository
from polymarket_bot.storage.schema.roles import Role
from polymarket_bot.storage.tables import ALL, PRODUCTION, TRADES
from tests.commands import run, write_feed
from tests.every_table import key_of, repository
from tests.makers import CONDITION, payload, trade, trigger
from tests.old_bot import markets, signals, trading, upkeep
from tests.small_rows import approval
from tests.strategies import rows
from tests.test_old_bot import FEED

from .logins import SECRET, Place, figures
from .record import tell
from .support import eventually

if TYPE_CHECKING:
    from pathlib import Path

MANY = 600  # so many new rows go through a temporary table
FORBIDDEN = (
    "ALTER TABLE positions ADD COLUMN mine int",
    "ALTER TABLE positions OWNER TO CURRENT_USER",
    "DROP TABLE positions",
    "TRUNCATE positions",
    "TRUNCATE ops.late_trades",
    "CREATE INDEX ON positions (side)",
    "CREATE TABLE mine (id int)",
    "CREATE TABLE ops.mine (id int)",
    "CREATE SCHEMA mine",
    "SELECT setval('positions_id_seq', 1)",
    "INSERT INTO ops.schema_version VALUES (9, '', '', now(), 0, '')",
    "DELETE FROM ops.schema_version",
    "SET ROLE storage_owner",
    "CREATE ROLE mine",
)
REMEDY = "; connect as a user who has, or make this one a member .*polymarket-storage grant"


async def refused(db: Database, statement: str) -> None:
    with pytest.raises(NotPermitted, match=REMEDY) as caught:
        await db.execute(statement)
    assert caught.value.sqlstate == "42501", statement
    assert SECRET not in str(caught.value)
    tell("roles", times=1)


async def test_a_writer_stores_changes_and_deletes_rows_of_every_table(place: Place) -> None:
    async with place.open(await place.member(Role.WRITER)) as db:
        for table in PRODUCTION:
            rows_of = repository(db, table)
            assert await rows_of.create_many(rows(table, range(1, MANY + 1))) == MANY, table.name
            (stored, *_) = await rows_of.get_all(limit=1)
            assert await rows_of.update_many([stored]) == 1
            await rows_of.upsert(stored)
            await rows_of.create(rows(table, [MANY + 1])[0])
            assert await rows_of.delete(key_of(table, stored))


async def test_a_whole_bot_lives_its_life_as_a_writer(place: Place) -> None:
    login = await place.member(Role.WRITER)
    assert (await signals.main(place.url(login), FEED)).inserted == 6
    assert (await trading.main(place.url(login))).realized
    async with place.open(login) as db:
        await markets.main(db)
        await upkeep.main(db)


async def test_a_whole_pipeline_of_killed_workers_runs_as_a_writer(
    place: Place, tmp_path: Path
) -> None:
    url = place.url(await place.member(Role.WRITER))
    outcome = await run("demo", "--kill-workers", "2", "--json", "--url", url, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    assert outcome.json["inserted"] > 0


async def test_a_writer_claims_processes_leases_consumes_listens_and_leads(place: Place) -> None:
    late: list[PolymarketTrade] = []

    async def handle(new: list[PolymarketTrade]) -> None:
        assert await TriggerRepository(db).claim(trigger(new[0].token_id or ""))

    async def on_late(new: list[PolymarketTrade]) -> None:
        late.extend(new)

    async with place.open(await place.member(Role.WRITER)) as db:
        trades = TradeRepository(db)
        assert (await trades.ingest([payload(), payload(transactionHash="0x2")])).inserted == 2
        assert (await trades.process_new(CONDITION, handle)).handled == 2
        assert (await trades.ingest([payload(transactionHash="0x3")])).late == 1
        await trades.process_new(CONDITION, handle, on_late=on_late)
        assert len(late) == 1
        leases = LeaseRepository(db)
        held = await leases.acquire("poller", "me", 60)
        assert held
        assert await leases.renew(held, 60)
        assert await leases.release(held)
        approvals = TradeApprovalRepository(db)
        await approvals.create(approval())
        assert await approvals.consume(approval().token_id, "0.5")
        assert await db.fetch("SELECT * FROM positions FOR UPDATE") == []
        async with db.singleton("leader"):
            await hears_itself(db)


async def hears_itself(db: Database) -> None:
    async with aclosing(db.listen("news")) as heard:  # type: ignore[type-var]  # it is a generator
        first = asyncio.ensure_future(anext(heard))
        await eventually(lambda: _notified(db, first))
        assert first.result().channel == "news"


async def _notified(db: Database, heard: asyncio.Future[Notification]) -> bool:
    await db.execute("NOTIFY news")
    return heard.done()


@pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
async def test_neither_a_writer_nor_a_reader_changes_the_schema(place: Place, role: Role) -> None:
    async with place.open(await place.member(role)) as db:
        for statement in FORBIDDEN:
            await refused(db, statement)
        await db.execute("GRANT SELECT ON positions TO PUBLIC")  # it warns, and gives nothing
        given = "SELECT has_table_privilege('public', 'positions', 'SELECT')"
        assert not await db.fetchval(given)


async def test_a_reader_reads_everything_and_writes_nothing(place: Place) -> None:
    async def handle(new: list[PolymarketTrade]) -> None:
        del new

    async with place.open(await place.member(Role.WRITER)) as db:
        await TradeRepository(db).create_many([trade("t1"), trade("t2")])
    async with place.open(await place.member(Role.READER)) as db:
        for table in PRODUCTION:
            rows_of = repository(db, table)
            assert await rows_of.count() == len(await rows_of.get_all())
        assert [row.trade_id async for row in TradeRepository(db).stream()] == ["t1", "t2"]
        assert (await figures(db)).conditions == 1
        assert (await db.health()).problems == []
        for count in (1, MANY):
            with pytest.raises(NotPermitted, match=REMEDY):
                await TradeRepository(db).create_many(rows(TRADES, range(1, count + 1)))
        for table in ALL:
            name = f"{table.schema or 'public'}.{table.name}"
            await refused(db, f"DELETE FROM {name}")
            await refused(db, f"UPDATE {name} SET {table.key[0]} = {table.key[0]}")
        await refused(db, "SELECT * FROM positions FOR UPDATE")
        await refused(db, "SELECT nextval('positions_id_seq')")
        with pytest.raises(NotPermitted, match=REMEDY):
            await TradeRepository(db).process_new(CONDITION, handle)
        with pytest.raises(NotPermitted, match=REMEDY):
            await LeaseRepository(db).acquire("poller", "me", 60)


@pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
async def test_who_only_looks_at_the_schema_needs_no_more_than_to_read(
    place: Place, tmp_path: Path, role: Role
) -> None:
    url = place.url(await place.member(role))
    config = DatabaseConfig(url=url, migrate_on_start=True, verify_schema=True)
    async with Database(config) as db:
        assert (await db.migrate()).steps == ()
        assert (await db.check_schema()).ok
        with pytest.raises(MigrationRefused, match="GRANT storage_owner TO"):
            await db.migrate(2)
    for command in ("check", "status", "migrate"):
        outcome = await run(command, "--url", url, cwd=tmp_path)
        assert outcome.status == 0, outcome.err


async def test_a_command_that_may_not_names_the_remedy_and_no_password(
    place: Place, tmp_path: Path
) -> None:
    url = place.url(await place.member(Role.READER))
    feed = write_feed(tmp_path / "feed.jsonl", [payload()])
    outcome = await run("ingest", feed, "--url", url, cwd=tmp_path)
    assert outcome.status == 1
    assert "polymarket-storage grant" in outcome.err
    assert SECRET not in outcome.err + outcome.out


async def test_a_reader_is_told_the_sizes_of_what_it_may_read(place: Place) -> None:
    await place.superuser("CREATE TABLE somebody_elses (id int)")
    async with place.open(await place.member(Role.READER)) as db:
        assert len((await figures(db)).tables) == 19


async def test_a_writer_needs_nothing_from_public(place: Place) -> None:
    await place.superuser(f"REVOKE ALL ON DATABASE {place.database} FROM PUBLIC")
    await place.superuser("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    async with place.open(await place.member(Role.WRITER)) as db:
        assert await TradeRepository(db).create_many(rows(TRADES, range(1, MANY + 1))) == MANY
        assert await db.fetchval("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
    with pytest.raises(AccessRefused, match="permission denied for database"):
        await place.open(await place.login("stranger")).initialize()


async def test_a_reader_can_dump_the_database(place: Place) -> None:
    login = await place.member(Role.READER)
    dump = place.server.installation.binaries / "pg_dump"
    process = await asyncio.create_subprocess_exec(
        str(dump), "--file=/dev/null", place.url(login), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_rights_are_the_drivers_error_on_a_lent_connection(place: Place) -> None:
    async with (
        place.open(await place.member(Role.READER)) as db,
        db.connection() as connection,
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM positions")
