-- A worker settles a part of a batch; those in keep go on under the next lease. It inserts a lease, so it locks its worker's row first: a reclaim in
-- flight would not see that lease. A lease with an effect has one task, and no parts.
WITH me AS MATERIALIZED (SELECT id FROM workers WHERE id = %(worker_id)s::uuid AND dead_at IS NULL FOR KEY SHARE),
mine AS MATERIALIZED (DELETE FROM leases x USING me WHERE x.id = %(lease_id)s::uuid AND x.worker_id = me.id RETURNING x.worker_id, x.started_at, x.task_ids),
rest AS (
    INSERT INTO leases (id, worker_id, task_ids, started_at)
    SELECT %(next_id)s::uuid, worker_id, array_agg(u), started_at FROM mine, unnest(task_ids) u WHERE u = ANY (%(keep)s::text::uuid[]) GROUP BY worker_id, started_at
),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, u.id, coalesce(x.kind, 'unspent') AS kind, x.value, coalesce(x.delay, 0) AS delay
    FROM mine CROSS JOIN unnest(mine.task_ids) u(id) LEFT JOIN {named} ON x.id = u.id WHERE u.id <> ALL (%(keep)s::text::uuid[]) ORDER BY u.id
),
{settle}
