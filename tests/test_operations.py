"""`docs/operations.md` is correct to the letter: its commands run while old bots write."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from polymarket_bot.storage import Database, DatabaseConfig
from tests.faults.pgbouncer import PgBouncer, pgbouncer_binary
from tests.faults.servers import Installation, Server, Template
from tests.faults.support import require
from tests.programs import ROOT, blocks, page
from tests.test_schema import read_catalog
from tests.writers import (
    as_user,
    connect,
    old_transaction,
    operate,
    production,
    shell,
    two_users,
)

PAGE = page("docs/operations.md")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
MESSAGES = re.findall(r"^\| `([^`]+)` \|", SECTIONS["What can go wrong"], re.MULTILINE)
MIGRATE, CHECK = "polymarket-storage migrate", "polymarket-storage check"
UNIQUE = "uq_first_triggers_condition_threshold"
OLD_ROWS = "SELECT count(*) FROM polymarket_trades WHERE condition_id LIKE 'market%'"
SECOND = """
INSERT INTO polymarket_first_triggers VALUES ($1, $2, 0.95, 1, 0.9, 1, 'now')
ON CONFLICT DO NOTHING
"""
BY_HAND = f"""
CREATE UNIQUE INDEX CONCURRENTLY {UNIQUE} ON polymarket_first_triggers (condition_id, threshold)
"""
IS_THERE = f"SELECT to_regclass('{UNIQUE}') IS NOT NULL"
LEFT_ALONE = """
SELECT token_id, condition_id FROM polymarket_first_triggers
WHERE token_id IN ('one1', 'token1') ORDER BY token_id
"""


def commands(heading: str) -> list[str]:
    """The commands of a section, as they stand there."""
    return blocks(SECTIONS[heading], "bash")


def printed(heading: str) -> list[str]:
    return blocks(SECTIONS[heading], "text")


def told(outcome: subprocess.CompletedProcess[str], message: str) -> bool:
    """Tell whether a command has failed with a message of the page's table."""
    assert message in MESSAGES
    pattern = ".*".join(map(re.escape, message.split("…")))
    return outcome.returncode == 1 and re.search(f"error: {pattern}", outcome.stderr) is not None


async def tables_of(url: str) -> dict[str, Any]:
    """What is in the schema public, besides indexes."""
    async with Database(DatabaseConfig(url=url, min_connections=1)) as db:
        catalog = await read_catalog(db)
    return {table: {**entry, "indexes": []} for table, entry in catalog.items()}


async def version_of(url: str) -> int:
    async with Database(DatabaseConfig(url=url, min_connections=1)) as db:
        return await db.schema_version()


async def test_the_way_of_the_page_leads_to_an_indexed_database(empty_url: str) -> None:
    async with production(empty_url, rows=100_000) as database:
        before = await tables_of(empty_url)
        (check,), (dry_run,) = commands("1. Look"), commands("2. See what would be done")
        assert "ops.late_trades is missing" in await database.operate(check)
        assert [await database.operate(dry_run)] == printed("2. See what would be done")
        (look,) = commands("3. Look for old transactions")
        assert "application_name" in await database.operate(look)
        migrate, watch = commands("4. Migrate")
        assert [await database.operate(migrate)] == printed("4. Migrate")
        assert "(0 rows)" in await database.operate(watch)
        (verify,) = commands("5. Verify")
        assert [await database.operate(verify)] == printed("5. Verify")
        assert await tables_of(empty_url) == before
        assert f"at version {await version_of(empty_url)}\n" in printed("5. Verify")[0]
        assert await database.session.fetchval(OLD_ROWS) == 100_000


async def test_a_build_waits_for_an_old_transaction_and_writers_wait_for_neither(
    empty_url: str,
) -> None:
    (look,), (_, watch) = commands("3. Look for old transactions"), commands("4. Migrate")
    (end,) = commands("A build that does not get on")
    async with production(empty_url) as database, old_transaction(empty_url) as old:
        pid = old.get_server_pid()
        assert str(pid) in await database.operate(look)
        migration = asyncio.create_task(shell(MIGRATE, empty_url))
        builder = await database.is_held_up_by(pid)
        row = rf"{builder} \| CREATE INDEX .+\| \{{{pid}\}} +\| waiting for writers before build \|"
        assert re.search(row, await database.operate(watch))
        await database.load.goes_on(20)
        another = await shell(f"{MIGRATE} --timeout 0", empty_url)
        assert told(another, "'schema migration' is held by process …")
        assert not migration.done()
        await database.operate(end, PID=str(pid))
        assert (await migration).returncode == 0
        await database.operate(CHECK)


