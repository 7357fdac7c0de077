"""The embedded database written into a file, by PostgreSQL's own program."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polymarket_bot.storage.embedded.binaries import binaries_for
from polymarket_bot.storage.embedded.keeper.processes import child_options
from polymarket_bot.storage.embedded.keeper.protocol import try_lock
from polymarket_bot.storage.embedded.layout import data_files
from polymarket_bot.storage.embedded.server import EmbeddedPostgres
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = ".polymarket-dump-"
_MOST_SAID = 2000
_logger = logging.getLogger("polymarket_bot.storage.embedded")


async def dump(data_dir: Path, file: Path, *, overwrite: bool = False) -> int:
    """Write the database of a data folder into a file, which is there whole or not at all.

    It has the rows of one instant, whoever writes meanwhile. The server is started if it does
    not run. Only this user can read the file.

    Args:
        data_dir: the folder of the embedded server.
        file: where to; PostgreSQL's custom format, compressed.
        overwrite: take the place of a file that is there.

    Returns:
        The size of the file in bytes.

    Raises:
        EmbeddedServerError: there are no data, the file is there already or cannot be written,
            the server cannot be started, or pg_dump failed.
    """
    _refuse_without_data(data_dir)
    _refuse_existing(file, overwrite=overwrite)
    with _understandable_errors(file), _part_beside(file) as part:
        async with EmbeddedPostgres(data_dir) as server:
            # By its name: pg_dump appends to its standard output, and the format goes back.
            options = ("--format=custom", f"--file={part.path}", "--no-password")
            await run_tool("pg_dump", *options, f"--dbname={server.url}")
        return part.publish(file, overwrite=overwrite)


async def run_tool(name: str, *arguments: str, source: int = subprocess.DEVNULL) -> None:
    """Run one of PostgreSQL's programs to its end; it never outlives this call or this process.

    Args:
        name: the program.
        arguments: its arguments.
        source: the descriptor of its standard input.

    Raises:
        EmbeddedServerError: it failed; says what it has said.
    """
    process = await _started(name, arguments, source)
    try:
        _, written = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    said = written.decode(errors="replace").strip()[:_MOST_SAID]
    if process.returncode != 0:
        raise EmbeddedServerError(f"{name} ended with status {process.returncode}: {said}")
    if said:
        _logger.warning("%s", said)


async def _started(
    name: str, arguments: tuple[str, ...], source: int
) -> asyncio.subprocess.Process:
    program = binaries_for(None) / name
    try:
        return await asyncio.create_subprocess_exec(
            str(program),
            *arguments,
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the command, which ends its children itself
            **child_options(None, signal.SIGKILL),
        )
    except OSError as error:
        raise EmbeddedServerError(
            f"{program} cannot be run: {error}",
            remedy="pip install --force-reinstall 'polymarket-bot-storage[embedded]'",
        ) from error


@dataclass(frozen=True)
class _Part:
    """A file that is being written, under a name that nobody looks for."""

    path: Path
    descriptor: int

    def publish(self, file: Path, *, overwrite: bool) -> int:
        """Give it its name when all of it is on the disk, and return its size in bytes."""
        os.fsync(self.descriptor)
        if overwrite:
            self.path.replace(file)
        else:
            self._link(file)
        folder = os.open(file.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return os.fstat(self.descriptor).st_size

    def _link(self, file: Path) -> None:
        """Give it a name that nothing has: a rename would take the place of what has come."""
        try:
            file.hardlink_to(self.path)
        except FileExistsError:
            _refuse_existing(file, overwrite=False)
            raise
        except OSError:  # a file system without links
            _refuse_existing(file, overwrite=False)
            self.path.rename(file)


@contextmanager
def _part_beside(file: Path) -> Iterator[_Part]:
    folder = file.absolute().parent
    _discard_parts(folder)
    part = _new_part(folder)
    try:
        yield part
    finally:
        part.path.unlink(missing_ok=True)
        os.close(part.descriptor)


def _new_part(folder: Path) -> _Part:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_PART, dir=folder)  # for this user only
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if (path := Path(name)).exists():
            return _Part(path, descriptor)
        os.close(descriptor)  # another dump took it for left over before it was locked


def _discard_parts(folder: Path) -> None:
    """Remove what killed dumps have left; that of a dump under way is locked."""
    for path in folder.glob(f"{_PART}*"):
        with contextlib.suppress(OSError):  # it may be gone
            own = path.lstat().st_uid == os.geteuid()
            if own and (lock := try_lock(path)) is not None:
                path.unlink(missing_ok=True)
                os.close(lock)


def _refuse_without_data(data_dir: Path) -> None:
    if not os.path.lexists(data_files(data_dir).pgdata):
        raise EmbeddedServerError(
            f"the folder {data_dir} has no data of an embedded server",
            remedy="name its folder with --data-dir",
        )


def _refuse_existing(file: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(file):
        return
    if not overwrite:
        raise EmbeddedServerError(
            f"{file} is there already", remedy="choose another name, or overwrite it with --force"
        )
    if not file.is_file():
        raise EmbeddedServerError(f"{file} is not a file", remedy="choose another name")


@contextmanager
def _understandable_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"the dump {file} cannot be written: {error}",
            remedy="nothing was left there; choose a folder that this user can write to",
        ) from error
