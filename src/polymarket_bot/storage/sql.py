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

_EARLIEST, _LATEST = "'-9223372036854775808'::bigint", "9223372036854775807"

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


def since(column: str, moment: str) -> str:
    """Return SQL that `seconds(column)` is `moment`, which is in seconds, or later.

    In ranges of the column itself, so that an index serves; of one with an open end, the planner
    expects a third of all rows.
    """
    return (
        f"({column} BETWEEN {moment} AND {MILLISECONDS_FROM - 1} "
        f"OR {column} BETWEEN GREATEST({moment} * 1000, {MILLISECONDS_FROM}) AND {_LATEST})"
    )


def before(column: str, moment: str) -> str:
    """Return SQL that `seconds(column)` is earlier than `moment`; as `since`."""
    return (
        f"({column} BETWEEN {_EARLIEST} AND LEAST({moment}, {MILLISECONDS_FROM}) - 1 "
        f"OR {column} BETWEEN {MILLISECONDS_FROM} AND {moment} * 1000 - 1)"
    )


def only(column: str, argument: str) -> str:
    """Return SQL that `column` is `argument`, for a query whose order begins with `column`.

    Only an index that begins with it, too, gives that order. Behind a plain `=`, an order by time
    is that of an index over time alone: the planner has a frequent value looked for among all
    rows, which does not end where there were none of it for long.
    """
    return f"{column} = ANY (ARRAY[{argument}])"


def hidden(argument: str, kind: str = "text") -> str:
    """Return SQL of an argument whose value the planner does not see.

    A text counts as one of average frequency, and a time does not count as a recent one, which
    makes all rows since then look few.
    """
    return f"(SELECT {argument}::{kind})"


def exact(real: str) -> str:
    """Return SQL of a REAL as the NUMERIC of its shortest decimal; `::numeric` keeps six digits."""
    return f"({real})::text::numeric"