async def test_a_migration_that_is_broken_off_is_run_again(empty_url: str) -> None:
    (end,) = commands("A build that does not get on")
    async with production(empty_url) as database, old_transaction(empty_url) as old:
        for command, message in (
            (end.replace("terminate", "cancel"), "canceling statement due to user request …"),
            (end, "the connection was lost, …"),
        ):
            migration = asyncio.create_task(shell(MIGRATE, empty_url))
            builder = await database.is_held_up_by(old.get_server_pid())
            await database.operate(command, PID=str(builder))
            assert told(await migration, message)
        assert "invalid" in (await shell(CHECK, empty_url)).stdout
        await old.execute("ROLLBACK")
        await database.operate(MIGRATE)
        await database.operate(CHECK)


async def test_psql_alone_does_the_same_and_is_recognised(empty_url: str) -> None:
    where, apply, record = commands("By psql instead")
    async with production(empty_url) as database:
        before = await tables_of(empty_url)
        assert await database.operate(where) == f"{ROOT / 'seed'}\n"
        await database.operate(apply)
        assert (await database.operate(record)).count("was there already") == 3
        assert await tables_of(empty_url) == before


async def test_going_back_drops_what_was_made_and_forward_makes_it_again(db_url: str) -> None:
    (back,) = commands("Going back")
    async with production(db_url) as database:
        before = await tables_of(db_url)
        assert "ops.late_trades is missing" in await database.operate(back)
        assert await version_of(db_url) == 1
        assert await tables_of(db_url) == before
        await database.operate(MIGRATE)
        await database.operate(CHECK)


async def test_a_migration_goes_past_a_pooler() -> None:
    (command,) = commands("Behind PgBouncer")
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with (
        Template(Installation.bundled()) as template,
        Server(template) as server,
        PgBouncer(binary, server) as pooler,
        production(server.url(), via=pooler.url()) as database,
    ):
        undeclared = await shell(MIGRATE, pooler.url())
        assert told(undeclared, "a connection pooler stands between …")
        without = await shell(MIGRATE, pooler.url(), DATABASE_POOLER="transaction")
        assert told(without, "… which a transaction pooler does not give; …")
        await operate(database.load, command, pooler.url(), DIRECT_URL=server.url())
        assert await version_of(server.url()) == 3


async def test_the_unique_index_is_built_refuses_what_the_page_says_and_is_dropped(
    db_url: str,
) -> None:
    build, take_back = commands("One trigger per condition, held by the database")
    async with production(db_url) as database:
        assert UNIQUE in await database.operate(build)
        insert = database.session.execute
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await insert(
                SECOND.replace("CONFLICT", "CONFLICT (token_id, threshold)"), "a", "market1"
            )
        assert refused.value.sqlstate == "23505"
        assert await insert(SECOND, "a", "market1") == "INSERT 0 0"
        for token, condition in (("b", None), ("c", None), ("d", ""), ("e", "")):
            assert await insert(SECOND, token, condition) == "INSERT 0 1"
        await database.operate(take_back)
        await database.operate(take_back)
        assert not await database.session.fetchval(IS_THERE)


async def test_duplicates_are_named_and_can_be_taken_out_of_the_way(db_url: str) -> None:
    build, show, resolve = commands("Where duplicates forbid it")
    async with production(db_url) as database:
        for number in range(1, 26):
            await database.session.execute(SECOND, f"one{number}", f"market{number}")
        with pytest.raises(asyncpg.UniqueViolationError):  # an invalid index is left
            await database.session.execute(BY_HAND)
        outcome = await shell(build, db_url)
        assert "more than one first trigger per condition and threshold: 25 of" in outcome.stderr
        assert "condition market1, threshold 0.95: tokens one1, token1\n" in outcome.stderr
        assert "\nand 5 more\n" in outcome.stderr
        await database.operate(build)
        assert not await database.session.fetchval(IS_THERE)
        assert "(25 rows)" in await database.operate(show)
        assert "UPDATE 25" in await database.operate(resolve)
        kept = await database.session.fetch(LEFT_ALONE)
        assert [tuple(row) for row in kept] == [("one1", "market1"), ("token1", None)]
        assert "UNIQUE INDEX; harmless" in await database.operate(CHECK)


