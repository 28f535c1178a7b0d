-- A worker ends a lease and settles each of its tasks. If the lease is gone, another process has settled them, and this
-- changes nothing. A task that the worker does not name is given back unspent, or fails if its effect says so.
-- Locks: the lease, then the tasks in the order of their ids.
WITH mine AS MATERIALIZED (
    DELETE FROM leases
    WHERE id = %(lease_id)s::uuid
    RETURNING worker_id, started_at, task_ids, effect
),
settlement AS MATERIALIZED (
    SELECT
        mine.worker_id,
        mine.started_at,
        member.id,
        coalesce(named.kind, CASE mine.effect WHEN 'fail' THEN 'failed' ELSE 'unspent' END) AS kind,
        CASE WHEN named.kind IS NULL AND mine.effect = 'fail' THEN (
            SELECT replace(%(unknown)s, '[processor:TYPE]', '[processor:' || task.task_type || ']')
            FROM tasks task
            WHERE task.id = member.id
        ) ELSE named.value END AS value,
        coalesce(named.delay, 0) AS delay
    FROM mine
    CROSS JOIN unnest(mine.task_ids) member(id)
    LEFT JOIN {named} ON named.id = member.id
    ORDER BY member.id
),
{settle}
