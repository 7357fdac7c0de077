"""What cannot be dumped or restored is refused with its reason, and the data stay as they were."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import asyncpg
import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.embedded import replacement as module
from polymarket_bot.storage.embedded.archive import dump
from polymarket_bot.storage.embedded.replacement import replacement
from polymarket_bot.storage.errors import (
    AlreadyHeld,
    EmbeddedServerError,
    StorageError,
)
from tests.commands import run

from .archives import contents, databases, fill, until
from .support import QUICK, link, make_folder, names_in, query, read, write

if TYPE_CHECKING:
    from pathlib import Path

NEWER = "INSERT INTO ops.schema_version VALUES (99, 'new', '', now(), 0, '')"
OTHER = "DROP SCHEMA public CASCADE; DROP SCHEMA ops CASCADE; CREATE SCHEMA public"
prepared = pytest.mark.usefixtures("prepared")


async def restored(data_dir: Path, file: Path, *, replace: bool = True) -> None:
    """Restore a file as it is."""
    async with replacement(data_dir, file, replace=replace):
        pass


async def refusal(data_dir: Path, file: Path) -> str:
    """Return the error of a restore, of which nothing may be left."""
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        before = await contents(server.url)
        with pytest.raises(EmbeddedServerError) as refused:
            await restored(data_dir, file)
        assert await contents(server.url) == before
        assert await databases(server.url) == {"predict", "template0", "template1"}
    return str(refused.value)


async def test_a_folder_without_data_is_not_dumped_nor_made(data_dir: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="has no data of an embedded server; name its"):
        await dump(data_dir, data_dir.parent / "a.dump")
    assert names_in(data_dir.parent) == []


@prepared
async def test_a_dump_goes_to_a_new_file_in_a_folder_that_is_there(data_dir: Path) -> None:
    folder = data_dir.parent
    make_folder(folder / "folder", 0o755)
    link(folder / "link", folder / "nowhere")
    os.mkfifo(folder / "pipe")
    for name, overwrite, reason in (
        ("missing/a.dump", False, "cannot be written: .*No such file"),
        ("folder", False, "is there already"),
        ("folder", True, "is not a file"),
        ("link", False, "is there already"),
        ("pipe", True, "is not a file"),
    ):
        with pytest.raises(EmbeddedServerError, match=reason):
            await dump(data_dir, folder / name, overwrite=overwrite)
    assert sorted(names_in(folder)) == ["data", "folder", "link", "pipe"]
    assert names_in(folder / "folder") == []


@prepared
async def test_a_file_that_comes_while_the_dump_is_made_stays(data_dir: Path) -> None:
    file = data_dir.parent / "a.dump"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        holder = await asyncpg.connect(server.url)
        await holder.execute("BEGIN; LOCK positions IN ACCESS EXCLUSIVE MODE")
        dumping = asyncio.create_task(dump(data_dir, file))
        await until(server.url, "SELECT count(*) FROM pg_locks WHERE NOT granted")
        write(file, "precious")
        await holder.close()
        with pytest.raises(EmbeddedServerError, match="is there already"):
            await dumping
    assert read(file) == b"precious"
    assert sorted(names_in(data_dir.parent)) == ["a.dump", "data"]


@prepared
async def test_what_is_no_dump_is_refused_and_changes_nothing(data_dir: Path) -> None:
    folder = data_dir.parent
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        os.mkfifo(folder / "pipe")
        write(folder / "empty", "")
        write(folder / "words", "no dump at all, but long enough to be one" * 100)
        write(folder / "sql", "--\n-- PostgreSQL database dump\n--\n\nDROP TABLE positions;\n" * 9)
        for name, reason in (
            ("missing", "cannot be read: .*No such file"),
            ("data", "is not a file"),
            ("pipe", "is not a file"),
            ("empty", "too short"),
            ("words", "does not appear to be a valid"),
            ("sql", "text format dump"),
        ):
            with pytest.raises(EmbeddedServerError, match=reason):
                await restored(data_dir, folder / name)
        assert await refusal(data_dir, folder / "words")


@prepared
async def test_a_torn_dump_is_refused_wherever_it_ends(data_dir: Path) -> None:
    whole, torn = data_dir.parent / "whole", data_dir.parent / "torn"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        size = await dump(data_dir, whole)
        for end in (4, 10, 1000, size // 3, size // 2, size - 100, size - 1):
            torn.write_bytes(read(whole)[:end])
            assert f"{torn} cannot be restored: pg_restore ended" in await refusal(data_dir, torn)


@prepared
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (OTHER, "has none of the production tables"),
        (NEWER, "the database is at version 99"),
        ("ALTER TABLE positions DROP COLUMN size", "positions.size"),
    ],
)
async def test_a_dump_that_this_package_cannot_work_on_is_refused(
    data_dir: Path, change: str, reason: str
) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        whole, changed = data_dir.parent / "whole", data_dir.parent / "changed"
        await dump(data_dir, whole)
        for statement in change.split("; "):
            await query(server.url, statement)
        await dump(data_dir, changed)
        await restored(data_dir, whole)
        before = await contents(server.url)
        arguments = ("db", "restore", "--replace", changed, "--data-dir", data_dir)
        outcome = await run(*arguments, cwd=data_dir.parent)
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.err.startswith("error: ")
        assert reason in outcome.err
        assert await contents(server.url) == before
        assert await databases(server.url) == {"predict", "template0", "template1"}


@prepared
async def test_a_database_in_use_is_not_replaced_and_its_users_are_named(data_dir: Path) -> None:
    file = data_dir.parent / "a.dump"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        await dump(data_dir, file)
        settings = {"application_name": "the bot"}
        bot = await asyncpg.connect(server.url, server_settings=settings)
        number = bot.get_server_pid()
        assert f"is in use by the bot (server process {number}): There is 1" in await refusal(
            data_dir, file
        )
        await bot.execute("DELETE FROM positions")
        await bot.close()


@prepared
async def test_nobody_writes_into_a_database_that_is_about_to_go(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who connects meanwhile waits, and is let in when the restore is given up."""
    monkeypatch.setattr(module, "_PATIENCE", 0)
    file = data_dir.parent / "a.dump"
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        await dump(data_dir, file)
        with pytest.raises(StorageError, match="given up"):
            async with replacement(data_dir, file, replace=True):
                late = asyncio.create_task(query(server.url, "SELECT count(*) FROM positions"))
                with pytest.raises(AlreadyHeld, match="'restore' is held by process"):
                    await restored(data_dir, file)
                assert not late.done()
                raise StorageError("given up")
        assert await late == 20


@prepared
async def test_rows_that_come_between_the_look_and_the_lock_are_not_lost(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, look = data_dir.parent / "a.dump", module._refuse_rows
    write(file, "")

    async def looked_at(url: str) -> str:
        seen = await look(url)
        await query(url, "CREATE TABLE quick AS SELECT 42 AS answer")
        return seen

    monkeypatch.setattr(module, "_refuse_rows", looked_at)
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        with pytest.raises(EmbeddedServerError, match="written to meanwhile"):
            await restored(data_dir, file, replace=False)
        assert await query(server.url, "SELECT answer FROM quick") == 42
