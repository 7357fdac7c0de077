"""The live catalog held against the tables: what is missing, extra or different.

Either side is read into the same facts, which are then compared one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Any, NamedTuple, TypeAlias, get_args

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.table import Table
from polymarket_bot.storage.schema.drift import Difference, Kind, Problem, SchemaReport
from polymarket_bot.storage.schema.seeds import Script, seeds
from polymarket_bot.storage.tables import FIRST_TRIGGERS

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
ORDER BY i.indisvalid, i.indisprimary, n.nspname, c.relname
"""
_NAME = r'(?:"[^"]*"|[^\s"])+'
_INDEX = re.compile(
    r"CREATE (?P<unique>UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?"
    rf"(?P<name>{_NAME}) ON (?:ONLY )?(?P<table>{_NAME}) (?:USING btree )?(?P<body>.*)"
)
_PLAIN = re.compile(r'"([a-z_][a-z0-9_]*)"')
_CONDITION = re.compile(r" WHERE \((.*)\)$")
_STORED_AS = re.compile(
    r" WITH \((?:[^()']|'[^']*')*\)(?= WHERE |$)"
)  # as fillfactor: no difference

_LOOKED_AT = ("CREATE SCHEMA ", "CREATE TABLE IF NOT EXISTS ", "CREATE INDEX ")
_INVALID = ", invalid"
_PUT_RIGHT = "put it back as it is expected"
_REFUSES = "it refuses rows that bots store: drop it"
_MADE_HARMLESS = {
    "column": "every insert fails: ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
    "key": _REFUSES,
    "index": _REFUSES,
}

# An operator may add this: it refuses only what a claim refuses as well.
_ALLOWED = (FIRST_TRIGGERS.name, "(condition_id, threshold)")


class _Fact(NamedTuple):
    """What is there: its name for people, its definition, and a statement that makes it."""

    name: str
    definition: str
    made_by: str


# By (kind, table, detail), where a table has no detail, a column its name, a key and an index
# their columns: whatever an operator has named an index, it serves.
_Facts: TypeAlias = dict[tuple[Kind, str, str], _Fact]


async def compare(
    db: Executor, tables: Iterable[Table[Any]], *, version: int | None = None
) -> SchemaReport:
    """Hold the live catalog against `tables` and the indexes of the seed files on them.

    With `version`, what later seed files make is not expected.
    """
    scripts = [seed.up for seed in seeds() if version is None or seed.version <= version]
    later = {name for seed in seeds() if seed.up not in scripts for name in seed.up.tables}
    tables = [table for table in tables if _name(table.schema, table.name) not in later]
    expected, found = _expected(tables, scripts), await _found(db, tables)
    missing = {table for kind, table, _ in expected if ("table", table, "") not in found}
    known = {table for _, table, _ in expected}
    differences = [
        _difference(fact, expected.get(fact), found.get(fact))
        for fact in dict.fromkeys((*expected, *found))
        if _definition(expected.get(fact)) != _definition(found.get(fact))
        and (fact[0] == "table" or fact[1] in known - missing)
    ]
    return SchemaReport(tuple(differences))


def tells_all_of(script: Script, tables: Iterable[Table[Any]]) -> bool:
    """Tell whether `compare` looks at everything that a script makes."""
    known = {_name(table.schema, table.name) for table in tables}
    return known.issuperset(script.tables) and all(
        statement.startswith(_LOOKED_AT) for statement in script.statements()
    )


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
    if found is not None and found.definition.endswith(_INVALID):
        remedy = f"build it anew: polymarket-storage migrate, or {found.made_by}"
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


def _expected(tables: Iterable[Table[Any]], scripts: Iterable[Script]) -> _Facts:
    facts: _Facts = {}
    for table in tables:
        name = _name(table.schema, table.name)
        facts["table", name, ""] = _Fact(name, "a table", "polymarket-storage migrate")
        for column, definition in _columns(table):
            facts["column", name, column] = _column_fact(name, column, definition)
        facts |= _key(name, table.key, "PRIMARY KEY")
        for columns in table.unique:
            facts |= _key(name, columns, "UNIQUE")
    for script in scripts:
        for statement in script.statements():
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
    body = _STORED_AS.sub("", found["body"])
    detail = _CONDITION.sub(r" WHERE \1", _PLAIN.sub(r"\1", body))
    state = "" if valid else _INVALID
    schema = table.rpartition(".")[0]
    whole_name = f"{schema}.{found['name']}" if schema else found["name"]
    statement = statement if valid else f"REINDEX INDEX CONCURRENTLY {whole_name}"
    if primary or (found["unique"] and " WHERE " not in detail):
        return _key(table, [detail[1:-1]], f"{'PRIMARY KEY' if primary else 'UNIQUE'}{state}")
    definition = f"{'UNIQUE ' if found['unique'] else ''}INDEX{state}"
    name = f"{found['name']} on {table} {detail}"
    return {("index", table, detail): _Fact(name, definition, statement)}
