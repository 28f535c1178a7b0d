-- A keeper: delete expired tasks, a bounded walk from a mark on.
WITH seen AS MATERIALIZED (
    SELECT id, outcome IS NOT NULL AND finished_at < now() - %(days)s * interval '1 day' AS old
    FROM tasks
    WHERE id > %(after)s::uuid AND id < %(before)s::uuid
    ORDER BY id
    LIMIT %(limit)s
),
deleted AS (
    DELETE FROM tasks
    USING seen
    WHERE tasks.id = seen.id AND seen.old AND tasks.outcome IS NOT NULL
    RETURNING tasks.id
),
deleted_failures AS (
    DELETE FROM failures
    USING deleted
    WHERE failures.task_id = deleted.id
)
SELECT
    (SELECT id::text FROM seen ORDER BY id DESC LIMIT 1),
    (SELECT count(*) FROM deleted)
