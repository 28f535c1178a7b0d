-- Readings: the workers that are not marked dead, and their number. Each has the last progress of its task, if that is
-- among the last rows of the task's log.
SELECT
    worker.id::text, worker.node_name, worker.pool, worker.slot, worker.pid, worker.state,
    worker.task_id::text, worker.task_type, extract(epoch FROM now() - worker.task_started_at)::float8, progress.data,
    worker.memory_bytes, worker.completed, worker.failed, extract(epoch FROM now() - worker.heartbeat_at)::float8,
    worker.task_types, worker.queues, worker.living
FROM (
    SELECT *, count(*) OVER () AS living
    FROM workers
    WHERE dead_at IS NULL
    ORDER BY id DESC
    LIMIT %(limit)s
) worker
LEFT JOIN LATERAL (
    SELECT last_rows.data
    FROM (
        SELECT log.id, log.event, log.data
        FROM logs log
        WHERE log.task_id = worker.task_id
            AND log.at >= worker.task_started_at - interval '1 min'
            AND log.at < now() + interval '1 day'
        ORDER BY log.id DESC
        LIMIT %(look)s
    ) last_rows
    WHERE last_rows.event = 'progress'
    ORDER BY last_rows.id DESC
    LIMIT 1
) progress ON true
ORDER BY worker.node_name, worker.pool, worker.slot, worker.id
