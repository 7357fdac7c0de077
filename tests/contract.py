"""The public interface as bots call it, read from `fixtures/contract.txt`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TEXT = (Path(__file__).parent / "fixtures" / "contract.txt").read_text(encoding="utf-8")

NONE = object()
"""Stands for the default of an argument without one."""

SETTINGS: Mapping[str, Any] = {
    "url": ...,
    "min_connections": 2,
    "max_connections": 10,
    "command_timeout": 60.0,
    **dict.fromkeys(("host", "port", "database", "user", "password"), ...),
    **dict.fromkeys(("application_name", "connect_timeout", "max_lifetime", "max_idle"), ...),
    **dict.fromkeys(("pooler", "direct_url", "tls", "schema_name", "slow_query_seconds"), ...),
    "acquire_timeout": 10.0,
    "lock_timeout": 5.0,
    "idle_in_transaction_timeout": 60.0,
    "future_skew": 300,
    **dict.fromkeys(("migrate_on_start", "verify_schema"), ...),
}
"""The fields of `DatabaseConfig` and their defaults; `...` where the value is free."""

FLOATS = frozenset(
    {"threshold", "score", "model_score", "initial_score", "current_score"}
    | {"time_to_end_hours", "hours_held", "spread_pct"}
)
"""The REAL columns that are `float` in a model; all others are `Decimal`."""


@dataclass(frozen=True)
class Method:
    """One method as bots call it.

    Attributes:
        owner: the name of its class.
        name: its name.
        mode: "async", "sync" or "with".
        first: whether bots called it from the first.
        shared: whether it is one that repositories have in common.
        positional: the arguments in order, each with its default.
        keyword_only: the keyword-only ones, each with its default.
        variadic: whether `*args` may follow.
        returns: the shape of what it returns; empty for "with".
    """

    owner: str
    name: str
    mode: str
    first: bool
    shared: bool
    positional: tuple[tuple[str, Any], ...]
    keyword_only: tuple[tuple[str, Any], ...]
    variadic: bool
    returns: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}{'' if self.first else '+'}"


@dataclass(frozen=True)
class Owner:
    """A class with its methods; of a repository, also the names of its model and table."""

    name: str
    model: str
    table: str
    methods: tuple[Method, ...]


def _sections() -> Iterator[tuple[list[str], list[str]]]:
    """Yield each heading's words with the lines below it."""
    for section in _TEXT.split("\n\n"):
        heading, *lines = section.splitlines()
        if not heading.startswith("#"):
            yield heading.split(), lines


def _default(node: ast.expr | None) -> Any:
    return NONE if node is None else ast.literal_eval(node)


def _method(owner: str, model: str, line: str, *, shared: bool = False) -> Method:
    text = line.strip().removeprefix("+ ")
    word, _, rest = text.partition(" ")
    mode, signature = (word, rest) if word in ("sync", "with") else ("async", text)
    (node,) = ast.parse(f"def {signature}: ...").body
    assert isinstance(node, ast.FunctionDef)
    given = node.args
    defaults = [NONE] * (len(given.args) - len(given.defaults)) + [*map(_default, given.defaults)]
    return Method(
        owner=owner,
        name=node.name,
        mode=mode,
        first=not line.strip().startswith("+"),
        shared=shared,
        positional=tuple(zip((a.arg for a in given.args), defaults, strict=True)),
        keyword_only=tuple(
            (a.arg, _default(d)) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        ),
        variadic=given.vararg is not None,
        returns=ast.unparse(node.returns).replace("Row", model) if node.returns else "",
    )


def _read() -> Iterator[Owner]:
    common: dict[str, list[str]] = {}
    for heading, lines in _sections():
        if heading[0].startswith("["):
            common[heading[0]] = lines
            continue
        name, model, table = (*heading, "", "")[:3]
        own = [_method(name, model, line) for line in lines]
        names = {method.name for method in own}
        if model:
            lines = [*common["[reads]"], *([] if "Watermark" in name else common["[writes]"])]
            shared = [_method(name, model, line, shared=True) for line in lines]
            own += [method for method in shared if method.name not in names]
        yield Owner(name, model, table, tuple(own))


OWNERS: tuple[Owner, ...] = tuple(_read())
REPOSITORIES: tuple[Owner, ...] = tuple(owner for owner in OWNERS if owner.model)
METHODS: tuple[Method, ...] = tuple(method for owner in OWNERS for method in owner.methods)

FROM_API = _method(
    "PolymarketTrade", "", "+ sync from_api(payload, *, strict_precision=False) -> Self"
)
INGEST_REPORT = ("read", "inserted", "duplicates", "late", "skipped", "refused", "refusals")
