"""First starts that are interrupted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.embedded.keeper.processes import wait_until
from tests.faults.support import eventually

from .support import LIMIT, QUICK, kill, processes_naming, query, remove, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .support import OwnerProcess

    NewOwner = Callable[[], OwnerProcess]


async def test_leftovers_of_an_interrupted_first_start_are_removed(data_dir: Path) -> None:
    half = data_dir / "pgdata.new-half"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42
    assert not unfinished(data_dir)


async def test_a_first_start_killed_at_any_moment_is_made_good_by_the_next(
    data_dir: Path, new_owner: NewOwner
) -> None:
    for pause in (0.0, 0.15, 0.4, 0.6):
        owner = new_owner()
        await eventually(lambda: any(data_dir.glob("pgdata*")))
        await asyncio.sleep(pause)
        owner.kill()
        for keeper in processes_naming(data_dir):
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                kill(keeper)
        assert wait_until(lambda: not processes_naming(data_dir), LIMIT)
        remove(data_dir / "pgdata")
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42
    assert not unfinished(data_dir)


async def test_an_owner_killed_during_the_first_start_leaves_no_server(
    data_dir: Path, new_owner: NewOwner
) -> None:
    owner = new_owner()
    await eventually(lambda: any(data_dir.glob("pgdata*")))
    owner.kill()
    await eventually(lambda: not processes_naming(data_dir))
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42
