"""Repetitive SQL, generated once from a `Table`. Identifiers never come from a caller.

Where a table has columns in Unix seconds, the last argument of an insert is the time that the
database's clock must have reached (the latest of the given times, less the tolerated skew);
before it, the statement stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from polymarket_bot.storage.table import Table

NOW = "floor(extract(epoch FROM statement_timestamp()))::bigint"
"""The database's clock in Unix seconds; stable within a statement, so an index serves."""


def quoted(identifier: str) -> str:
    """Return `identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


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
    return (
        f"SELECT {select_list(table)} FROM {relation(table)} WHERE {_equals(by)} "
        f"ORDER BY {_names(table.key)} LIMIT ${len(by) + 1}"
    )


@cache
def select_page(table: Table[Any]) -> str:
    """Select $1 rows after the first $2, in key order."""
    return (
        f"SELECT {select_list(table)} FROM {relation(table)} "
        f"ORDER BY {_names(table.key)} LIMIT $1 OFFSET $2"
    )


@cache
def exists(table: Table[Any], by: tuple[str, ...]) -> str:
    """Tell whether a row has the columns `by` equal to $1, $2, …."""
    return f"SELECT EXISTS (SELECT 1 FROM {relation(table)} WHERE {_equals(by)})"


@cache
def delete(table: Table[Any], by: tuple[str, ...]) -> str:
    """Delete the rows whose columns `by` equal $1, $2, … and return a 1 for each."""
    return f"DELETE FROM {relation(table)} WHERE {_equals(by)} RETURNING 1"


@cache
def count(table: Table[Any]) -> str:
    """Count the rows."""
    return f"SELECT count(*) FROM {relation(table)}"


@cache
def insert(table: Table[Any], *, keep: bool = False) -> str:
    """Insert one row and return it; with `keep`, a row of the same key is left as it was."""
    values = ", ".join(f"${i}::{table.columns[n].sql}" for i, n in enumerate(table.written, 1))
    conflict = " ON CONFLICT DO NOTHING" if keep else ""
    return (
        f"INSERT INTO {relation(table)} ({_names(table.written)}) "
        f"SELECT {values}{_in_time(table)}{conflict} RETURNING {select_list(table)}"
    )


@cache
def insert_many(table: Table[Any]) -> str:
    """Insert rows given as one array a column, leaving rows of the same key as they were.

    One row comes back: how many were stored, and the clock that judged their times.
    """
    return (
        f"WITH stored AS ({insert_arrays(table, table.key)}) "
        f"SELECT count(*) AS stored, {NOW} AS clock FROM stored"
    )


@cache
def insert_arrays(table: Table[Any], returning: tuple[str, ...]) -> str:
    """Insert rows given as one array a column, and return columns of those really stored."""
    arrays = ", ".join(f"${i}::{table.columns[n].sql}[]" for i, n in enumerate(table.written, 1))
    return (
        f"INSERT INTO {relation(table)} ({_names(table.written)}) "
        f"SELECT * FROM unnest({arrays}){_in_time(table)} "
        f"ON CONFLICT DO NOTHING RETURNING {_names(returning)}"
    )


def _in_time(table: Table[Any]) -> str:
    return f" WHERE ${len(table.written) + 1}::bigint <= {NOW}" if table.moments else ""


def _names(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))


def _equals(columns: tuple[str, ...]) -> str:
    return " AND ".join(f"{quoted(name)} = ${i}" for i, name in enumerate(columns, 1))
