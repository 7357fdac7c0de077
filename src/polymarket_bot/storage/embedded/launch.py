"""Launching the keeper, and waiting for what becomes of it."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from polymarket_bot.storage.embedded.accounts import Account, server_account
from polymarket_bot.storage.embedded.binaries import binaries_for
from polymarket_bot.storage.embedded.layout import check_cluster, lay_out, rotate_log
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polymarket_bot.storage.embedded.keeper.protocol import AccountTask, Files, Task

# The keeper's modules use relative imports, so they run without the package around them.
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from keeper.run import main; main()"
_logger = logging.getLogger("polymarket_bot.storage.embedded")


def launch(files: Files, settings: Mapping[str, str], keeper_lock: int, deadline: float) -> None:
    """Start a keeper, which takes the lock over, and return when its server is ready."""
    check_cluster(files)
    account = server_account(files.pgdata)
    layout = lay_out(files, account)
    files.state.unlink(missing_ok=True)
    rotate_log(files)
    task: Task = {
        "folder": str(files.folder),
        "pgdata": str(layout.pgdata),
        "socket_folder": str(layout.socket_folder),
        "url": layout.url,
        "mark": layout.mark,
        "binaries": str(binaries_for(account)),
        "account": _account_task(account),
        "settings": dict(settings),
        "keeper_lock": keeper_lock,
    }
    _run_keeper(task, deadline)
    _logger.info("PostgreSQL runs on %s", files.folder)


def _account_task(account: Account | None) -> AccountTask | None:
    if account is None:
        return None
    return {"uid": account.uid, "gid": account.gid, "groups": list(account.groups)}


def _run_keeper(task: Task, deadline: float) -> None:
    modules = str(Path(__file__).parent)
    with subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", _PROGRAM, modules, json.dumps(task)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(task["keeper_lock"],),
        cwd="/",
    ) as launched:
        if launched.stdout is not None:
            failure = _read_to_end(launched.stdout, deadline)
            if failure:
                raise EmbeddedServerError(
                    f"the embedded server in {task['folder']} failed: {failure}"
                )


def _read_to_end(output: IO[bytes], deadline: float) -> str:
    """Read what the keeper reports until it is done with reporting: nothing means success."""
    parts: list[bytes] = []
    while select.select([output], [], [], max(0, deadline - time.monotonic()))[0]:
        part = os.read(output.fileno(), 65536)
        if not part:
            return b"".join(parts).decode(errors="replace").strip()
        parts.append(part)
    return "it did not get ready in time."
