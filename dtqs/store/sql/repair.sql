-- A process makes a batch of due rows of one queue due for publishing: those of `types`, or of all other types if it is
-- not `routed`. Either the broker lost the queue (older_than is 0), or the queue has no ready message although rows
-- were published longer ago than that. Rows that were published after `cut`, if there is one, are in the queue again.
-- Without `published_at` the relay publishes each row, and lets none rest.
WITH seen AS MATERIALIZED (
    SELECT
        task_id,
        due_at <= now()
            AND publish_at > now()
            AND (task_type = ANY (%(types)s::text[])) = %(routed)s
            AND coalesce(
                published_at <= now() - %(older_than)s * interval '1 s'
                    AND published_at <= coalesce(%(cut)s::text, 'infinity')::timestamptz,
                %(older_than)s = 0
            ) AS lost
    FROM backlog
    WHERE task_id > %(after)s::uuid
    ORDER BY task_id
    LIMIT %(limit)s
),
locked AS MATERIALIZED (
    SELECT waiting.task_id
    FROM backlog waiting
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM seen WHERE lost))
    ORDER BY waiting.task_id
    FOR UPDATE OF waiting SKIP LOCKED
),
updated AS (
    UPDATE backlog waiting
    SET publish_at = now(), published_at = NULL
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
    RETURNING 1
)
SELECT
    (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1),
    (SELECT count(*) FROM updated)
