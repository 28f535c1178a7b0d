-- A worker takes the tasks of its hints. Locks: own worker row (a reclaim waits for us, or we find the worker dead and take nothing), then the backlog
-- rows in id order, waiting: a row skipped because a relay had it locked would lose its only hint, since the hint is acked afterwards. A row that came
-- back while we waited cannot be seen and stays where it is. No row of tasks is written: in progress means in a lease.
WITH me AS MATERIALIZED (SELECT id FROM workers WHERE id = %(worker_id)s::uuid AND dead_at IS NULL FOR KEY SHARE),
l AS MATERIALIZED (
    SELECT b.task_id FROM backlog b JOIN me ON true
    WHERE b.task_id = ANY (%(ids)s::text::uuid[]) AND b.due_at <= now() AND (b.light OR %(named)s = 1) ORDER BY b.task_id FOR UPDATE OF b
),
d AS (DELETE FROM backlog b USING l WHERE b.task_id = l.task_id RETURNING b.task_id, b.light),
h AS (INSERT INTO leases (id, worker_id, task_ids) SELECT %(lease_id)s::uuid, %(worker_id)s::uuid, array_agg(task_id ORDER BY task_id) FROM d HAVING count(*) > 0),
g AS (
    INSERT INTO logs (task_id, event, attempt, worker_id, level)
    SELECT d.task_id, 'in_progress', t.attempts + 1, %(worker_id)s::uuid, 'info' FROM d JOIN tasks t ON t.id = d.task_id WHERE NOT d.light
    RETURNING id, task_id
)
SELECT t.id::text, t.task_type, t.payload::text, t.attempts + 1, t.max_retries, t.timeout_seconds, d.light, (SELECT g.id FROM g WHERE g.task_id = t.id)
FROM d JOIN tasks t ON t.id = d.task_id
