"""The live catalog held against the tables: what is missing, extra or different.

Either side is read into the same facts, which are then compared one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.seeds import seeds
from polymarket_bot.storage.table import Table
from polymarket_bot.storage.tables import FIRST_TRIGGERS

Kind: TypeAlias = Literal["table", "column", "key", "index"]
Problem: TypeAlias = Literal["missing", "extra", "different"]

_COLUMNS = """
SELECT n.nspname AS schema, c.relname AS table, a.attname AS column,
       format_type(a.atttypid, NULL) AS type, a.attnotnull AS not_null,
       a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' AS numbered,
       pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (pg_table_is_visible(c.oid) OR n.nspname = ANY ($1))
ORDER BY n.nspname, c.relname, a.attnum
"""
_INDEXES = """
SELECT n.nspname AS schema, c.relname AS table, i.indisprimary AS primary, i.indisvalid AS valid,
       pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (pg_table_is_visible(c.oid) OR n.nspname = ANY ($1))
ORDER BY i.indisvalid, n.nspname, c.relname
"""
_NAME = r'(?:"[^"]*"|[^\s"])+'
_INDEX = re.compile(
    r"CREATE (?P<unique>UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?"
    rf"(?P<name>{_NAME}) ON (?:ONLY )?(?P<table>{_NAME}) (?:USING btree )?(?P<body>.*)"
)
_PLAIN = re.compile(r'"([a-z_][a-z0-9_]*)"')
_CONDITION = re.compile(r" WHERE \((.*)\)$")

_PUT_RIGHT = "put it back as it is expected"
_REFUSES = "it refuses rows that bots store: drop it"
_MADE_HARMLESS = {
    "column": "every insert fails: ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
    "key": _REFUSES,
    "index": _REFUSES,
}

# An operator may add this: it refuses only what a claim refuses as well.
_ALLOWED = (FIRST_TRIGGERS.name, "(condition_id, threshold)")


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


class _Fact(NamedTuple):
    """What is there: its name for people, its definition, and a statement that makes it."""

    name: str
    definition: str
    made_by: str


# By (kind, table, detail), where a table has no detail, a column its name, a key and an index
# their columns: whatever an operator has named an index, it serves.
_Facts: TypeAlias = dict[tuple[Kind, str, str], _Fact]


async def compare(db: Executor, tables: Iterable[Table[Any]]) -> SchemaReport:
    """Hold the live catalog against `tables` and the indexes of the seed files on them."""
    tables = tuple(tables)
    expected, found = _expected(tables), await _found(db, tables)
    missing = {table for kind, table, _ in expected if ("table", table, "") not in found}
    known = {table for _, table, _ in expected}
    differences = [
        _difference(fact, expected.get(fact), found.get(fact))
        for fact in dict.fromkeys((*expected, *found))
        if _definition(expected.get(fact)) != _definition(found.get(fact))
        and (fact[0] == "table" or fact[1] in known - missing)
    ]
    return SchemaReport(tuple(differences))


def _difference(
    fact: tuple[Kind, str, str], expected: _Fact | None, found: _Fact | None
) -> Difference:
    kind, table, detail = fact
    sides = _definition(expected), _definition(found)
    if expected is None:
        assert found is not None  # noqa: S101 - one of the two differs from the other
        harmless = _is_harmless(fact, found)
        remedy = "harmless" if harmless else _MADE_HARMLESS[kind].format(table, detail)
        return Difference(kind, found.name, "extra", *sides, harmless, remedy)
    problem: Problem = "missing" if found is None else "different"
    remedy = f"create it: {expected.made_by}" if found is None else _PUT_RIGHT
    return Difference(kind, expected.name, problem, *sides, harmless=False, remedy=remedy)


def _definition(fact: _Fact | None) -> str | None:
    return None if fact is None else fact.definition


def _is_harmless(fact: tuple[Kind, str, str], extra: _Fact) -> bool:
    kind, table, detail = fact
    if kind == "column":  # an insert does not give it
        return "NOT NULL" not in extra.definition or "DEFAULT" in extra.definition
    if "UNIQUE" in extra.definition:
        return (table, detail.split(" WHERE ")[0]) == _ALLOWED
    return kind != "key"


def _expected(tables: Iterable[Table[Any]]) -> _Facts:
    facts: _Facts = {}
    for table in tables:
        name = _name(table.schema, table.name)
        facts["table", name, ""] = _Fact(name, "a table", "polymarket-storage init")
        for column, definition in _columns(table):
            facts["column", name, column] = _column_fact(name, column, definition)
        facts |= _key(name, table.key, "PRIMARY KEY")
        for columns in table.unique:
            facts |= _key(name, columns, "UNIQUE")
    for seed in seeds():
        for statement in seed.up.statements():
            facts |= _index(" ".join(statement.split()))
    return {fact: value for fact, value in facts.items() if ("table", fact[1], "") in facts}


def _columns(table: Table[Any]) -> Iterator[tuple[str, str]]:
    for name, column in table.columns.items():
        field = table.model.model_fields[name]
        given = field.is_required() or NoneType not in get_args(field.annotation)
        numbered = name in table.generated
        not_null = given or numbered or name in table.key
        default = None if field.is_required() else _default(field.default)
        yield name, _column(column.sql, default, not_null=not_null, numbered=numbered)


def _default(value: object) -> str | None:
    """Return a default as PostgreSQL says it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'::text"
    return None if value is None else str(value)


