"""How writers of times spell them, and what is written where a time should be but is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone


def canonical(moment: datetime) -> str:
    """The form that the package writes, put together from the parts of a time in UTC."""
    return (
        f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:"
        f"{moment.second:02}.{moment.microsecond:06}+00:00"
    )


@dataclass(frozen=True)
class Spelling:
    """One way to write a time.

    Attributes:
        name: what it is called.
        write: the text of an aware time in UTC.
        kept: the smallest unit that the text keeps.
    """

    name: str
    write: Callable[[datetime], str]
    kept: timedelta = timedelta(microseconds=1)

    def states(self, moment: datetime) -> datetime:
        """The time that the text of `moment` states."""
        return moment - (moment - datetime(1, 1, 1, tzinfo=UTC)) % self.kept

    @property
    def margin(self) -> timedelta:
        """A span that the text keeps, and that is less than a lost offset would be wrong by."""
        return timedelta(hours=1) if self.kept < timedelta(days=1) else timedelta(days=2)


def _at(hours: float, form: str = "{:T}.{:us}{:offset}") -> Callable[[datetime], str]:
    zone = timezone(timedelta(hours=hours))
    return lambda moment: _fill(form, moment.astimezone(zone))


def _fill(form: str, moment: datetime) -> str:
    whole = canonical(moment)
    offset = moment.isoformat()[-6:]
    parts = {
        "{:T}": whole[:19],
        "{: }": whole[:19].replace("T", " "),
        "{:date}": whole[:10],
        "{:minute}": whole[:16],
        "{:us}": whole[20:26],
        "{:ms}": whole[20:23],
        "{:offset}": offset,
        "{:short}": offset.replace(":", ""),
        "{:hours}": offset[:3],
    }
    for name, text in parts.items():
        form = form.replace(name, text)
    return form


_SECOND, _MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)

SPELLINGS = (
    Spelling("canonical", canonical),
    Spelling("no offset", _at(0, "{:T}.{:us}")),
    Spelling("no offset, no microseconds", _at(0, "{:T}"), _SECOND),
    Spelling("a space, no offset", _at(0, "{: }.{:us}")),
    Spelling("a space, no microseconds", _at(0, "{: }"), _SECOND),
    Spelling("Z", _at(0, "{:T}.{:us}Z")),
    Spelling("Z, no microseconds", _at(0, "{:T}Z"), _SECOND),
    Spelling("Z, milliseconds", _at(0, "{:T}.{:ms}Z"), _MILLISECOND),
    Spelling("Z, nanoseconds", _at(0, "{:T}.{:us}789Z")),
    Spelling("a log's comma", _at(0, "{: },{:ms}"), _MILLISECOND),
    Spelling("a space and +00", _at(0, "{: }.{:us}+00")),
    Spelling("+0000", _at(0, "{:T}.{:us}+0000")),
    Spelling("+00:00, no microseconds", _at(0, "{:T}+00:00"), _SECOND),
    Spelling("+02:00", _at(2)),
    Spelling("-05:00, no microseconds", _at(-5, "{:T}{:offset}"), _SECOND),
    Spelling("+0530", _at(5.5, "{: }.{:us}{:short}")),
    Spelling("a space before +02:00", _at(2, "{: }.{:us} {:offset}")),
    Spelling("a space before -0500", _at(-5, "{: } {:short}"), _SECOND),
    Spelling("-03", _at(-3, "{:T}.{:us}{:hours}")),
    Spelling("+14:00", _at(14)),
    Spelling("no seconds", _at(0, "{:minute}"), timedelta(minutes=1)),
    Spelling("no seconds, +02:00", _at(2, "{:minute}{:offset}"), timedelta(minutes=1)),
    Spelling("spaces around", _at(0, " {:T}.{:us} ")),
    Spelling("a line's end", _at(0, "{:T}.{:us}Z\n")),
    Spelling("a bare date", _at(0, "{:date}"), timedelta(days=1)),
)

NO_TIMES = (
    "",
    " ",
    "n/a",
    "soon",
    "now",
    "infinity",
    "epoch",
    "1760000000",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "2025-00-10",
    "2025-13-01",
    "2025-02-29",
    "1900-02-29",
    "2025-04-31T00:00:00Z",
    "2025-10-09T",
    "2025-10-09T25:00:00Z",
    "2025-10-09T24:00:01Z",
    "2025-10-09T12:60:00",
    "2025-10-09T12:00:61",
    "2025-10-09T::",
    "2025-10-09T.",
    "2025-10-09T12:00:00+99:00",
    "2025-10-09T12:00:00+24:00",
    "2025-10-09T12:00:00 UTC",
    "2025-10-09Z",
    "09.10.2025",
    "10/09/2025 12:00:00",
    "'; DROP TABLE positions; --",
)
"""Texts in a time's place that state no time."""
