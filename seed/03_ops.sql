-- Schema ops: what the guarantees on production's tables rest on. Those stay as they are.

CREATE SCHEMA IF NOT EXISTS ops;

-- Which of these files were applied: one row each, with the SHA-256 of the file. A duration is
-- in seconds, 0 for a file whose work was found done.
CREATE TABLE IF NOT EXISTS ops.schema_version (
    version     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    checksum    TEXT NOT NULL,
    applied_at  TIMESTAMPTZ NOT NULL,
    duration    DOUBLE PRECISION NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (version)
);

-- Trades that arrived at or behind their condition's watermark, to be handed over once.
CREATE TABLE IF NOT EXISTS ops.late_trades (
    condition_id TEXT NOT NULL,
    trade_id     TEXT NOT NULL,
    arrived_at   TIMESTAMPTZ NOT NULL,
    handled_at   TIMESTAMPTZ,
    PRIMARY KEY (condition_id, trade_id)
);

CREATE INDEX IF NOT EXISTS idx_late_trades_unhandled
    ON ops.late_trades (condition_id) WHERE handled_at IS NULL;

-- Who holds what until when; the fencing number grows with each holder.
CREATE TABLE IF NOT EXISTS ops.leases (
    name    TEXT NOT NULL,
    owner   TEXT NOT NULL,
    until   TIMESTAMPTZ NOT NULL,
    fencing BIGINT NOT NULL,
    PRIMARY KEY (name)
);
