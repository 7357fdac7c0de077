"""`db dump` and `db restore`: the embedded database in a file, and back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from polymarket_bot.storage.cli.output import print_json, say
from polymarket_bot.storage.cli.target import configured_for_embedded
from polymarket_bot.storage.config import as_it_is
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.embedded.archive import dump
from polymarket_bot.storage.embedded.replacement import replacement
from polymarket_bot.storage.errors import EmbeddedServerError
from polymarket_bot.storage.tables import PRODUCTION

_PRESENT = "SELECT count(to_regclass(name)) FROM unnest($1::text[]) AS name"


async def dump_database(file: Path, data_dir: Path, *, force: bool, as_json: bool) -> int:
    """Dump, say how large the file is, and return the exit status."""
    _end_on_sigterm()
    size = await dump(data_dir, file, overwrite=force)
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        say(f"dumped to {file}, {size / 2**20:.1f} MiB")
    return 0


async def restore_database(file: Path, data_dir: Path, *, replace: bool, as_json: bool) -> int:
    """Restore, say what is there now, and return the exit status."""
    _end_on_sigterm()
    async with replacement(data_dir, file, replace=replace) as url:
        tables, version = await _looked_at(url, file)
    if as_json:
        print_json({"file": str(file), "tables": tables, "schema_version": version})
    else:
        say(f"{tables} tables are restored from {file}, the schema is at version {version}")
    return 0


def _end_on_sigterm() -> None:
    """Have SIGTERM end the command as Ctrl-C does, with all that it cleans up."""
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _looked_at(url: str, file: Path) -> tuple[int, int]:
    """Return the number of tables and the schema's version, where this package can work on it.

    Raises:
        EmbeddedServerError: it has no table of ours.
        MigrationRefused: it is of a newer package.
        SchemaDrift: its tables are not as they should be, and no migration makes them so.
    """
    async with Database(as_it_is(configured_for_embedded(url))) as db:
        tables = await db.fetchval(_PRESENT, [table.name for table in PRODUCTION])
        if not tables:
            raise EmbeddedServerError(
                f"the dump {file} has none of the production tables",
                remedy="the data are as they were; give a dump that `db dump` has made",
            )
        return tables, (await db.migrate(dry_run=True)).before
