"""A transaction block from its lease to its outcome: what `Database.transaction` opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, get_args

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections import outcomes
from polymarket_bot.storage.connections.blocks import (
    Connection,
    Isolation,
    Written,
    transaction_block,
)
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.connections.holders import caller
from polymarket_bot.storage.connections.leases import LeasePool
from polymarket_bot.storage.connections.pulse import Pulse
from polymarket_bot.storage.connections.retries import pauses
from polymarket_bot.storage.connections.savepoints import savepoint_block
from polymarket_bot.storage.connections.transactions import (
    Scope,
    current_scope,
    ended_when_idle,
    named,
    no_scope,
    scope_of,
)
from polymarket_bot.storage.errors import (
    Conflict,
    ConnectionLost,
    IdleTransactionTimeout,
    InvalidInput,
    Outcome,
    TransactionError,
)

_T = TypeVar("_T")

RETRIES = 5
"""How often a block is done again at most."""


def open_block(
    db: Executor,
    opened: Callable[[], LeasePool],
    config: DatabaseConfig,
    *,
    isolation: Isolation | None,
    readonly: bool,
    deferrable: bool,
) -> AbstractAsyncContextManager[Scope]:
    """Open a transaction, or a savepoint of the block that the task is in.

    Raises:
        TransactionError: a savepoint asks for what only the outermost block can have.
    """
    if isolation is not None and isolation not in get_args(Isolation):
        raise InvalidInput("isolation", isolation, f"expected one of {get_args(Isolation)}")
    outer = current_scope(db)
    if outer is None:
        return outermost_block(
            db, opened(), config, isolation=isolation, readonly=readonly, deferrable=deferrable
        )
    if isolation or readonly or deferrable:
        raise TransactionError(
            "a transaction block inside another is a savepoint of it and cannot have "
            "isolation, readonly or deferrable of its own",
            remedy="give them to the outermost block",
        )
    return scope_of(db, _savepoint(outer), config.command_timeout, outer.pulse)


@asynccontextmanager
async def outermost_block(
    db: Executor,
    leases: LeasePool,
    config: DatabaseConfig,
    *,
    isolation: Isolation | None = None,
    readonly: bool = False,
    deferrable: bool = False,
    joined: bool = True,
    first: str = "",
) -> AsyncIterator[Scope]:
    """Open a transaction on a leased connection; with `joined`, the task's calls are part of it.

    `first` is a statement that is sent together with BEGIN.
    """
    async with leases.lend(caller()) as lease:
        lease.changed = True  # until the block has ended well

        async def lookup(written: Written) -> Outcome:
            leases.give_back(lease, broken=True)  # to ask takes a connection, too
            with no_scope(db):
                return await outcomes.look_up(db, written)

        pulse = Pulse()
        block = transaction_block(
            lease.connection,
            isolation=isolation,
            readonly=readonly,
            deferrable=deferrable,
            lookup=lookup,
            pulse=pulse,
            first=first,
        )
        scope, limit = None, config.idle_in_transaction_timeout
        try:
            async with (
                scope_of(db, block, config.command_timeout, pulse, joined=joined) as scope,
                ended_when_idle(pulse, limit),
            ):
                yield scope
        except ConnectionLost as lost:
            idle = time.monotonic() - pulse.active if scope else 0
            raise named(lost, idle, limit) from lost.__cause__
        lease.changed = pulse.lent or pulse.changed


@asynccontextmanager
async def _savepoint(outer: Scope) -> AsyncIterator[Connection]:
    """Hold the outer block until the inner ends: interleaved savepoints undo each other."""
    async with outer.use() as connection, savepoint_block(connection):
        yield connection


async def repeated_block(
    open_one: Callable[[], AbstractAsyncContextManager[object]],
    fn: Callable[[], Awaitable[_T]],
    retries: int,
    count: Callable[[], None],
) -> _T:
    """Await `fn()` in a block, again where nothing of it was stored; see `run_in_transaction`.

    Args:
        open_one: opens the block.
        fn: what to do in it.
        retries: how often it is done again at most.
        count: called before it is done again.
    """
    for pause in pauses(retries):
        done: list[_T] = []
        try:
            async with open_one():
                done.append(await fn())
        except Conflict:
            if pause is None:
                raise
        except IdleTransactionTimeout:
            raise  # it would idle again
        except ConnectionLost as lost:
            committed = lost.outcome is Outcome.COMMITTED and done  # this block, and no other
            if not committed:
                if pause is None or lost.outcome in {Outcome.COMMITTED, Outcome.UNKNOWN}:
                    raise
                done.clear()
        if done:
            return done[0]
        count()
        await asyncio.sleep(pause or 0)
    raise AssertionError("the last pause is None")
