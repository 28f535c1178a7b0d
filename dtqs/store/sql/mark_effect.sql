-- A running task, before its outside effect begins: the mark is durable before the effect.
UPDATE leases
SET effect = %(effect)s
WHERE id = %(lease_id)s::uuid AND task_ids = ARRAY[%(task_id)s::uuid]
RETURNING 1
