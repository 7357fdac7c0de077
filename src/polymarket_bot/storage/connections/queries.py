"""What can be told of a statement from its text, and what is told of it after it ran."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SHOWN = 80
# What outlives its transaction in a session. A word too many here costs a reset, no more.
_CHANGES = re.compile(
    r"""^(?>\s+|--[^\n]*\n|/\*(?s:.*?)\*/)*+
        (?:SET|RESET|LISTEN|UNLISTEN|LOAD|PREPARE|DEALLOCATE|DECLARE|DISCARD|DO|CALL|BEGIN
        |START|COMMIT|ROLLBACK|END|ABORT|SAVEPOINT|RELEASE)\b
    |;\s*\S
    |set_config|advisory_lock\b|advisory_lock_shared\b
    |\bTEMP(?:ORARY)?\b(?!(?s:.*)\bON\s+COMMIT\s+DROP\b)""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class QueryEvent:
    """A statement that was run through the database object.

    Attributes:
        name: the beginning of its text, in one line; never a value.
        duration: in seconds, without the wait for a connection.
        rows: how many came back; None where the driver does not say.
        error: the error it ended with, or None.
    """

    name: str
    duration: float
    rows: int | None
    error: BaseException | None


@lru_cache(maxsize=1024)
def changes_session(query: str) -> bool:
    """Tell whether a statement can leave something behind in its session."""
    return _CHANGES.search(query) is not None


@lru_cache(maxsize=1024)
def name_of(query: str) -> str:
    """Return the beginning of a statement in one line."""
    text = " ".join(query.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
