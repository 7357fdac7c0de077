"""Every error that the package raises, under one root, with structured fields."""

from __future__ import annotations


class StorageError(Exception):
    """Root of every error of this package.

    Args:
        message: what happened and what was expected.
        remedy: what the reader can do about it, or None where the message says it.
    """

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message} {remedy}")
        self.remedy = remedy


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server cannot be started, reached or stopped."""
