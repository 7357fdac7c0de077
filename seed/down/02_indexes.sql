-- The indexes of 02_indexes.sql are dropped, without stopping writers.
-- migrate: outside a transaction

DROP INDEX CONCURRENTLY IF EXISTS idx_trades_condition_timestamp;
DROP INDEX CONCURRENTLY IF EXISTS idx_trades_token_timestamp;
DROP INDEX CONCURRENTLY IF EXISTS idx_trades_timestamp;
DROP INDEX CONCURRENTLY IF EXISTS idx_first_triggers_condition_threshold;
DROP INDEX CONCURRENTLY IF EXISTS idx_first_triggers_timestamp;
DROP INDEX CONCURRENTLY IF EXISTS idx_candidates_status_created;
DROP INDEX CONCURRENTLY IF EXISTS idx_candidates_token;
DROP INDEX CONCURRENTLY IF EXISTS idx_paper_trades_created;
DROP INDEX CONCURRENTLY IF EXISTS idx_paper_trades_decision_created;
DROP INDEX CONCURRENTLY IF EXISTS idx_live_orders_status_submitted;
DROP INDEX CONCURRENTLY IF EXISTS idx_positions_status_entry;
DROP INDEX CONCURRENTLY IF EXISTS idx_resolutions_resolved;
DROP INDEX CONCURRENTLY IF EXISTS idx_token_meta_condition;
DROP INDEX CONCURRENTLY IF EXISTS idx_score_history_token_scored;
DROP INDEX CONCURRENTLY IF EXISTS idx_score_history_scored;
