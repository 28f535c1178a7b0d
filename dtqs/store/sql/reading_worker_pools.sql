-- Readings: the workers that are not marked dead, by node and pool, those with most late workers first. Each row ends
-- with the totals of all pools. `late` and `lease` are ages of a heartbeat.
SELECT
    pool.node_name, pool.pool, pool.workers, pool.busy, pool.late, pool.late_slot, pool.longest,
    sum(pool.workers) OVER ()::bigint,
    sum(pool.busy) OVER ()::bigint,
    sum(pool.late) OVER ()::bigint,
    sum(pool.live) OVER ()::bigint,
    sum(pool.draining) OVER ()::bigint,
    sum(pool.ready) OVER ()::bigint,
    (SELECT count(DISTINCT node_name) FROM workers WHERE dead_at IS NULL),
    count(*) FILTER (WHERE pool.late > 0) OVER ()
FROM (
    SELECT
        node_name,
        pool,
        count(*) AS workers,
        count(task_id) AS busy,
        count(*) FILTER (WHERE heartbeat_at < now() - %(late)s * interval '1 s') AS late,
        min(slot) FILTER (WHERE heartbeat_at < now() - %(late)s * interval '1 s') AS late_slot,
        extract(epoch FROM now() - min(heartbeat_at))::float8 AS longest,
        count(*) FILTER (WHERE heartbeat_at >= now() - %(lease)s * interval '1 s') AS live,
        count(*) FILTER (
            WHERE heartbeat_at >= now() - %(lease)s * interval '1 s' AND state = 'draining'
        ) AS draining,
        count(*) FILTER (WHERE state = 'ready') AS ready
    FROM workers
    WHERE dead_at IS NULL
    GROUP BY node_name, pool
) pool
ORDER BY pool.late DESC
LIMIT %(limit)s
