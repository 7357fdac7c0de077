"""Trade files, record by record: JSONL, JSON arrays and CSV, plain or gzip, whole or damaged."""

from polymarket_bot.storage.files.reader import read_records
from polymarket_bot.storage.files.record import Record

__all__ = ["Record", "read_records"]
