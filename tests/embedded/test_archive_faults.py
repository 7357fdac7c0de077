"""Commands that are interrupted or killed, a server that dies, and disks that fill up."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.embedded.archive import dump
from polymarket_bot.storage.embedded.replacement import replacement
from polymarket_bot.storage.errors import EmbeddedServerError, StorageError
from tests.commands import run, start
from tests.faults.disks import SmallDisk, small_disk
from tests.faults.record import SEED, TOLD, count, tell
from tests.faults.support import eventually

from .archives import contents, databases, fill, until
from .support import (
    IS_ROOT,
    QUICK,
    command_lines,
    has_ended,
    kill,
    make_folder,
    names_in,
    processes_naming,
    query,
    query_when_back,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prepared")
root_only = pytest.mark.skipif(not IS_ROOT, reason="only root may mount a small disk")

ROUNDS = count("ROUNDS", 4)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
MANY = """
INSERT INTO polymarket_trades (condition_id, trade_id, token_id, timestamp)
SELECT 'c' || n % 100, md5(n::text), md5('k' || n), 1760000000 + n
FROM generate_series(1, 40000) AS n
"""
# Where it is restored, a row of it takes longer than any test.
SLOW = (
    "CREATE FUNCTION public.slow() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN "
    "IF current_database() <> 'predict' THEN PERFORM pg_sleep(600); END IF; RETURN true; END $$",
    "CREATE TABLE public.slow (n integer CHECK (public.slow()))",
    "INSERT INTO public.slow VALUES (1)",
)
LOADING = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = 'predict_restoring' AND wait_event = 'PgSleep'
"""
WAITING = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
WITHOUT_REST = {"predict", "template0", "template1"}


def tools(data_dir: Path) -> list[int]:
    """Find the programs that dump or restore the database of a folder."""
    named, lines = processes_naming(data_dir), dict(command_lines())
    programs = ("/pg_dump ", "/pg_restore ")
    return [pid for pid in named if any(name in lines.get(pid, "") for name in programs)]


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int, str]:
    """Send a signal and return the status and what was said on standard error."""
    process.send_signal(number)
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


def check_end(number: signal.Signals, status: int, said: str) -> None:
    if number is signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert (status, said) == (130, "interrupted: what was stored before stays stored\n")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_a_dump_that_is_ended_leaves_no_file_and_no_process(
    data_dir: Path, number: signal.Signals
) -> None:
    folder = data_dir.parent
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        holder = await asyncpg.connect(server.url)
        await holder.execute("BEGIN; LOCK positions IN ACCESS EXCLUSIVE MODE")
        process = await start("db", "dump", "a", "--data-dir", data_dir, cwd=folder)
        await until(server.url, WAITING)
        assert tools(data_dir)
        status, said = await ended(process, number)
        check_end(number, status, said)
        await eventually(lambda: not tools(data_dir))
        left = set(names_in(folder)) - {"data"}
        assert len(left) == (number is signal.SIGKILL)
        assert all(name.startswith(".polymarket-dump-") for name in left)
        await holder.close()
        assert (await run("db", "dump", "a", "--data-dir", data_dir, cwd=folder)).status == 0
    assert sorted(names_in(folder)) == ["a", "data"]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_a_restore_that_is_ended_leaves_the_old_data_and_no_process(
    data_dir: Path, number: signal.Signals
) -> None:
    folder, arguments = data_dir.parent, ("db", "restore", "--replace")
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        await dump(data_dir, folder / "quick")
        for statement in SLOW:
            await query(server.url, statement)
        await dump(data_dir, folder / "slow")
        before = await contents(server.url)
        process = await start(*arguments, "slow", "--data-dir", data_dir, cwd=folder)
        await until(server.url, LOADING)
        assert tools(data_dir)
        status, said = await ended(process, number)
        check_end(number, status, said)
        await eventually(lambda: not tools(data_dir))
        assert await contents(server.url) == before
        rest = {"predict_restoring"} if number is signal.SIGKILL else set()
        assert await databases(server.url) == WITHOUT_REST | rest
        done = await run(*arguments, "quick", "--data-dir", data_dir, cwd=folder)
        assert done.status == 0, done.err
        assert await databases(server.url) == WITHOUT_REST
        del before["public.slow"]
        assert await contents(server.url) == before


async def seconds_of(data_dir: Path, *arguments: str) -> float:
    """Run a command to its end, and return how long it takes here."""
    began = time.monotonic()
    done = await run("db", *arguments, "--data-dir", data_dir, cwd=data_dir.parent)
    assert done.status == 0, done.err
    return time.monotonic() - began


