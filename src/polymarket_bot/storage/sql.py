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

# Only what PostgreSQL can read, down to the days of a month: the cast of anything else would fail,
# and with it the statement for all other rows.
_DAY = (
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
_CLOCK = "[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_OFFSET = "(Z| ?[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
_SPACE = "[ \\t\\r\\n]*"
_WITH_OFFSET = f"^ *{_DAY}{_CLOCK}{_OFFSET}{_SPACE}$"
_WITHOUT = f"^ *{_DAY}({_CLOCK})?{_SPACE}$"


def quoted(identifier: str) -> str:
    """Return `identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def instant(text: str) -> str:
    """Return SQL of the time that a column of text states, in any spelling, as timestamptz.

    One without an offset is UTC, whatever the session's zone; NULL where the text is no time.
    Digits after the microseconds are dropped, as Python drops them; PostgreSQL would round.
    """
    read = f"translate(regexp_replace({text}, '([.,][0-9]{{6}})[0-9]+', '\\1'), ',', '.')"
    return (
        f"(CASE WHEN ltrim({text}) LIKE '0000%' THEN NULL "
        f"WHEN {text} ~ '{_WITH_OFFSET}' THEN {read}::timestamptz "
        f"WHEN {text} ~ '{_WITHOUT}' THEN {read}::timestamp AT TIME ZONE 'UTC' END)"
    )


def seconds(column: str) -> str:
    """Return SQL of a column in Unix seconds, of which older rows are in milliseconds."""
    return f"(CASE WHEN {column} >= {MILLISECONDS_FROM} THEN {column} / 1000 ELSE {column} END)"


def exact(real: str) -> str:
    """Return SQL of a REAL as the NUMERIC of its shortest decimal; `::numeric` keeps six digits."""
    return f"({real})::text::numeric"
