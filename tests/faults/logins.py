"""A production database on a server of the test's own, and logins in each of the roles."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from polymarket_bot.storage import Database, DatabaseConfig, HealthLimits
from polymarket_bot.storage.monitoring.status import Figures, read_status
from polymarket_bot.storage.schema.roles import Role, grant

from .support import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from polymarket_bot.storage.schema.roles import GrantReport

    from .servers import Server

SECRET = "hunter2"  # noqa: S105 - the server asks for it
PRODUCTION = "production"
"""The login that production's tables belong to; it may make roles, and is no superuser."""
OWNERS = """
SELECT array_agg(DISTINCT tableowner::text) FROM pg_tables WHERE schemaname IN ('public', 'ops')
"""
"""Asks whom the tables belong to."""


class Place:
    """A database of `production`, and logins."""

    def __init__(self, server: Server, database: str) -> None:
        self.server = server
        self.database = database

    def url(self, login: str) -> str:
        """Return the URL of the database for a login, with its password."""
        return self.server.url(user=login, database=self.database, password=SECRET)

    def config(self, login: str) -> DatabaseConfig:
        return DatabaseConfig(url=self.url(login), min_connections=1)

    def open(self, login: str) -> Database:
        return Database(self.config(login))

    async def superuser(self, statement: str) -> None:
        """Run a statement as the superuser, in the database."""
        async with connected(self.server.socket_url(database=self.database)) as connection:
            await connection.execute(statement)

    async def login(self, name: str, options: str = "") -> str:
        """Make a login with a password, and return its name, which has a hex number behind it."""
        login = f"{name}_{uuid.uuid4().hex[:8]}"
        await self.superuser(f"CREATE ROLE {login} LOGIN PASSWORD '{SECRET}' {options}")
        return login

    async def grant(
        self, role: Role | None = None, login: str | None = None, by: str = PRODUCTION
    ) -> GrantReport:
        async with self.open(by) as db:
            return await grant(db, db.config, role, login)

    async def member(self, role: Role) -> str:
        """Make a login of a role."""
        login = await self.login(role.value)
        await self.grant(role, login)
        return login


async def make_production(server: Server) -> None:
    """Make the login `production`."""
    await server.fetchval(f"CREATE ROLE {PRODUCTION} LOGIN PASSWORD '{SECRET}' CREATEROLE")


@asynccontextmanager
async def production(server: Server) -> AsyncIterator[Place]:
    """Make a database of `production` with all tables, in a server that has that login."""
    name = f"bots_{uuid.uuid4().hex[:8]}"
    await server.fetchval(f"CREATE DATABASE {name} OWNER {PRODUCTION}")
    place = Place(server, name)
    async with place.open(PRODUCTION) as db:
        await db.migrate()
    yield place
    await server.fetchval(f"DROP DATABASE {name} WITH (FORCE)")


async def figures(db: Database) -> Figures:
    """Return what `status` counts, as the user of `db` sees it."""
    report = await read_status(db, await db.health(), HealthLimits())
    assert report.figures is not None, report.problems
    return report.figures
