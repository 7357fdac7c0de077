"""One database for many bad calls: what each left there, compared with what was there before."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import asyncpg
from pydantic import BaseModel

from polymarket_bot.storage import AlreadyExists, InvalidInput, StorageError, Table
from polymarket_bot.storage.tables import PRODUCTION
from tests.hostile import Broken, Stream, good
from tests.hostile_calls import Call, parameters
from tests.hostile_oracle import is_stored, stored_form
from tests.profiles import Session, session

_LONGEST_MESSAGE = 500
_PATIENCE = 60

_NAMES = [table.name for table in PRODUCTION]
_SERIALS = [table.name for table in PRODUCTION if table.generated]


def _for_each(piece: str, names: list[str], separator: str = "\n") -> str:
    return separator.join(piece.format(name) for name in names)


_KEEP = f"""
CREATE SCHEMA kept;
{_for_each("SELECT setval('{0}_id_seq', 100);", _SERIALS)}
{_for_each("CREATE TABLE kept.{0} AS TABLE {0};", _NAMES)}
CREATE FUNCTION kept.restore() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
{_for_each("DELETE FROM {0}; INSERT INTO {0} SELECT * FROM kept.{0};", _NAMES)}
END $$
"""
_FINGERPRINT = _for_each(
    "SELECT '{0}' AS name, count(*) || md5(string_agg(t::text, ' ' ORDER BY t::text)) AS digest"
    " FROM {0} AS t",
    _NAMES,
    " UNION ALL ",
)


class Arena:
    """A database with a row in every table, and an eye on it that is no part of the package."""

    def __init__(self, session: Session, eye: asyncpg.Connection[asyncpg.Record]) -> None:
        self.session = session
        self._eye = eye
        self._before: dict[str, str] = {}

    async def fill(self) -> None:
        """Put a row into every table, and keep a copy of all."""
        for table in PRODUCTION:
            await self._seed(table)
        await self._eye.execute(_KEEP)
        self._before = await self._fingerprint()

    async def _seed(self, table: Table[Any]) -> None:
        row = [stored_form(table, *item) for item in good(table).items()]
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await self._eye.execute(f"INSERT INTO {table.name} VALUES ({places})", *row)

    async def _fingerprint(self) -> dict[str, str]:
        """Return a digest of each table; it fails where a table is gone."""
        return {row["name"]: row["digest"] for row in await self._eye.fetch(_FINGERPRINT)}

    def judge(self, call: Call) -> None:
        """Make a call: it is refused by name and changes nothing, or does what it was told."""
        self.session.run(self._judge(call))

    async def _judge(self, call: Call) -> None:
        given = {name: _listed(value) for name, value in call.arguments.items()}
        method = getattr(call.repository(self.session.db), call.method)
        result, error = await outcome(lambda: method(**call.arguments))
        changed, rows = await self.put_back(call.table)
        if error is None:
            _check_filters(call, result)
            _check_rows(call, given, result, rows)
            assert changed <= {call.table.name, "score_history"}
        else:
            assert not changed, error
            arguments = parameters(getattr(call.repository, call.method))
            check_error(error, {*call.table.columns, *arguments, call.table.name})

    async def put_back(self, table: Table[Any]) -> tuple[set[str], list[asyncpg.Record]]:
        """Put all tables back; return those that were changed, and the new rows of one."""
        now = await self._fingerprint()
        changed = {name for name in now if now[name] != self._before[name]}
        if not changed:
            return changed, []
        rows = await self._eye.fetch(
            f"SELECT * FROM {table.name} EXCEPT ALL SELECT * FROM kept.{table.name}"
        )
        await self._eye.execute("SELECT kept.restore()")
        return changed, rows


async def outcome(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return what a call returned, and the error that it may raise."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _finished(call()), None
    except (Broken, StorageError) as error:
        return None, error


async def _finished(result: Any) -> Any:
    """Await a call, iterate to its end, or enter and leave it: whatever it is made for."""
    if isinstance(result, AsyncIterator):
        return [item async for item in result]
    if isinstance(result, AbstractAsyncContextManager):
        async with result as entered:
            return entered
    return await result


@contextmanager
def arena(url: str) -> Iterator[Arena]:
    """Open the database at `url` for bad calls."""
    with session(url) as opened:
        eye = opened.run(asyncpg.connect(url))
        try:
            place = Arena(opened, eye)
            opened.run(place.fill())
            yield place
        finally:
            opened.run(eye.close())


def check_error(error: Exception, names: set[str]) -> None:
    """Check that an error is ours, names what is wrong, is short, and can be pickled."""
    if isinstance(error, Broken):
        return
    if isinstance(error, InvalidInput):
        assert error.field in names, error
        assert error.field in str(error)
    else:
        assert isinstance(error, AlreadyExists), repr(error)
    assert len(str(error)) <= _LONGEST_MESSAGE
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def _listed(value: Any) -> Any:
    return value.items if isinstance(value, Stream) else value


def _check_filters(call: Call, result: Any) -> None:
    """Check that every model returned has the texts that were asked for."""
    found = result if isinstance(result, list) else [result]
    for name, value in call.arguments.items():
        column = call.table.columns.get(name)
        if column is None or column.sql != "text" or column.time or value is None:
            continue
        for model in found:
            if isinstance(model, call.table.model) and not call.method.startswith("update"):
                assert is_stored(call.table, name, value, getattr(model, name))


def _check_rows(
    call: Call, given: Mapping[str, Any], result: Any, rows: list[asyncpg.Record]
) -> None:
    """Check that rows that were added or changed are as they were given, and as was returned."""
    table = call.table
    if isinstance(result, table.model) and rows:
        (row,) = rows
        assert _is_row(table, result, row, list(table.columns))
    written = [name for name in table.columns if name not in table.generated]
    for value in given.values():
        if isinstance(value, BaseModel):
            assert all(_is_row(table, value, row, written) for row in rows)
        elif isinstance(value, list | tuple) and any(isinstance(m, BaseModel) for m in value):
            assert all(any(_is_row(table, model, row, written) for model in value) for row in rows)
    for name, value in given.items():
        if name in table.columns and value is not None:
            assert all(is_stored(table, name, value, row[name]) for row in rows)


def _is_row(table: Table[Any], model: Any, row: asyncpg.Record, columns: list[str]) -> bool:
    return all(is_stored(table, name, vars(model).get(name), row[name]) for name in columns)
