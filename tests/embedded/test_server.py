"""One owner and its server."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, owner_pids, running_url
from polymarket_bot.storage.embedded.binaries import binaries_for
from polymarket_bot.storage.errors import EmbeddedServerError
from tests.faults.support import eventually

from .support import QUICK, exists, query, server_pids, state

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_started_server_answers_queries_under_its_url(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        answer = "current_user || ' ' || current_database() || ' ' || current_setting('timezone')"
        assert await query(server.url, f"SELECT {answer}") == "predict predict UTC"
        assert await query(server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'predict'")
        assert server_pids(data_dir)
    assert not server_pids(data_dir)


async def test_data_are_synchronised_to_the_disk_by_default(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        assert await query(server.url, "SHOW fsync") == "on"


async def test_psql_takes_the_url_whatever_the_environment_says(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        psql = str(binaries_for(None) / "psql")
        done = await asyncio.to_thread(
            subprocess.run,
            (psql, "-XAtc", "SELECT 6 * 7", server.url),
            env={"PGPORT": "1", "PGHOST": "nowhere", "PGUSER": "x", "PGDATABASE": "x"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "42\n"


async def test_data_survive_a_stop_and_a_start(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    await server.start()
    url = server.url
    await query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    await server.stop()
    await server.start()
    assert server.url == url
    assert await query(url, "SELECT answer FROM kept") == 42
    await server.stop()


async def test_starting_and_stopping_again_is_harmless(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    await server.stop()
    await asyncio.gather(server.start(), server.start())
    pid = state(data_dir)["postmaster"]
    await server.start()
    assert state(data_dir)["postmaster"] == pid
    assert len(await owner_pids(data_dir)) == 1
    await server.stop()
    await server.stop()
    assert not server_pids(data_dir)


async def test_the_constructor_and_the_questions_touch_nothing(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    assert await running_url(data_dir) is None
    assert await owner_pids(data_dir) == ()
    await server.release()
    assert not exists(data_dir)


async def test_there_is_no_url_before_the_start_and_after_the_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    with pytest.raises(EmbeddedServerError, match="not been started"):
        _ = server.url
    with pytest.raises(EmbeddedServerError, match="not been started"):
        await server.keep()
    async with server:
        assert await running_url(data_dir) == server.url
    assert await running_url(data_dir) is None
    with pytest.raises(EmbeddedServerError, match="not been started"):
        _ = server.url


async def test_two_owners_in_one_process_share_one_server(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as first:
        async with EmbeddedPostgres(data_dir) as second:
            assert second.url == first.url
            assert len(await owner_pids(data_dir)) == 2
        assert await query(first.url, "SHOW fsync") == "off"


async def test_a_relative_folder_is_the_one_of_the_construction(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_dir.parent)
    server = EmbeddedPostgres(data_dir.name, settings=QUICK)
    monkeypatch.chdir("/")
    async with server:
        assert await running_url(data_dir) == server.url


async def test_a_cancelled_start_leaves_nothing(data_dir: Path) -> None:
    starting = asyncio.create_task(EmbeddedPostgres(data_dir, settings=QUICK).start())
    await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not server_pids(data_dir)
    assert await owner_pids(data_dir) == ()


async def test_a_start_that_is_cancelled_again_and_again_leaves_nothing(data_dir: Path) -> None:
    starting = asyncio.create_task(EmbeddedPostgres(data_dir, settings=QUICK).start())
    await asyncio.sleep(0.05)
    while not starting.done():
        starting.cancel()
        await asyncio.sleep(0.01)
    assert starting.cancelled()
    assert not server_pids(data_dir)
    assert await owner_pids(data_dir) == ()


@pytest.mark.asyncio(loop_scope="function")  # it changes its loop
async def test_a_stop_that_is_cancelled_before_its_turn_leaves_all_the_same(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    await server.start()
    turn, loop = threading.Event(), asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    loop.run_in_executor(None, turn.wait)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.05)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    turn.set()
    await eventually(lambda: not server_pids(data_dir))


async def test_a_kept_server_goes_on_until_it_is_released(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await server.keep()
        pid = state(data_dir)["postmaster"]
    url = await running_url(data_dir)
    assert url is not None
    assert await query(url, "SELECT 42") == 42
    async with EmbeddedPostgres(data_dir) as another:
        assert another.url == url
    assert state(data_dir)["postmaster"] == pid
    await EmbeddedPostgres(data_dir).release()
    assert not server_pids(data_dir)
    assert await running_url(data_dir) is None


async def test_a_released_server_goes_on_for_its_owner(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await server.keep()
        await EmbeddedPostgres(data_dir).release()
        assert await query(server.url, "SELECT 42") == 42
    assert not server_pids(data_dir)


async def test_settings_count_except_those_that_lead_elsewhere(data_dir: Path) -> None:
    settings = {**QUICK, "work_mem": "5MB", "port": "1", "unix_socket_directories": "/nowhere"}
    async with EmbeddedPostgres(data_dir, settings=settings) as server:
        assert await query(server.url, "SHOW work_mem") == "5MB"
