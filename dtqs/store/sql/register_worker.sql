-- A worker process, before its first claim. A repetition, after a lost reply or a long wait, is a heartbeat.
INSERT INTO workers (id, node_id, boot_id, node_name, pool, slot, pid, state, task_types, queues, lease_seconds)
VALUES (
    %(worker_id)s::uuid, %(node_id)s::uuid, %(boot_id)s::uuid,
    %(node_name)s, %(pool)s, %(slot)s, %(pid)s, 'ready', %(task_types)s::text[], %(queues)s::text[],
    %(lease_seconds)s::float8
)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()
