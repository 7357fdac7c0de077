"""What differs between a live schema and the expected one, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from polymarket_bot.storage.errors import StorageError

Kind: TypeAlias = Literal["table", "column", "key", "index"]
Problem: TypeAlias = Literal["missing", "extra", "different"]

_SHOWN = 3


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the tables state it; `str()` says it in words.

    Attributes:
        kind: "table", "column", "key" or "index".
        name: what it is: "positions", "positions.size", "positions (token_id, entry_timestamp)",
            "idx_positions_status on positions (status)".
        problem: "missing", "extra" or "different".
        expected: what should be there, None where nothing should.
        found: what is there, None where nothing is.
        harmless: the package works as it should in spite of it.
        remedy: what to do about it.
    """

    kind: Kind
    name: str
    problem: Problem
    expected: str | None
    found: str | None
    harmless: bool
    remedy: str

    def __str__(self) -> str:
        sides = (("expected", self.expected), ("found", self.found))
        told = ", ".join(f"{word} {text}" for word, text in sides if text is not None)
        return f"{self.kind} {self.name} is {self.problem}: {told}; {self.remedy}"


@dataclass(frozen=True)
class SchemaReport(Sequence[Difference]):
    """All differences; empty, and so false in a boolean context, where all is well."""

    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing harmful differs."""
        return all(difference.harmless for difference in self.differences)

    @property
    def harmful(self) -> tuple[Difference, ...]:
        """What keeps the package from working as it should."""
        return tuple(entry for entry in self.differences if not entry.harmless)

    def words(self, most: int = 10) -> list[str]:
        """Say what is harmful, `most` of it; all missing tables in one sentence."""
        tables = [entry.name for entry in self.missing if entry.kind == "table"]
        said = [missing_tables(tables)] if tables else []
        said += [str(entry) for entry in self.harmful if entry.name not in tables]
        rest = len(said) - most
        return said if rest <= 0 else [*said[:most], f"and {rest} more: polymarket-storage check"]

    @property
    def missing(self) -> tuple[Difference, ...]:
        """What should be there and is not."""
        return self._with("missing")

    @property
    def extra(self) -> tuple[Difference, ...]:
        """What is there and should not, or need not."""
        return self._with("extra")

    @property
    def different(self) -> tuple[Difference, ...]:
        """What is there in another form."""
        return self._with("different")

    def _with(self, problem: Problem) -> tuple[Difference, ...]:
        return tuple(entry for entry in self.differences if entry.problem == problem)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as a tuple
        return self.differences[place]

    def __len__(self) -> int:
        return len(self.differences)


class SchemaDrift(StorageError):
    """The live schema is not the one that the package works on.

    Attributes:
        report: all differences.
    """

    def __init__(self, report: SchemaReport) -> None:
        self.report = report
        super().__init__("the schema is not as it should be: " + "; ".join(report.words()))


def missing_tables(names: Sequence[str]) -> str:
    """Say that tables are not there, and what to do about it."""
    shown = ", ".join(names[:_SHOWN])
    rest = len(names) - _SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return (
        f"not there: table {shown}{more}; create what is missing: polymarket-storage migrate, or "
        "name the schema that it is in: DATABASE_SCHEMA_NAME"
    )
