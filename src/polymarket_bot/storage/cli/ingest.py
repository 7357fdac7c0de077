"""`ingest`: trade files into the database, what is refused into a rejects file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from polymarket_bot.storage.cli.output import Advance, note, print_json, print_table, progress
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.errors import ConfigurationError, StorageError
from polymarket_bot.storage.files import Record, records_of
from polymarket_bot.storage.ingest import IngestReport, Refusal
from polymarket_bot.storage.repositories.trade_repo import TradeRepository

COUNTS = ("read", "inserted", "duplicates", "late", "skipped", "refused")
_BATCH, _BATCH_CHARACTERS = 10_000, 1 << 24  # whichever is reached first


class Rejects:
    """A file of refused records, one JSON object a line; made with the first of them.

    Args:
        path: the file, which must not be there yet; else one in the current folder that no
            other run writes to.

    Raises:
        ConfigurationError: the file is there already.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None and path.exists():
            raise ConfigurationError(
                f"--rejects: {path} is there already", remedy="name a file that is not"
            )
        self.path = path or Path(f"rejects-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.jsonl")
        self._file: IO[str] | None = None

    def write(self, source: Path, line: int, reason: str, record: object) -> None:
        """Write one refused record.

        Raises:
            StorageError: there is no room for it, say; the file is no longer there then.
        """
        if self._file is None:
            self._file = open(self.path, "x", encoding="utf-8", opener=_private)  # noqa: SIM115 - Path.open has no opener
        entry = {"file": str(source), "line": line, "reason": reason, "record": _text(record)}
        with self._whole(self._file):
            self._file.write(json.dumps(entry) + "\n")

    def close(self) -> bool:
        """Close the file and tell whether anything was refused.

        Raises:
            StorageError: as `write`.
        """
        if self._file is None:
            return False
        with self._whole(self._file):
            self._file.close()
        return True

    @contextmanager
    def _whole(self, file: IO[str]) -> Iterator[None]:
        """Remove a file that could not be written: half of it would pass for all."""
        try:
            yield
        except OSError as error:
            self._file = None
            with suppress(OSError):
                file.close()
            self.path.unlink(missing_ok=True)
            raise StorageError(
                f"the rejects file {self.path} cannot be written, and was removed: "
                f"{error.strerror}",
                remedy="make room for it and run the command again, which stores nothing twice",
            ) from error


async def ingest_files(
    files: Sequence[Path],
    rejects_path: Path | None,
    *,
    url: str | None,
    data_dir: Path,
    as_json: bool,
) -> int:
    """Ingest files one after another, print the counts, and return the exit status."""
    rejects = Rejects(rejects_path)
    rows: list[tuple[Path, IngestReport]] = []
    try:
        async with open_database(url, data_dir) as db:
            trades = TradeRepository(db)
            for file in files:
                with progress(file.name, file.stat().st_size) as advance:
                    rows.append((file, await ingest_file(trades, file, rejects, advance)))
    finally:
        if rejects.close():
            note(f"refused records are in {rejects.path}")
    total = sum((report for _, report in rows), IngestReport())
    _print_counts(rows, total, as_json=as_json)
    return 1 if total.refused else 0


async def ingest_file(
    trades: TradeRepository, path: Path, rejects: Rejects, advance: Advance
) -> IngestReport:
    """Ingest one file in batches; refused lines go to `rejects` with their numbers."""
    total = IngestReport()
    with path.open("rb") as source:
        for batch in _batches(records_of(source)):
            total += await ingest_records(trades, path, batch, rejects)
            advance(source.tell() if source.seekable() else 0, total.read)
    return total


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Cut records into batches that take little memory, however long each of them is."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        text = record.payload
        size += sum(map(len, text.values())) if isinstance(text, dict) else len(text)
        if len(batch) == _BATCH or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def ingest_records(
    trades: TradeRepository, path: Path, batch: Sequence[Record], rejects: Rejects
) -> IngestReport:
    """Ingest records of a file; what could not be read is refused like what is no trade."""
    good = [record for record in batch if record.problem is None]
    for record in batch:
        if record.problem is not None:
            rejects.write(path, record.line, record.problem, record.payload)

    def reject(refusal: Refusal) -> None:
        rejects.write(path, good[refusal.position].line, refusal.reason, refusal.record)

    unread = IngestReport(read=len(batch) - len(good), refused=len(batch) - len(good))
    report = await trades.ingest((r.payload for r in good), on_refusal=reject)
    return unread + replace(report, refusals=[])  # those are written down


def counts(report: IngestReport) -> dict[str, int]:
    """Return the counts of a report, without the refused records."""
    return {name: getattr(report, name) for name in COUNTS}


def _print_counts(
    rows: Sequence[tuple[Path, IngestReport]], total: IngestReport, *, as_json: bool
) -> None:
    if as_json:
        files = [{"file": str(path), **counts(report)} for path, report in rows]
        print_json({"files": files, "total": counts(total)})
        return
    body: list[list[Any]] = [[path.name, *counts(report).values()] for path, report in rows]
    if len(body) > 1:
        body.append(["total", *counts(total).values()])
    print_table("Ingested", ["file", *COUNTS], body)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _text(record: object) -> str:
    if isinstance(record, bytes):
        return record.decode(errors="backslashreplace")
    return record if isinstance(record, str) else json.dumps(record, default=str)
