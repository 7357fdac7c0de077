"""What the guarantees on production's tables rest on: schema `ops`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import Column, Identifier, Integer, Text


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc), Column("timestamp with time zone")]
"""A time; a naive one is UTC."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), Column("double precision")]
"""A span in seconds."""

Fencing = Annotated[int, Field(ge=1, le=2**63 - 1), Column("bigint")]
"""A number that grows with each holder."""


class SchemaVersion(StorageModel):
    """A seed file that was applied; `duration` is 0 where its work was found done."""

    version: Integer
    name: Text
    checksum: Text
    applied_at: Moment
    duration: Seconds
    description: Text


class LateTrade(StorageModel):
    """A trade that arrived at or behind its condition's watermark."""

    condition_id: Identifier
    trade_id: Identifier
    arrived_at: Moment
    handled_at: Moment | None = None


class Lease(StorageModel):
    """Who holds `name` until when, and as which of its holders: `fencing` grows with each."""

    name: Identifier
    owner: Identifier
    until: Moment
    fencing: Fencing