async def is_killed(after: float, data_dir: Path, *arguments: str) -> bool:
    """Run a command, and tell whether it still ran when it was killed after so many seconds."""
    process = await start("db", *arguments, "--data-dir", data_dir, cwd=data_dir.parent)
    await asyncio.sleep(after)
    if process.returncode is None:
        process.kill()
    await process.communicate()
    await eventually(lambda: not tools(data_dir))
    return process.returncode == -signal.SIGKILL


async def test_commands_killed_at_any_instant_leave_the_old_or_the_new(data_dir: Path) -> None:
    folder, chance = data_dir.parent, random.Random(SEED)  # noqa: S311 - instants, no secrets
    dumping, restoring = ("dump", "--force", "new"), ("restore", "--replace", "small")
    killed = 0
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        small = await contents(server.url)
        await dump(data_dir, folder / "small")
        to_restore = await seconds_of(data_dir, *restoring)
        await query(server.url, MANY)
        large = await contents(server.url)
        size = await dump(data_dir, folder / "large")
        to_dump = await seconds_of(data_dir, *dumping)
        for number in range(ROUNDS):
            told, part = f"{TOLD}, round {number}", (number / ROUNDS, (number + 1) / ROUNDS)
            killed += await is_killed(to_dump * chance.uniform(*part), data_dir, *dumping)
            assert (folder / "new").stat().st_size == pytest.approx(size, rel=0.01), told
            killed += await is_killed(to_restore * chance.uniform(*part), data_dir, *restoring)
            assert await contents(server.url) in (small, large), told
            async with replacement(data_dir, folder / "large", replace=True):
                pass
            assert await contents(server.url) == large, told
            assert await databases(server.url) == WITHOUT_REST, told
    assert killed, f"{TOLD}: each had ended before its instant"
    tell("embedded", times=killed)


async def test_a_restore_whose_server_is_killed_leaves_the_old_data(data_dir: Path) -> None:
    folder = data_dir.parent
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        for statement in SLOW:
            await query(server.url, statement)
        await dump(data_dir, folder / "slow")
        before = await contents(server.url)
        arguments = ("db", "restore", "--replace", "slow", "--data-dir", data_dir)
        process = await start(*arguments, cwd=folder)
        await until(server.url, LOADING)
        killed = state(data_dir)["postmaster"]
        kill(killed)
        await eventually(partial(has_ended, killed))
        out, said = await process.communicate()
        assert (process.returncode, out) == (1, b"")
        assert b"error: slow cannot be restored: pg_restore ended with status" in said
        assert b"the data are as they were" in said
        assert await query_when_back(server.url, "SELECT count(*) FROM positions") == 20
        after = await contents(server.url)
        assert {name for name in before if before[name] != after[name]} <= {
            name
            for name in before
            if name.endswith("_seq")  # a crash leaves gaps in them
        }
        assert not tools(data_dir)


@pytest.fixture
def disk(data_dir: Path) -> Iterator[SmallDisk]:
    """Give a folder with room for 64 KiB."""
    folder = data_dir.parent / "disk"
    make_folder(folder, 0o755)
    with small_disk(folder, "64k", mode=0o755) as mounted:
        yield mounted


@root_only
async def test_a_disk_that_fills_up_has_no_half_dump(data_dir: Path, disk: SmallDisk) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await fill(server.url)
        await query(server.url, MANY)
        with pytest.raises(EmbeddedServerError, match="No space left on device"):
            await dump(data_dir, disk.folder / "a")
    assert names_in(disk.folder) == []


@root_only
async def test_a_disk_that_fills_up_during_a_restore_has_the_old_data(
    data_dir: Path, disk: SmallDisk
) -> None:
    folder = disk.folder
    disk.resize("1g")
    async with EmbeddedPostgres(folder / "data", settings=QUICK) as server:
        await fill(server.url)
        await query(server.url, MANY)
        await dump(folder / "data", data_dir.parent / "a")
        before = await contents(server.url)
        await query(server.url, "CHECKPOINT")
        disk.resize(
            f"{shutil.disk_usage(folder).used // 1024 + 12_000}k"
        )  # an empty database takes 8 MB
        with pytest.raises(StorageError, match="No space left on device"):
            async with replacement(folder / "data", data_dir.parent / "a", replace=True):
                pass
        disk.resize("1g")
        assert await query_when_back(server.url, "SELECT count(*) FROM positions") == 20
        assert await contents(server.url) == before
        async with replacement(folder / "data", data_dir.parent / "a", replace=True):
            pass
        assert await contents(server.url) == before
