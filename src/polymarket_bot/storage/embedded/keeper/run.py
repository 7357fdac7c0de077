"""The keeper's life: prepare, start, watch, start again, stop."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .cluster import KeeperError, create_cluster
from .postmaster import Postmaster, end_leftovers
from .processes import wait_until
from .protocol import Files, has_owner, is_wanted, try_lock

if TYPE_CHECKING:
    from .protocol import Task

_WATCH_TICK = 0.05
_START_TICK = 0.01
_FAILED_STARTS_LIMIT = 5
_CLUSTER_LIMIT = 5.0
# What an earlier server left behind and what passes by itself.
_PASSING_TROUBLES = ("pre-existing shared memory block", 'lock file "')


class _LeaveError(Exception):
    """The keeper has to stop the server and end."""


class Keeper:
    """Runs the server of one data folder until nobody wants it any more."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._files = Files(Path(task["folder"]))
        self._server: Postmaster | None = None
        self._was_ready = False
        self._told_to_end = False

    def run(self) -> None:
        """Run the server to its end; raise KeeperError when it does not start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        self._take_cluster()
        end_leftovers(self._task)
        create_cluster(self._task)
        try:
            while True:
                self._watch(self._start())
        except _LeaveError:
            pass
        finally:
            self._leave()

    def _take_cluster(self) -> None:
        path = Path(self._task["pgdata"]).parent / "cluster.lock"
        # The last keeper may not have ended yet.
        if not wait_until(lambda: try_lock(path) is not None, _CLUSTER_LIMIT):
            raise KeeperError(
                f"another data folder's server runs on {path.parent}; a copy of a data folder "
                "with a link in it is no copy of the data"
            )

    def _note_signal(self, *_: object) -> None:
        self._told_to_end = True

    def _start(self) -> Postmaster:
        output = ""
        for failed in range(_FAILED_STARTS_LIMIT):
            self._server = server = Postmaster(self._task)
            if self._becomes_ready(server):
                self._publish(server)
                return server
            output = server.output()
            if not self._was_ready and not any(text in output for text in _PASSING_TROUBLES):
                break
            time.sleep(0.1 * 2**failed)
            end_leftovers(self._task)
        raise KeeperError(f"the server does not start; its log says:\n{output}")

    def _becomes_ready(self, server: Postmaster) -> bool:
        while server.is_alive():
            if self._told_to_end and self._may_leave():
                raise _LeaveError
            if server.is_ready():
                return True
            time.sleep(_START_TICK)
        return False

    def _publish(self, server: Postmaster) -> None:
        state = {"url": self._task["url"], "keeper": os.getpid(), "postmaster": server.pid}
        new = self._files.state.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._files.state)
        self._was_ready = True
        # The launching owner waits for the end of this output.
        with self._files.log.open("ab") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())

    def _watch(self, server: Postmaster) -> None:
        while server.is_alive():
            if self._may_leave():
                raise _LeaveError
            time.sleep(_WATCH_TICK)
        if self._told_to_end:
            raise _LeaveError
        self._unpublish()
        end_leftovers(self._task)

    def _unpublish(self) -> None:
        if self._has_folder():
            self._files.state.unlink(missing_ok=True)

    def _may_leave(self) -> bool:
        if not self._has_folder():
            return True
        return not self._is_wanted() and self._shuts_out_owners()

    def _is_wanted(self) -> bool:
        # The system tells all processes to end at once: the owners get the time they need.
        wanted = has_owner if self._told_to_end else is_wanted
        return wanted(self._files)

    def _has_folder(self) -> bool:
        """Tell whether the data folder is still the one this keeper was started for."""
        try:
            named = self._files.keeper_lock.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._task["keeper_lock"]))

    def _shuts_out_owners(self) -> bool:
        """Keep new owners out until this process ends, unless one has come in meanwhile."""
        gate = try_lock(self._files.start_lock)
        if gate is not None and self._is_wanted():
            os.close(gate)
            return False
        return gate is not None

    def _leave(self) -> None:
        self._unpublish()
        if self._server is not None:
            self._server.stop()
        # Before the gate, which the end of the process opens: the next owner finds no keeper.
        fcntl.flock(self._task["keeper_lock"], fcntl.LOCK_UN)


def _report(text: str) -> NoReturn:
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()
    os._exit(1)


def main() -> None:
    """Leave the launching owner and keep the server of the task, the last argument."""
    task: Task = json.loads(sys.argv[-1])
    os.set_inheritable(task["keeper_lock"], False)
    if os.fork():
        os._exit(0)  # so that no owner has the keeper as a child to wait for
    os.umask(0o077)
    try:
        Keeper(task).run()
    except (KeeperError, OSError) as error:
        _report(str(error))
    except Exception:  # noqa: BLE001 - there is nobody else to tell the owner
        _report(traceback.format_exc())
