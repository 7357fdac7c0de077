"""Programs run to their end: how long they take, and how large they get."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "polymarket_bot.storage.cli")
PROGRAMS = (sys.executable, "-m", "benchmarks.programs")

_LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("peak.py")))
_MIB = 2**20
_OURS = ("DATABASE_", "DB_")


class Outcome(NamedTuple):
    """What a program printed, and how many seconds it took."""

    out: str
    seconds: float


async def run(*command: str | Path) -> Outcome:
    """Run a program to its end, with no settings of databases in its environment.

    Raises:
        RuntimeError: it failed.
    """
    environment = {name: v for name, v in os.environ.items() if not name.startswith(_OURS)}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    took = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}: {err.decode()}")
    return Outcome(out.decode(), took)


class Peak(NamedTuple):
    """What a program printed, and how large it became, in MiB."""

    out: str
    mib: float


async def peak_of(*command: str | Path) -> Peak:
    """Run a program to its end, and see how much memory it had at most.

    Raises:
        RuntimeError: it failed.
    """
    seen = json.loads((await run(*_LAUNCHER, *command)).out)
    return Peak(seen["out"], seen["peak"] / _MIB)
