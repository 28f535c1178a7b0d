-- And of the leases, of which there are as many as workers.
SELECT u.id::text FROM leases l CROSS JOIN unnest(l.task_ids) u(id) WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = u.id) ORDER BY u.id LIMIT 100
