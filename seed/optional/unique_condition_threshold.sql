-- One first trigger per condition and threshold, held by the database itself.
--
-- Optional, and never applied by `polymarket-storage migrate`:
--     psql -v ON_ERROR_STOP=1 -f seed/optional/unique_condition_threshold.sql "$DATABASE_URL"
--
-- `TriggerRepository` needs no such index. It is for databases that others write to as well: an
-- INSERT of theirs for a second token of a condition at the same threshold then fails with
-- SQLSTATE 23505, also one with ON CONFLICT (token_id, threshold) DO NOTHING, which they may not
-- be written to meet; one with ON CONFLICT DO NOTHING stores nothing and fails not. That begins
-- while the index is built. Rows without a condition are left alone. To take it back:
--     DROP INDEX CONCURRENTLY uq_first_triggers_condition_threshold;

-- A build that was interrupted, or that met a duplicate, left an index that serves no query and
-- may refuse rows all the same.
SELECT 'DROP INDEX CONCURRENTLY uq_first_triggers_condition_threshold'
FROM pg_index
WHERE indexrelid = to_regclass('uq_first_triggers_condition_threshold') AND NOT indisvalid
\gexec

-- Duplicates that are there already forbid the index: they are named, and none is built.
DO $$
DECLARE
    named text;
    total bigint;
BEGIN
    SELECT string_agg(line, E'\n' ORDER BY place) FILTER (WHERE place <= 20), count(*)
    INTO named, total
    FROM (
        SELECT format('condition %s, threshold %s: tokens %s', condition_id, threshold,
                      string_agg(token_id, ', ' ORDER BY trigger_timestamp, token_id)) AS line,
               row_number() OVER (ORDER BY condition_id, threshold) AS place
        FROM polymarket_first_triggers
        WHERE condition_id <> ''
        GROUP BY condition_id, threshold HAVING count(*) > 1
    ) AS duplicates;
    IF total > 20 THEN
        named := named || format(E'\nand %s more', total - 20);
    END IF;
    IF total > 0 THEN
        RAISE EXCEPTION 'more than one first trigger per condition and threshold: % of them', total
            USING ERRCODE = 'unique_violation', DETAIL = named,
                  HINT = 'Leave the condition on one row of each, the first named being the '
                         'earliest, delete the others or set their condition_id to NULL, and run '
                         'this file again.';
    END IF;
END
$$;

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_first_triggers_condition_threshold
    ON polymarket_first_triggers (condition_id, threshold) WHERE condition_id <> '';
