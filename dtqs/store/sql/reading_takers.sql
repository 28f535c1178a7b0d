-- Metrics: the workers that take tasks from each queue, busy ones included, with a heartbeat in time. A worker of code
-- older than version 10 does not name its queues, and counts under null.
SELECT taken.queue, count(*)
FROM workers worker
CROSS JOIN LATERAL unnest(coalesce(worker.queues, ARRAY[NULL::text])) AS taken (queue)
WHERE worker.dead_at IS NULL
    AND worker.state IN ('ready', 'busy')
    AND worker.heartbeat_at >= now() - %(late)s * interval '1 s'
GROUP BY taken.queue
