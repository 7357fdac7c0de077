"""Killed servers, killed keepers, and what is left lying about."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, owner_pids, running_url
from polymarket_bot.storage.embedded.keeper import processes
from polymarket_bot.storage.embedded.keeper.protocol import Files
from polymarket_bot.storage.errors import EmbeddedServerError
from tests.faults.support import eventually

from .support import (
    LIMIT,
    QUICK,
    has_ended,
    kill,
    query,
    query_when_back,
    remove,
    server_pids,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .support import OwnerProcess

    NewOwner = Callable[[], OwnerProcess]

pytestmark = pytest.mark.usefixtures("prepared")

TABLE = "CREATE TABLE kept AS SELECT 42 AS answer"
ANSWER = "SELECT answer FROM kept"


async def test_a_killed_server_comes_back_under_its_url_with_its_data(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        for _ in range(3):
            killed = state(data_dir)["postmaster"]
            kill(killed)
            await eventually(partial(has_ended, killed))
            assert await query_when_back(server.url, ANSWER) == 42
            assert state(data_dir)["postmaster"] != killed
    assert not server_pids(data_dir)


async def test_a_killed_server_comes_back_while_one_of_its_queries_goes_on(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        busy = await asyncpg.connect(server.url)
        # Computing, not waiting: the process does not notice that the server has died.
        forever = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
        computing = asyncio.create_task(busy.fetch(forever))
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%a, gen%'"
        async with asyncio.timeout(LIMIT):
            while await query(server.url, active) < 2:  # the first one is this query itself
                pass
        kill(state(data_dir)["postmaster"])
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await computing
        busy.terminate()
        assert await query_when_back(server.url, ANSWER) == 42


async def test_a_start_during_the_recovery_waits_for_its_end(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        killed = state(data_dir)["postmaster"]
        kill(killed)
        await eventually(partial(has_ended, killed))
        await server.start()
        assert await query(server.url, ANSWER) == 42


@pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux tells a process that its parent has died"
)
async def test_a_killed_keeper_takes_the_server_down_cleanly(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        kill(state(data_dir)["keeper"])
        await eventually(lambda: not server_pids(data_dir))
        log = Files(data_dir).log.read_text()
        assert log.rstrip().endswith("database system is shut down")
        assert await running_url(data_dir) is None
        await server.start()
        assert await query(server.url, ANSWER) == 42


async def test_a_start_right_after_the_death_of_the_keeper_recovers(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        keeper = state(data_dir)["keeper"]
        kill(keeper)
        await eventually(partial(has_ended, keeper))
        await server.start()
        assert await query(server.url, ANSWER) == 42


async def test_a_keeper_told_to_end_waits_for_the_owners(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        keeper = state(data_dir)["keeper"]
        os.kill(keeper, signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert await query(server.url, ANSWER) == 42
    await eventually(partial(has_ended, keeper))
    assert not server_pids(data_dir)


async def test_a_kept_server_ends_when_its_keeper_is_told_to_end(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    async with server:
        await query(server.url, TABLE)
        await server.keep()
        keeper = state(data_dir)["keeper"]
    os.kill(keeper, signal.SIGTERM)
    await eventually(partial(has_ended, keeper))
    assert not server_pids(data_dir)
    async with server:
        assert await query(server.url, ANSWER) == 42
    await server.release()


async def test_a_system_that_ends_all_processes_at_once_gets_a_clean_shutdown(
    data_dir: Path,
) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        keeper = state(data_dir)["keeper"]
        os.kill(keeper, signal.SIGTERM)
        os.kill(state(data_dir)["postmaster"], signal.SIGTERM)
        await eventually(partial(has_ended, keeper))
        assert Files(data_dir).log.read_text().rstrip().endswith("database system is shut down")
        await server.start()
        assert await query(server.url, ANSWER) == 42


async def test_a_server_without_a_keeper_is_ended_and_started_anew(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, TABLE)
        main = state(data_dir)["postmaster"]
        os.kill(main, signal.SIGSTOP)  # so that it outlives the keeper, as it does on macOS
        keeper = state(data_dir)["keeper"]
        kill(keeper)
        await eventually(partial(has_ended, keeper))
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(0.3)
        os.kill(main, signal.SIGCONT)
        await starting
        assert state(data_dir)["postmaster"] != main
        assert await query(server.url, ANSWER) == 42


async def test_stale_files_are_not_in_the_way(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    async with server:
        await query(server.url, TABLE)
    _litter(Files(data_dir))
    assert await running_url(data_dir) is None
    async with server:
        assert await query(server.url, ANSWER) == 42
    assert not server_pids(data_dir)


async def test_both_ways_to_list_processes_find_the_server(data_dir: Path) -> None:
    ways = [processes._listed_by_ps]
    if sys.platform == "linux":
        ways.append(processes._listed_in_proc)
    async with EmbeddedPostgres(data_dir, settings=QUICK):
        user, main = (data_dir / "pgdata").stat().st_uid, state(data_dir)["postmaster"]
        by_ps, *others = [dict(way(user))[main].strip() for way in ways]
    assert "/postgres -D " in by_ps
    assert others == [by_ps] * len(others)


def _litter(files: Files) -> None:
    owner = files.pgdata.stat()
    # The process named in them lives, and is not a server: this one.
    for path in (files.pgdata / "postmaster.pid", files.folder / "run" / ".s.PGSQL.5432.lock"):
        path.write_text(f"{os.getpid()}\n{files.pgdata}\n1\n5432\n\n\n1 1\nready\n")
        os.chown(path, owner.st_uid, owner.st_gid)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(files.folder / "run" / ".s.PGSQL.5432"))
    files.state.write_text('{"url": "postgresql://predict@/predict?host=/nowhere"}')
    (files.owners / "1-dead").touch()


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"url": 1}'])
async def test_an_unreadable_state_file_means_no_running_server(
    data_dir: Path, content: str
) -> None:
    files = Files(data_dir)
    files.start_lock.touch()
    files.state.write_text(content)
    assert await running_url(data_dir) is None


async def test_a_server_whose_folder_is_removed_ends(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    await server.start()
    keeper = state(data_dir)["keeper"]
    remove(data_dir)
    await eventually(partial(has_ended, keeper))
    assert not server_pids(data_dir)
    await server.stop()


async def test_a_folder_removed_and_made_again_gets_a_server_of_its_own(data_dir: Path) -> None:
    old = EmbeddedPostgres(data_dir, settings=QUICK)
    await old.start()
    await query(old.url, TABLE)
    remove(data_dir)
    async with EmbeddedPostgres(data_dir, settings=QUICK) as new:
        assert await query(new.url, "SELECT to_regclass('kept')") is None
        await old.start()
        assert old.url == new.url
        assert len(await owner_pids(data_dir)) == 2
    assert await query(old.url, "SELECT 42") == 42
    await old.stop()
    assert not server_pids(data_dir)


async def test_a_server_that_cannot_come_back_says_so_at_the_next_start(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    async with server:
        keeper = state(data_dir)["keeper"]
        control = data_dir / "pgdata" / "global" / "pg_control"
        control.rename(control.with_suffix(".away"))
        kill(state(data_dir)["postmaster"])
        await eventually(partial(has_ended, keeper))
        with pytest.raises(EmbeddedServerError, match="pg_control"):
            await server.start()
        control.with_suffix(".away").rename(control)
        await server.start()
        assert await query(server.url, "SELECT 42") == 42
