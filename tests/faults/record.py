"""How often the tests try a fault, by which seed, and what came out: told to `make torture`."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In the environment, so that the processes of pytest-xdist have the same one.
SEED = int(os.environ.setdefault("TORTURE_SEED", str(random.SystemRandom().randrange(2**32))))
"""Where all chance comes from: TORTURE_SEED, or else a new one for each run."""

TOLD = f"TORTURE_SEED={SEED}"
"""For the message of an assertion."""


def count(name: str, otherwise: int) -> int:
    """Return how often something is tried: the variable TORTURE_… of that name, or `otherwise`."""
    return int(os.environ.get(f"TORTURE_{name}") or otherwise)


def tell(fault: str, *, times: int, worst_recovery: float | None = None) -> None:
    """Add to the file that TORTURE_REPORT names how often a fault was made and survived.

    Called when a test has seen what must come out, so that what is told was survived; without
    the variable it does nothing.

    Args:
        fault: its name in the table of `torture/rows.py`.
        times: how often it was really made.
        worst_recovery: seconds from the end of a fault to the first success, the longest of all.
    """
    if report := os.environ.get("TORTURE_REPORT"):
        line = {"fault": fault, "times": times, "worst_recovery": worst_recovery, "seed": SEED}
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Trial:
    """Faults of one kind as a test makes them, and how long it took to recover from each."""

    def __init__(self, fault: str) -> None:
        self.times = 0
        self.worst: float | None = None
        self._fault = fault

    @contextmanager
    def recovery(self) -> Iterator[None]:
        """Count a fault that ends where the block begins, and has been survived where it ends."""
        began = time.monotonic()
        yield
        self.times += 1
        self.worst = max(self.worst or 0.0, time.monotonic() - began)

    def tell(self) -> None:
        """Tell what was tried."""
        tell(self._fault, times=self.times, worst_recovery=self.worst)
