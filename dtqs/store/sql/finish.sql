-- A worker ends a lease and settles each of its tasks. The lease row is gone: somebody else has settled them, and nothing happens. What is not named
-- is given back unspent, or fails where its effect is marked so. Locks: lease, then tasks in id order.
WITH mine AS MATERIALIZED (DELETE FROM leases WHERE id = %(lease_id)s::uuid RETURNING worker_id, started_at, task_ids, effect),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, u.id, coalesce(x.kind, CASE mine.effect WHEN 'fail' THEN 'failed' ELSE 'unspent' END) AS kind,
        CASE WHEN x.kind IS NULL AND mine.effect = 'fail'
            THEN (SELECT replace(%(unknown)s, '[processor:TYPE]', '[processor:' || t.task_type || ']') FROM tasks t WHERE t.id = u.id)
            ELSE x.value END AS value, coalesce(x.delay, 0) AS delay
    FROM mine CROSS JOIN unnest(mine.task_ids) u(id) LEFT JOIN {named} ON x.id = u.id ORDER BY u.id
),
{settle}
