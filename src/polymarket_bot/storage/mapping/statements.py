"""Repetitive SQL, generated once from a `Table`. Identifiers never come from a caller.

A write gives its rows as `given`, one row of arguments or one array a column, and calls the row
that is there `stored`. Where a table has columns in Unix seconds, its last argument is what the
database's clock must have reached (the latest given time less the skew), or it stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.sql import NOW, instant, quoted

_BATCH = 10_000


def relation(table: Table[Any]) -> str:
    """Return the table's quoted name."""
    name = quoted(table.name)
    return name if table.schema is None else f"{quoted(table.schema)}.{name}"


@cache
def select_list(table: Table[Any], source: str = "") -> str:
    """Return the columns as `Table.from_record` wants them; a REAL comes as its shortest text."""
    prefix = f"{source}." if source else ""
    return ", ".join(
        f"{prefix}{quoted(n)}::text AS {quoted(n)}" if c.from_text else f"{prefix}{quoted(n)}"
        for n, c in table.columns.items()
    )


@cache
def select(table: Table[Any], by: tuple[str, ...]) -> str:
    """Select the rows whose columns `by` equal $1, $2, …, in key order; the limit comes last."""
    return select_ordered(table, by, _key_order(table))


@cache
def select_ordered(table: Table[Any], by: tuple[str, ...], order: str, where: str = "") -> str:
    """Select the rows whose columns `by` equal $1, $2, …, and `where`; the limit comes last.

    A REAL in `order` has its table's name before it: the bare name is that of its text.
    """
    conditions = " AND ".join(filter(None, (_equals(table, by), where))) or "true"
    return (
        f"SELECT {select_list(table)} FROM {relation(table)} WHERE {conditions} "
        f"ORDER BY {order} LIMIT ${len(by) + 1}"
    )


@cache
def select_page(table: Table[Any]) -> str:
    """Select $1 rows after the first $2, in key order."""
    return (
        f"SELECT {select_list(table)} FROM {relation(table)} "
        f"ORDER BY {_key_order(table)} LIMIT $1 OFFSET $2"
    )


@cache
def exists(table: Table[Any], by: tuple[str, ...]) -> str:
    """Tell whether a row has the columns `by` equal to $1, $2, …."""
    return f"SELECT EXISTS (SELECT 1 FROM {relation(table)} WHERE {_equals(table, by)})"


@cache
def delete(table: Table[Any], by: tuple[str, ...]) -> str:
    """Delete the rows whose columns `by` equal $1, $2, … and return a 1 for each."""
    return f"DELETE FROM {relation(table)} WHERE {_equals(table, by)} RETURNING 1"


@cache
def select_keys(table: Table[Any]) -> str:
    """Select the keys of a table with one key column, of those in the array $1."""
    (key,) = map(quoted, table.key)
    return f"SELECT {key} FROM {relation(table)} WHERE {key} = ANY ($1)"


@cache
def delete_some(table: Table[Any], condition: str) -> str:
    """Delete at most a batch of the rows that fulfil a condition, and count them."""
    return (
        f"WITH gone AS (DELETE FROM {relation(table)} WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
        f"{relation(table)} WHERE {condition} LIMIT {_BATCH} FOR UPDATE SKIP LOCKED)) RETURNING 1) "
        "SELECT count(*) FROM gone"  # not by a join, for which the whole table is scanned
    )


@cache
def count(table: Table[Any]) -> str:
    """Count the rows."""
    return f"SELECT count(*) FROM {relation(table)}"


@cache
def insert(table: Table[Any], *, keep: bool = False, unless: str = "") -> str:
    """Insert one row and return it; with `keep`, a row of the same key is left as it was.

    `unless` is a condition in SQL on `given` under which nothing is inserted.
    """
    write = _insert(table, one_row(table, table.written), unless)
    return f"{write}{' ON CONFLICT DO NOTHING' if keep else ''} {_returning(table)}"


@cache
def upsert(table: Table[Any]) -> str:
    """Insert one row, or put it in the place of that of the same identity, and return it."""
    return f"{_insert(table, one_row(table, table.written))}{_replace(table)} {_returning(table)}"


@cache
def update(table: Table[Any]) -> str:
    """Put one row, given with all columns, in the place of that of the same key; return it."""
    columns = tuple(table.columns)
    return (
        f"{_update(table, one_row(table, columns))} "
        f"WHERE {_same(table, table.key)}{_in_time(table, len(columns))}{_allowed(table)} "
        f"{_returning(table)}"
    )


@cache
def insert_many(table: Table[Any], source: str = "") -> str:
    """As `insert_new`, counted."""
    return _counted(insert_new(table, ("1",), source))


@cache
def insert_new(table: Table[Any], returning: tuple[str, ...], source: str = "") -> str:
    """Insert rows of arrays, or of a relation, whose keys are not there; return SQL of them."""
    rows = source or _arrays(table, table.written)
    return f"{_insert(table, rows)} ON CONFLICT DO NOTHING RETURNING {', '.join(returning)}"


@cache
def upsert_many(table: Table[Any]) -> str:
    """As `upsert`, for rows given as one array a column."""
    return _counted(f"{_insert(table, _arrays(table, table.written))}{_replace(table)} RETURNING 1")


@cache
def update_many(table: Table[Any]) -> str:
    """As `update`, for rows given as one array a column.

    The rows are locked in the order in which they are given, or two batches deadlock.
    """
    columns = tuple(table.columns)
    arrays = _arrays(table, columns, "WITH ORDINALITY ")
    locked = (
        f"locked AS MATERIALIZED (SELECT given.* FROM {relation(table)} AS stored "
        f"JOIN {arrays} AS given ({_names((*columns, '#'))}) ON {_same(table, table.key)} "
        f'ORDER BY given."#" FOR UPDATE OF stored)'
    )
    return _counted(
        f"{_update(table, 'locked')} WHERE {_same(table, table.key)}"
        f"{_in_time(table, len(columns))}{_allowed(table)} RETURNING 1",
        locked,
    )


