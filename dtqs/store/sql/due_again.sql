-- A keeper, after the database's clock stepped back: one batch of the backlog in the order of ids. Rows that were due
-- before the step (`until`) stay due and are published now. Due rows that were put far out are published no later than
-- without the step. Without `published_at` the relay publishes them: the last hint may have come before its task was
-- due again. It waits for no lock, and tells whether it has left out rows: sessions have locked or deleted them.
WITH seen AS MATERIALIZED (
    SELECT
        task_id,
        due_at <= to_timestamp(%(until)s)
            AND greatest(due_at, publish_at - %(far_out)s * interval '1 s') > now() AS late
    FROM backlog
    WHERE task_id > %(after)s::uuid AND task_id <= %(last)s::uuid
    ORDER BY task_id
    LIMIT %(limit)s
),
locked AS MATERIALIZED (
    SELECT waiting.task_id
    FROM backlog waiting
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM seen WHERE late))
    ORDER BY waiting.task_id
    FOR UPDATE OF waiting SKIP LOCKED
),
updated AS (
    UPDATE backlog waiting SET
        due_at = least(waiting.due_at, now()),
        published_at = NULL,
        publish_at = CASE
            WHEN waiting.due_at > now() THEN now()
            ELSE least(waiting.publish_at, now() + %(far_out)s * interval '1 s') END
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
    RETURNING 1
)
SELECT
    (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1),
    (SELECT count(*) FROM updated),
    (SELECT count(*) FROM seen WHERE late) > (SELECT count(*) FROM locked)