async def test_the_rights_of_the_page_are_enough(empty_url: str) -> None:
    (allow,) = commands("Rights")
    async with (
        two_users(empty_url) as (admin, owner, worker),
        production(as_user(empty_url, owner)) as database,
    ):
        names = {"DATABASE": urlsplit(empty_url).path[1:], "ADMIN_URL": empty_url}
        refused = await shell(f"{MIGRATE} --dry-run", database.url)
        assert told(refused, "the user … lacks rights that a migration needs; …")
        assert f"GRANT CREATE ON DATABASE {names['DATABASE']} TO {owner}" in refused.stderr
        await database.operate(allow, OWNER=worker, **names)
        foreign = await shell(MIGRATE, as_user(empty_url, worker))
        assert told(foreign, "the user … lacks rights that a migration needs; …")
        assert f"GRANT {owner} TO {worker}" in foreign.stderr
        assert await admin.fetchval("SELECT to_regnamespace('ops')") is None
        await database.operate(allow, OWNER=owner, **names)
        await database.operate(MIGRATE)


async def test_a_monitor_is_told_of_a_condition_until_it_is_given_up(db_url: str) -> None:
    ask, give_up = commands("Monitoring")
    async with production(db_url) as database:
        assert '"healthy": true' in await database.operate(ask)
        await database.session.execute(
            "INSERT INTO trade_watermarks VALUES ('market1', 5, '');"
            "INSERT INTO ops.late_trades VALUES ('market1', 'trade1', '2025-01-01')"
        )
        told = await shell("polymarket-storage status --json", db_url)
        assert (told.returncode, told.stdout.count("of 'market1'")) == (1, 2)
        assert "UPDATE 1\nUPDATE 1\n" in await database.operate(give_up, CONDITION="market1")
        assert '"healthy": true' in await database.operate(ask)


@pytest.mark.parametrize(
    ("message", "change", "command"),
    [
        (
            "… was applied with the SHA-256 …, and is … now",
            "UPDATE ops.schema_version SET checksum = 'another' WHERE version = 2",
            MIGRATE,
        ),
        (
            "the database is at version …, and this package knows the versions up to …",
            "INSERT INTO ops.schema_version VALUES (99, '99_later.sql', 'x', now(), 0, 'x')",
            MIGRATE,
        ),
        (
            "the schema is not as it should be: …",
            "ALTER TABLE positions DROP COLUMN market_id",
            MIGRATE,
        ),
        ("… cannot be taken back: …", "SELECT 1", f"{MIGRATE} --to 0"),
        (
            "canceling statement due to lock timeout …",
            "BEGIN; LOCK TABLE ops.leases IN ACCESS SHARE MODE",
            f"DATABASE_LOCK_TIMEOUT=0.1 {MIGRATE} --to 2",
        ),
    ],
)
async def test_what_can_go_wrong_is_told_in_the_words_of_the_page(
    db_url: str, message: str, change: str, command: str
) -> None:
    session = await connect(db_url)
    await session.execute(change)
    assert told(await shell(command, db_url), message)
    session.terminate()


def test_every_command_and_every_message_of_the_page_is_tried_here() -> None:
    roles = Path(__file__).parent / "faults" / "test_roles_page.py"  # on servers of their own
    source = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__), roles))
    tried = set(re.findall(r'commands\("([^"]+)"\)', source))
    assert tried == {heading for heading in SECTIONS if commands(heading)}
    assert "```bash" not in PAGE.partition("\n## ")[0]
    assert [message for message in MESSAGES if f'"{message}"' not in source] == []
    assert len(MESSAGES) == SECTIONS["What can go wrong"].count("\n| `")
