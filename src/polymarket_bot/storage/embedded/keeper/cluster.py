"""Creating the database cluster: either all of it or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import child_options, wait_until

if TYPE_CHECKING:
    from .protocol import Task

OUTPUT_TAIL = 2000
_REMOVAL_LIMIT = 5.0
# Renaming the one that initdb has made: a second one would cost a quarter of initdb's time.
_NAME_DATABASE = b"""ALTER DATABASE postgres RENAME TO predict
COMMENT ON DATABASE predict IS NULL
"""


class KeeperError(Exception):
    """The server cannot be prepared or started; the text is meant for the owner."""


def create_cluster(task: Task) -> None:
    """Create the cluster and its database if absent, and remove interrupted attempts."""
    pgdata = Path(task["pgdata"])
    # Again and again, since the last process of a killed attempt may still write to it.
    wait_until(lambda: not any(map(_remove, pgdata.parent.glob("pgdata.new-*"))), _REMOVAL_LIMIT)
    if pgdata.exists():
        return
    new = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=pgdata.parent))
    try:
        _fill_cluster(task, new)
        new.rename(pgdata)
    finally:
        _remove(new)


def _remove(tree: Path) -> bool:
    """Remove a tree, as far as possible; tell whether something is left."""
    shutil.rmtree(tree, ignore_errors=True)
    return tree.exists()


def _fill_cluster(task: Task, new: Path) -> None:
    if account := task["account"]:
        os.chown(new, account["uid"], account["gid"])
    cluster = ("-D", str(new))
    content = ("-U", "predict", "--auth=trust", "--no-locale", "--encoding=UTF8")
    _run_tool(task, "initdb", *cluster, *content, "--no-instructions", "--no-sync")
    single = ("--single", "-F", *cluster, "-c", "exit_on_error=on", "template1")
    _run_tool(task, "postgres", *single, script=_NAME_DATABASE)
    if task["settings"].get("fsync") != "off":
        _run_tool(task, "initdb", "--sync-only", *cluster)


def _run_tool(task: Task, name: str, *arguments: str, script: bytes = b"") -> None:
    done = subprocess.run(
        (str(Path(task["binaries"]) / name), *arguments),
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **child_options(task["account"], signal.SIGKILL),
    )
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace")[-OUTPUT_TAIL:].strip()
        raise KeeperError(f"{name} ended with status {done.returncode}:\n{output}")
