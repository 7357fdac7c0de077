"""Who is told of each statement."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from polymarket_bot.storage.connections.queries import QueryEvent, name_of

_log = logging.getLogger(__name__)

Callback = Callable[[QueryEvent], None]


class Observers:
    """Callbacks that are told of each statement, and the log of the slow ones."""

    def __init__(self, slow: float | None) -> None:
        self._slow = slow
        self._callbacks: dict[object, Callback] = {}

    def add(self, callback: Callback) -> Callable[[], None]:
        """Tell `callback` from now on; returns how to stop it."""
        added = object()
        self._callbacks[added] = callback

        def stop() -> None:
            self._callbacks.pop(added, None)

        return stop

    def tell(
        self,
        query: str,
        duration: float,
        result: Any,  # noqa: ANN401 - as the verb
        error: BaseException | None,
    ) -> None:
        """Tell of a statement that has ended. A callback that raises is logged, not obeyed."""
        if self._slow is not None and duration > self._slow:
            name = name_of(query)
            _log.warning("slow statement, %.3f s: %s", duration, name, extra={"statement": name})
        if not self._callbacks:
            return
        event = QueryEvent(name_of(query), duration, _rows(result), error)
        for callback in tuple(self._callbacks.values()):
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - the user's code; the statement went well
                _log.exception("a query observer failed")


def _rows(result: object) -> int | None:
    """Return how many rows came back, or were touched."""
    if isinstance(result, list):
        return len(result)
    if isinstance(result, str):
        count = result.rpartition(" ")[2]
        return int(count) if count.isdecimal() else None
    return None
