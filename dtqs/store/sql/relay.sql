-- A keeper takes the rows whose publish time has come, from its mark on, and sets their next publish time, later after
-- each publish. It commits before it publishes. It also learns the first row that it did not take: the session that has
-- locked it may give it up, so the mark must not pass it.
WITH locked AS MATERIALIZED (
    SELECT task_id, publish_at
    FROM backlog
    WHERE publish_at >= %(mark)s::timestamptz AND publish_at <= now()
    ORDER BY publish_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE backlog waiting SET
        publish_at = now() + least(%(grace)s * 2 ^ least(waiting.publishes, 20), %(far_out)s) * interval '1 s',
        publishes = least(waiting.publishes + 1, 1000),
        published_at = now()
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
    RETURNING waiting.task_id, waiting.task_type, waiting.light, waiting.priority, waiting.publish_at
)
SELECT
    taken.task_id::text, taken.task_type, taken.light, taken.priority, taken.publish_at::text,
    left_over.publish_at::text
FROM (SELECT (
    SELECT waiting.publish_at
    FROM backlog waiting
    WHERE waiting.publish_at >= %(mark)s::timestamptz
        AND waiting.publish_at <= now()
        AND waiting.task_id NOT IN (SELECT locked.task_id FROM locked)
    ORDER BY waiting.publish_at
    LIMIT 1
)) left_over(publish_at)
LEFT JOIN taken ON true
