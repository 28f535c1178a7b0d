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
    WHERE id = ANY (ARRAY(SELECT id FROM seen WHERE old)) AND outcome IS NOT NULL
    RETURNING id
),
deleted_failures AS (
    DELETE FROM failures
    WHERE task_id = ANY (ARRAY(SELECT id FROM deleted))
)
SELECT
    (SELECT id::text FROM seen ORDER BY id DESC LIMIT 1),
    (SELECT count(*) FROM deleted)
