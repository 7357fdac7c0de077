"""Trade files into records, line by line, whatever is broken in them."""

from polymarket_bot.storage.files.reader import read_records, records_of
from polymarket_bot.storage.files.record import Record

__all__ = ["Record", "read_records", "records_of"]
