-- A keeper looks whose heartbeat is too old; it is asked again, under a lock, before a worker is marked dead.
SELECT id::text FROM workers WHERE dead_at IS NULL AND heartbeat_at < now() - %(age)s * interval '1 s' ORDER BY id LIMIT 100
