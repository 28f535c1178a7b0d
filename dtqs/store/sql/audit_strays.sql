-- And the other way round: what lies in the backlog or in a lease without being a task.
SELECT 'backlog', b.task_id::text FROM backlog b WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = b.task_id)
UNION ALL SELECT 'lease', u.id::text FROM leases l CROSS JOIN unnest(l.task_ids) u(id) WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = u.id) LIMIT 100
