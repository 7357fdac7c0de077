"""Wrong arguments: each is refused by an error that names it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from polymarket_bot.storage import InvalidInput

Calls: TypeAlias = Sequence[tuple[str, Callable[[Any, Any], Awaitable[object]], Sequence[Any]]]
"""For each argument: the name that the error gives, a call of a subject with a value, values."""


async def assert_all_refused(subject: object, calls: Calls) -> None:
    """Call with every value and fail for one that is taken, or refused by another name."""
    for field, call, values in calls:
        for value in values:
            assert await _refused(call(subject, value)) == field, f"{field}={value!r}"


async def _refused(call: Awaitable[object]) -> str:
    """Return the field that a call is refused for."""
    try:
        await call
    except InvalidInput as error:
        return error.field
    return "nothing: it was taken"
