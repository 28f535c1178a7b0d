-- After each heartbeat: the leases that the database says this worker holds, and whether one of their tasks is to be cancelled.
SELECT l.id::text, ARRAY(SELECT t.id::text FROM tasks t WHERE t.id = ANY (l.task_ids) AND t.cancel_requested_at IS NOT NULL) FROM leases l WHERE l.worker_id = %(worker_id)s::uuid
