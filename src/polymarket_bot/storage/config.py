"""Settings of a `Database`, from arguments or from the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SCHEMES = ("postgresql://", "postgres://", "postgresql+asyncpg://")
_USER_PASSWORD = re.compile(r"(//[^:@/?]*):.*@", re.DOTALL)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(:\d*)?")
_QUERY_PASSWORD = re.compile(r"([?&](?:ssl)?password=)[^&]*")


def without_password(url: str) -> str:
    """Return `url` with its passwords replaced by `***`."""
    return _QUERY_PASSWORD.sub(r"\1***", _USER_PASSWORD.sub(r"\1:***@", url))


def _is_sound(url: str) -> bool:
    """Tell whether the hosts can be told from the rest: a driver would show what it misreads."""
    place = url.partition("//")[2].partition("?")[0]
    authority, _, database = place.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    return (
        "@" not in credentials
        and "@" not in database
        and "#" not in url
        and all(_HOST.fullmatch(host) for host in hosts.split(","))
    )


class DatabaseConfig(BaseSettings):
    """How to reach PostgreSQL, and the limits to keep there.

    Each field is also read from the environment: `DATABASE_URL`, `DATABASE_MIN_CONNECTIONS`,
    and so on; an argument wins. A wrong value raises `pydantic.ValidationError`, which names
    the field. The password is in no repr and no error.

    Attributes:
        url: `postgresql://user:password@host:port/database`.
        min_connections: connections opened at start and kept, 0 or more.
        max_connections: connections at most, 1 or more.
        command_timeout: limit of one statement in seconds.
        future_skew: how far in the future a written Unix time may lie, in whole seconds by
            the database's clock.
    """

    model_config = SettingsConfigDict(
        env_prefix="DATABASE_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    url: str = Field(default="", validate_default=True)
    min_connections: int = Field(default=2, ge=0)
    max_connections: int = Field(default=10, ge=1)
    command_timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    future_skew: int = Field(default=300, ge=0)

    @field_validator("url")
    @classmethod
    def _understood(cls, url: str) -> str:
        if not url:
            raise ValueError("no database given: pass url=… or set DATABASE_URL")
        if not url.startswith(_SCHEMES):
            raise ValueError("expected postgresql://user:password@host:port/database")
        if not _is_sound(url):
            raise ValueError(
                "expected user:password@host:port after the //; in user and password "
                "the characters @ : / ? # [ ] are percent-encoded"
            )
        return url.replace("postgresql+asyncpg://", "postgresql://", 1)

    @model_validator(mode="after")
    def _ordered(self) -> DatabaseConfig:
        if self.min_connections > self.max_connections:
            raise ValueError(
                f"min_connections ({self.min_connections}) is above "
                f"max_connections ({self.max_connections})"
            )
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_password(value) if name == "url" else value
