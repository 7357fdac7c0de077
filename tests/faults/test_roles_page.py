"""The roles of `docs/operations.md`: its commands run while old bots write."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, NotPermitted
from tests.test_operations import CHECK, MIGRATE, commands, told
from tests.writers import production, shell

from .logins import OWNERS
from .servers import USER, Server, Template
from .support import value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GRANT = "polymarket-storage grant"
LOGINS = ("deployer", "bot", "dashboard")


@pytest.fixture
async def server(any_version: Template) -> AsyncIterator[Server]:
    """Give a server of both versions, with the login `legacy`, whose the database is."""
    async with Server(any_version) as running:
        await running.fetchval("CREATE ROLE legacy LOGIN CREATEROLE")
        await running.fetchval("CREATE DATABASE bots OWNER legacy")
        yield running


async def test_the_commands_of_the_page_share_a_database_and_take_it_back(server: Server) -> None:
    make, join, use = commands("Roles")
    (back,) = commands("Without the roles again")
    url, admin = server.url(user="legacy", database="bots"), server.url(database="bots")
    logins = {f"{n.upper()}_URL": server.url(user=n, database="bots") for n in LOGINS}
    async with production(url) as bots:
        await bots.operate(MIGRATE)
        assert "CREATE ROLE storage_owner NOLOGIN" in await bots.operate(make)
        assert await bots.operate(make) == "nothing to do: each has what it needs\n"
        await bots.operate(join, ADMIN_URL=admin)
        await bots.operate(use, **logins)
        async with Database(DatabaseConfig(url=logins["DASHBOARD_URL"])) as db:
            with pytest.raises(NotPermitted):
                await db.execute("DELETE FROM positions")
    taken_back = await shell(back, url, OWNER="legacy", ADMIN_URL=admin)
    assert taken_back.returncode == 0, taken_back.stderr
    assert await value(url, OWNERS) == ["legacy"]
    await server.fetchval("DROP ROLE storage_owner, storage_writer, storage_reader")
    for command in (MIGRATE, CHECK, make):
        again = await shell(command, url)
        assert again.returncode == 0, again.stderr


async def test_what_can_go_wrong_is_told_in_the_words_of_the_page(server: Server) -> None:
    url = server.url(user="legacy", database="bots")
    async with production(url) as bots:
        await bots.operate(MIGRATE)
        await server.fetchval("ALTER ROLE legacy NOCREATEROLE")
        assert told(await shell(GRANT, url), "the user … may not make roles; …")
        await server.fetchval("ALTER ROLE legacy CREATEROLE")
        await server.fetchval(f"ALTER DATABASE bots OWNER TO {USER}")
        assert told(await shell(GRANT, url), "the user cannot give this: …")
        await server.fetchval("CREATE ROLE other LOGIN CREATEROLE")
        await bots.session.execute("GRANT USAGE ON SCHEMA ops TO other")
        stranger = await shell(GRANT, server.url(user="other", database=urlsplit(url).path[1:]))
        assert told(stranger, "… belongs to another user, …")


async def test_a_table_in_use_is_told_in_the_words_of_the_page(server: Server) -> None:
    url = server.url(user="legacy", database="bots")
    async with production(url) as bots:
        await bots.operate(MIGRATE)
        await bots.session.execute("BEGIN; SELECT FROM positions")
        message = "others are at the tables or at the roles without a pause: …"
        assert told(await shell(f"{GRANT} --timeout 0.5", url), message)
        await bots.session.execute("ROLLBACK")
