-- Metrics: the workers of each node and pool by state, with their memory and the number of late heartbeats.
SELECT
    node_name, pool, state, count(*), coalesce(sum(memory_bytes), 0)::bigint,
    count(*) FILTER (WHERE heartbeat_at < now() - %(late)s * interval '1 s')
FROM workers
WHERE dead_at IS NULL
GROUP BY node_name, pool, state
