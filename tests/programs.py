"""Programs run as a user runs them, and the code in a page of documentation."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OURS = ("DATABASE_", "DB_", "PYTEST_")


def run(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with no settings of ours in its environment but those given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


async def in_thread(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program as `run` does while the event loop goes on."""
    return await asyncio.to_thread(run, *arguments, **options)


def page(path: str) -> str:
    """Return a page's text."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return a page's code blocks of a language."""
    return [block for name, block in _BLOCKS.findall(text) if name == language]