async def _found(db: Executor, tables: Iterable[Table[Any]]) -> _Facts:
    schemas = {table.schema for table in tables if table.schema is not None}
    facts: _Facts = {}
    for row in await db.fetch(_COLUMNS, list(schemas), repeatable=True):
        name = _name(row["schema"] if row["schema"] in schemas else None, row["table"])
        definition = _column(
            row["type"], row["default"], not_null=row["not_null"], numbered=row["numbered"]
        )
        facts["table", name, ""] = _Fact(name, "a table", "")
        facts["column", name, row["column"]] = _column_fact(name, row["column"], definition)
    for row in await db.fetch(_INDEXES, list(schemas), repeatable=True):
        name = _name(row["schema"] if row["schema"] in schemas else None, row["table"])
        facts |= _index(row["definition"], name, primary=row["primary"], valid=row["valid"])
    return facts


def _name(schema: str | None, table: str) -> str:
    return table if schema is None else f"{schema}.{table}"


def _column(kind: str, default: str | None, *, not_null: bool, numbered: bool | None) -> str:
    ending = " DEFAULT nextval" if numbered else f" DEFAULT {default}" if default else ""
    return f"{kind}{' NOT NULL' if not_null else ''}{ending}"


def _column_fact(table: str, column: str, definition: str) -> _Fact:
    made_by = f"ALTER TABLE {table} ADD COLUMN {column} {definition}"
    return _Fact(f"{table}.{column}", definition, made_by)


def _key(table: str, columns: Iterable[str], definition: str) -> _Facts:
    detail = f"({', '.join(columns)})"
    made_by = f"ALTER TABLE {table} ADD {definition} {detail}"
    return {("key", table, detail): _Fact(f"{table} {detail}", definition, made_by)}


def _index(
    statement: str, table: str | None = None, *, primary: bool = False, valid: bool = True
) -> _Facts:
    """Return the fact of a CREATE INDEX, as a seed file or as PostgreSQL says it.

    A unique index over whole columns is a key.
    """
    found = _INDEX.fullmatch(statement)
    if found is None:
        return {}
    table = table or found["table"]
    detail = _CONDITION.sub(r" WHERE \1", _PLAIN.sub(r"\1", found["body"]))
    state = "" if valid else f", invalid: REINDEX INDEX CONCURRENTLY {found['name']}"
    if primary or (found["unique"] and " WHERE " not in detail):
        return _key(table, [detail[1:-1]], f"{'PRIMARY KEY' if primary else 'UNIQUE'}{state}")
    definition = f"{'UNIQUE ' if found['unique'] else ''}INDEX{state}"
    name = f"{found['name']} on {table} {detail}"
    return {("index", table, detail): _Fact(name, definition, statement)}
