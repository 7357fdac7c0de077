"""The server that is measured on, and databases of our own there."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from polymarket_bot.storage import Database, DatabaseConfig, EmbeddedPostgres

if TYPE_CHECKING:
    Held: TypeAlias = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")
Fill = Callable[["Held"], Awaitable[None]]

CONNECTIONS = 8
"""How many a pool has at most, ours and others'."""


@dataclass(frozen=True)
class Place:
    """A database of our own with the schema.

    Attributes:
        url: where it is.
        db: opened on it.
        held: a bare connection to it, which nobody else uses.
    """

    url: str
    db: Database
    held: Held


def config(url: str) -> DatabaseConfig:
    """Return the settings of what is measured, whatever the environment says of other databases."""
    return DatabaseConfig(url=url, direct_url=url, max_connections=CONNECTIONS)


class Stage:
    """What the cases of a subject have in common, made when asked for and removed at the end.

    Attributes:
        folder: a temporary one, which the user of a server can enter.
    """

    def __init__(self, server_url: str) -> None:
        self.folder = Path()
        self._server_url = server_url
        self._places: dict[str, Place] = {}
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.folder = self._exits.enter_context(open_folder())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context that is left at the end."""
        return await self._exits.enter_async_context(context)

    async def place(self, name: str = "plain", fill: Fill | None = None) -> Place:
        """Return the database of a name; it is made, and filled, when first asked for."""
        if name not in self._places:
            place = await self.enter(_place(self._server_url))
            if fill:
                await fill(place.held)
            self._places[name] = place
        return self._places[name]


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a temporary folder that every user can enter: root's server runs as another one."""
    with tempfile.TemporaryDirectory(prefix="pmb-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def open_server() -> AsyncIterator[str]:
    """Return the URL of DATABASE_URL's server, or of an embedded one that ends with the block."""
    if url := os.environ.get("DATABASE_URL"):
        yield DatabaseConfig(url=url).url
        return
    with open_folder() as folder:
        async with EmbeddedPostgres(folder / "server") as server:
            yield server.url


@asynccontextmanager
async def _place(server_url: str) -> AsyncIterator[Place]:
    async with (
        _own_database(server_url) as url,
        _connected(url) as held,
        Database(config(url)) as db,
    ):
        await db.migrate()
        yield Place(url, db, held)


@asynccontextmanager
async def _own_database(server_url: str) -> AsyncIterator[str]:
    """Create a database, and drop it at the end with whatever is connected to it."""
    name = f"polymarket_benchmark_{uuid.uuid4().hex}"
    async with _connected(server_url) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        async with _connected(server_url) as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Held]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
