-- A worker settles part of a batch; the tasks in `keep` go on under the next lease. This inserts a lease, so it locks
-- the worker's row first: a reclaim in flight would not see the new lease. A lease with an effect holds one task, so it
-- has no parts.
WITH me AS MATERIALIZED (
    SELECT id
    FROM workers
    WHERE id = %(worker_id)s::uuid AND dead_at IS NULL
    FOR KEY SHARE
),
mine AS MATERIALIZED (
    DELETE FROM leases lease
    USING me
    WHERE lease.id = %(lease_id)s::uuid AND lease.worker_id = me.id
    RETURNING lease.worker_id, lease.started_at, lease.task_ids
),
rest AS (
    INSERT INTO leases (id, worker_id, task_ids, started_at)
    SELECT %(next_id)s::uuid, worker_id, array_agg(member), started_at
    FROM mine, unnest(task_ids) member
    WHERE member = ANY (%(keep)s::text::uuid[])
    GROUP BY worker_id, started_at
),
settlement AS MATERIALIZED (
    SELECT
        mine.worker_id,
        mine.started_at,
        member.id,
        coalesce(named.kind, 'unspent') AS kind,
        named.value,
        coalesce(named.delay, 0) AS delay
    FROM mine
    CROSS JOIN unnest(mine.task_ids) member(id)
    LEFT JOIN {named} ON named.id = member.id
    WHERE member.id <> ALL (%(keep)s::text::uuid[])
    ORDER BY member.id
),
{settle}
