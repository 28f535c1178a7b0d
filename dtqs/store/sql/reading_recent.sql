-- Readings, from the log since a time, at most five minutes ago: how long the tasks waited and ran that completed last,
-- and the failed attempts that will be retried.
WITH tail AS MATERIALIZED (
    SELECT id, task_id, event, level, at, message
    FROM logs
    WHERE at >= greatest(to_timestamp(%(since)s::float8), now() - interval '5 min')
        AND at < now() + interval '1 day'
        AND (event = 'completed' OR event = 'pending' AND level = 'warning')
),
done AS MATERIALIZED (
    SELECT
        extract(epoch FROM task.started_at - greatest(task.created_at, task.due_at)) AS wait,
        extract(epoch FROM task.finished_at - task.started_at) AS run,
        task.attempts
    FROM (
        SELECT task_id
        FROM tail
        WHERE event = 'completed'
        ORDER BY id DESC
        LIMIT %(completed)s
    ) completed
    JOIN tasks task ON task.id = completed.task_id
),
retrying AS MATERIALIZED (
    SELECT task.id::text AS task_id, task.task_type, {utc failed.at} AS at, failed.message
    FROM (
        SELECT id, task_id, at, message
        FROM tail
        WHERE event = 'pending'
        ORDER BY id DESC
        LIMIT %(limit)s
    ) failed
    JOIN tasks task ON task.id = failed.task_id
    WHERE task.outcome IS NULL
    ORDER BY failed.id DESC
)
SELECT
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait) FILTER (WHERE attempts = 1),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY run),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(task_id, task_type, 'pending', at, message)), '[]') FROM retrying)
FROM done
