-- A process that must refill a queue of the broker takes that work, if no other process does it. All hints that were
-- published until `cut` are lost. A refill that has ended covers this loss if its own cut is later than the moment at
-- which this process missed the queue. A process that has renewed nothing for ten seconds is dead: another may take its
-- work. After a step of the clock any process may.
WITH asked AS MATERIALIZED (
    SELECT
        now() - %(cut_seconds)s * interval '1 s' AS cut,
        now() - %(missed_seconds)s * interval '1 s' AS missed_at
),
taken AS (
    INSERT INTO settings AS refill (name, value)
    SELECT 'refill ' || %(queue)s, jsonb_build_object('by', %(process_id)s::text, 'cut', cut::text, 'ended', false)
    FROM asked
    ON CONFLICT (name) DO UPDATE
    SET value = excluded.value, updated_at = now()
    WHERE CASE WHEN (refill.value ->> 'ended')::boolean
        THEN (refill.value ->> 'cut')::timestamptz NOT BETWEEN (SELECT missed_at FROM asked) AND now()
        ELSE refill.value ->> 'by' = %(process_id)s::text
            OR now() NOT BETWEEN refill.updated_at - interval '10 s' AND refill.updated_at + interval '10 s'
        END
    RETURNING value ->> 'cut'
)
SELECT
    (TABLE taken),
    EXISTS (
        SELECT 1
        FROM settings, asked
        WHERE name = 'refill ' || %(queue)s
            AND (value ->> 'ended')::boolean
            AND (value ->> 'cut')::timestamptz BETWEEN missed_at AND now()
    )
