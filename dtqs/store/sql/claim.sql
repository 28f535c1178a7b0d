-- A worker claims the tasks of its hints. It writes no row of tasks: a task in a lease is in progress.
-- Locks: first its own worker row. A reclaim waits for this claim, or it finds the worker dead and takes nothing.
-- Then the backlog rows in the order of their ids. It waits for each: the hint is acked afterwards, so a row that it
-- skipped because of a relay's lock would lose its only hint. A row that comes back meanwhile is not seen, and stays.
-- It takes only tasks of the hint's type, since the hint may be forged: this worker may not run another type.
-- `claim_free` leaves locked rows out: a worker uses it after a wait in vain, and publishes their hints again itself.
-- A row that is published later than it is due was due when that time was set, since a row that is due later has both
-- times equal. If the clock stepped back a little since then, the row is due still: this hint may be its only one for
-- `far_out` seconds. Keepers see longer steps (clock.py).
-- The planner cannot turn the lookups in backlog and tasks round. Statistics of an empty backlog last into a burst, for
-- up to a minute. A join would then scan the whole backlog for each task.
WITH me AS MATERIALIZED (
    SELECT id
    FROM workers
    WHERE id = %(worker_id)s::uuid AND dead_at IS NULL
    FOR KEY SHARE
),
locked AS MATERIALIZED (
    SELECT waiting.task_id
    FROM backlog waiting
    JOIN me ON true
    WHERE waiting.task_id = ANY (%(ids)s::text::uuid[])
        AND (
            waiting.due_at <= now()
            OR waiting.due_at < waiting.publish_at AND waiting.due_at <= now() + interval '2 s'
        )
        AND (waiting.light OR %(named)s = 1)
        AND waiting.task_type = coalesce(%(task_type)s::text, waiting.task_type)
    ORDER BY waiting.task_id
    FOR UPDATE OF waiting{skip}
),
taken AS (
    DELETE FROM backlog waiting
    WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))
    RETURNING waiting.task_id, waiting.light, waiting.due_at
),
held AS (
    INSERT INTO leases (id, worker_id, task_ids)
    SELECT %(lease_id)s::uuid, %(worker_id)s::uuid, array_agg(task_id ORDER BY task_id)
    FROM taken
    HAVING count(*) > 0
),
logged AS (
    INSERT INTO logs (task_id, event, attempt, worker_id, level)
    SELECT taken.task_id, 'in_progress', task.attempts + 1, %(worker_id)s::uuid, 'info'
    FROM taken
    CROSS JOIN LATERAL (SELECT attempts FROM tasks WHERE id = taken.task_id OFFSET 0) task
    WHERE NOT taken.light
    RETURNING id, task_id
)
SELECT
    task.id::text,
    task.task_type,
    task.payload::text,
    task.attempts + 1,
    task.max_retries,
    task.timeout_seconds,
    taken.light,
    greatest(0, (date_part('epoch', now() - taken.due_at) * 1000)::bigint),
    task.origin,
    taken.due_at = greatest(task.due_at, task.created_at),
    (SELECT logged.id FROM logged WHERE logged.task_id = task.id)
FROM taken
CROSS JOIN LATERAL (
    SELECT id, task_type, payload, attempts, max_retries, timeout_seconds, origin, due_at, created_at
    FROM tasks
    WHERE id = taken.task_id
    OFFSET 0
) task
