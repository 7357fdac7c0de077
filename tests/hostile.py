"""Bad input in bulk: models and batches that hold what they should not, or that fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from polymarket_bot.storage import Table
from polymarket_bot.storage.tables import PRODUCTION
from tests.hostile_values import VALUES, values


class Broken(Exception):
    """What an iterable of the tests raises: it passes through as it is."""


_GOOD_BY_NAME = {
    "status": "pending",
    "date": "2025-10-09",
    "end_date": "2025-10-09",
    "resolved_at": "2025-10-09T12:00:00Z",
    "generated_at": "2025-10-09T12:00:00Z",
}
_GOOD = {"text": "a", "real": "0.5", "integer": 1, "bigint": 1_760_000_000, "boolean": False}


def good(table: Table[Any]) -> dict[str, Any]:
    """Return a value for each column of `table` that its model takes."""
    return {
        name: "2025-10-09T12:00:00.000000+00:00"
        if column.time
        else _GOOD_BY_NAME.get(name, _GOOD[column.sql])
        for name, column in table.columns.items()
    }


@cache
def _taken(table: Table[Any]) -> Mapping[str, list[Any]]:
    """Return, for each column, the hostile values that its model takes after all."""
    return {
        name: [good(table)[name], *(v for v in VALUES if _is_taken(table, name, v))]
        for name in table.columns
    }


def _is_taken(table: Table[Any], name: str, value: object) -> bool:
    try:
        table.model(**good(table) | {name: value})
    except ValidationError:
        return False
    return True


@cache
def taken(table: Table[Any], name: str) -> st.SearchStrategy[Any]:
    """Values, odd ones too, that the model takes for one column."""
    return st.sampled_from(_taken(table)[name])


@cache
def valid_models(table: Table[Any]) -> st.SearchStrategy[Any]:
    """Models that validation built, from odd values."""
    odd = st.fixed_dictionaries({}, optional={name: taken(table, name) for name in table.columns})
    return odd.map(lambda fields: table.model(**good(table) | fields))


@st.composite
def tampered_models(draw: st.DrawFn, table: Table[Any]) -> Any:
    """Models that were changed behind validation's back."""
    model = draw(valid_models(table))
    names = st.sampled_from([*table.columns, "no such field"])
    wrong = draw(st.dictionaries(names, values(), min_size=1, max_size=2))
    way = draw(st.sampled_from(["copy", "construct", "dict", "missing"]))
    if way == "copy":
        return model.model_copy(update=wrong)
    if way == "construct":
        return table.model.model_construct(**good(table) | wrong)
    if way == "dict":
        model.__dict__.update(wrong)
    else:
        for name in wrong:
            model.__dict__.pop(name, None)
    return model


@cache
def models(table: Table[Any]) -> st.SearchStrategy[Any]:
    """What may be given for a model of `table`: good ones, tampered ones, others, none."""
    valid = valid_models(table)
    foreign = st.sampled_from(PRODUCTION).flatmap(valid_models)
    return st.one_of(
        valid, valid, tampered_models(table), tampered_models(table), foreign, values()
    )


@cache
def batches(table: Table[Any]) -> st.SearchStrategy[Any]:
    """What may be given for many models: lists, generators, what fails in the middle, no batch."""
    listed = st.lists(valid_models(table), max_size=4)
    spoiled = st.tuples(listed, models(table), listed).map(lambda t: [*t[0], t[1], *t[2]])
    unstorable = st.tuples(listed, valid_models(table)).map(lambda t: [*t[0], _unstorable(t[1])])
    batch = st.one_of(listed, spoiled, unstorable)
    return st.one_of(
        batch,
        batch,
        batch.map(tuple),
        batch.map(Stream),
        batch.map(lambda items: Stream(items, fails=True)),
        batch.map(lambda items: dict(enumerate(items))),
        models(table),
    )


def _unstorable(model: Any) -> Any:
    """Return a model whose values are of the right types, and which only the server refuses."""
    texts = [name for name, value in model if isinstance(value, str)]
    return model.model_copy(update={texts[-1]: "a\x00b"} if texts else {})


class Stream:
    """An iterable that is no list, and may fail at its end; its items can still be looked at."""

    def __init__(self, items: list[Any], *, fails: bool = False) -> None:
        self.items = items
        self._fails = fails

    def __iter__(self) -> Iterator[Any]:
        yield from self.items
        if self._fails:
            raise Broken


class _Spoiled(Mapping[Any, Any]):
    """A mapping that fails after its first item."""

    def __init__(self, items: list[tuple[Any, Any]]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: object) -> Any:
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        yield from list(self._items)[:1]
        raise Broken


@cache
def mappings(table: Table[Any]) -> st.SearchStrategy[Any]:
    """What may be given for watermarks by key."""
    key, mark = list(table.columns)[:2]
    fitting = st.sampled_from([k for k in _taken(table)[key] if _is_hashable(k)])
    keys = st.one_of(fitting, st.sampled_from([k for k in VALUES if _is_hashable(k)]))
    marks = st.one_of(taken(table, mark), values())
    fine = st.lists(st.tuples(fitting, taken(table, mark)), max_size=4)
    odd = st.lists(st.tuples(keys, marks), max_size=4)
    return st.one_of(fine.map(dict), odd.map(dict), odd.map(_Spoiled), values())


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except Exception:  # noqa: BLE001 - whatever a hostile value raises
        return False
    return True
