"""Owners in several processes, killed ones among them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, owner_pids, running_url
from tests.faults.support import eventually

from .support import QUICK, query, server_pids, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .support import OwnerProcess

    NewOwner = Callable[[], OwnerProcess]

pytestmark = pytest.mark.usefixtures("prepared")


async def test_the_last_of_two_processes_to_leave_stops_the_server(
    data_dir: Path, new_owner: NewOwner
) -> None:
    first, second = new_owner(), new_owner()
    urls = await asyncio.gather(first.url(), second.url())
    assert urls[0] == urls[1]
    assert await owner_pids(data_dir) == tuple(sorted((first.pid, second.pid)))
    await first.do("stop")
    assert await query(urls[1], "SELECT 42") == 42
    await second.do("stop")
    assert not server_pids(data_dir)


async def test_many_owners_that_start_at_once_get_one_server(
    data_dir: Path, new_owner: NewOwner
) -> None:
    owners = [new_owner() for _ in range(5)]
    urls = await asyncio.gather(*(owner.url() for owner in owners))
    assert len(set(urls)) == 1
    assert len(await owner_pids(data_dir)) == 5
    await asyncio.gather(*(owner.do("stop") for owner in owners))
    assert not server_pids(data_dir)


async def test_a_killed_owner_counts_as_one_that_has_left(
    data_dir: Path, new_owner: NewOwner
) -> None:
    owner = new_owner()
    await query(await owner.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    owner.kill()
    await eventually(lambda: not server_pids(data_dir))
    assert await running_url(data_dir) is None
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT answer FROM kept") == 42
        assert len(await owner_pids(data_dir)) == 1


async def test_a_killed_owner_does_not_take_the_server_from_the_others(
    data_dir: Path, new_owner: NewOwner
) -> None:
    killed = new_owner()
    await killed.url()
    async with EmbeddedPostgres(data_dir) as server:
        pid = state(data_dir)["postmaster"]
        killed.kill()
        await asyncio.sleep(0.3)
        assert state(data_dir)["postmaster"] == pid
        assert await query(server.url, "SELECT 42") == 42


async def test_a_server_kept_by_a_killed_owner_goes_on(data_dir: Path, new_owner: NewOwner) -> None:
    owner = new_owner()
    url = await owner.url()
    await owner.do("keep")
    owner.kill()
    assert await query(url, "SELECT 42") == 42
    await EmbeddedPostgres(data_dir).release()
    assert not server_pids(data_dir)


async def test_an_owner_that_comes_while_the_last_one_leaves_gets_a_server(
    data_dir: Path, new_owner: NewOwner
) -> None:
    leaving = new_owner()
    await leaving.url()
    for _ in range(10):
        _, server = await asyncio.gather(leaving.do("stop"), _started(data_dir))
        assert await query(server.url, "SELECT 42") == 42
        await asyncio.gather(server.stop(), leaving.do("start"))
    await leaving.do("stop")


async def _started(data_dir: Path) -> EmbeddedPostgres:
    server = EmbeddedPostgres(data_dir, settings=QUICK)
    await server.start()
    return server
