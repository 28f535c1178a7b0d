-- A cancel, second of two statements of one transaction. Its snapshot sees the new backlog row of a retry. It ends the
-- tasks in the backlog, and leaves a request on those that run.
WITH locked AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[])
    ORDER BY task_id
    FOR UPDATE
),
removed AS (
    DELETE FROM backlog waiting
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
    RETURNING waiting.task_id
),
cancelled AS (
    UPDATE tasks task SET
        cancel_requested_at = coalesce(task.cancel_requested_at, now()),
        outcome = CASE WHEN removed.task_id IS NOT NULL THEN 'cancelled' END,
        finished_at = CASE WHEN removed.task_id IS NOT NULL THEN now() END
    FROM unnest(%(ids)s::text::uuid[]) wanted
    LEFT JOIN removed ON removed.task_id = wanted
    WHERE task.id = wanted AND task.id = ANY (%(ids)s::text::uuid[]) AND task.outcome IS NULL
    RETURNING task.id, task.task_type, task.outcome, task.attempts
),
failed AS (
    INSERT INTO failures (task_id, task_type, outcome)
    SELECT id, task_type, outcome
    FROM cancelled
    WHERE outcome IS NOT NULL
),
logged AS (
    INSERT INTO logs (task_id, event, attempt, level, message)
    SELECT id, 'cancelled', attempts, 'info', 'cancelled before it ran'
    FROM cancelled
    WHERE outcome IS NOT NULL
    RETURNING id, task_id
)
SELECT logged.id, cancelled.id::text, cancelled.outcome
FROM cancelled
LEFT JOIN logged ON logged.task_id = cancelled.id
