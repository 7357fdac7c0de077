"""Tests over every production table: its repository as the base makes it, keys, stored copies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from polymarket_bot.storage import BaseRepository, Database, Table
from polymarket_bot.storage.tables import PRODUCTION

WITH_EVERY_TABLE = pytest.mark.parametrize("table", PRODUCTION, ids=lambda table: table.name)
NUMBERED = tuple(table for table in PRODUCTION if table.generated)
KEYED = tuple(table for table in PRODUCTION if not table.generated)


def for_each(
    chosen: Iterable[Table[Any]],
) -> Callable[
    [Callable[[Database, Table[Any]], Awaitable[None]]], Callable[[Database], Awaitable[None]]
]:
    """Run a test's body for each of some tables, all in one database: to make one takes longest."""

    def decorate(
        body: Callable[[Database, Table[Any]], Awaitable[None]],
    ) -> Callable[[Database], Awaitable[None]]:
        async def test(db: Database) -> None:
            for table in chosen:
                try:
                    await body(db, table)
                except Exception as error:
                    error.add_note(f"with the table {table.name}")
                    raise

        test.__name__, test.__doc__, test.__module__ = body.__name__, body.__doc__, body.__module__
        return test

    return decorate


def repository(db: Database, table: Table[Any]) -> BaseRepository[Any]:
    """Return what the base can do with a table, without what its own repository adds."""
    kind: type[BaseRepository[Any]] = type("Rows", (BaseRepository,), {"table": table})
    return kind(db)


def key_of(table: Table[Any], model: Any) -> Any:
    """Return a model's key as `get_by_id` takes it."""
    values = tuple(getattr(model, name) for name in table.key)
    return values if len(values) > 1 else values[0]


def with_key_of(table: Table[Any], stored: Any, other: Any) -> Any:
    """Return `other` with the key of `stored`, validated."""
    key = {name: getattr(stored, name) for name in table.key}
    return table.model.model_validate(other.model_dump() | key)


def without_ids(table: Table[Any], model: Any) -> Any:
    """Return a model as it was before the database gave it an id."""
    return table.model.model_validate(model.model_dump() | dict.fromkeys(table.generated))
