-- A keeper writes the heartbeats of silent workers of its own node whose processes live. It changes only heartbeats
-- that are still the ones it saw. It waits for no lock: a row that another session has locked would keep all others of
-- the node from their heartbeats, and the keeper from its look at the dead. The next turn tries it again.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
locked AS MATERIALIZED (
    SELECT worker.id
    FROM workers worker
    JOIN unnest(%(ids)s::text::uuid[], %(seen)s::timestamptz[]) silent(id, at)
        ON worker.id = silent.id AND worker.heartbeat_at = silent.at
    WHERE worker.dead_at IS NULL
    ORDER BY worker.id
    FOR NO KEY UPDATE OF worker SKIP LOCKED
)
UPDATE workers worker
SET heartbeat_at = now()
FROM locked, quick
WHERE worker.id = locked.id
RETURNING worker.id::text, worker.heartbeat_at::text
