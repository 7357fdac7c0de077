"""The seed files, each applied to a database once, and taken back."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import InvalidInput, MigrationRefused
from polymarket_bot.storage.schema import ledger
from polymarket_bot.storage.schema.catalog import compare, tells_all_of
from polymarket_bot.storage.schema.drift import Difference, SchemaDrift, SchemaReport
from polymarket_bot.storage.schema.maintenance import maintenance
from polymarket_bot.storage.schema.roles import act_as_owner
from polymarket_bot.storage.schema.seeds import Script, Seed, seeds
from polymarket_bot.storage.sql import quoted
from polymarket_bot.storage.tables import ALL

_log = logging.getLogger(__name__)

Action: TypeAlias = Literal["applied", "adopted", "repaired", "reverted"]

_LIMIT = 3600.0  # seconds a statement: an index on a large table takes its time
_HAS_SCHEMA = "SELECT current_schema() IS NOT NULL"
_LACKING = """
SELECT current_user::text AS user, 'GRANT ' || lacking || ' TO ' || quote_ident(current_user)
FROM (
    SELECT 'CREATE ON DATABASE ' || quote_ident(current_database())
    WHERE (to_regnamespace('ops') IS NULL OR current_schema() IS NULL)
      AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT 'USAGE, CREATE ON SCHEMA ' || quote_ident(nspname) FROM pg_namespace
    WHERE nspname IN ('ops', current_schema())
      AND NOT (has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE'))
    UNION ALL
    SELECT DISTINCT quote_ident(pg_get_userbyid(relowner))
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname IN ('ops', current_schema()) AND relname = ANY ($1) AND relkind IN ('r', 'p')
      AND NOT pg_has_role(relowner, 'USAGE')
) AS rights (lacking)
"""
_INVALID = """
SELECT indexrelid::regclass::text AS name FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE NOT indisvalid AND relname = ANY ($1::text[])
  AND (pg_table_is_visible(indexrelid) OR nspname = 'ops')
"""


@dataclass(frozen=True)
class MigrationStep:
    """What was done about one seed file.

    Attributes:
        version: the file's number.
        name: the file's name.
        action: "applied"; "adopted" where its work was found done by other means; "repaired"
            where a part of it was missing and was made again; "reverted".
        seconds: how long it took.
    """

    version: int
    name: str
    action: Action
    seconds: float = 0.0


@dataclass(frozen=True)
class MigrationReport:
    """What a migration did, or would do.

    Attributes:
        before: the version that was recorded, 0 where none was.
        after: the version that is recorded now, or would be.
        steps: what was done, in order; empty where all was well.
        dry_run: nothing was done.
    """

    before: int
    after: int
    steps: tuple[MigrationStep, ...] = ()
    dry_run: bool = False


async def migrate(
    db: Executor,
    config: DatabaseConfig,
    to: int | None = None,
    *,
    dry_run: bool = False,
    timeout: float = 300.0,
) -> MigrationReport:
    """Bring `db` to a version, on a connection of its own; see `Database.migrate`."""
    target = _target(to)
    async with maintenance(db, config, None if dry_run else timeout) as direct:
        return await _Migration(direct, config, dry_run=dry_run).run(target)


def _target(to: object) -> int:
    last = seeds()[-1].version
    if to is None:
        return last
    if isinstance(to, int) and not isinstance(to, bool) and 0 <= to <= last:
        return to
    raise InvalidInput("to", to, f"expected a version from 0 to {last}")


class _Migration:
    """One run, on a connection that holds the lock."""

    def __init__(self, db: Executor, config: DatabaseConfig, *, dry_run: bool) -> None:
        self._db, self._config, self._dry_run = db, config, dry_run
        self._steps: list[MigrationStep] = []
        self._told: set[Difference] = set()

    async def run(self, target: int) -> MigrationReport:
        """Bring the database to the version `target`.

        Raises:
            MigrationRefused: as `Database.migrate`, before anything is changed.
            SchemaDrift: likewise; or what a file was to make is not there as it should be, and
                the file is not recorded.
        """
        recorded = await ledger.read_versions(self._db)
        present = await self._present(recorded)
        gone = [s for s in reversed(seeds()) if target < s.version and s.version in present]
        _refuse_without_down(gone)
        before = max(recorded, default=0)
        if not gone:
            report = await self._compared(target)
            if report.ok and recorded.issuperset(seed.version for seed in seeds()[:target]):
                return MigrationReport(before, target, dry_run=self._dry_run)
            _refuse_drift(report)
        await act_as_owner(self._db)
        await self._refuse_without_rights()
        await self._prepare()
        for seed in seeds()[:target]:
            if seed.version in present - recorded:
                await self._adopt(seed)
            elif not gone:
                await self._forward(seed, is_recorded=seed.version in recorded)
        for seed in gone:
            await self._revert(seed)
        return MigrationReport(before, target, tuple(self._steps), self._dry_run)

    async def _present(self, recorded: set[int]) -> set[int]:
        """Return the versions that are recorded, and those that are found done behind them."""
        present = set(recorded)
        for seed in seeds():
            if seed.version not in present and not await self._is_found_done(seed):
                break
            present.add(seed.version)
        return present

    async def _is_found_done(self, seed: Seed) -> bool:
        return tells_all_of(seed.up, ALL) and (await self._compared(seed.version)).ok

    async def _compared(self, version: int) -> SchemaReport:
        return await compare(self._db, ALL, version=version)

    async def _refuse_without_rights(self) -> None:
        names = [table.name for table in ALL]
        if lacking := await self._db.fetch(_LACKING, names):
            grants = "; ".join(grant for _, grant in lacking)
            raise MigrationRefused(
                f"the user {lacking[0]['user']} lacks rights that a migration needs",
                remedy=f"run it as the owner of the tables, or have an administrator do: {grants}",
            )

    async def _prepare(self) -> None:
        """Give the session its limit, and the database the place where versions are recorded."""
        if self._dry_run:
            return
        await self._db.execute(f"SET statement_timeout = '{_LIMIT:g}s'")
        if (name := self._config.schema_name) and not await self._db.fetchval(_HAS_SCHEMA):
            await self._db.execute(f"CREATE SCHEMA {quoted(name)}")
        await ledger.prepare(self._db)

    async def _adopt(self, seed: Seed) -> None:
        if not self._dry_run:
            await ledger.record(self._db, seed, 0.0)
        self._note(seed, "adopted", 0.0)

    async def _forward(self, seed: Seed, *, is_recorded: bool) -> None:
        """Apply a file that is not recorded, or of whose work a part is missing."""
        own = set((await self._compared(seed.version)).harmful) - self._told
        self._told |= own
        if is_recorded and not own:
            return
        began = time.monotonic()
        if not self._dry_run:
            await self._apply(seed, began)
        self._note(seed, "repaired" if is_recorded else "applied", time.monotonic() - began)

    async def _apply(self, seed: Seed, began: float) -> None:
        """Run a file and record it, in one transaction unless it says otherwise."""
        await self._drop_invalid(seed.up)
        async with await self._scope(seed.up):
            await self._execute(seed.up)
            report = await self._compared(seed.version)
            if not report.ok:
                raise SchemaDrift(report)
            await ledger.record(self._db, seed, time.monotonic() - began)

    async def _drop_invalid(self, script: Script) -> None:
        await self._db.execute("SET lock_timeout = 0")  # it waits for writers, as a build does
        for (name,) in await self._db.fetch(_INVALID, script.indexes):
            _log.warning("index %s is invalid, left by a build that was interrupted", name)
            await self._db.execute(f"DROP INDEX CONCURRENTLY {name}", timeout=_LIMIT)

    async def _revert(self, seed: Seed) -> None:
        assert seed.down is not None, "refused before"  # noqa: S101
        began = time.monotonic()
        if not self._dry_run:
            async with await self._scope(seed.down):
                await self._execute(seed.down)
                await ledger.forget(self._db, seed)
        self._note(seed, "reverted", time.monotonic() - began)

    async def _scope(self, script: Script) -> AbstractAsyncContextManager[Any]:
        """Return the transaction that a script runs in, or what stands for none.

        A lock that a statement takes for itself alone is given up after `lock_timeout`, so that
        writers do not queue behind it; a concurrent build waits for writers instead.
        """
        limit = 0 if script.outside_transaction else self._config.lock_timeout
        await self._db.execute(f"SET lock_timeout = '{limit:g}s'")
        return nullcontext() if script.outside_transaction else self._db.transaction()

    async def _execute(self, script: Script) -> None:
        for statement in script.statements():
            _log.debug("%s: %s", script.name, " ".join(statement.split()))
            await self._db.execute(statement, timeout=_LIMIT)

    def _note(self, seed: Seed, action: Action, seconds: float) -> None:
        self._steps.append(MigrationStep(seed.version, seed.up.name, action, seconds))
        if not self._dry_run:
            level = logging.WARNING if action == "repaired" else logging.INFO
            _log.log(level, "%s %s in %.2f s", seed.up.name, action, seconds)


def _refuse_drift(report: SchemaReport) -> None:
    """Refuse what no seed file can make: it only makes what is not there at all."""
    if other := tuple(entry for entry in report.harmful if not _can_be_made(entry)):
        raise SchemaDrift(SchemaReport(other))


def _can_be_made(difference: Difference) -> bool:
    """Tell whether a seed file makes it, or makes it again where an index is invalid."""
    return difference.kind in ("table", "index") and difference.problem != "extra"


def _refuse_without_down(gone: Sequence[Seed]) -> None:
    for seed in gone:
        if seed.down is None:
            raise MigrationRefused(
                f"{seed.up.name} cannot be taken back: it has no script in seed/down/",
                remedy=f"migrate to {seed.version} or above",
            )
