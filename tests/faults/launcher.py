"""Become a command of another user that ends when the process that started it ends.

Run as a program, by the standard library alone: `launcher.py ORDER COMMAND...`. It stands in for
`preexec_fn`, which is unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user, then bind to the parent (a change of user would undo it), then execute."""
    order = json.loads(sys.argv[1])
    if order["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    if order["account"]:
        uid, gid, groups = order["account"]
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, order["parent_died"], 0, 0, 0)
    if os.getppid() != order["parent"]:
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a shell is what it does without


main()
