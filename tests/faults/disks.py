"""Small disks, to be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .support import lacking


class SmallDisk:
    """A file system in memory, of a size that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: str) -> None:
        """Give it another size, such as `64m`."""
        subprocess.check_call(("mount", "-o", f"remount,size={size}", str(self.folder)))


@contextmanager
def small_disk(
    folder: Path, size: str, owner: int = 0, *, mode: int = 0o700
) -> Iterator[SmallDisk]:
    """Mount a disk of a size over a folder, which must be there, for a user."""
    options = f"size={size},mode={mode:o},uid={owner}"
    mount = ("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        lacking("no right to mount a small disk")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.check_call(("umount", "-l", str(folder)))
