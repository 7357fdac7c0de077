"""`status --watch` looks again and again, in a terminal and without one, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
from pathlib import Path

from polymarket_bot.storage import Database, LiveOrderRepository
from tests.commands import COMMAND, as_in_the_foreground, start
from tests.small_rows import order

INTERVAL = "0.1"
HEALTHY = "+00:00 healthy\n"
"""How a line ends that tells of nothing wrong; " healthy" is in the others, too."""


async def left(process: asyncio.subprocess.Process) -> str:
    """Press Ctrl-C; return what was said besides the looks."""
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 0
    return err.decode()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode()


async def until(process: asyncio.subprocess.Process, text: str) -> str:
    async with asyncio.timeout(60):
        while text not in (found := await line(process)):
            assert found, "it has ended"
        return found


async def test_each_look_is_a_line_that_tells_what_is_wrong_until_it_is_mended(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    process = await start("status", "--watch", INTERVAL, "--url", db_url, cwd=tmp_path)
    assert re.fullmatch(r"\S+T\S+" + re.escape(HEALTHY), await line(process))
    row = await LiveOrderRepository(db).create(order(None))
    assert "orders without an answer of the exchange" in await until(process, " not healthy: ")
    await LiveOrderRepository(db).attach_order_id(row.id or 0, "o1")
    await until(process, HEALTHY)
    assert await left(process) == ""


async def test_each_look_is_an_object_for_programs(db_url: str, tmp_path: Path) -> None:
    process = await start("status", "--watch", INTERVAL, "--json", "--url", db_url, cwd=tmp_path)
    looks = [json.loads(await line(process)) for _ in range(3)]
    assert [look["healthy"] for look in looks] == [True] * 3
    assert looks[0].keys() == looks[2].keys() > {"time", "problems", "notes", "tables"}
    assert await left(process) == ""


async def test_a_terminal_is_drawn_anew_and_left_as_it_was(db_url: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("status", "--watch", INTERVAL, "--url", db_url),
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "60"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=as_in_the_foreground,
    )
    os.close(theirs)
    shown = b""
    while shown.count(b"Ctrl-C ends") < 3:
        shown += await asyncio.to_thread(os.read, ours, 65536)
    process.send_signal(signal.SIGINT)
    shown += await asyncio.to_thread(rest, ours)
    assert await process.wait() == 0
    text = shown.decode()
    assert "\x1b[1A\x1b[2K" in text  # up a line, which is made empty
    assert "watermarks behind" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is there again
    assert "Traceback" not in text


def rest(terminal: int) -> bytes:
    """Read what comes until the other end is closed, which Linux tells as an error."""
    found = b""
    try:
        while piece := os.read(terminal, 65536):
            found += piece
    except OSError:
        pass
    finally:
        os.close(terminal)
    return found
