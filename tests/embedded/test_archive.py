"""The database dumped into a file and restored from it, by the commands."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, running_url
from tests.commands import run
from tests.schemas import dump as schema

from .archives import contents, databases, fill, opened
from .support import QUICK, names_in, query, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prepared")

OF_OURS = ("--exclude-table=*_one",)
TABLES = ("left_one", "right_one")


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[None]:
    """Insert a row into each of two tables in one transaction, again and again."""
    for table in TABLES:
        await query(url, f"CREATE TABLE {table} (n int)")
    task = asyncio.create_task(_write(url))
    try:
        await asyncio.sleep(0.1)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _write(url: str) -> None:
    async with opened(url) as db:
        for number in itertools.count():
            async with db.transaction():
                for table in TABLES:
                    await db.execute(f"INSERT INTO {table} VALUES ($1)", number)


async def test_a_dump_made_while_others_write_is_restored_to_the_bit(data_dir: Path) -> None:
    file, fresh = data_dir.parent / "a.dump", data_dir.parent / "fresh"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        expected = await contents(server.url), await schema(server.url, *OF_OURS)
        async with writing(server.url):
            dumped = await run("db", "dump", file, "--data-dir", data_dir, cwd=data_dir.parent)
    assert dumped.status == 0, dumped.err
    assert file.stat().st_mode & 0o777 == 0o600
    restored = await run("db", "restore", file, "--data-dir", fresh, cwd=data_dir.parent)
    assert restored.status == 0, restored.err
    assert restored.out == f"19 tables are restored from {file}, the schema is at version 3\n"
    assert await running_url(fresh) is None
    async with EmbeddedPostgres(fresh, settings=QUICK) as server:
        found = await contents(server.url)
        left, right = (found.pop(f"public.{table}") for table in TABLES)
        assert (found, await schema(server.url, *OF_OURS)) == expected
        assert left == right
        assert not left.startswith("0 rows")
        async with opened(server.url) as db:
            assert (await db.check_schema()).ok
            assert not (await db.migrate()).steps


async def test_what_is_there_is_replaced_on_demand_only(data_dir: Path) -> None:
    here = ("--data-dir", data_dir)
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        expected = await contents(server.url)
        assert (await run("db", "dump", "a.dump", *here, cwd=data_dir.parent)).status == 0
        await query(server.url, "DELETE FROM positions")
        await query(server.url, "CREATE TABLE later AS SELECT 42")
        changed = await contents(server.url)
        refused = await run("db", "restore", "a.dump", *here, cwd=data_dir.parent)
        assert refused.status == 1
        assert "has rows already, in ops.late_trades, ops.leases, public." in refused.err
        assert "public.later" in refused.err
        assert "--replace" in refused.err
        assert await contents(server.url) == changed
        done = await run(
            "db", "restore", "--replace", "--json", "a.dump", *here, cwd=data_dir.parent
        )
        assert done.json == {"file": "a.dump", "tables": 19, "schema_version": 3}
        assert await contents(server.url) == expected
        assert await databases(server.url) == {"predict", "template0", "template1"}


async def test_tables_without_a_row_are_no_hindrance(data_dir: Path) -> None:
    here = ("--data-dir", data_dir)
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        async with opened(server.url) as db:
            await db.migrate()
        for command in (("dump",), ("restore",)):
            done = await run("db", *command, "a.dump", *here, cwd=data_dir.parent)
            assert done.status == 0, done.err


async def test_the_server_is_left_as_it_was(data_dir: Path) -> None:
    folder, server = data_dir.parent, EmbeddedPostgres(data_dir, settings=QUICK)
    async with server:
        await fill(server.url)
        await server.keep()
    url = await running_url(data_dir)
    for command in (("dump", "a"), ("restore", "--replace", "a")):
        assert (await run("db", *command, "--data-dir", data_dir, cwd=folder)).status == 0
        assert await running_url(data_dir) == url is not None
    await server.release()
    for command in (("dump", "b"), ("restore", "--replace", "b")):
        assert (await run("db", *command, "--data-dir", data_dir, cwd=folder)).status == 0
        assert await running_url(data_dir) is None


async def test_a_file_that_is_there_is_overwritten_on_demand_only(data_dir: Path) -> None:
    file = data_dir.parent / "a.dump"
    write(file, "precious")
    arguments = ("db", "dump", file, "--data-dir", data_dir)
    async with EmbeddedPostgres(data_dir, settings=QUICK):
        refused = await run(*arguments, "--json", cwd=data_dir.parent)
        assert refused.status == 1
        assert "is there already; choose another name" in refused.json["error"]
        assert file.read_text() == "precious"
        done = await run(*arguments, "--force", "--json", cwd=data_dir.parent)
    assert done.json == {"file": str(file), "bytes": file.stat().st_size}
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(names_in(data_dir.parent)) == ["a.dump", "data"]


async def test_the_environment_leads_no_program_astray(data_dir: Path) -> None:
    strange = {
        "PGHOST": "/nowhere",
        "PGDATABASE": "other",
        "PGOPTIONS": "-c search_path=nowhere",
        "PGSERVICE": "none",
        "DATABASE_DIRECT_URL": "postgresql://u@127.0.0.1:1/d",
    }
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        expected = await contents(server.url)
        for command in (("dump",), ("restore", "--replace")):
            arguments = ("db", *command, "a.dump", "--data-dir", data_dir)
            done = await run(*arguments, cwd=data_dir.parent, **strange)
            assert done.status == 0, done.err
        assert await contents(server.url) == expected


async def test_owners_and_rights_that_only_another_server_knows_are_no_hindrance(
    data_dir: Path,
) -> None:
    fresh = data_dir.parent / "fresh"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        expected = await contents(server.url)
        await query(server.url, "CREATE ROLE writer")
        await query(server.url, "GRANT INSERT ON positions TO writer")
        await query(server.url, "ALTER TABLE live_orders OWNER TO writer")
        dumped = await run("db", "dump", "a", "--data-dir", data_dir, cwd=data_dir.parent)
    assert dumped.status == 0, dumped.err
    restored = await run("db", "restore", "a", "--data-dir", fresh, cwd=data_dir.parent)
    assert restored.status == 0, restored.err
    async with EmbeddedPostgres(fresh, settings=QUICK) as server:
        assert await contents(server.url) == expected
