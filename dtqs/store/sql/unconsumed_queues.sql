-- A keeper: the known queues that no living worker consumes, and that the routes of no living process name (a route is
-- `type = queue`, and the routes are joined by commas). A process of an older version names none.
SELECT known.queue
FROM settings
CROSS JOIN jsonb_array_elements_text(settings.value) known(queue)
WHERE settings.name = 'queues'
    AND known.queue <> 'task_queue'
    AND NOT EXISTS (
        SELECT 1
        FROM workers
        WHERE workers.dead_at IS NULL AND known.queue = ANY (workers.queues)
    )
    AND NOT EXISTS (
        SELECT 1
        FROM counters
        CROSS JOIN LATERAL string_to_table(counters.routes, ', ') route
        WHERE counters.updated_at > now() - %(age)s * interval '1 s' AND split_part(route, ' = ', 2) = known.queue
    )
ORDER BY known.queue
