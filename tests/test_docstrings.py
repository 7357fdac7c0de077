"""Every public name says what it does, and describes all of its arguments or none."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from polymarket_bot import storage
from polymarket_bot.storage import ops

_ARGUMENTS = re.compile(r"^Args:\n((?: {4}.*\n?|\n)*)", re.MULTILINE)


def public() -> Iterator[object]:
    for module in (storage, ops):
        for name in module.__all__:
            yield getattr(module, name)


def ours() -> Iterator[type[Any]]:
    """The public classes, and those of our own that they inherit from."""
    classes = [value for value in public() if inspect.isclass(value)]
    yield from {
        base: None
        for value in classes
        for base in value.__mro__
        if base.__module__.startswith("polymarket_bot")
    }


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for value in public():
        if inspect.isfunction(value):
            yield value.__name__, value
    for owner in ours():
        for name, value in [*vars(owner).items()]:
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function) and not name.startswith("_"):
                yield f"{owner.__name__}.{name}", function


def arguments(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def test_every_public_class_and_property_has_a_docstring() -> None:
    for owner in ours():
        assert owner.__doc__, owner
        for name, value in [*vars(owner).items()]:
            if isinstance(value, property) and not name.startswith("_"):
                assert value.__doc__, (owner, name)


@pytest.mark.parametrize(
    "function", [pytest.param(function, id=name) for name, function in functions()]
)
def test_a_public_function_has_a_docstring_that_describes_all_arguments_or_none(
    function: Callable[..., Any],
) -> None:
    assert function.__doc__
    text = inspect.cleandoc(function.__doc__)
    for described in _ARGUMENTS.findall(text):
        assert re.findall(r"^ {4}(\w+): ", described, re.MULTILINE) == arguments(function)
    assert text.partition("\n")[0].endswith((".", ":"))
