-- Readings: of the log since a time, five minutes ago at most, how long the tasks waited and ran that completed last, and which attempts failed that will be retried.
WITH tail AS MATERIALIZED (
    SELECT id, task_id, event, level, at, message FROM logs
    WHERE at >= greatest(to_timestamp(%(since)s::float8), now() - interval '5 min') AND at < now() + interval '1 day' AND (event = 'completed' OR event = 'pending' AND level = 'warning')
),
done AS MATERIALIZED (
    SELECT extract(epoch FROM t.started_at - greatest(t.created_at, t.due_at)) AS wait, extract(epoch FROM t.finished_at - t.started_at) AS run, t.attempts
    FROM (SELECT task_id FROM tail WHERE event = 'completed' ORDER BY id DESC LIMIT %(completed)s) c JOIN tasks t ON t.id = c.task_id
),
retrying AS MATERIALIZED (
    SELECT t.id::text AS task_id, t.task_type, {utc r.at} AS at, r.message
    FROM (SELECT id, task_id, at, message FROM tail WHERE event = 'pending' ORDER BY id DESC LIMIT %(limit)s) r
    JOIN tasks t ON t.id = r.task_id WHERE t.outcome IS NULL ORDER BY r.id DESC
)
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait) FILTER (WHERE attempts = 1), percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY run),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(task_id, task_type, 'pending', at, message)), '[]') FROM retrying)
FROM done
