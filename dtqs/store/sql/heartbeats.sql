-- A keeper: the heartbeats of the workers that are not marked dead, and the lease times that the workers count on. It
-- compares each heartbeat with the one that it saw before, and never with the database's clock.
SELECT id::text, heartbeat_at::text, coalesce(lease_seconds, 0)
FROM workers
WHERE dead_at IS NULL
ORDER BY id
LIMIT 20000
