"""`Database`: what users open, close and ask."""

# Over 300 lines, since it is all that users call: most of it are docstrings, for their editors.

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import Connection, Isolation
from polymarket_bot.storage.connections.executor import ConnectionExecutor, Executor, Statement
from polymarket_bot.storage.connections.holders import PoolStats, caller
from polymarket_bot.storage.connections.leases import LeasePool
from polymarket_bot.storage.connections.listening import Notification, listen
from polymarket_bot.storage.connections.observers import Observers
from polymarket_bot.storage.connections.queries import QueryEvent
from polymarket_bot.storage.connections.runner import Runner
from polymarket_bot.storage.connections.singletons import hold
from polymarket_bot.storage.connections.tasks import Turns
from polymarket_bot.storage.connections.transactions import (
    as_connection,
    current_scope,
    no_scope,
    refuse_inside,
)
from polymarket_bot.storage.connections.units import (
    RETRIES,
    open_block,
    outermost_block,
    repeated_block,
)
from polymarket_bot.storage.errors import NotInitialized
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.monitoring.findings import DEFAULT_LIMITS, HealthLimits
from polymarket_bot.storage.monitoring.health import HealthReport, examine
from polymarket_bot.storage.schema.catalog import compare
from polymarket_bot.storage.schema.drift import SchemaDrift, SchemaReport
from polymarket_bot.storage.schema.ledger import read_version
from polymarket_bot.storage.schema.migrations import MigrationReport, migrate
from polymarket_bot.storage.tables import ALL

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Database(Executor):
    """A pool of connections to one PostgreSQL database.

    Nothing connects in the constructor. `async with Database(config) as db` opens and closes
    it. Before `initialize()` and after `close()` every call that needs the server raises
    `NotInitialized`; `health()` and `health_check()` tell it instead. It belongs to the event loop
    and the process that opened it; when that loop is closed, it may be opened in another.

    Args:
        config: how to reach the server, and the limits to keep there.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self.future_skew = config.future_skew
        self._leases: LeasePool | None = None
        self._runner: Runner | None = None
        self._observers = Observers(config.slow_query_seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = Turns()

    async def initialize(self) -> None:
        """Open the pool, waiting up to `connect_timeout` for a server that starts; repeatable.

        With `migrate_on_start`, the schema is brought forward first; see `migrate`.

        Raises:
            ServerUnavailable: no connection could be opened; `AccessRefused` where the server
                refused the user, the password or the database, `TlsRefused` where TLS failed.
            ConfigurationError: the driver cannot read the URL.
            PoolerUndeclared: a pooler is in between, and `pooler` does not say so.
            SchemaDrift: `verify_schema` is set, and the schema is not as it should be; and, with
                `migrate_on_start`, what `migrate` raises.
        """
        async with self._changing.lock():
            if not self.is_open:
                self._leases = self._runner = None  # of a loop that is closed
                leases = LeasePool(self.config)
                try:
                    await leases.open()
                    await self._make_ready(leases)
                except BaseException:
                    await leases.close(0)
                    raise
                self._loop = asyncio.get_running_loop()
                self._leases = leases
                self._runner = Runner(self.config, leases, self._observers)

    async def _make_ready(self, leases: LeasePool) -> None:
        if not (self.config.migrate_on_start or self.config.verify_schema):
            return
        async with leases.lend(caller()) as lease:
            db = ConnectionExecutor(lease.connection)
            if self.config.migrate_on_start:
                await migrate(db, self.config)
            if self.config.verify_schema and not (report := await compare(db, ALL)).ok:
                raise SchemaDrift(report)

    async def close(self, timeout: float = 10.0) -> None:
        """Wait until the connections in use come back, at most `timeout` seconds; repeatable.

        What is left then is closed in its users' hands, and logged by its holder's name. Where its
        event loop is closed, its connections end when Python collects them.

        Raises:
            WrongLoop: it was opened in another event loop or process; it stays open there.
        """
        async with self._changing.lock():
            leases = self._leases if self.is_open else None
            if leases is not None:
                leases.check_place()
            self._leases = self._runner = None
            if leases is not None:
                await leases.close(timeout)

    @property
    def is_open(self) -> bool:
        """Whether it is initialized, and neither it nor its event loop is closed."""
        return self._leases is not None and self._loop is not None and not self._loop.is_closed()

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection of its own, outside any transaction block; its errors are asyncpg's.

        Its session is reset when it is given back.

        Raises:
            PoolTimeout: none was free within `acquire_timeout`.
            ServerUnavailable: none could be opened.
        """
        async with self._opened().lend(caller()) as lease:
            lease.changed = True
            yield lease.connection

    @asynccontextmanager
    async def transaction(
        self,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        deferrable: bool = False,
    ) -> AsyncIterator[Connection]:
        """Open a transaction block: it commits when its body ends, and rolls back when it raises.

        This task's calls on the database, through any repository, are part of the block, and so
        are those of tasks started inside, which must end before it does. A block inside a block
        is a savepoint.

        Args:
            isolation: "read_committed" (the server's default), "repeatable_read" or
                "serializable"; for the outermost block only, as the next two.
            readonly: refuse writes.
            deferrable: wait for a snapshot that cannot fail (serializable and readonly only).

        Raises:
            TransactionAborted: a statement failed, and the body caught its error; nothing of
                the block was stored.
            ConnectionLost: with the outcome, rolled back, committed or unknown.
            IdleTransactionTimeout: the block ran no statement for longer than
                `idle_in_transaction_timeout`; nothing of it was stored.
            Conflict: it met another transaction; nothing of it was stored.
            TransactionError: an inner block asks for an isolation of its own, or a task calls
                after its block has ended, or waits for its connection for too long.
            InvalidInput: there is no such isolation.
            PoolTimeout: no connection was free within `acquire_timeout`.
            ServerUnavailable: none could be opened.
        """
        async with open_block(
            self,
            self._opened,
            self.config,
            isolation=isolation,
            readonly=readonly,
            deferrable=deferrable,
        ) as scope:
            yield as_connection(scope.lent)

    @asynccontextmanager
    async def separate_transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction block that only what is run on its connection is part of.

        For generators, whose consumer must not be drawn into the block. A repository made on the
        connection is part of it, one on the database is not. Same errors as `transaction`.
        """
        async with outermost_block(self, self._opened(), self.config, joined=False) as scope:
            yield as_connection(scope.lent)

    def detached(self) -> AbstractContextManager[None]:
        """Leave the transaction block: calls inside, and tasks started inside, are no part of it.

        A `with` block, for work that must not depend on whether the transaction commits.
        """
        return no_scope(self)

    async def run_in_transaction(
        self,
        fn: Callable[[], Awaitable[_T]],
        *,
        retries: int = RETRIES,
        isolation: Isolation | None = None,
    ) -> _T:
        """Await `fn()` inside a transaction block, again where nothing of it was stored.

        That is where it met another transaction, or lost its connection before it committed.
        Where the connection was lost after that, it is done, and counts as done.

        Args:
            fn: what to do; it must bear to be done again, since its writes were rolled back.
            retries: how often it is done again at most.
            isolation: as for `transaction`.

        Returns:
            What `fn` returned when its transaction was committed.

        Raises:
            Conflict: it met another transaction each time.
            ConnectionLost: the connection was lost each time, or its outcome is unknown.
            TransactionError: called inside a transaction block.
            StorageError: what else `transaction` raises; that is not tried again.
        """
        refuse_inside(
            self,
            "run_in_transaction()",
            "it would have to repeat all of it",
            "call it outside, or use db.transaction()",
        )
        return await repeated_block(
            lambda: self.transaction(isolation=isolation), fn, retries, self._count_retry
        )

    def _count_retry(self) -> None:
        self._opened().counters.retries += 1

    async def atomically(
        self,
        fn: Callable[[], Awaitable[_T]],
        *,
        isolation: Isolation | None = None,
        first: str = "",
    ) -> _T:
        """Await `fn()` in a block of its own, or as a savepoint of the block that is open."""
        if current_scope(self) is None:
            block = partial(
                outermost_block, self, self._opened(), self.config, isolation=isolation, first=first
            )
            return await repeated_block(block, fn, RETRIES, self._count_retry)
        async with self.transaction():
            if first:
                await self.execute(first)
            return await fn()

    def singleton(self, name: str, *, timeout: float = 0) -> AbstractAsyncContextManager[None]:
        """Hold `name` while the block lasts: at most one holder in the whole database.

        The hold has a connection of its own; when that breaks, the block is cancelled.

        Args:
            name: what to hold.
            timeout: how long to wait for another holder, in seconds.

        Raises:
            AlreadyHeld: another task or process holds it.
            ServerUnavailable: its connection could not be opened.
            HoldLost: the connection broke while the block ran.
            ConfigurationError: there is a transaction pooler, and no `direct_url` past it.
        """
        self._opened()
        return hold(self.config, name, timeout)

    def listen(self, channel: str) -> AsyncIterator[Notification]:
        """Iterate over the notifications of a channel, on a connection of its own.

        It connects again when the connection breaks, and then yields a notification whose
        `missed` is true, since some may have been sent meanwhile: read the tables then, and
        when the iteration begins. So it does where more than 10,000 wait to be read.

        Args:
            channel: its name, as in NOTIFY.

        Raises:
            ServerUnavailable: the first connection could not be opened.
            ConfigurationError: there is a transaction pooler, and no `direct_url` past it.
        """
        self._opened()
        return listen(self.config, channel)

    def on_query(self, callback: Callable[[QueryEvent], None]) -> Callable[[], None]:
        """Call `callback` after each statement run through this object; returns how to stop it.

        What it raises is logged; the statement is not affected. Stopping it again is harmless.
        """
        return self._observers.add(callback)

    def stats(self) -> PoolStats:
        """Return the pool's figures since it was opened, and who holds what."""
        return self._opened().stats()

    async def health(self, *, limits: HealthLimits = DEFAULT_LIMITS) -> HealthReport:
        """Tell what is wrong, in words; a probe may ask every few seconds. Never raises.

        Args:
            limits: from when on something counts as wrong; three of them do not count here, see
                `HealthLimits`.
        """
        try:
            pool = self.stats()  # without the connection that is asked on
            async with self.connection() as connection:
                return await examine(connection, pool, limits)
        except Exception as error:  # noqa: BLE001 - the answer is the report
            return HealthReport(healthy=False, problems=[str(error)])

    async def migrate(
        self, to: int | None = None, *, dry_run: bool = False, timeout: float = 300.0
    ) -> MigrationReport:
        """Bring the database to a version: apply the seed files that it lacks, in order.

        Each is applied once, however many ask for it at the same time, and recorded in
        `ops.schema_version`. What is there already by other means is recorded after it was
        compared; what is missing of a recorded file is made again. On a connection of its own,
        so nothing of it is part of a block, and a statement may take an hour.

        Args:
            to: the version, the newest by default; one below the database's takes back what is
                above it, and what is stored there is lost.
            dry_run: change nothing, and tell what would be done.
            timeout: how long to wait while another process migrates, in seconds.

        Raises:
            InvalidInput: there is no such version.
            MigrationRefused: the database is newer, an applied file was changed, a file cannot be
                taken back, or the user lacks a right; nothing was changed.
            SchemaDrift: what is there is not as it should be, and no file can make it so.
            AlreadyHeld: another process still migrates.
            LockTimeout: a table was in use for longer than `lock_timeout`; the files before are
                applied.
            ServerUnavailable: the connection could not be opened.
            ConfigurationError: `direct_url` leads to another database; or there is none past a
                transaction pooler.
            TransactionError: called inside a transaction block.
        """
        self._opened()
        refuse_inside(
            self,
            "migrate()",
            "it has a connection of its own",
            "call it outside, or inside `db.detached()`",
        )
        return await migrate(self, self.config, to, dry_run=dry_run, timeout=timeout)

    async def schema_version(self) -> int:
        """Return the version that `migrate` has recorded, 0 where it has not."""
        return await read_version(self)

    async def check_schema(self, tables: Iterable[Table[Any]] | None = None) -> SchemaReport:
        """Tell what is missing, extra or different in the database.

        Args:
            tables: what to look at instead of the package's tables, with the indexes that the
                seed files make on them; for a bot's own tables besides: `(*PRODUCTION, MINE)`,
                with `PRODUCTION` of `polymarket_bot.storage.tables`.

        Returns:
            A report that is empty when all is well; its `ok` is false when something harmful
            differs.
        """
        return await compare(self, ALL if tables is None else tables)

    async def health_check(self) -> bool:
        """Tell whether the database answers. Never raises."""
        try:
            async with self.connection() as connection:
                return bool(await connection.fetchval("SELECT 1") == 1)
        except Exception as error:  # noqa: BLE001 - the answer is the report
            _log.warning("health check failed: %s", type(error).__name__)
            return False

    @property
    def session(self) -> Connection | None:
        """The connection of the block that this task's calls are part of, None outside of one."""
        scope = current_scope(self)
        return None if scope is None else scope.connection

    def told(self, xid: str) -> None:
        """Take note of the transaction's id, which a statement has returned."""
        if scope := current_scope(self):
            scope.pulse.xid = xid

    def _opened(self) -> LeasePool:
        if self._leases is None:
            raise NotInitialized
        return self._leases

    def _run(self, statement: Statement) -> Awaitable[Any]:
        if self._runner is None:
            raise NotInitialized
        scope = current_scope(self)
        if scope is None:
            return self._runner.run(statement)
        return self._runner.run_in(scope, statement)
