-- A keeper looks at the heartbeats of all who are not marked dead. It compares each with what it saw before: how old one is, no clock of the database says.
SELECT id::text, heartbeat_at::text FROM workers WHERE dead_at IS NULL ORDER BY id LIMIT 20000
