-- The keeper: tasks whose outcome is past its time, a bounded walk from a mark on.
WITH seen AS MATERIALIZED (SELECT id, outcome IS NOT NULL AND finished_at < now() - %(days)s * interval '1 day' AS old FROM tasks
    WHERE id > %(after)s::uuid AND id < %(before)s::uuid ORDER BY id LIMIT %(limit)s),
t AS (DELETE FROM tasks USING seen WHERE tasks.id = seen.id AND seen.old AND tasks.outcome IS NOT NULL RETURNING tasks.id),
e AS (DELETE FROM failures USING t WHERE failures.task_id = t.id)
SELECT (SELECT id::text FROM seen ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM t)
