-- A keeper, at its start: this node's workers from before its supervisor started. The supervisor holds the node's lock,
-- so their processes are gone.
SELECT id::text
FROM workers
WHERE dead_at IS NULL AND node_id = %(node_id)s::uuid AND boot_id <> %(boot_id)s::uuid
ORDER BY id
LIMIT 1000
