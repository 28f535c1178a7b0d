-- A page of tasks with a rare tag, of any age, from the index on tags. It has no order, so all tasks with the tag
-- are read. If there are too many of them, the answer is incomplete, and the caller walks instead.
WITH tagged AS MATERIALIZED (
    SELECT id, task_type, tags, submitted_by, outcome
    FROM tasks
    WHERE tags @> ARRAY[%(tag)s::text]
    LIMIT %(most)s
),
look AS (
    SELECT count(*) < %(most)s AS is_complete
    FROM tagged
)
SELECT
    look.is_complete,
    CASE WHEN look.is_complete THEN ARRAY(
        SELECT task.id::text
        FROM tagged task
        WHERE task.id < %(after)s::uuid
            AND {matches}
            AND CASE %(status)s::text
                WHEN 'pending' THEN EXISTS (SELECT 1 FROM backlog waiting WHERE waiting.task_id = task.id)
                ELSE %(status)s::text IS NULL OR task.outcome = %(status)s
            END
        ORDER BY task.id DESC
        LIMIT %(wanted)s
    ) END
FROM look
