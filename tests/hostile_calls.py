"""Calls with bad input of every public method of every repository, which are found by looking."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import BaseModel

from polymarket_bot import storage
from polymarket_bot.storage import BaseRepository, Table
from tests.hostile import batches, good, mappings, models, taken
from tests.hostile_values import VALUES, values

REPOSITORIES: list[type[Any]] = [
    getattr(storage, name)
    for name in storage.__all__
    if name.endswith("Repository") and name != BaseRepository.__name__
]

_APART = {"ingest"}  # takes records, which are no models; see test_hostile.py


@dataclass(frozen=True, repr=False)
class Call:
    """One call of a repository's method.

    Attributes:
        repository: the class.
        method: the name.
        arguments: by name.
    """

    repository: type[Any]
    method: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={_abridged(value)}" for name, value in self.arguments.items())
        return f"{self.repository.__name__}.{self.method}({given})"

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - as it is called
        """Print it for a failure by its own repr: that of an argument may fail."""
        printer.text(repr(self))

    @property
    def table(self) -> Table[Any]:
        """The repository's table."""
        table: Table[Any] = self.repository.table
        return table


def _abridged(value: object) -> str:
    try:
        return repr(value)[:200]
    except (RecursionError, RuntimeError, ValueError):
        return f"<a {type(value).__name__}>"


def methods(repository: type[Any]) -> list[str]:
    """Return the names of a repository's public methods."""
    return [
        name
        for name, member in inspect.getmembers(repository, callable)
        if not name.startswith("_") and name not in _APART
    ]


def takes_models(repository: type[Any], method: str) -> bool:
    """Tell whether a method is given models, many of them, or a mapping."""
    hints = parameters(getattr(repository, method)).values()
    return any(_kind(hint) is not values for hint in hints)


@st.composite
def calls(draw: st.DrawFn, repository: type[Any], names: list[str]) -> Call:
    """Calls of some methods of a repository, with good arguments and bad ones."""
    name = draw(st.sampled_from(names))
    method = getattr(repository, name)
    arguments = {}
    for parameter, hint in parameters(method).items():
        if not _may_be_left_out(method, parameter) or draw(st.booleans()):
            arguments[parameter] = draw(_argument(repository.table, parameter, hint))
    return Call(repository, name, arguments)


@cache
def parameters(method: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a method, taken from its class, with their annotations."""
    hints = get_type_hints(method)
    return {name: hints[name] for name in inspect.signature(method).parameters if name != "self"}


def _may_be_left_out(method: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(method).parameters[name]
    return parameter.default is not parameter.empty


def _kind(hint: Any) -> Callable[..., st.SearchStrategy[Any]]:
    """Return which strategy serves a parameter of this annotation."""
    if isinstance(hint, TypeVar) or (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return models
    if get_origin(hint) is Mapping:
        return mappings
    return batches if get_origin(hint) is Iterable else values


@cache
def _argument(table: Table[Any], name: str, hint: Any) -> st.SearchStrategy[Any]:
    if (kind := _kind(hint)) is not values:
        return kind(table)
    fitting = _fitting(table, name)
    return st.one_of(fitting, fitting, values())


async def _wait(_: object) -> None: ...


_FITTING: Mapping[str, list[Any]] = {
    "limit": [0, 1, 100, 2**63 - 1],
    "offset": [0, 1, 2**63 - 1],
    "days": [0, 1, 7.5, 999_999],
    "max_age_seconds": [1, 300.5, 2**31 - 1],
    "now": [1_760_000_000, 2.5, datetime(2025, 10, 9, tzinfo=UTC)],
    "older_than": [5, 1_760_000_000, timedelta(1), datetime(2025, 10, 9, tzinfo=UTC), "2025-10-09"],
    "reason": ["why"],
    "batch_size": [1, 2**31],
    "handler": [_wait],
    "on_late": [_wait],
}
_ORDINARY = [1, 2, "a", 0.5, "0.5", Decimal("0.5"), "pending", 1_760_000_000, "2025-10-09"]


def _fitting(table: Table[Any], name: str) -> st.SearchStrategy[Any]:
    """Return values that may well fit an argument."""
    if name == "value":
        return _keys(table)
    if name == "id_column":
        return st.sampled_from([*table.columns])
    if name in table.columns:
        return taken(table, name)
    return st.sampled_from(_FITTING.get(name, _ORDINARY))


def _keys(table: Table[Any]) -> st.SearchStrategy[Any]:
    stored = tuple(good(table)[name] for name in table.key)
    odd = st.tuples(*(st.sampled_from(VALUES) for _ in table.key))
    keys = st.one_of(st.just(stored), odd)
    return keys if len(table.key) > 1 else keys.map(lambda key: key[0])
