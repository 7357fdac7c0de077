"""A table of tokens, and tasks that write them while servers come and go."""

from __future__ import annotations

import asyncio
import itertools
import operator
import random
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from polymarket_bot.storage import AlreadyExists, ConnectionLost, Database, Outcome, StorageError

from .record import SEED
from .support import LIMIT, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = "CREATE TABLE tokens (token text PRIMARY KEY)"
INSERT = "INSERT INTO tokens VALUES ($1) RETURNING token"
ALL = "SELECT array_agg(token) FROM tokens"
NOT_STORED = (Outcome.ROLLED_BACK, Outcome.NOT_SENT)


class Writers:
    """Tasks that write tokens, each token once, and try the next one when that fails."""

    def __init__(self, db: Database, number: int = 6) -> None:
        self.stored: set[str] = set()
        self.told: dict[str, Outcome] = {}
        self.failures: list[StorageError] = []
        self._db = db
        self._each = [0] * number
        self._numbers = itertools.count()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Have them write while the block lasts; each ends what it has begun."""
        end = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for writer in range(len(self._each)):
                tasks.create_task(self._write(writer, end))
            try:
                yield
            finally:
                end.set()

    async def have_stored_more(self) -> None:
        """Wait until all of them together have stored some more."""
        before = len(self.stored)
        await eventually(lambda: len(self.stored) > before + 10 * len(self._each))

    async def go_on(self, *, limit: float = LIMIT) -> None:
        """Wait until each of them has stored something more, at most for a limit in seconds."""
        before = list(self._each)
        await eventually(lambda: all(map(operator.gt, self._each, before)), limit=limit)

    def check(self, found: list[str]) -> None:
        """Compare what they were told with what is in the database."""
        counts = {outcome.value: [*self.told.values()].count(outcome) for outcome in Outcome}
        print(f"{len(self.stored)} stored, {len(self.failures)} failures, {counts}")  # noqa: T201
        assert self.stored <= set(found)
        assert not [e for e in self.failures if isinstance(e, AlreadyExists)], "one was sent twice"
        for token, outcome in self.told.items():
            assert outcome is not Outcome.COMMITTED or token in found
            assert outcome not in NOT_STORED or token not in found

    async def _write(self, writer: int, end: asyncio.Event) -> None:
        chance = random.Random(SEED + writer)  # noqa: S311 - repeatable, no secret
        while not end.is_set():
            token = f"{writer}-{next(self._numbers)}"
            try:
                async with asyncio.timeout(LIMIT):  # whatever happens, it hangs no longer
                    await self._store(token, in_block=chance.random() < 0.5)
                self.stored.add(token)
                self._each[writer] += 1
            except ConnectionLost as lost:
                self.told[token] = lost.outcome
            except StorageError as error:
                self.failures.append(error)
                await asyncio.sleep(0.01)

    async def _store(self, token: str, *, in_block: bool) -> None:
        async with self._db.transaction() if in_block else nullcontext():
            await self._db.execute(INSERT, token)
