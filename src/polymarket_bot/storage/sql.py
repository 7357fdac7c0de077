"""Pieces of SQL: identifiers, the database's clock, times and money in text."""

from __future__ import annotations

from polymarket_bot.storage.clock import MILLISECONDS_FROM

NOW = "floor(extract(epoch FROM statement_timestamp()))::bigint"
"""The database's clock in Unix seconds; stable within a statement, so an index serves."""

NOW_TEXT = (
    "to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
)
"""The database's clock as a time in the canonical text."""

TODAY = "(statement_timestamp() AT TIME ZONE 'UTC')::date"
"""The calendar day in UTC by the database's clock."""

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_WITH_OFFSET = rf"^\s*{_DATE}[T ][0-9:.,]+ ?([Zz]|[+-][0-9:]+)\s*$"
_WITHOUT = rf"^\s*{_DATE}([T ][0-9:.,]+)?\s*$"


def quoted(identifier: str) -> str:
    """Return `identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def instant(text: str) -> str:
    """Return SQL of the time that a column of text states, in any spelling, as timestamptz.

    One without an offset is UTC, whatever the session's zone; NULL where the text is no time.
    """
    return (
        f"(CASE WHEN {text} ~ '{_WITH_OFFSET}' THEN ({text})::timestamptz "
        f"WHEN {text} ~ '{_WITHOUT}' THEN ({text})::timestamp AT TIME ZONE 'UTC' END)"
    )


def seconds(column: str) -> str:
    """Return SQL of a column in Unix seconds, of which older rows are in milliseconds."""
    return f"(CASE WHEN {column} >= {MILLISECONDS_FROM} THEN {column} / 1000 ELSE {column} END)"


def exact(real: str) -> str:
    """Return SQL of a REAL as the NUMERIC of its shortest decimal; `::numeric` keeps six digits."""
    return f"({real})::text::numeric"
