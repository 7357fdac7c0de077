"""A bot's own table: described once, and its repository can do what all the others can.

    python examples/own_table.py

works on DATABASE_URL, or else on an embedded server in `.polymarket/`. The table is the bot's:
it is made here, and the package knows nothing of it. A table in the production tables' database
needs a name that none of them has.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from polymarket_bot.storage import (
    AlreadyExists,
    BaseRepository,
    Database,
    DatabaseConfig,
    EmbeddedPostgres,
    Lifecycle,
    StorageModel,
    Table,
)
from polymarket_bot.storage.types import Identifier, Integer, Price, TimeText

DDL = """
CREATE TABLE IF NOT EXISTS bot_signals (
    id SERIAL PRIMARY KEY,
    token_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    price REAL NOT NULL,
    status TEXT NOT NULL,
    noted_at TEXT NOT NULL,
    UNIQUE (token_id, kind)
)
"""


class Signal(StorageModel):
    """Something worth acting on: a row of `bot_signals`, with its columns in their order.

    `status` is `new`, `confirmed`, `acted` or `dropped`.
    """

    id: Integer | None = None
    token_id: Identifier
    kind: Identifier
    price: Price
    status: Identifier = "new"
    noted_at: TimeText


SIGNALS = Table(
    "bot_signals",
    Signal,
    key=("id",),
    generated=("id",),  # the database gives it: SERIAL
    unique=(("token_id", "kind"),),  # by these an upsert knows a row that has no id yet
    lifecycle=Lifecycle("status", final=("acted", "dropped"), stages=("new", "confirmed")),
)


class SignalRepository(BaseRepository[Signal]):
    """The bot's signals. `create`, `upsert_many`, `get_all` and so on come from the base."""

    table: ClassVar = SIGNALS

    async def get_by_status(self, status: str, limit: int = 100) -> list[Signal]:
        """Return the signals of a status, highest price first."""
        return await self._list("price DESC, id", limit, status=status)


async def show(db: Database) -> None:
    """Note signals, act on the best one, and try to take that back."""
    signals = SignalRepository(db)
    await db.execute(DDL)

    try:
        created = await signals.create(signal("1", "breakout", "0.62"))
        print(f"created: {shown(created)}")
    except AlreadyExists:
        print("token 1 has a breakout from an earlier run")

    batch = [
        signal("1", "breakout", "0.65", "confirmed"),  # takes the place of the one above
        signal("2", "breakout", "0.71", "confirmed"),
        signal("2", "reversal", "0.4"),
    ]
    print(f"upsert_many wrote {await signals.upsert_many(batch)} of {len(batch)}")

    for best in await signals.get_by_status("confirmed", limit=1):
        best.status = "acted"
        await signals.update(best)
        print(f"acted on: {shown(best)}")
        best.status = "new"
        stored = await signals.update(best)  # no error: the row that stands comes back
        print(f"asked for new, refused: it is {stored.status if stored else 'gone'}")

    for row in await signals.get_all():
        print(f"- {shown(row)}")


def signal(token_id: str, kind: str, price: str, status: str = "new") -> Signal:
    """Return a signal of this moment."""
    return Signal(
        token_id=token_id,
        kind=kind,
        price=Decimal(price),
        status=status,
        noted_at=datetime.now(UTC).isoformat(),
    )


def shown(row: Signal) -> str:
    """Return a signal as one line."""
    return f"token {row.token_id} {row.kind} at {row.price}: {row.status}"


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """Open DATABASE_URL, or an embedded server."""
    if "DATABASE_URL" in os.environ:
        async with Database(DatabaseConfig()) as db:
            yield db
    else:
        async with (
            EmbeddedPostgres(".polymarket") as server,
            Database(DatabaseConfig(url=server.url)) as db,
        ):
            yield db


async def main() -> None:
    """Open the database and show what the table can do."""
    async with open_database() as db:
        await show(db)


if __name__ == "__main__":
    asyncio.run(main())
