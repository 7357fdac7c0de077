"""What each of the roles may do, and what somebody really may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.tables import SCHEMA_VERSION


class Role(StrEnum):
    """A group of logins, by the word for it on the command line."""

    OWNER = "owner"
    WRITER = "writer"
    READER = "reader"

    @property
    def group(self) -> str:
        """Its name in PostgreSQL, the same in all databases of a server."""
        return f"storage_{self.value}"


class Target(NamedTuple):
    """What rights are given on.

    Attributes:
        kind: "DATABASE", "SCHEMA", "TABLE" or "SEQUENCE"; "TABLES" or "SEQUENCES" for those
            that the owner makes later in a schema.
        oid: its number; of the schema for what is made later.
        name: its name in SQL; likewise.
    """

    kind: str
    oid: int
    name: str


class Right(NamedTuple):
    """A privilege on something, as somebody has it or should have it."""

    holder: str
    privilege: str
    target: Target


# Tables and sequences belong to the owner, who may do everything with them.
_RIGHTS: dict[str, dict[Role, tuple[str, ...]]] = {
    "DATABASE": {
        Role.OWNER: ("CONNECT", "CREATE", "TEMPORARY"),
        Role.WRITER: ("CONNECT", "TEMPORARY"),  # large batches go through a temporary table
        Role.READER: ("CONNECT",),
    },
    "SCHEMA": {
        Role.OWNER: ("USAGE", "CREATE"),
        Role.WRITER: ("USAGE",),
        Role.READER: ("USAGE",),
    },
    "TABLE": {
        Role.WRITER: ("SELECT", "INSERT", "UPDATE", "DELETE"),
        Role.READER: ("SELECT",),
    },
    "SEQUENCE": {
        Role.WRITER: ("SELECT", "USAGE"),
        Role.READER: ("SELECT",),
    },
}
_KIND_OF = {"TABLES": "TABLE", "SEQUENCES": "SEQUENCE"}
_RECORD = f"{SCHEMA_VERSION.schema}.{SCHEMA_VERSION.name}"  # migrations alone write there
_CHANGING = {
    "DATABASE": ("CREATE",),
    "SCHEMA": ("CREATE",),
    "TABLE": ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
    "SEQUENCE": ("USAGE", "UPDATE"),
}

_SHOWN = 3

_STATE = """
SELECT direct, CASE kind
    WHEN 'DATABASE' THEN has_database_privilege(holder, target, privilege)
    WHEN 'SCHEMA' THEN has_schema_privilege(holder, target, privilege)
    WHEN 'TABLE' THEN has_table_privilege(holder, target, privilege)
    WHEN 'SEQUENCE' THEN has_sequence_privilege(holder, target, privilege)
    ELSE direct END AS effective, CASE
    WHEN kind = 'TABLE' AND privilege IN ('INSERT', 'UPDATE', 'REFERENCES')
    THEN has_any_column_privilege(holder, target, privilege) ELSE false END AS partly
FROM unnest($1::name[], $2::text[], $3::text[], $4::oid[])
     WITH ORDINALITY AS asked (holder, privilege, kind, target, place),
LATERAL (SELECT CASE
    WHEN kind = 'DATABASE' THEN (SELECT datacl FROM pg_database WHERE oid = target)
    WHEN kind = 'SCHEMA' THEN (SELECT nspacl FROM pg_namespace WHERE oid = target)
    WHEN kind IN ('TABLE', 'SEQUENCE') THEN (SELECT relacl FROM pg_class WHERE oid = target)
    ELSE (SELECT defaclacl FROM pg_default_acl JOIN pg_roles ON pg_roles.oid = defaclrole
          WHERE rolname = 'storage_owner' AND defaclnamespace = target
          AND defaclobjtype = CASE kind WHEN 'TABLES' THEN 'r' ELSE 'S' END::"char")
    END AS acl) AS found,
LATERAL (SELECT EXISTS (
    SELECT FROM aclexplode(acl) AS entry JOIN pg_roles ON pg_roles.oid = entry.grantee
    WHERE rolname = holder AND privilege_type = privilege) AS direct) AS given
ORDER BY place
"""


def wanted(targets: Iterable[Target]) -> Iterator[Right]:
    """Yield every right that the roles are to have."""
    for target in targets:
        for role in Role:
            for privilege in _privileges(role, target):
                yield Right(role.group, privilege, target)


def excess(holder: str, role: Role, targets: Iterable[Target]) -> Iterator[Right]:
    """Yield the rights to change something that a holder of `role` is not to have."""
    for target in targets:
        for privilege in _CHANGING.get(target.kind, ()):
            if privilege not in _privileges(role, target):
                yield Right(holder, privilege, target)


def _privileges(role: Role, target: Target) -> tuple[str, ...]:
    if target.name == _RECORD and role is Role.WRITER:
        role = Role.READER
    return _RIGHTS[_KIND_OF.get(target.kind, target.kind)].get(role, ())


async def given(db: Executor, rights: list[Right]) -> set[Right]:
    """Return which of the rights were given to their holders by name."""
    return {right for right, direct, *_ in await _state(db, rights) if direct}


async def held(db: Executor, rights: list[Right], *, partly: bool = False) -> set[Right]:
    """Return which of the rights their holders have, from whomever.

    With `partly`, a right on some columns of a table is one on the table.
    """
    return {
        right
        for right, _, effective, on_columns in await _state(db, rights)
        if effective or (partly and on_columns)
    }


async def _state(db: Executor, rights: list[Right]) -> list[tuple[Right, bool, bool, bool]]:
    rows = await db.fetch(
        _STATE,
        [right.holder for right in rights],
        [right.privilege for right in rights],
        [right.target.kind for right in rights],
        [right.target.oid for right in rights],
    )
    return [(right, *row) for right, row in zip(rights, rows, strict=True)]


def grants(rights: Iterable[Right]) -> list[str]:
    """Return the statements that give rights."""
    return [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {Role.OWNER.group} IN SCHEMA {', '.join(names)} "
        f"GRANT {privileges} ON {kind} TO {holder}"
        if kind in _KIND_OF
        else f"GRANT {privileges} ON {kind} {', '.join(names)} TO {holder}"
        for holder, privileges, kind, names in _together(rights)
    ]


def phrases(rights: Iterable[Right]) -> list[str]:
    """Return rights in words, without their holder, and with a few of many names."""
    return [
        f"{privileges} ON {kind} {_few(names)}" for _, privileges, kind, names in _together(rights)
    ]


def _few(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _together(rights: Iterable[Right]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield holder, privileges, kind and names, each holder's privileges on as many as can be."""
    privileges: dict[tuple[str, Target], list[str]] = {}
    for holder, privilege, target in rights:
        privileges.setdefault((holder, target), []).append(privilege)
    names: dict[tuple[str, str, str], list[str]] = {}
    for (holder, target), on_it in privileges.items():
        names.setdefault((holder, ", ".join(on_it), target.kind), []).append(target.name)
    for (holder, on_them, kind), of_them in names.items():
        yield holder, on_them, kind, of_them
