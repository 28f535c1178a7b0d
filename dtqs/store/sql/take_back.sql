-- The second statement, with a snapshot that sees what the claim in flight has just committed: end the dead worker's leases; their tasks go on. The
-- culprit (all of them when it is not known, none when it is known that nothing ran) has spent its attempt, and waits for the backoff like any retry.
-- Only the end of a worker process that died alone (blamed) counts as a death; a lost node or heartbeat says nothing of the task. After max_deaths it fails. Only a reclaim counts deaths, and our lease keeps others out: the count that this snapshot shows is the newest.
WITH gone AS MATERIALIZED (
    SELECT l.id FROM leases l JOIN workers w ON w.id = l.worker_id WHERE l.worker_id = %(worker_id)s::uuid AND w.dead_at IS NOT NULL ORDER BY l.id FOR UPDATE OF l
),
mine AS MATERIALIZED (DELETE FROM leases l USING gone WHERE l.id = gone.id RETURNING l.worker_id, l.started_at, l.task_ids, l.effect),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, u.id,
        CASE WHEN mine.effect = 'fail' THEN 'failed'
            WHEN %(idle)s OR u.id <> %(culprit)s::uuid THEN 'unspent'
            WHEN NOT %(blamed)s THEN 'retry'
            WHEN task.deaths + 1 >= %(max_deaths)s THEN 'last_death'
            ELSE 'died' END AS kind,
        CASE WHEN mine.effect = 'fail' THEN replace(%(unknown)s, '[processor:TYPE]', '[processor:' || task.task_type || ']')
            WHEN %(blamed)s AND task.deaths + 1 >= %(max_deaths)s THEN %(last_error)s
            ELSE %(error)s END AS value,
        CASE WHEN %(idle)s OR u.id <> %(culprit)s::uuid THEN 0
            ELSE least(%(max_seconds)s, %(base_seconds)s * 2 ^ least(task.attempts, 64)) * random() END::float8 AS delay
    FROM mine CROSS JOIN unnest(mine.task_ids) u(id) JOIN tasks task ON task.id = u.id ORDER BY u.id
),
{settle}
