-- The audit: rows of a batch of the backlog that belong to no task.
WITH seen AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id > %(after)s::uuid
    ORDER BY task_id
    LIMIT %(limit)s
)
SELECT
    (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1),
    (SELECT count(*) FROM seen),
    ARRAY(
        SELECT stray.task_id::text
        FROM seen stray
        WHERE NOT EXISTS (SELECT 1 FROM tasks task WHERE task.id = stray.task_id)
        ORDER BY stray.task_id
    )
