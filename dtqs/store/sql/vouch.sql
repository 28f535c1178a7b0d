-- A keeper writes the heartbeats of silent workers of its own node whose processes live, where they are still the ones that it saw.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
l AS MATERIALIZED (
    SELECT w.id FROM workers w JOIN unnest(%(ids)s::text::uuid[], %(seen)s::timestamptz[]) x(id, at) ON w.id = x.id AND w.heartbeat_at = x.at
    WHERE w.dead_at IS NULL ORDER BY w.id FOR NO KEY UPDATE OF w
)
UPDATE workers w SET heartbeat_at = now() FROM l, quick WHERE w.id = l.id RETURNING w.id::text, w.heartbeat_at::text
