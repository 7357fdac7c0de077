"""The values of a row: how they are taken, and which types validation leaves in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from polymarket_bot.storage.types import Column

Row: TypeAlias = tuple[Any, ...]
Getter: TypeAlias = Callable[[Any], Row]


class RowTypes:
    """The types of a table's validated values.

    A model can be changed behind validation's back, by `model_copy(update=…)` or
    `model_construct`. To look at types costs little, since whole rows that were found right are
    remembered.

    Args:
        columns: the table's columns.
        adapters: what validates a value of each.
    """

    def __init__(
        self, columns: Mapping[str, Column], adapters: Mapping[str, TypeAdapter[Any]]
    ) -> None:
        self._names = tuple(columns)
        self._kinds = [_kinds(column, adapters[name]) for name, column in columns.items()]
        self._right: set[tuple[type, ...]] = set()

    def wrong(self, values: Sequence[object]) -> list[tuple[int, str]]:
        """Return place and column of each value that is of another type than validation leaves."""
        types = tuple(map(type, values))
        if types in self._right:
            return []
        named = enumerate(zip(self._names, self._kinds, types, strict=True))
        wrong = [(n, name) for n, (name, kinds, kind) in named if kinds and kind not in kinds]
        if not wrong:
            self._right.add(types)
        return wrong


def getter(*places: str | int) -> Getter:
    """Return what takes the values of places, in their order, from a mapping or a sequence."""
    if len(places) != 1:
        return itemgetter(*places) if places else lambda _: ()
    (place,) = places  # the driver's rows are tuples, also those of one column
    return lambda values: (values[place],)


def _kinds(column: Column, adapter: TypeAdapter[Any]) -> tuple[type, ...]:
    """Return the types that a column's values may have; none for a type of the bot's own."""
    if column.python is None:
        return ()
    try:
        adapter.validate_python(None)
    except ValidationError:
        return (column.python,)
    return (column.python, type(None))
