-- A keeper: the heartbeats of the workers that are not marked dead. It compares each with the one that it saw before,
-- and never with the database's clock.
SELECT id::text, heartbeat_at::text
FROM workers
WHERE dead_at IS NULL
ORDER BY id
LIMIT 20000
