"""Settings of a `Database`, from arguments or from the environment."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Tls: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

_SCHEMES = ("postgresql://", "postgres://", "postgresql+asyncpg://")
_USER_PASSWORD = re.compile(r"(//[^:@/?]*):.*@", re.DOTALL)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(:\d*)?")
_OPTION = re.compile(r"([?&;])([^=&;]*)=([^&;]*)")
_LAST_PORT = 65535


def without_password(url: str) -> str:
    """Return `url` with its passwords replaced by `***`."""
    return _USER_PASSWORD.sub(r"\1:***@", _OPTION.sub(_hidden, url))


def with_database(url: str, name: str) -> str:
    """Return `url` with another database's name, percent-encoded where it needs that."""
    parts = urlsplit(url)  # which urlunsplit would put together without `//` where no host is named
    options = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{options}"


def _hidden(option: re.Match[str]) -> str:
    mark, name, value = option.groups()
    return f"{mark}{name}={'***' if 'pass' in unquote(name).lower() else value}"


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and int((found[2] or ":0")[1:] or 0) <= _LAST_PORT


def _is_sound(url: str) -> bool:
    """Tell whether the hosts can be told from the rest: a driver would show what it misreads."""
    place = url.partition("//")[2].partition("?")[0]
    authority, _, database = place.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    return (
        "@" not in credentials
        and not set("[]") & set(credentials)
        and "@" not in database
        and "#" not in url
        and all(map(_is_host, hosts.split(",")))
    )