def allowed(table: Table[Any], status: str, **grown: str) -> str:
    """Return the condition, ` AND …`, under which the stored row may take on `status`.

    Args:
        table: a table with a `Lifecycle`.
        status: SQL of the status that the row is to have.
        grown: SQL of the value that a column of `Lifecycle.grows` is to have.
    """
    life = table.lifecycle
    assert life is not None  # noqa: S101 - for the type checker
    stored = f"stored.{quoted(life.column)}"
    rules = [f"({stored} = ANY ({_text_array(life.final)})) IS NOT TRUE"]
    if life.stages:
        stages = _text_array(life.stages)
        rules.append(
            f"(array_position({stages}, {status}) < array_position({stages}, {stored})) IS NOT TRUE"
        )
    rules += [
        f"COALESCE({value}, 0) >= COALESCE(stored.{quoted(column)}, 0)"
        for column, value in grown.items()
    ]
    return "".join(f" AND {rule}" for rule in rules)


def _allowed(table: Table[Any], given: str = "given") -> str:
    """As `allowed`, where the whole row is given."""
    if table.lifecycle is None:
        return ""
    grown = {column: f"{given}.{quoted(column)}" for column in table.lifecycle.grows}
    return allowed(table, f"{given}.{quoted(table.lifecycle.column)}", **grown)


def _insert(table: Table[Any], rows: str, unless: str = "") -> str:
    values = ", ".join(_given(table, name) for name in table.written)
    return (
        f"INSERT INTO {relation(table)} AS stored ({_names(table.written)}) "
        f"SELECT {values} FROM {rows} AS given ({_names(table.written)}) "
        f"WHERE ({unless or 'false'}) IS NOT TRUE{_in_time(table, rows.count('$'))}"
    )


def _given(table: Table[Any], name: str, besides: str = "") -> str:
    """A given value. A time of a unique key is spelled as in a row that is there, and `besides`."""
    given = f"given.{quoted(name)}"
    for columns in (table.key, *table.unique):
        if name in columns and table.columns[name].time:
            return (
                f"COALESCE((SELECT stored.{quoted(name)} FROM {relation(table)} AS stored "
                f"WHERE {_same(table, columns)}{besides} LIMIT 1), {given})"
            )
    return given


def _replace(table: Table[Any]) -> str:
    if not table.identity:
        return ""
    taken = [name for name in table.written if name not in table.identity]
    changes = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in taken)
    condition = _replaceable(table).replace(" AND", " WHERE", 1)
    return f" ON CONFLICT ({_names(table.identity)}) DO UPDATE SET {changes}{condition}"


def _replaceable(table: Table[Any]) -> str:
    if table.newest is None:
        return _allowed(table, "EXCLUDED")
    name = quoted(table.newest)
    later = f"{instant(f'stored.{name}')} >= {instant(f'EXCLUDED.{name}')}"
    return f" AND ({later}) IS NOT TRUE"


def _update(table: Table[Any], rows: str) -> str:
    others = f" AND NOT ({_same(table, table.key)})"  # which the constraint then refuses
    changes = ", ".join(
        f"{quoted(n)} = {_given(table, n, others)}" for n in table.columns if n not in table.key
    )
    alias = f"given ({_names(table.columns)})" if rows != "locked" else "given"
    return f"UPDATE {relation(table)} AS stored SET {changes} FROM {rows} AS {alias}"


def _counted(write: str, before: str = "") -> str:
    """Return one row: how many rows were written, and the clock that judged their times."""
    first = f"{before}, " if before else ""
    counted = f"SELECT count(*) AS stored, {NOW} AS clock FROM written"
    return f"WITH {first}written AS ({write}) {counted}"


def _returning(table: Table[Any]) -> str:
    return f"RETURNING {select_list(table, 'stored')}"


@cache
def one_row(table: Table[Any], columns: tuple[str, ...]) -> str:
    """Return the source of one row, an argument for each column."""
    values = ", ".join(f"${i}::{table.columns[n].sql}" for i, n in enumerate(columns, 1))
    return f"(VALUES ({values}))"


def _arrays(table: Table[Any], columns: tuple[str, ...], ordinality: str = "") -> str:
    arrays = ", ".join(f"${i}::{table.columns[n].sql}[]" for i, n in enumerate(columns, 1))
    return f"unnest({arrays}) {ordinality}"


def _in_time(table: Table[Any], given: int) -> str:
    return f" AND ${given + 1}::bigint <= {NOW}" if table.moments else ""


def _names(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))


def _key_order(table: Table[Any]) -> str:
    """The key's columns to order by. A bare name is that of the output: the text of a REAL."""
    return ", ".join(f"{relation(table)}.{quoted(name)}" for name in table.key)


def _text_array(values: Iterable[str]) -> str:
    return "ARRAY[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def _same(table: Table[Any], columns: tuple[str, ...]) -> str:
    """The condition that `stored` and `given` agree in `columns`, times as times."""
    return " AND ".join(
        _equal(table, name, f"stored.{quoted(name)}", f"given.{quoted(name)}") for name in columns
    )


def _equals(table: Table[Any], columns: tuple[str, ...]) -> str:
    return " AND ".join(
        _equal(table, name, quoted(name), f"${i}") for i, name in enumerate(columns, 1)
    )


def _equal(table: Table[Any], name: str, left: str, right: str) -> str:
    if table.columns[name].time:
        return f"{instant(left)} = {instant(f'{right}::text')}"
    return f"{left} = {right}"
