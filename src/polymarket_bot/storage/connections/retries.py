"""How long to wait before something is tried again."""

from __future__ import annotations

import random
from collections.abc import Iterator

_FIRST, _LONGEST = 0.01, 1.0


def pauses(retries: int) -> Iterator[float | None]:
    """Yield the pause after each try but the last, in seconds, and None after that.

    They grow twofold up to a second, each by chance between half of it and all of it, so that
    those who met do not meet again.
    """
    for number in range(retries):
        longest = min(_FIRST * 2**number, _LONGEST)
        yield random.uniform(longest / 2, longest)  # noqa: S311 - no secret
    yield None