def _without_input(error: ValidationError) -> ValidationError:
    """Return the error without what was given: a URL has a password in it."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return ValidationError.from_exception_data(
        error.title,
        [
            InitErrorDetails(
                type=PydanticCustomError("wrong_setting", "{text}", {"text": detail["msg"]}),
                loc=detail["loc"],
                input=None,
            )
            for detail in details
        ],
        hide_input=True,
    )


def _names(field: str) -> AliasChoices:
    return AliasChoices(f"DATABASE_{field.upper()}", f"DB_{field.upper()}")


def is_given_in_parts() -> bool:
    """Tell whether the environment names a host, for those who have no URL."""
    return any(os.environ.get(str(name)) for name in _names("host").choices)


def _quoted(text: str) -> str:
    return quote(text, safe="")


class DatabaseConfig(BaseSettings):
    """How to reach PostgreSQL, and the limits to keep there.

    Each field is also read from the environment: `DATABASE_URL`, `DATABASE_MIN_CONNECTIONS`,
    and so on; host, port, database, user and password also from `DB_HOST` and so on. A URL in the
    environment wins over parts there, and an argument over both. A wrong value raises
    `pydantic.ValidationError`, which names the field. The password is in no repr and no error.
    All limits are in seconds.

    Attributes:
        url: `postgresql://user:password@host:port/database`; several hosts as
            `host1:port1,host2:port2`, with `?target_session_attrs=read-write` for the primary.
        host: with the next four, instead of a URL.
        port: where the server listens.
        database: the database's name.
        user: who connects.
        password: the user's password.
        min_connections: connections opened at start and kept, 0 or more.
        max_connections: connections at most, 1 or more.
        command_timeout: limit of one statement; the server's own limit is just below it.
        application_name: what the server calls this client.
        connect_timeout: limit of opening a connection; at start, of waiting for the server.
        acquire_timeout: limit of waiting for a free connection.
        lock_timeout: limit of waiting for another transaction's lock.
        idle_in_transaction_timeout: how long a transaction block may run no statement.
        max_lifetime: how old a connection gets.
        max_idle: how long a connection beyond `min_connections` is kept unused.
        future_skew: how far in the future a written Unix time may lie, in whole seconds by
            the database's clock.
        pooler: "transaction" or "session" where PgBouncer or the like is in between.
        direct_url: a way past the pooler, for `listen`, `singleton`, `migrate` and `grant`.
        tls: "disable", "prefer", "require", "verify-ca" or "verify-full", or an `ssl.SSLContext`;
            else as the URL says.
        schema_name: the PostgreSQL schema of the production tables, where it is not `public`.
        migrate_on_start: bring the schema forward when the database is opened.
        verify_schema: refuse to open a database whose schema is not as it should be.
        slow_query_seconds: log statements that take longer; None logs none.
    """

    model_config = SettingsConfigDict(
        env_prefix="DATABASE_",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
        arbitrary_types_allowed=True,
    )

    if not TYPE_CHECKING:  # editors take the signature from the fields

        def __init__(self, **values: Any) -> None:  # noqa: ANN401 - checked by Pydantic
            if values.get("host") is not None:
                values.setdefault("url", "")  # an argument wins over DATABASE_URL
            refused = None
            try:
                super().__init__(**values)
            except ValidationError as error:
                refused = _without_input(error)
            if refused is not None:  # raised here, it has no context with the input in it
                raise refused

    url: str = Field(default="", repr=False)
    host: str | None = Field(default=None, validation_alias=_names("host"))
    port: int = Field(default=5432, ge=1, le=65535, validation_alias=_names("port"))
    database: str | None = Field(default=None, validation_alias=_names("database"))
    user: str | None = Field(default=None, validation_alias=_names("user"))
    password: SecretStr | None = Field(default=None, validation_alias=_names("password"))
    min_connections: int = Field(default=2, ge=0)
    max_connections: int = Field(default=10, ge=1)
    command_timeout: Seconds = 60.0
    application_name: str = Field(default="polymarket-bot-storage", max_length=63)
    connect_timeout: Seconds = 10.0
    acquire_timeout: Seconds = 10.0
    lock_timeout: Seconds = 5.0
    idle_in_transaction_timeout: Seconds = 60.0
    max_lifetime: Seconds = 3600.0
    max_idle: Seconds = 600.0
    future_skew: int = Field(default=300, ge=0)
    pooler: Literal["session", "transaction"] | None = None
    direct_url: str | None = Field(default=None, repr=False)
    tls: Tls | ssl.SSLContext | None = None
    schema_name: str | None = Field(default=None, min_length=1)
    migrate_on_start: bool = False
    verify_schema: bool = False
    slow_query_seconds: Seconds | None = None

    @field_validator("url", "direct_url")
    @classmethod
    def _understood(cls, url: str | None) -> str | None:
        if not url:
            return url
        if not url.startswith(_SCHEMES):
            raise ValueError("expected postgresql://user:password@host:port/database")
        if not _is_sound(url):
            raise ValueError(
                "expected user:password@host:port after the //; in user and password "
                "the characters @ : / ? # [ ] are percent-encoded"
            )
        return url.replace("postgresql+asyncpg://", "postgresql://", 1)

    @model_validator(mode="after")
    def _consistent(self) -> DatabaseConfig:
        if not self.url and self.host is None:
            raise ValueError(
                "url: no database given: pass url= or host=, or set DATABASE_URL or DB_HOST"
            )
        if self.min_connections > self.max_connections:
            raise ValueError(
                f"min_connections ({self.min_connections}) is above "
                f"max_connections ({self.max_connections})"
            )
        if self.schema_name is not None and self.pooler == "transaction":
            raise ValueError(
                "schema_name needs a setting of the session, which a transaction pooler does not "
                "keep: set it for the role, ALTER ROLE … SET search_path = …"
            )
        return self

    @property
    def dsn(self) -> str:
        """The URL, or one made of the parts; with the password in it."""
        if self.url:
            return self.url
        secret = "" if self.password is None else f":{_quoted(self.password.get_secret_value())}"
        user = "" if self.user is None else f"{_quoted(self.user)}{secret}@"
        name = "" if self.database is None else f"/{_quoted(self.database)}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host or ""
        if host.startswith("/"):
            return f"postgresql://{user}{name or '/'}?host={_quoted(host)}&port={self.port}"
        return f"postgresql://{user}{host}:{self.port}{name}"

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name in ("url", "direct_url"):
            if value := getattr(self, name):
                yield name, without_password(value)
        yield from super().__repr_args__()


def as_it_is(config: DatabaseConfig) -> DatabaseConfig:
    """Return the settings to open a database with that is neither migrated nor verified first."""
    return config.model_copy(update={"migrate_on_start": False, "verify_schema": False})
