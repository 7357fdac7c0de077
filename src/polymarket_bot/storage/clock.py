"""Times in the one form that this layer writes: UTC, ISO 8601, text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime

MILLISECONDS_FROM = 100_000_000_000
"""A Unix time from here on (the year 5138 in seconds) can only be in a smaller unit."""


def utc_text(moment: datetime) -> str:
    """Return `moment` as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`; a naive one is taken as UTC.

    Raises:
        ValueError: in UTC it lies outside the years 1 to 9999.
    """
    return _in_utc(moment).isoformat(timespec="microseconds")


def is_canonical(text: object) -> bool:
    """Tell whether `text` is a time in the form of `utc_text`."""
    try:
        return isinstance(text, str) and utc_text(datetime.fromisoformat(text)) == text
    except ValueError:
        return False


def parse_time(value: str) -> datetime:
    """Read an ISO 8601 text in any of its spellings as an aware UTC time.

    Raises:
        ValueError: it is no ISO 8601 time, or lies outside the years 1 to 9999.
    """
    text = value.strip().replace(" +", "+").replace(" -", "-")
    if text[10:11] in {"+", "-"}:  # Python reads the offset of a bare date as its clock
        raise ValueError(f"expected a clock between date and offset: {text!r}")
    return _in_utc(datetime.fromisoformat(text))


def _in_utc(moment: datetime) -> datetime:
    try:
        # A zone that knows no offset leaves a time naive, and astimezone() would read it as local.
        naive = moment.utcoffset() is None
        return moment.replace(tzinfo=UTC) if naive else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def unit_of(timestamp: int) -> str:
    """Name the likely unit of a Unix time that is too large for seconds."""
    for unit, digits in (("milliseconds", 1_000), ("microseconds", 1_000_000)):
        if timestamp < MILLISECONDS_FROM * digits:
            return unit
    return "nanoseconds"
