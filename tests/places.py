"""Databases whose server, and clients whose machine, count and write in another place's way."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from polymarket_bot.storage import Database, DatabaseConfig

_SETTINGS = ("timezone", "datestyle", "extra_float_digits")


@dataclass(frozen=True)
class Place:
    """Settings that bots meet on servers which others have set up.

    Attributes:
        name: what it is called.
        values: of time zone, date style and extra_float_digits.
        of_role: they are the role's in this database, rather than the database's.
        client_zone: the time zone of the client's machine.
    """

    name: str
    values: tuple[str, str, str]
    of_role: bool = False
    client_zone: str = "UTC"


PLACES = (
    Place("as installed", ("UTC", "ISO, MDY", "1")),
    Place("New York", ("America/New_York", "German", "0"), client_zone="Asia/Kolkata"),
    Place("Kolkata", ("Asia/Kolkata", "SQL, DMY", "-3"), True, "America/New_York"),
)


@contextmanager
def client_in(zone: str) -> Iterator[None]:
    """Let this process live in a time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@asynccontextmanager
async def opened_in(place: Place, url: str) -> AsyncIterator[Database]:
    """Set up a database as it is in a place, and open it there."""
    whose = f'DATABASE "{urlsplit(url).path[1:]}"'
    if place.of_role:
        whose = f"ROLE CURRENT_USER IN {whose}"
    connection = await asyncpg.connect(url)
    for name, value in zip(_SETTINGS, place.values, strict=True):
        await connection.execute(f"ALTER {whose} SET {name} = '{value}'")
    await connection.close()
    with client_in(place.client_zone):
        async with Database(DatabaseConfig(url=url, min_connections=1)) as db:
            assert await db.fetchval("SHOW timezone") == place.values[0]
            yield db
