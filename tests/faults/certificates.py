"""Certificates for a server on localhost: a good one, and two that a client must not accept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """The files of one certificate."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """What `make_certificates` has made; `authority` is what clients trust."""

    authority: Path
    good: Certificate
    expired: Certificate
    foreign: Certificate
    foreign_authority: Path
    misnamed: Certificate


def make_certificates(folder: Path) -> Certificates:
    """Write certificates into a folder; all of them for localhost, but for the misnamed one."""
    own, other = trustme.CA(), trustme.CA()
    now = datetime.now(UTC)
    expired = own.issue_cert(
        *_NAMES, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
    )
    own.cert_pem.write_to_path(folder / "authority.pem")
    other.cert_pem.write_to_path(folder / "foreign_authority.pem")
    return Certificates(
        authority=folder / "authority.pem",
        good=_write(own.issue_cert(*_NAMES), folder, "good"),
        expired=_write(expired, folder, "expired"),
        foreign=_write(other.issue_cert(*_NAMES), folder, "foreign"),
        foreign_authority=folder / "foreign_authority.pem",
        misnamed=_write(own.issue_cert("elsewhere.example"), folder, "misnamed"),
    )


def _write(certificate: trustme.LeafCert, folder: Path, name: str) -> Certificate:
    files = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    certificate.private_key_pem.write_to_path(files.key)
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(files.chain, append=number > 0)
    return files
