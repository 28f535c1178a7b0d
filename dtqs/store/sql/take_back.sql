-- The second statement, with a snapshot that sees what the claim in flight has just committed: end the dead worker's leases; their tasks go on. The
-- culprit (all of them when it is not known, none when it is known that nothing ran) has spent its attempt.
WITH gone AS MATERIALIZED (
    SELECT l.id FROM leases l JOIN workers w ON w.id = l.worker_id WHERE l.worker_id = %(worker_id)s::uuid AND w.dead_at IS NOT NULL ORDER BY l.id FOR UPDATE OF l
),
mine AS MATERIALIZED (DELETE FROM leases l USING gone WHERE l.id = gone.id RETURNING l.worker_id, l.started_at, l.task_ids, l.effect),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, u.id,
        CASE WHEN mine.effect = 'fail' THEN 'failed' WHEN NOT %(idle)s AND (%(culprit)s::uuid IS NULL OR u.id = %(culprit)s::uuid) THEN 'retry' ELSE 'unspent' END AS kind,
        CASE WHEN mine.effect = 'fail'
            THEN (SELECT replace(%(unknown)s, '[processor:TYPE]', '[processor:' || t.task_type || ']') FROM tasks t WHERE t.id = u.id)
            ELSE %(error)s END AS value, 0::float8 AS delay
    FROM mine CROSS JOIN unnest(mine.task_ids) u(id) ORDER BY u.id
),
{settle}
