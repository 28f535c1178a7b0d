-- A worker that does not run a task's type, or a keeper that empties an old queue: the tasks get another hint later.
-- It changes only tasks of that type, since the hint that named them may be forged. It waits for each row: the hint is
-- acked afterwards, so a row that it skipped because of another session's lock would lose its only hint. Only
-- `put_off_free` leaves such rows out: its caller publishes their hints again. The relay's mark must not pass a row
-- that waited long, so the time is the one after the locks. Without `published_at` the relay lets no row rest. If no
-- living worker runs the type, the pause grows with the wait, up to `longest`. A row that is not due yet is published
-- when it is due: a claim knows it by that.
WITH locked AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[]) AND task_type = %(task_type)s
    ORDER BY task_id
    FOR UPDATE{skip}
),
longest AS MATERIALIZED (
    SELECT CASE WHEN EXISTS (
        SELECT 1
        FROM workers
        WHERE dead_at IS NULL AND %(task_type)s = ANY (task_types)
    ) THEN 0 ELSE %(longest)s END::float8 AS seconds
)
UPDATE backlog waiting
SET
    publish_at = CASE
        WHEN waiting.due_at > clock_timestamp() THEN waiting.due_at
        ELSE clock_timestamp() + greatest(
            %(seconds)s * interval '1 s',
            least((TABLE longest) * interval '1 s', (clock_timestamp() - waiting.due_at) / 2)
        ) END,
    published_at = NULL
WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
RETURNING waiting.task_id::text
