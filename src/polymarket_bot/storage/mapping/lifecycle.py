"""Which status may follow which: the transition tables, written down once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lifecycle:
    """What a row's status allows. Every write that changes a row is held to it.

    A row that is in a final status is not changed any more, but by an upsert that `Table.newest`
    lets in. A status that is named nowhere is a bot's own: it may follow, and be followed by, any
    other that is not final.

    Args:
        column: the column of the status.
        final: statuses that are never left.
        stages: statuses that follow each other in this order; none goes back to an earlier one.
        grows: columns whose value never shrinks; NULL counts as 0.
    """

    column: str
    final: tuple[str, ...]
    stages: tuple[str, ...] = ()
    grows: tuple[str, ...] = ()


CANDIDATE = Lifecycle("status", final=("executed",))
ORDER = Lifecycle(
    "status",
    final=("filled", "cancelled", "rejected"),
    stages=("pending", "submitted", "partial"),
    grows=("fill_size",),
)
POSITION = Lifecycle("status", final=("closed", "resolved"))
EXIT = Lifecycle("status", final=("executed", "failed"))
APPROVAL = Lifecycle("status", final=("executed", "expired"))
