-- A running task says that an outside effect begins: durable before it does.
UPDATE leases SET effect = %(effect)s WHERE id = %(lease_id)s::uuid AND task_ids = ARRAY[%(task_id)s::uuid] RETURNING 1
