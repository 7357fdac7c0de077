"""Migrations after `grant`: whoever runs one, what it makes belongs to `storage_owner`."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    NotPermitted,
    TradeRepository,
    seed_files,
)
from polymarket_bot.storage.ops import LeaseRepository
from polymarket_bot.storage.schema import seeds
from polymarket_bot.storage.schema.roles import Role
from tests.makers import trade
from tests.questions import deadlocks

from .logins import OWNERS, PRODUCTION, Place, figures, production

if TYPE_CHECKING:
    from pathlib import Path

    from .servers import Server

WRITTEN = 300
LATER = "-- Later.\n\nCREATE TABLE IF NOT EXISTS later (id SERIAL PRIMARY KEY, said TEXT);\n"


async def test_an_owner_takes_the_schema_back_and_makes_it_again_for_all(place: Place) -> None:
    owner, writer = await place.member(Role.OWNER), await place.member(Role.WRITER)
    async with place.open(owner) as db, place.open(writer) as bot:
        assert (await db.migrate(2)).after == 2
        assert (await db.migrate(1)).after == 1
        assert (await db.migrate()).after == 3
        assert await db.fetchval(OWNERS) == ["storage_owner"]
        assert await LeaseRepository(bot).acquire("poller", "me", 60)
        await db.execute("ALTER TABLE positions ADD COLUMN mine int")
    assert (await place.grant()).done == ()


@pytest.mark.parametrize("by", [PRODUCTION, "an owner", "the superuser"])
async def test_a_table_of_a_later_migration_has_its_rights_whoever_migrates(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    shutil.copytree(seed_files()[0].parent, tmp_path / "seed")
    (tmp_path / "seed" / "04_later.sql").write_text(LATER)
    monkeypatch.setattr(seeds, "_PACKAGED", tmp_path / "seed")
    logins = {"an owner": await place.member(Role.OWNER)}
    config = place.config(logins.get(by, by))
    if by == "the superuser":
        config = DatabaseConfig(url=place.server.socket_url(database=place.database))
    async with Database(config) as db:
        assert (await db.migrate()).after == 4
    async with place.open(await place.member(Role.WRITER)) as db:
        assert await db.fetchval("INSERT INTO later (said) VALUES ('a') RETURNING id") == 1
        with pytest.raises(NotPermitted):
            await db.execute("TRUNCATE later")
    async with place.open(await place.member(Role.READER)) as db:
        assert await db.fetchval("SELECT said FROM later") == "a"
        with pytest.raises(NotPermitted):
            await db.execute("DELETE FROM later")
        assert len((await figures(db)).tables) == 20


async def test_bots_of_the_login_that_the_tables_belonged_to_go_on(roles_server: Server) -> None:
    async with production(roles_server) as place, place.open(PRODUCTION) as bot:
        async with bot.transaction():
            await TradeRepository(bot).create(trade("before"))
        async with asyncio.TaskGroup() as group:
            group.create_task(_writes(bot))
            group.create_task(_grants(place))
        assert await TradeRepository(bot).count() == 1 + WRITTEN
        assert await deadlocks(bot) == 0
        await bot.execute("ALTER TABLE positions ADD COLUMN mine int")
        assert await bot.fetchval(OWNERS) == ["storage_owner"]


async def _writes(bot: Database) -> None:
    for number in range(WRITTEN):
        async with bot.transaction():
            await TradeRepository(bot).create(trade(f"t{number}"))
            await bot.execute("SELECT count(*) FROM positions")


async def _grants(place: Place) -> None:
    assert (await place.grant()).done
