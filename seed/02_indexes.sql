-- Indexes for the queries that grow with the data; nothing else of production changes.
--
-- Each is built CONCURRENTLY, so writers go on meanwhile; that cannot run inside a transaction:
-- migrate: outside a transaction
--
-- A build that was interrupted leaves an invalid index, which IF NOT EXISTS takes for good.
-- `polymarket-storage migrate` builds such a one anew; `polymarket-storage check` names it.

-- Trades of a condition by time: fresh ones, new ones, the newest.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trades_condition_timestamp
    ON polymarket_trades (condition_id, timestamp);

-- Trades of a token by time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trades_token_timestamp
    ON polymarket_trades (token_id, timestamp);

-- All trades by time, for streams.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trades_timestamp
    ON polymarket_trades (timestamp);

-- The second key of a first trigger.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_first_triggers_condition_threshold
    ON polymarket_first_triggers (condition_id, threshold);

-- Triggers since a time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_first_triggers_timestamp
    ON polymarket_first_triggers (trigger_timestamp);

-- Candidates of a status, the pending ones oldest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_candidates_status_created
    ON polymarket_candidates (status, created_at);

-- Candidates of a token.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_candidates_token
    ON polymarket_candidates (token_id);

-- The newest trades on paper, of all decisions and of one.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_paper_trades_created
    ON paper_trades (created_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_paper_trades_decision_created
    ON paper_trades (decision, created_at);

-- The newest orders of a status, and those that are in none of the final ones.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_live_orders_status_submitted
    ON live_orders (status, submitted_at);

-- The newest positions of a status.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_positions_status_entry
    ON positions (status, entry_timestamp);

-- The newest resolutions, those without a time last.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_resolutions_resolved
    ON polymarket_resolutions (resolved_at DESC NULLS LAST);

-- Tokens of a condition.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_token_meta_condition
    ON polymarket_token_meta (condition_id);

-- The newest scores of a token, those without a time last.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_score_history_token_scored
    ON score_history (token_id, scored_at DESC NULLS LAST);

-- Scores since a time, and those old enough to go.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_score_history_scored
    ON score_history (scored_at);
