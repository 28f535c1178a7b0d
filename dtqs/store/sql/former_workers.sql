-- A keeper at its start: the workers of this node from before its supervisor started. The node's lock says that they are gone.
SELECT id::text FROM workers WHERE dead_at IS NULL AND node_id = %(node_id)s::uuid AND boot_id <> %(boot_id)s::uuid ORDER BY id LIMIT 1000
