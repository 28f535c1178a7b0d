-- A keeper takes the rows whose publish time has come, from its mark on, and sets their next publish time, later after
-- each unconfirmed publish. It commits before it publishes. It also learns the first row that it did not take: the
-- session that has locked it may give it up, so the mark must not pass it.
-- A row with a confirmed hint rests (it is put off again, unpublished) until the task has waited four times as long as
-- at that publish, a day at most: in a long backlog each further hint of a task only adds to the queue. Each pause
-- still ends after `far_out`, since readings look no further for due rows.
WITH locked AS MATERIALIZED (
    SELECT
        task_id,
        publish_at,
        publishes = 0
            AND published_at <= now()
            AND now() < published_at + least(3 * (published_at - due_at), interval '1 day') AS rests
    FROM backlog
    WHERE publish_at >= %(mark)s::timestamptz AND publish_at <= now()
    ORDER BY publish_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
rested AS (
    UPDATE backlog waiting
    SET publish_at = now() + %(far_out)s * interval '1 s'
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked WHERE rests))
),
taken AS (
    UPDATE backlog waiting SET
        publish_at = now() + least(%(grace)s * 2 ^ least(waiting.publishes, 20), %(far_out)s) * interval '1 s',
        publishes = least(waiting.publishes + 1, 1000),
        published_at = now()
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked WHERE rests IS NOT TRUE))
    RETURNING waiting.task_id, waiting.task_type, waiting.light, waiting.priority, waiting.publish_at
)
SELECT
    taken.task_id::text, taken.task_type, taken.light, taken.priority, taken.publish_at::text,
    left_over.publish_at::text, left_over.found
FROM (SELECT
    (
        SELECT waiting.publish_at
        FROM backlog waiting
        WHERE waiting.publish_at >= %(mark)s::timestamptz
            AND waiting.publish_at <= now()
            AND waiting.task_id NOT IN (SELECT locked.task_id FROM locked)
        ORDER BY waiting.publish_at
        LIMIT 1
    ),
    (SELECT count(*) FROM locked)
) left_over(publish_at, found)
LEFT JOIN taken ON true
